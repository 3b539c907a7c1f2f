"""The relay that calls whoever is near, on pins of a simulated header: siren, corridor lamp, and pins that hang."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from cloud_sync.stub import LocalAction
from cloud_sync.vocabulary import BY_WORD, Event
from drivers.gpio import PLUGIN, indicators, link
from drivers.gpio.link import Line
from gateway.daemon import Hub
from gateway.triage import Judged
from simulators.gpio_pins import ADDRESS_VARIABLE, PinBoard

RED, GREEN, SIREN = 5, 13, 21
PINS = f"""
[drivers.pins]
type = "gpio"
pin_factory = "vaktpost-sim"

[drivers.pins.outputs]
red = {RED}
green = {GREEN}
call = {SIREN}
"""


@pytest.fixture
async def board(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PinBoard]:
    with tempfile.TemporaryDirectory(prefix="vp-") as folder:  # short: a Unix socket's path has 108 bytes
        path = Path(folder) / "gpio.sock"
        monkeypatch.setenv(ADDRESS_VARIABLE, str(path))
        async with PinBoard(path) as board:
            yield board


@pytest.fixture
def wired(home: Any, board: PinBoard) -> Any:
    """The hub with lamp and relay on the board."""
    home.settings_text = home.settings_text.replace('driver = "buttons"', 'driver = "pins"') + PINS
    outputs = {"red": RED, "green": GREEN, "call": SIREN}
    settings = PLUGIN.settings.model_validate({"type": "gpio", "pin_factory": "vaktpost-sim", "outputs": outputs})
    home.more_drivers.append((PLUGIN.build("pins", settings, Path()), "gpio"))
    return home


class StuckPin:
    """Holds whoever switches this pin, in the thread of the pins, as a kernel that does not answer would."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.reached, self.released = threading.Event(), threading.Event()

    def write(self, line: Line, is_on: bool) -> None:
        if line.number == self.number and is_on:
            self.reached.set()
            self.released.wait(30)
        line._device.value = is_on


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> Any:
    pin = StuckPin(SIREN)
    monkeypatch.setattr(Line, "write", lambda *switched: pin.write(*switched))  # noqa: PLW0108  # it is to be bound
    monkeypatch.setattr(indicators, "HANGING_S", 0.1)
    yield pin
    pin.released.set()


@pytest.fixture
def stuck_at_start(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Opening the pins does not come back: their thread stands in the kernel."""
    reached, released, opening = threading.Event(), threading.Event(), link.open_factory

    def stand(name: str) -> Any:
        reached.set()
        released.wait(30)
        return opening(name)

    monkeypatch.setattr(link, "open_factory", stand)
    yield released
    released.set()


async def until(board: PinBoard, is_so: Callable[[PinBoard], bool]) -> None:
    async with asyncio.timeout(10):
        await board.wait_until(is_so)


async def so(is_so: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not is_so():
            await asyncio.sleep(0.01)


def raise_event(hub: Hub, word: str, action: LocalAction) -> None:
    now_s, kind = hub.clock.boot_s(), BY_WORD[word]
    event = Event(kind=kind, stamp=hub.clock.stamp(now_s), device="pendant-1", rule="test")
    hub.pipeline.take(Judged(event=event, lane=kind.lane, action=action, observed_boot_s=now_s))


async def relay_line(hub: Hub) -> Any:
    return next(one for one in (await hub.examiner.examine()).lines if one.id == "local.relay")


async def test_a_siren_sounds_for_an_alarm_that_may_sound_and_is_silent_as_soon_as_it_gets_through(
    wired: Any, board: PinBoard
) -> None:
    async with wired.running():
        await until(board, lambda board: SIREN in board.outputs)
        wired.lines[0].cut()
        wired.button.press()
        await until(board, lambda board: board.outputs[SIREN])
        assert board.outputs[RED], "nobody knows of it: red"
        wired.lines[0].mend()
        await until(board, lambda board: not board.outputs[SIREN])


@pytest.mark.parametrize("is_sounding", [True, False])
async def test_an_alarm_that_may_only_show_itself_switches_a_corridor_lamp_and_never_a_siren(
    wired: Any, board: PinBoard, is_sounding: bool
) -> None:
    wired.settings_text += f"\n[local_response.relay]\nis_sounding = {str(is_sounding).lower()}\n"
    async with wired.running() as hub:
        await until(board, lambda board: SIREN in board.outputs)
        wired.lines[0].cut()
        raise_event(hub, "door_opened", LocalAction.LAMP)
        await so(lambda: hub.local_response.decision.calls)
        if not is_sounding:
            await until(board, lambda board: board.outputs[SIREN])
            return
        async with board.changes() as changes:
            wired.button.press()  # what may sound comes after it: the siren's first sound is this one's
            await so(lambda: len(hub.local_response.decision.calls) == 2)
            async with asyncio.timeout(10):
                async for change in changes:
                    if change.pin == SIREN:
                        break
        assert (change.pin, change.is_high) == (SIREN, True), "it had been silent until then"


async def test_leaving_the_hub_drops_the_siren(wired: Any, board: PinBoard) -> None:
    async with wired.running():
        wired.lines[0].cut()
        wired.button.press()
        await until(board, lambda board: board.outputs.get(SIREN, False))
    await until(board, lambda board: board.hub_count == 0)
    assert not board.outputs.get(SIREN)


async def test_pins_that_hang_are_told_hold_up_no_alarm_and_show_what_holds_when_they_answer_again(
    wired: Any, board: PinBoard, central: Any, stuck: StuckPin
) -> None:
    async with wired.running() as hub:
        await until(board, lambda board: SIREN in board.outputs)
        assert (await relay_line(hub)).result.value == "ok"
        wired.lines[0].cut()
        wired.button.press()
        assert await asyncio.to_thread(stuck.reached.wait, 10)
        await so(lambda: hub.annunciator.trouble("call"))
        line = await relay_line(hub)
        assert (line.result.value, line.params["reason"]) == ("fail", "the pins have not answered for 0.1 s")
        wired.lines[0].mend()  # meanwhile all else goes on
        assert (await central.event("pendant_pressed")).device == "pendant-1"
        assert not board.outputs[SIREN]
        stuck.released.set()
        await so(lambda: not hub.annunciator.trouble("call"))
        await until(board, lambda board: not board.outputs[SIREN] and not board.outputs[RED])


async def test_pins_that_hang_when_the_hub_starts_keep_it_from_nothing_and_are_taken_up_when_they_answer(
    wired: Any, board: PinBoard, central: Any, stuck_at_start: threading.Event
) -> None:
    async with wired.running() as hub:
        wired.button.press()
        assert (await central.event("pendant_pressed")).device == "pendant-1"
        line = await relay_line(hub)
        assert (line.result.value, line.params["reason"]) == ("fail", "the pins have not answered for 2 s")
        wired.lines[0].cut()
        wired.button.press()
        stuck_at_start.set()
        await until(board, lambda board: board.outputs.get(SIREN, False))
        await so(lambda: not hub.annunciator.trouble("call"))
