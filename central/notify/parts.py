"""The channels that the settings name, put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from central.notify.channel import Channel
from central.notify.letters import EmailChannel
from central.notify.outgoing import Outgoing
from central.notify.phones import SmsChannel
from central.sms_parts import SmsParts
from central.wakeup import Wakeup

if TYPE_CHECKING:
    from central.services import Services


def notify_parts(services: Services, wakeup: Wakeup, sms: SmsParts | None) -> Outgoing:
    """What goes out to people. Raises SettingsError when a password or a certificate cannot be read."""
    settings = services.settings
    channels: dict[str, Channel] = {}
    slowest_s = 10.0
    if sms is not None and settings.sms is not None:
        channels["sms"] = SmsChannel(sms.provider)
        slowest_s = max(slowest_s, settings.sms.timeout_s)
    if settings.email is not None:
        channels["email"] = EmailChannel(settings.email)
        slowest_s = max(slowest_s, 2 * settings.email.timeout_s)
    outgoing = Outgoing(
        store=services.store,
        clock=services.clock,
        metrics=services.metrics,
        wakeup=wakeup,
        channels=channels,
        contacts=services.people,
        public_url=settings.public_url,
        place=settings.place,
        zone=settings.time_zone,
        give_up_ms=round(settings.notify.give_up_after_s * 1000),
        held_ms=round(slowest_s * 1000) + 5_000,
    )
    if sms is not None:
        sms.receipts.append(outgoing.delivered)
    return outgoing
