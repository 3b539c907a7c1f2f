from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise

import pytest

from drivers.contract import Lamp, Pattern
from gateway.annunciator import CHIRPS, LAMP, LOCAL_ALARM, SILENT, Annunciator, Chirp, chirp_of
from gateway.local_response.policy import Cause
from gateway.replies import HomeView


class Panel:
    """Lamp, buzzer and relays that remember what they were told."""

    trouble = ""

    def __init__(self) -> None:
        self.lamps: list[Pattern] = []
        self.sounds: list[Pattern] = []
        self.relay: list[bool] = []
        self.calls: list[bool] = []
        self.is_broken = False
        self.sounded = asyncio.Event()

    def lamp(self, pattern: Pattern, /) -> None:
        if self.is_broken:
            raise OSError("no such pin")
        self.lamps.append(pattern)

    def buzzer(self, pattern: Pattern, /) -> None:
        self.sounds.append(pattern)
        self.sounded.set()

    def healthy(self, is_healthy: bool, /) -> None:
        self.relay.append(is_healthy)

    def call(self, is_on: bool, /) -> None:
        self.calls.append(is_on)


def view(lamp: Lamp, *, may_sound: bool = True) -> HomeView:
    return HomeView(lamp=lamp, may_sound=may_sound)


def test_every_state_has_a_pattern_of_its_own() -> None:
    assert set(LAMP) == set(Lamp)
    assert len(set(LAMP.values())) == len(Lamp)


@pytest.mark.parametrize("lamp", list(Lamp))
def test_no_code_flashes_more_than_three_times_a_second(lamp: Lamp) -> None:
    steps = LAMP[lamp].steps * 20
    flashes, clock_s = [], 0.0
    for (was_on, _), (is_on, seconds) in pairwise([(False, 0.0), *steps]):
        if is_on and not was_on:
            flashes.append(clock_s)
        clock_s += seconds
    assert all(sum(start <= other < start + 1 for other in flashes) <= 3 for start in flashes)


def test_the_codes_are_those_that_the_console_draws() -> None:
    assert LAMP[Lamp.WAITING] == Pattern(colour="yellow", steps=((True, 1.0), (False, 1.0)))
    assert LAMP[Lamp.TAKEN].steps == ((True, 1.0),)
    on_the_way = LAMP[Lamp.ON_THE_WAY]
    assert sum(seconds for _, seconds in on_the_way.steps) == pytest.approx(2.4)
    assert sum(not is_on for is_on, _ in on_the_way.steps) == 2
    unknown = LAMP[Lamp.UNKNOWN]
    assert unknown.colour == "red"
    assert sum(is_on for is_on, _ in unknown.steps) == 3
    assert unknown.steps[-1] == (False, 1.8)


def test_green_means_a_person_and_nothing_else_is_green() -> None:
    assert {lamp for lamp, pattern in LAMP.items() if pattern.colour == "green"} == {Lamp.TAKEN, Lamp.ON_THE_WAY}


def test_only_good_news_chirps() -> None:
    assert chirp_of(view(Lamp.UNKNOWN), view(Lamp.WAITING)) is Chirp.RECEIVED
    assert chirp_of(view(Lamp.WAITING), view(Lamp.TAKEN)) is Chirp.TAKEN
    assert chirp_of(view(Lamp.TAKEN), view(Lamp.ON_THE_WAY)) is None
    assert chirp_of(view(Lamp.TAKEN), view(Lamp.WAITING)) is None
    assert chirp_of(view(Lamp.TAKEN), view(Lamp.OFF)) is None
    silent = replace(view(Lamp.UNKNOWN), may_sound=False)
    assert chirp_of(silent, replace(view(Lamp.WAITING), may_sound=False)) is None


async def test_a_change_is_shown_once_and_chirps_once_and_then_is_quiet() -> None:
    panel, annunciator = Panel(), Annunciator()
    annunciator.attach(panel)
    annunciator.show(view(Lamp.UNKNOWN))
    panel.sounds.clear()
    annunciator.show(view(Lamp.WAITING))
    annunciator.show(view(Lamp.WAITING))
    assert panel.lamps[-2:] == [LAMP[Lamp.UNKNOWN], LAMP[Lamp.WAITING]]
    assert panel.sounds == [CHIRPS[Chirp.RECEIVED]]
    panel.sounded.clear()
    async with asyncio.timeout(3):
        await panel.sounded.wait()
    assert panel.sounds == [CHIRPS[Chirp.RECEIVED], SILENT]


async def test_a_local_alarm_sounds_until_all_has_got_through_and_no_chirp_ends_it() -> None:
    panel, annunciator = Panel(), Annunciator()
    annunciator.attach(panel)
    annunciator.local_alarm(Cause.NO_RECEIPT)
    annunciator.chirp(Chirp.PRESSED)
    assert panel.sounds[-1] == LOCAL_ALARM
    annunciator.local_alarm(None)
    assert panel.sounds[-1] == SILENT


async def test_a_lamp_that_comes_back_shows_what_was_last_to_be_shown() -> None:
    annunciator = Annunciator()
    annunciator.healthy(True)
    annunciator.show(view(Lamp.TAKEN))
    panel = Panel()
    annunciator.attach(panel)
    assert panel.lamps == [LAMP[Lamp.TAKEN]]
    assert panel.relay == [True]


async def test_a_broken_lamp_stops_nothing() -> None:
    panel, annunciator = Panel(), Annunciator()
    panel.is_broken = True
    annunciator.attach(panel)
    annunciator.show(view(Lamp.UNKNOWN))
    annunciator.healthy(True)
    assert panel.relay[-1] is True
