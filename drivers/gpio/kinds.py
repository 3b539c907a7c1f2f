"""What can be wired to a pin, and what its loop means when it leaves rest.

A loop is *at rest* when nothing is happening and *active* when something is. A normally closed loop (`nc`) is active
when it is open, so a cut wire raises; a normally open one (`no`) is active when it is closed, so a cut wire is silent.
Defaults choose the wiring in which a fault errs on the resident's side.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from drivers.contract import Fact, Scalar


class Kind(StrEnum):
    """What stands at the far end of the wire."""

    CORD = "cord"
    CALL = "call"
    EMERGENCY = "emergency"
    ASSISTANCE = "assistance"
    PRESENCE = "presence"
    RESET = "reset"
    SMOKE = "smoke"
    SMOKE_FAULT = "smoke_fault"
    HEAT = "heat"
    GAS = "gas"
    CO = "co"
    WATER = "water"
    FAULT = "fault"
    TAMPER = "tamper"
    MAT = "mat"
    DOOR = "door"
    MOTION = "motion"
    CONTACT = "contact"
    MAINS = "mains"
    BATTERY_LOW = "battery_low"


class Contact(StrEnum):
    """How the contact stands at rest."""

    NORMALLY_CLOSED = "nc"
    NORMALLY_OPEN = "no"


class AlarmPath(StrEnum):
    """Which of an input's facts walk on the intake queue that nothing bulky can fill."""

    NEVER = "never"
    ACTIVE = "active"
    """The condition is latched by triage: only its beginning can raise anything."""
    BOTH = "both"
    """Its end matters as much as its beginning (a timer, a call answered): the two must not overtake one another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """How one kind is read. `at_rest` None means that rest is not a fact of its own."""

    fact: Fact
    active: Scalar
    at_rest: Scalar
    contact: Contact
    debounce_ms: int
    alarm_path: AlarmPath
    is_raised_by_unrest: bool = False
    """A loop that never comes to rest (an open loop picking up mains hum, a contact half broken) counts as active."""
    only_contact: Contact | None = None
    """The one wiring allowed, where the other would let a cut wire do harm."""
    is_silent_when_held_at_start: bool = False
    """Active at the first reading is a stuck button, not an act: reported as a fault instead."""


_NC, _NO = Contact.NORMALLY_CLOSED, Contact.NORMALLY_OPEN


def _raises(
    fact: Fact, contact: Contact, debounce_ms: int, *, active: Scalar = True, at_rest: Scalar = False
) -> Meaning:
    return Meaning(
        fact=fact,
        active=active,
        at_rest=at_rest,
        contact=contact,
        debounce_ms=debounce_ms,
        alarm_path=AlarmPath.ACTIVE,
        is_raised_by_unrest=True,
    )


def _calls(word: str) -> Meaning:
    return _raises(Fact.NURSE_CALL, _NO, 50, active=word, at_rest=None)


def _technical(
    fact: Fact, contact: Contact, debounce_ms: int, *, active: Scalar = True, at_rest: Scalar = False
) -> Meaning:
    return Meaning(
        fact=fact,
        active=active,
        at_rest=at_rest,
        contact=contact,
        debounce_ms=debounce_ms,
        alarm_path=AlarmPath.NEVER,
    )


def _timed(fact: Fact, contact: Contact, debounce_ms: int) -> Meaning:
    return Meaning(
        fact=fact,
        active=True,
        at_rest=False,
        contact=contact,
        debounce_ms=debounce_ms,
        alarm_path=AlarmPath.BOTH,
    )


def _staff(word: str, *, is_silent_when_held_at_start: bool) -> Meaning:
    return Meaning(
        fact=Fact.NURSE_CALL,
        active=word,
        at_rest=None,
        contact=_NO,
        debounce_ms=50,
        alarm_path=AlarmPath.BOTH,
        only_contact=_NO,
        is_silent_when_held_at_start=is_silent_when_held_at_start,
    )


MEANINGS: dict[Kind, Meaning] = {
    Kind.CORD: _raises(Fact.CORD, _NC, 50),
    Kind.CALL: _calls("call"),
    Kind.EMERGENCY: _calls("emergency"),
    Kind.ASSISTANCE: _calls("assistance"),
    Kind.PRESENCE: _staff("presence", is_silent_when_held_at_start=False),
    Kind.RESET: _staff("reset", is_silent_when_held_at_start=True),
    Kind.SMOKE: _raises(Fact.SMOKE, _NO, 200),
    Kind.SMOKE_FAULT: _technical(Fact.FAULT, _NC, 200),
    Kind.HEAT: _raises(Fact.HEAT, _NO, 200),
    Kind.GAS: _raises(Fact.GAS, _NO, 200),
    Kind.CO: _raises(Fact.CO, _NO, 200),
    Kind.WATER: _raises(Fact.WATER, _NO, 500),
    Kind.FAULT: _technical(Fact.FAULT, _NC, 200),
    Kind.TAMPER: _technical(Fact.TAMPER, _NC, 200),
    Kind.MAT: _timed(Fact.PRESENCE, _NO, 1000),
    Kind.DOOR: _timed(Fact.DOOR, _NC, 200),
    Kind.MOTION: _technical(Fact.MOTION, _NO, 200),
    Kind.CONTACT: _timed(Fact.CONTACT, _NO, 100),
    Kind.MAINS: _technical(Fact.MAINS, _NC, 5000, active=False, at_rest=True),
    Kind.BATTERY_LOW: _technical(Fact.BATTERY_LOW, _NO, 5000),
}
"""One row per kind. A mat is `no`: closed under weight, so a cut wire looks like an empty bed and the delay runs."""
