from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from typing import Any

import pytest

from drivers.contract import Fact, Pattern
from drivers.gpio import GpioDriver
from drivers.gpio.indicators import GpioIndicators
from simulators.gpio_pins import OutputChange, PinBoard

OUTPUTS = {"red": 5, "yellow": 6, "green": 13, "buzzer": 19, "healthy": 26}
CORD = {"alias": "cord-bath", "pin": 17, "kind": "cord"}
STEADY_GREEN = Pattern(colour="green", steps=((True, 1.0),))
FLASHING_RED = Pattern(colour="red", steps=((True, 0.05), (False, 0.1)))
OFF = Pattern(colour=None)

MakeDriver = Callable[..., GpioDriver]


async def until(board: PinBoard, is_so: Callable[[PinBoard], bool]) -> None:
    async with asyncio.timeout(10):
        await board.wait_until(is_so)


async def take(changes: AsyncIterator[OutputChange], count: int) -> list[OutputChange]:
    async with asyncio.timeout(10):
        return [await anext(changes) for _ in range(count)]


async def test_all_is_off_and_the_relay_open_before_anybody_asks(board: PinBoard, make_driver: MakeDriver) -> None:
    async with make_driver(outputs=OUTPUTS).indicators():
        await until(board, lambda board: len(board.outputs) == 5)
        assert not any(board.outputs.values())


async def test_a_steady_lamp_is_lit_and_put_out(board: PinBoard, make_driver: MakeDriver) -> None:
    async with make_driver(outputs=OUTPUTS).indicators() as indicators:
        indicators.lamp(STEADY_GREEN)
        await until(board, lambda board: board.outputs[13])
        assert not board.outputs[5]
        indicators.lamp(OFF)
        await until(board, lambda board: not board.outputs[13])


async def test_a_pattern_flashes_in_its_rhythm(board: PinBoard, make_driver: MakeDriver) -> None:
    async with make_driver(outputs={"red": 5}).indicators() as indicators:
        await until(board, lambda board: 5 in board.outputs)
        async with board.changes() as changes:
            indicators.lamp(FLASHING_RED)
            seen = await take(changes, 9)
            while not four_rounds(seen[-9:]) and len(seen) < 60:  # a busy machine may hold one of them up
                seen += await take(changes, 2)
    assert [change.is_high for change in seen[:9]] == [True, False] * 4 + [True]
    assert four_rounds(seen[-9:]), "four rounds of 150 ms, no drift"
    assert all(later.at_boot_s > earlier.at_boot_s for earlier, later in pairwise(seen))


def four_rounds(seen: list[OutputChange]) -> bool:
    return seen[-1].at_boot_s - seen[0].at_boot_s == pytest.approx(0.6, abs=0.12)


async def test_asking_again_for_the_same_does_not_start_over(board: PinBoard, make_driver: MakeDriver) -> None:
    slow = Pattern(colour="red", steps=((True, 0.2), (False, 0.2)))
    async with make_driver(outputs={"red": 5}).indicators() as indicators:
        await until(board, lambda board: 5 in board.outputs)
        async with board.changes() as changes:
            indicators.lamp(slow)
            await take(changes, 1)

            async def insist() -> None:
                while True:
                    indicators.lamp(Pattern(colour="red", steps=((True, 0.2), (False, 0.2))))
                    await asyncio.sleep(0.05)

            insisting = asyncio.create_task(insist())
            (dark,) = await take(changes, 1)
            insisting.cancel()
    assert not dark.is_high


async def test_a_new_colour_never_shines_together_with_the_old_one(board: PinBoard, make_driver: MakeDriver) -> None:
    async with make_driver(outputs=OUTPUTS).indicators() as indicators:
        indicators.lamp(Pattern(colour="red", steps=((True, 1.0),)))
        await until(board, lambda board: board.outputs.get(5, False))
        async with board.changes() as changes:
            indicators.lamp(STEADY_GREEN)
            first, second = await take(changes, 2)
    assert (first.pin, first.is_high) == (5, False)
    assert (second.pin, second.is_high) == (13, True)


