"""A modem for SMS: AT commands on a serial port, kept alive, watched, and shared by everybody who has to text."""

from __future__ import annotations

from cloud_sync.modem.errors import ModemError, Reason
from cloud_sync.modem.modem import Modem, Texting, open_modem
from cloud_sync.modem.state import ModemState, Registration, Sim
from cloud_sync.settings import ModemSettings, PhoneNumber

__all__ = [
    "Modem",
    "ModemError",
    "ModemSettings",
    "ModemState",
    "PhoneNumber",
    "Reason",
    "Registration",
    "Sim",
    "Texting",
    "open_modem",
]
