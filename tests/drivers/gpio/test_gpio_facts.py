from __future__ import annotations

from typing import Any

import pytest

from drivers.contract import Fact, Observation
from drivers.gpio.codec import Restless, Settled
from drivers.gpio.facts import Interpreter
from drivers.gpio.kinds import MEANINGS, Contact, Kind
from drivers.gpio.settings import GpioInput


def wired(kind: str, *, alias: str = "device", pin: int = 17, **more: Any) -> GpioInput:
    return GpioInput.model_validate({"alias": alias, "pin": pin, "kind": kind, **more})


def settled(is_active: bool, *, initial: bool = False, unrest: bool = False) -> Settled:
    return Settled(is_active=is_active, since_s=9.0, at_s=10.0, is_initial=initial, is_unrest=unrest)


def brief(observations: tuple[Observation, ...]) -> list[tuple[str, object]]:
    return [(observation.fact.value, observation.value) for observation in observations]


def test_every_kind_has_a_meaning() -> None:
    assert set(MEANINGS) == set(Kind)


@pytest.mark.parametrize(
    ("kind", "pull", "high", "low"),
    [
        # a cut wire leaves the level to the pull: "up" reads high, "down" reads low
        ("cord", "up", True, False),
        ("cord", "down", False, True),
        ("door", "up", True, False),
        ("smoke_fault", "up", True, False),
        ("mains", "up", True, False),
        ("smoke", "up", False, True),
        ("smoke", "down", True, False),
        ("mat", "up", False, True),
    ],
)
def test_a_level_means_active_by_wiring_and_pull(kind: str, pull: str, high: bool, low: bool) -> None:
    loop = wired(kind, pull=pull)
    assert loop.is_active(True) is high
    assert loop.is_active(False) is low


def test_a_logic_output_names_the_level_of_its_closed_loop() -> None:
    power_good = wired("mains", pull="none", closed="high")
    assert power_good.is_active(False), "the pin is low: mains lost"
    assert not power_good.is_active(True)


@pytest.mark.parametrize("kind", [Kind.CORD, Kind.SMOKE_FAULT, Kind.FAULT, Kind.TAMPER, Kind.DOOR, Kind.MAINS])
def test_a_cut_wire_raises_wherever_the_contact_can_be_closed_at_rest(kind: Kind) -> None:
    assert MEANINGS[kind].contact is Contact.NORMALLY_CLOSED


@pytest.mark.parametrize(
    ("kind", "active", "at_rest"),
    [
        ("cord", (Fact.CORD, True, True), (Fact.CORD, False, False)),
        ("smoke", (Fact.SMOKE, True, True), (Fact.SMOKE, False, False)),
        ("water", (Fact.WATER, True, True), (Fact.WATER, False, False)),
        ("mat", (Fact.PRESENCE, True, True), (Fact.PRESENCE, False, True)),
        ("door", (Fact.DOOR, True, True), (Fact.DOOR, False, True)),
        ("contact", (Fact.CONTACT, True, True), (Fact.CONTACT, False, True)),
        ("mains", (Fact.MAINS, False, False), (Fact.MAINS, True, False)),
        ("tamper", (Fact.TAMPER, True, False), (Fact.TAMPER, False, False)),
        ("motion", (Fact.MOTION, True, False), (Fact.MOTION, False, False)),
        ("call", (Fact.NURSE_CALL, "call", True), None),
        ("emergency", (Fact.NURSE_CALL, "emergency", True), None),
        ("presence", (Fact.NURSE_CALL, "presence", True), None),
        ("reset", (Fact.NURSE_CALL, "reset", True), None),
    ],
)
def test_what_a_kind_tells(kind: str, active: tuple[object, ...], at_rest: tuple[object, ...] | None) -> None:
    loop = wired(kind)
    interpreter = Interpreter([loop])
    interpreter.observe(loop, settled(False, initial=True))
    told = interpreter.observe(loop, settled(True))
    assert [(o.fact, o.value, o.may_alarm) for o in told] == [active]
    assert (told[0].device, told[0].observed_boot_s, told[0].details["since_boot_s"]) == ("device", 10.0, 9.0)
    told = interpreter.observe(loop, settled(False))
    assert [(o.fact, o.value, o.may_alarm) for o in told] == ([at_rest] if at_rest else [])


def test_the_first_state_says_that_it_is_the_first() -> None:
    loop = wired("cord")
    told = Interpreter([loop]).observe(loop, settled(True, initial=True))
    assert brief(told) == [("cord", True), ("fault", False)]
    assert told[0].may_alarm
    assert told[0].details["initial"] is True


def test_a_fault_relay_is_told_for_the_detector_it_stands_in() -> None:
    fire, fault = wired("smoke", pin=22), wired("smoke_fault", pin=23)
    interpreter = Interpreter([fire, fault])
    assert brief(interpreter.observe(fire, settled(False, initial=True))) == [("smoke", False)]
    (told,) = interpreter.observe(fault, settled(True, initial=True))
    assert (told.fact, told.value, told.may_alarm, told.details["cause"]) == (Fact.FAULT, True, False, "relay")
    assert brief(interpreter.observe(fault, settled(False))) == [("fault", False)]


def test_a_device_is_at_fault_as_long_as_one_of_its_causes_lasts() -> None:
    fire, fault = wired("smoke", pin=22), wired("smoke_fault", pin=23)
    interpreter = Interpreter([fire, fault])
    interpreter.observe(fire, settled(False, initial=True))
    assert brief(interpreter.observe(fault, settled(False, initial=True))) == [("fault", False)]
    (told,) = interpreter.observe(fire, Restless(is_restless=True, at_s=20.0))
    assert (told.value, told.details["cause"]) == (True, "restless")
    assert interpreter.observe(fault, settled(True)) == ()
    assert interpreter.observe(fire, Restless(is_restless=False, at_s=30.0)) == ()
    assert brief(interpreter.observe(fault, settled(False))) == [("fault", False)]


def test_a_cord_raised_by_unrest_says_why() -> None:
    loop = wired("cord")
    (told, _fault) = Interpreter([loop]).observe(loop, settled(True, initial=True, unrest=True))
    assert told.value is True
    assert told.details["cause"] == "restless"


def test_a_reset_button_held_at_the_start_resets_nothing_and_is_a_fault() -> None:
    loop = wired("reset")
    interpreter = Interpreter([loop])
    (told,) = interpreter.observe(loop, settled(True, initial=True))
    assert (told.fact, told.value, told.details["cause"]) == (Fact.FAULT, True, "held")
    assert brief(interpreter.observe(loop, settled(False))) == [("fault", False)]
    assert brief(interpreter.observe(loop, settled(True))) == [("nurse_call", "reset")]
