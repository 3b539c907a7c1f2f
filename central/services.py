"""Everything that runs inside central, in one value that routers and the console are given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from central.alarms import Alarms
from central.clock import Clock
from central.feed import Feed
from central.settings import CentralSettings
from central.store import Store

if TYPE_CHECKING:
    from central.commands import Commands
    from central.escalation.duty import Duty
    from central.hubs import Hubs
    from central.keys import CentralKeys
    from central.links import HubLinks
    from central.metrics import Metrics
    from central.people.people import People
    from central.security import SecurityLog
    from central.technical.incidents import Incidents
    from central.technical.maintenance import Maintenance


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """One central.

    `hubs` answers who is enrolled and who is heard; `commands` asks hubs; `duty` is who is at a console; `metrics`
    counts.
    """

    settings: CentralSettings
    store: Store
    keys: CentralKeys
    clock: Clock
    alarms: Alarms
    feed: Feed
    hubs: Hubs
    links: HubLinks
    commands: Commands
    duty: Duty
    metrics: Metrics
    security: SecurityLog
    people: People
    incidents: Incidents
    maintenance: Maintenance