async def test_a_colour_that_is_not_wired_lights_nothing_and_puts_the_old_one_out(
    board: PinBoard, make_driver: MakeDriver
) -> None:
    async with make_driver(outputs={"red": 5, "healthy": 26}).indicators() as indicators:
        indicators.lamp(Pattern(colour="red", steps=((True, 1.0),)))
        await until(board, lambda board: board.outputs.get(5, False))
        indicators.lamp(STEADY_GREEN)
        await until(board, lambda board: not board.outputs[5])
        assert board.outputs == {5: False, 26: False}


async def test_lamp_buzzer_and_relay_play_side_by_side(board: PinBoard, make_driver: MakeDriver) -> None:
    async with make_driver(outputs=OUTPUTS).indicators() as indicators:
        indicators.lamp(STEADY_GREEN)
        indicators.buzzer(Pattern(colour=None, steps=((True, 0.03), (False, 0.03))))
        indicators.healthy(True)
        async with board.changes() as changes:
            beeps = [change for change in await take(changes, 8) if change.pin == 19]
        assert len(beeps) >= 4
        assert (board.outputs[13], board.outputs[26]) == (True, True)
        indicators.healthy(False)
        await until(board, lambda board: not board.outputs[26])


async def test_leaving_puts_everything_out_and_drops_the_relay(board: PinBoard, make_driver: MakeDriver) -> None:
    async with make_driver(outputs=OUTPUTS).indicators() as indicators:
        indicators.lamp(STEADY_GREEN)
        indicators.healthy(True)
        await until(board, lambda board: board.outputs.get(26, False) and board.outputs[13])
    await until(board, lambda board: board.hub_count == 0)
    assert not any(board.outputs.values())


async def test_an_active_low_relay_board_is_driven_the_other_way_round(
    board: PinBoard, make_driver: MakeDriver
) -> None:
    async with make_driver(outputs={"healthy": 26, "active_low": ["healthy"]}).indicators() as indicators:
        await until(board, lambda board: board.outputs.get(26, False))
        indicators.healthy(True)
        await until(board, lambda board: not board.outputs[26])


async def test_a_relay_that_watches_for_pulses_gets_them_only_while_healthy(
    board: PinBoard, make_driver: MakeDriver
) -> None:
    async with make_driver(outputs={"healthy": 26, "healthy_pulse_ms": 20}).indicators() as indicators:
        await until(board, lambda board: 26 in board.outputs)
        async with board.changes() as changes:
            indicators.healthy(True)
            seen = await take(changes, 6)
        assert [change.is_high for change in seen] == [True, False] * 3
        indicators.healthy(False)
        await until(board, lambda board: not board.outputs[26])


async def test_lamp_and_relay_come_back_after_the_pins_were_lost(
    board: PinBoard, make_driver: MakeDriver, opened: Any
) -> None:
    driver = make_driver(CORD, outputs=OUTPUTS)
    async with driver.indicators() as indicators:
        indicators.lamp(STEADY_GREEN)
        indicators.healthy(True)
        async with opened(driver) as told:
            await told.until(Fact.CORD, True)
            await until(board, lambda board: board.outputs.get(26, False))
            await board.hang_up()
            assert not board.outputs[26]
            await told.until(Fact.LINK, False)
        async with opened(driver) as told:
            await told.until(Fact.CORD, True)
            await until(board, lambda board: board.outputs[26] and board.outputs[13])


async def test_indicators_start_without_hardware_and_show_the_last_wish_when_it_comes(
    socket_path: Any, make_driver: MakeDriver
) -> None:
    driver = make_driver(outputs=OUTPUTS)
    indicators = GpioIndicators("pins", driver._house, driver._settings.outputs, retry_s=0.05)
    async with indicators.playing():
        indicators.lamp(FLASHING_RED)
        indicators.lamp(STEADY_GREEN)
        async with PinBoard(socket_path) as board:
            await until(board, lambda board: board.outputs.get(13, False))


async def test_without_outputs_everything_may_be_asked_and_nothing_is_opened(
    board: PinBoard, make_driver: MakeDriver
) -> None:
    async with make_driver(CORD).indicators() as indicators:
        indicators.lamp(STEADY_GREEN)
        indicators.buzzer(FLASHING_RED)
        indicators.healthy(True)
        assert board.hub_count == 0


async def test_an_error_inside_the_context_comes_out_as_it_was(board: PinBoard, make_driver: MakeDriver) -> None:
    with pytest.raises(LookupError, match="mine"):
        async with make_driver(outputs=OUTPUTS).indicators():
            raise LookupError("mine")
