"""What is known of a modem, as one value for `status`, the health check and whoever decides by it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from cloud_sync.modem.codec import number_at, parameters
from cloud_sync.modem.errors import Reason


class Sim(StrEnum):
    """What the card says."""

    UNKNOWN = "unknown"
    READY = "ready"
    PIN_WANTED = "pin_wanted"
    """It wants a PIN and the settings name none that could be read."""
    PIN_REFUSED = "pin_refused"
    """The PIN was wrong, or there are too few attempts left to try it."""
    PUK_WANTED = "puk_wanted"
    ABSENT = "absent"
    FAULTY = "faulty"


class Registration(StrEnum):
    """How the network sees the modem."""

    UNKNOWN = "unknown"
    NONE = "none"
    SEARCHING = "searching"
    DENIED = "denied"
    HOME = "home"
    ROAMING = "roaming"

    @property
    def is_in(self) -> bool:
        """Whether messages can go."""
        return self in {Registration.HOME, Registration.ROAMING}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModemState:
    """A modem as it stands. `last_sent_s` is when the network last took a message, on the clock it was opened with."""

    is_present: bool = False
    sim: Sim = Sim.UNKNOWN
    registration: Registration = Registration.UNKNOWN
    operator: str = ""
    signal_dbm: int | None = None
    last_error: str = ""
    last_sent_s: float | None = None
    last_received_s: float | None = None
    sent: int = 0
    failed: int = 0
    waiting: int = 0

    @property
    def is_ready(self) -> bool:
        """Whether a message can be handed over now."""
        return self.is_present and self.sim is Sim.READY and self.registration.is_in

    @property
    def hindrance(self) -> Reason | None:
        """What keeps messages from going; None when nothing does."""
        if not self.is_present:
            return Reason.NO_MODEM
        if self.sim is not Sim.READY:
            return _OF_SIM[self.sim]
        if not self.registration.is_in:
            return Reason.DENIED if self.registration is Registration.DENIED else Reason.NO_NETWORK
        return None


_OF_SIM = {
    Sim.UNKNOWN: Reason.NO_MODEM,
    Sim.PIN_WANTED: Reason.SIM_PIN,
    Sim.PIN_REFUSED: Reason.SIM_PIN,
    Sim.PUK_WANTED: Reason.SIM_BLOCKED,
    Sim.ABSENT: Reason.NO_SIM,
    Sim.FAULTY: Reason.SIM_FAULT,
}
_STATUS = {
    0: Registration.NONE,
    1: Registration.HOME,
    2: Registration.SEARCHING,
    3: Registration.DENIED,
    4: Registration.UNKNOWN,
    5: Registration.ROAMING,
    6: Registration.HOME,  # for SMS only
    7: Registration.ROAMING,  # for SMS only
}
_WORST_FIRST = (
    Registration.UNKNOWN,
    Registration.NONE,
    Registration.DENIED,
    Registration.SEARCHING,
    Registration.ROAMING,
    Registration.HOME,
)


def registration_in(line: str) -> Registration:
    """From `+CREG: 1,5` (an answer) or `+CREG: 5` (by itself); `+CEREG` likewise (TS 27.007 §7.2, §10.1.22)."""
    fields = parameters(line)
    number = number_at(fields, 0 if len(fields) == 1 else 1)
    return _STATUS.get(-1 if number is None else number, Registration.UNKNOWN)


def better(one: Registration, other: Registration) -> Registration:
    """Of circuit-switched and packet registration: SMS goes by either."""
    return max(one, other, key=_WORST_FIRST.index)


def signal_in(line: str) -> int | None:
    """From `+CSQ: 17,99` (TS 27.007 §8.5), in dBm; None when the modem does not know."""
    number = number_at(parameters(line), 0)
    return None if number is None or number > 31 else -113 + 2 * number


def operator_in(line: str) -> str:
    """The network's name from `+COPS: 0,0,"Nett",7`."""
    fields = parameters(line)
    name = fields[2] if len(fields) > 2 else ""
    return "".join(sign for sign in name if sign.isprintable())[:24]
