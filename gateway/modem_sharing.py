"""The hub's one modem, and who goes through it: the SMS path to central, and texts to phones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from cloud_sync.uplink import Uplink
from config import HubSettings
from gateway.clock import HubClock

if TYPE_CHECKING:
    from cloud_sync.modem import Modem


def modem_of(settings: HubSettings, clock: HubClock) -> Modem | None:
    """The modem that the settings name; nothing of it is even imported without. Whoever has it runs it."""
    if settings.modem is None:
        return None
    from cloud_sync.modem import Modem

    return Modem(settings.modem, base=settings.base, state_dir=settings.state_dir, boot_s=clock.boot_s)


def share(modem: Modem | None, uplinks: Iterable[Uplink]) -> None:
    """Give the modem to every path that goes through one."""
    if modem is None:
        return
    from cloud_sync.uplinks.sms import SmsUplink

    for uplink in uplinks:
        if isinstance(uplink, SmsUplink):
            uplink.use(modem)


def describe_modem(modem: Modem | None, now_s: float) -> dict[str, Any] | None:
    """For `status`. No numbers of phones or cards."""
    if modem is None:
        return None
    state = modem.state
    hindrance = state.hindrance
    return {
        "is_ready": state.is_ready,
        "hindrance": None if hindrance is None else hindrance.value,
        "sim": state.sim.value,
        "registration": state.registration.value,
        "operator": state.operator or None,
        "signal_dbm": state.signal_dbm,
        "sent": state.sent,
        "sent_s_ago": None if state.last_sent_s is None else round(max(0.0, now_s - state.last_sent_s), 1),
        "received_s_ago": None if state.last_received_s is None else round(max(0.0, now_s - state.last_received_s), 1),
        "failed_in_a_row": state.failed,
        "waiting": state.waiting,
        "last_error": state.last_error or None,
    }
