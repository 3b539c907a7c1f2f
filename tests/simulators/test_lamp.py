"""Reading the light on the wall from nothing but switchings."""

from __future__ import annotations

from simulators.lamp import LampWatch


def seen(*switchings: tuple[str, bool, float]) -> LampWatch:
    watch = LampWatch()
    for colour, is_on, at_s in switchings:
        watch.switch(colour, is_on=is_on, at_s=at_s)
    return watch


def test_standing_green_is_taken_and_green_with_a_short_gap_is_on_the_way() -> None:
    assert seen(("green", True, 10.0)).word(11.0) == "taken"
    assert seen(("green", True, 10.0), ("green", False, 11.6), ("green", True, 11.8)).word(12.0) == "on_the_way"


def test_a_gap_before_a_longer_darkness_belongs_to_a_code_that_is_over() -> None:
    watch = seen(("green", True, 10.0), ("green", False, 11.6), ("green", True, 11.8), ("green", False, 11.9))
    assert watch.word(12.5) == "off"
    watch.switch("green", is_on=True, at_s=12.6)
    assert watch.word(12.7) == "taken"


def test_a_pin_that_is_set_to_what_it_was_is_no_light() -> None:
    assert seen(("green", False, 10.0), ("yellow", False, 10.0)).word(10.1) == "off"


def test_blinking_yellow_is_waiting_also_in_its_dark_half_and_red_is_unknown() -> None:
    assert seen(("yellow", True, 10.0), ("yellow", False, 11.0)).word(11.9) == "waiting"
    assert seen(("red", True, 10.0), ("red", False, 10.24)).word(11.0) == "unknown"
    assert seen(("yellow", True, 10.0), ("yellow", False, 11.0)).word(15.0) == "off"
