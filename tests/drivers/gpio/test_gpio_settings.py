from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from drivers.gpio import PLUGIN, GpioSettings

CORD = {"alias": "cord-bath", "pin": 17, "kind": "cord"}


def settings(*inputs: dict[str, Any], **more: Any) -> GpioSettings:
    return GpioSettings.model_validate({"type": "gpio", "inputs": inputs, **more})


def refused(*inputs: dict[str, Any], **more: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        settings(*inputs, **more)
    return str(caught.value)


def test_alias_pin_and_kind_are_enough() -> None:
    (loop,) = settings(CORD).inputs
    assert (loop.wiring, loop.pull, loop.stable_s) == ("nc", "up", 0.05)


def test_debounce_follows_the_kind_and_can_be_set() -> None:
    relay, mains, own = settings(
        {"alias": "smoke", "pin": 4, "kind": "smoke"},
        {"alias": "power", "pin": 5, "kind": "mains"},
        {"alias": "cord", "pin": 6, "kind": "cord", "debounce_ms": 30},
    ).inputs
    assert (relay.stable_s, mains.stable_s, own.stable_s) == (0.2, 5.0, 0.03)


def test_a_slow_input_is_restless_later_than_a_quick_one() -> None:
    wanted = settings(CORD, {"alias": "power", "pin": 5, "kind": "mains"})
    assert [wanted.unrest_s(loop) for loop in wanted.inputs] == [3.0, 20.0]


def test_a_pin_may_be_written_as_on_the_drawing() -> None:
    assert settings({**CORD, "pin": "GPIO17"}).inputs[0].pin == 17


@pytest.mark.parametrize(
    ("pin", "words"),
    [
        (40, "there is no GPIO40 on the header; pins are BCM numbers from 2 to 27, not positions on the header"),
        (0, "GPIO0 is reserved"),
        ("J8:11", "'J8:11' is not a pin; give its BCM number"),
        (True, "pin"),
        (17.5, "pin"),
    ],
)
def test_what_is_not_a_pin_is_refused_with_a_hint(pin: object, words: str) -> None:
    assert words in refused({**CORD, "pin": pin})


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("chord", "there is no kind of input called 'chord'; did you mean 'cord'?"),
        ("smoke-fault", "did you mean 'smoke_fault'?"),
        ("lighthouse", "the kinds are: cord, call,"),
    ],
)
def test_an_unknown_kind_gets_the_nearest_one(kind: str, words: str) -> None:
    assert words in refused({**CORD, "kind": kind})


def test_a_pin_carries_one_thing() -> None:
    words = refused(CORD, {"alias": "cord-bed", "pin": 17, "kind": "cord"})
    assert "GPIO17 is given to input cord-bath (cord) and to input cord-bed (cord)" in words
    assert "GPIO17 is given to input cord-bath (cord) and to output red" in refused(CORD, outputs={"red": 17})
    assert "GPIO5 is given to output red and to output green" in refused(outputs={"red": 5, "green": 5})


def test_one_device_may_have_inputs_of_different_kinds_only() -> None:
    fire, fault = (
        {"alias": "smoke-hall", "pin": 22, "kind": "smoke"},
        {"alias": "smoke-hall", "pin": 23, "kind": "smoke_fault"},
    )
    assert PLUGIN.aliases(settings(fire, fault, CORD)) == ("smoke-hall", "cord-bath")
    assert "smoke-hall has two inputs of the kind smoke" in refused(fire, {**fault, "kind": "smoke"})


def test_the_pins_may_have_an_alias_of_their_own() -> None:
    assert PLUGIN.aliases(settings(CORD, alias="header")) == ("cord-bath", "header")
    assert "give the pins an alias of their own" in refused(CORD, alias="cord-bath")


@pytest.mark.parametrize("kind", ["reset", "presence"])
def test_a_cut_wire_must_not_answer_calls(kind: str) -> None:
    assert "a cut wire would answer calls" in refused({"alias": "room-12", "pin": 4, "kind": kind, "contact": "nc"})


def test_pull_and_level_must_fit_the_board() -> None:
    assert "GPIO2 has a pull-up resistor on the board" in refused({**CORD, "pin": 2, "pull": "none"})
    assert "with pull = 'up' a closed loop is always low" in refused({**CORD, "closed": "high"})


def test_inputs_written_with_one_bracket_are_explained() -> None:
    with pytest.raises(ValidationError, match="two brackets"):
        GpioSettings.model_validate({"type": "gpio", "inputs": CORD})


def test_nothing_wired_is_refused() -> None:
    assert "nothing is wired" in refused()


def test_outputs_name_what_is_wired() -> None:
    assert "active_low names 'healthy', which has no pin" in refused(outputs={"red": 5, "active_low": ["healthy"]})
    assert "healthy_pulse_ms needs the pin" in refused(outputs={"red": 5, "healthy_pulse_ms": 500})


def test_unknown_keys_are_refused() -> None:
    assert "debounce" in refused({**CORD, "debounce": 50})
    assert "lamp" in refused(CORD, outputs={"lamp": 5})
