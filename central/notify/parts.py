"""What goes out to people, put together from the channels that the settings set up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from central.notify.channels import lines
from central.notify.outgoing import Outgoing
from central.sms_parts import SmsParts
from central.wakeup import Wakeup

if TYPE_CHECKING:
    from central.services import Services

SLOWEST_S = 10.0
SLACK_S = 5.0


def notify_parts(services: Services, wakeup: Wakeup, sms: SmsParts | None) -> Outgoing:
    """What goes out to people. Raises SettingsError when a password or a certificate cannot be read."""
    settings = services.settings
    found = lines(settings)
    slowest_s = max([SLOWEST_S, *(line.slowest_s for line in found.values())])
    outgoing = Outgoing(
        store=services.store,
        clock=services.clock,
        metrics=services.metrics,
        wakeup=wakeup,
        channels={name: line.carrier for name, line in found.items()},
        awaited={name: line.receipts for name, line in found.items()},
        contacts=services.people,
        public_url=settings.public_url,
        place=settings.place,
        zone=settings.time_zone,
        give_up_ms=round(settings.notify.give_up_after_s * 1000),
        held_ms=round((slowest_s + SLACK_S) * 1000),
    )
    if sms is not None:
        sms.receipts.append(outgoing.delivered)
    return outgoing
