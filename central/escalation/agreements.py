"""Whether next of kin have agreed to be asked about a service at an hour.

An agreement is JSON: `services` (codes; without any, nothing is agreed) and `hours` (as in a plan; none: always). One
that cannot be read covers nothing: nobody is called at night who has not agreed to it.
"""

from __future__ import annotations

from zoneinfo import ZoneInfo

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from central.routing.plan import WeekHours, local_time
from central.routing.services import EVERY

log = structlog.get_logger()


class Scope(BaseModel):
    """What of an agreement says when somebody may be asked."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    services: tuple[str, ...] = ()
    hours: tuple[WeekHours, ...] = ()


def covers(agreement: str, *, service: str, at_ms: int, zone: str) -> bool:
    """Whether an agreement holds for a service (`*`: any will do) at an instant."""
    try:
        scope = Scope.model_validate_json(agreement or "{}")
    except ValidationError as error:
        log.warning("agreement_unreadable", problems=error.error_count())
        return False
    if not scope.services or (service != EVERY and service not in scope.services):
        return False
    day, minute = local_time(at_ms, ZoneInfo(zone))
    return not scope.hours or any(hours.covers(day, minute) for hours in scope.hours)
