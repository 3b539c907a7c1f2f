"""The driver on real gpiozero, on a header at the other end of a socket."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from drivers.contract import Driver, DriverContext, Fact, ProvidesIndicators
from drivers.errors import PermanentDriverError, TransientDriverError
from drivers.gpio import GpioDriver
from drivers.gpio.link import PinsLostError, do_outputs_persist
from simulators.gpio_pins import ADDRESS_VARIABLE, PinBoard

CORD = {"alias": "cord-bath", "pin": 17, "kind": "cord"}
SMOKE = {"alias": "smoke-hall", "pin": 22, "kind": "smoke", "debounce_ms": 20}
SMOKE_FAULT = {"alias": "smoke-hall", "pin": 23, "kind": "smoke_fault", "debounce_ms": 20}
MAT = {"alias": "mat-bed", "pin": 24, "kind": "mat", "debounce_ms": 20}
MAINS = {"alias": "power", "pin": 25, "kind": "mains", "debounce_ms": 20}

MakeDriver = Callable[..., GpioDriver]


def test_the_driver_is_what_the_hub_expects(make_driver: MakeDriver) -> None:
    driver: Driver = make_driver(CORD)
    assert isinstance(driver, ProvidesIndicators)


async def test_a_pulled_cord_is_told_on_the_queue_for_alarms(
    board: PinBoard, make_driver: MakeDriver, opened: Any
) -> None:
    board.close_contact(17)
    async with opened(make_driver(CORD)) as told:
        first = await told.until(Fact.CORD, False)
        assert (first.details["initial"], first.may_alarm) == (True, False)
        board.open_contact(17)
        pulled = await told.until(Fact.CORD, True)
        assert pulled.may_alarm
        assert pulled.device == "cord-bath"
        assert pulled.observed_boot_s - float(pulled.details["since_boot_s"]) == pytest.approx(0.05)
        board.close_contact(17)
        await told.until(Fact.CORD, False)


async def test_an_edge_is_told_without_waiting_for_the_next_reading(
    board: PinBoard, make_driver: MakeDriver, opened: Any
) -> None:
    board.close_contact(17)
    async with opened(make_driver(CORD, reread_s=60)) as told:
        await told.until(Fact.CORD, False)
        waiting = asyncio.create_task(told.until(Fact.CORD, True))
        await asyncio.sleep(0.1)  # it rests now, with nothing due for a minute
        board.open_contact(17)
        await waiting


async def test_a_cord_that_hangs_pulled_when_the_hub_starts_raises(
    board: PinBoard, make_driver: MakeDriver, opened: Any
) -> None:
    board.open_contact(17)
    async with opened(make_driver(CORD)) as told:
        pulled = await told.until(Fact.CORD, True)
    assert pulled.may_alarm
    assert pulled.details["initial"] is True
    assert not any(found.fact is Fact.CORD and found.value is False for found in told.seen)


async def test_a_wire_cut_at_either_pull_raises(board: PinBoard, make_driver: MakeDriver, opened: Any) -> None:
    board.close_contact(17)
    board.close_contact(4, to="3v3")
    to_3v3 = {"alias": "cord-bed", "pin": 4, "kind": "cord", "pull": "down"}
    async with opened(make_driver(CORD, to_3v3)) as told:
        await told.until(Fact.CORD, False, device="cord-bath")
        await told.until(Fact.CORD, False, device="cord-bed")
        board.open_contact(17)
        assert (await told.until(Fact.CORD, True)).device == "cord-bath"
        board.open_contact(4)
        assert (await told.until(Fact.CORD, True)).device == "cord-bed"


async def test_a_smoke_detector_tells_fire_and_fault_apart(
    board: PinBoard, make_driver: MakeDriver, opened: Any
) -> None:
    board.close_contact(23)
    async with opened(make_driver(SMOKE, SMOKE_FAULT)) as told:
        await told.until(Fact.FAULT, False)
        board.close_contact(22)
        fire = await told.until(Fact.SMOKE, True)
        board.open_contact(23)
        fault = await told.until(Fact.FAULT, True)
    assert (fire.device, fire.may_alarm) == ("smoke-hall", True)
    assert (fault.device, fault.may_alarm) == ("smoke-hall", False)


async def test_a_mat_and_the_mains_tell_both_ways(board: PinBoard, make_driver: MakeDriver, opened: Any) -> None:
    board.close_contact(24)
    board.close_contact(25)
    async with opened(make_driver(MAT, MAINS)) as told:
        await told.until(Fact.PRESENCE, True)
        await told.until(Fact.MAINS, True)
        board.open_contact(24)
        assert (await told.until(Fact.PRESENCE, False)).may_alarm
        board.open_contact(25)
        assert not (await told.until(Fact.MAINS, False)).may_alarm


async def test_bounces_are_one_pull_and_are_counted(
    board: PinBoard, make_driver: MakeDriver, make_context: Callable[[], DriverContext], opened: Any
) -> None:
    board.close_contact(17)
    context = make_context()
    async with opened(make_driver({**CORD, "debounce_ms": 200}), context) as told:
        await told.until(Fact.CORD, False)
        for _ in range(5):
            board.open_contact(17)
            board.close_contact(17)
        board.open_contact(17)
        await told.until(Fact.CORD, True)
    assert [found.value for found in told.seen if found.fact is Fact.CORD] == [False, True]
    assert context.diagnostics["cord-bath.cord.bounces"] == 10
    assert context.diagnostics["cord-bath.cord.state"] == "active"
    assert context.diagnostics["cord-bath.cord.missed_edges"] == 0


async def test_an_edge_that_the_chip_missed_is_found_by_reading_again(
    board: PinBoard, make_driver: MakeDriver, make_context: Callable[[], DriverContext], opened: Any
) -> None:
    board.close_contact(17)
    context = make_context()
    async with opened(make_driver(CORD, MAT, reread_s=0.1), context) as told:
        await told.until(Fact.CORD, False)
        board.set_level(17, None, is_edge_lost=True)
        await told.until(Fact.CORD, True)
        board.close_contact(24)  # keeps the driver running until the next re-read
        await told.until(Fact.PRESENCE, True)
        while context.diagnostics["cord-bath.cord.missed_edges"] != 1:
            board.open_contact(24)
            await told.until(Fact.PRESENCE, False)
            board.close_contact(24)
            await told.until(Fact.PRESENCE, True)
    assert context.diagnostics["mat-bed.mat.missed_edges"] == 0


async def test_a_chattering_contact_holds_up_nobody_and_is_a_fault(
    board: PinBoard, make_driver: MakeDriver, opened: Any
) -> None:
    board.close_contact(17)
    board.close_contact(24)
    async with opened(make_driver(CORD, MAT, restless_s=0.3)) as told:
        await told.until(Fact.PRESENCE, True)
        await told.until(Fact.CORD, False)

        async def chatter() -> None:
            while True:
                board.open_contact(24)
                board.close_contact(24)
                await asyncio.sleep(0.01)

        chattering = asyncio.create_task(chatter())
        fault = await told.until(Fact.FAULT, True)
        assert (fault.device, fault.details["cause"]) == ("mat-bed", "restless")
        board.open_contact(17)
        assert (await told.until(Fact.CORD, True)).may_alarm
        chattering.cancel()
        await told.until(Fact.FAULT, False, device="mat-bed")
    assert not any(found.fact is Fact.PRESENCE and found.value is False for found in told.seen)


async def test_the_link_is_told_down_once_and_up_when_it_is_back(
    board: PinBoard, make_driver: MakeDriver, opened: Any, socket_path: Path
) -> None:
    board.close_contact(17)
    driver = make_driver(CORD)
    async with opened(driver) as told:
        link = await told.until(Fact.LINK, True)
        assert link.device == "pins"
        await told.until(Fact.CORD, False)
        await board.hang_up()
        await told.until(Fact.LINK, False)
        for _ in range(2):
            with pytest.raises(TransientDriverError, match="gone"):
                await told.until(Fact.LINK, False)
    board.open_contact(17)
    async with opened(driver) as told:
        await told.until(Fact.LINK, True)
        await told.until(Fact.CORD, True)


async def test_the_link_carries_the_alias_of_the_pins(board: PinBoard, make_driver: MakeDriver, opened: Any) -> None:
    async with opened(make_driver(CORD, alias="header")) as told:
        assert (await told.until(Fact.LINK, True)).device == "header"


async def test_a_device_that_never_moves_gives_signs_of_life_that_raise_nothing(
    board: PinBoard, make_driver: MakeDriver, opened: Any
) -> None:
    board.open_contact(17)
    async with opened(make_driver(CORD, MAT, life_sign_s=1, reread_s=0.1)) as told:
        for _ in range(2):
            for device in ("cord-bath", "mat-bed"):
                await told.until(Fact.FAULT, False, device=device)
    signs = [found for found in told.seen if found.details.get("repeated")]
    assert {found.device for found in signs} == {"cord-bath", "mat-bed"}
    assert not any(found.may_alarm for found in signs)
    assert [found.value for found in told.seen if found.fact is Fact.CORD] == [True], "a pull is told once"


async def test_no_board_is_worth_another_try(make_driver: MakeDriver, opened: Any, socket_path: Path) -> None:
    driver = make_driver(CORD)
    for _ in range(2):
        with pytest.raises(TransientDriverError, match="cannot be opened"):
            async with opened(driver):
                raise AssertionError("opened")
    async with PinBoard(socket_path), opened(driver) as told:
        await told.until(Fact.CORD, True)


async def test_without_an_address_the_simulated_factory_says_what_to_set(
    make_driver: MakeDriver, opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(ADDRESS_VARIABLE, raising=False)
    with pytest.raises(PermanentDriverError, match=f"set {ADDRESS_VARIABLE}"):
        async with opened(make_driver(CORD)):
            raise AssertionError("opened")


async def test_an_unknown_factory_is_for_a_person_and_names_the_known_ones(
    make_driver: MakeDriver, opened: Any
) -> None:
    with pytest.raises(PermanentDriverError, match=r"Did you mean 'lgpio'\? Known here: lgpio, mock, native"):
        async with opened(make_driver(CORD, pin_factory="lgpoi")):
            raise AssertionError("opened")


OPEN_LGPIO = """
import asyncio, structlog, time
from pathlib import Path
from drivers.contract import DriverContext
from drivers.errors import DriverError
from drivers.gpio import PLUGIN

async def main():
    settings = PLUGIN.settings.model_validate(
        {"inputs": [{"alias": "cord", "pin": 17, "kind": "cord"}], "pin_factory": "lgpio"}
    )
    context = DriverContext(boot_s=time.monotonic, remembered=lambda key: None, log=structlog.get_logger())
    try:
        async with PLUGIN.build("pins", settings, Path()).open(context):
            print("opened")
    except DriverError as failure:
        print(type(failure).__name__, failure)

asyncio.run(main())
"""


def test_lgpio_on_another_machine_is_for_a_person(tmp_path: Path) -> None:
    is_a_pi = Path("/proc/device-tree/system/linux,revision").exists()
    done = subprocess.run(
        [sys.executable, "-c", OPEN_LGPIO], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    refusal = "PermanentDriverError pin factory 'lgpio' works on a Raspberry Pi only"
    assert done.stdout.startswith("opened" if is_a_pi else refusal), done


async def test_opening_again_finds_no_claimed_pins(board: PinBoard, make_driver: MakeDriver, opened: Any) -> None:
    driver = make_driver(CORD, SMOKE, outputs={"red": 5})
    for _ in range(3):
        async with opened(driver) as told, driver.indicators():
            await told.until(Fact.CORD, True)
    async with asyncio.timeout(10):
        await board.wait_until(lambda board: board.hub_count == 0)


async def test_a_driver_that_restarts_beside_its_lamp_finds_its_pins_free(
    board: PinBoard, make_driver: MakeDriver, opened: Any
) -> None:
    driver = make_driver(CORD, SMOKE, outputs={"red": 5})
    async with driver.indicators():
        for _ in range(3):
            async with opened(driver) as told:
                await told.until(Fact.CORD, True)


async def test_two_drivers_share_the_header_and_not_their_fate(
    board: PinBoard, make_driver: MakeDriver, opened: Any
) -> None:
    board.close_contact(17)
    async with opened(make_driver(CORD, name="one")) as told:
        await told.until(Fact.CORD, False)
        async with opened(make_driver(SMOKE, name="two")) as other:
            await other.until(Fact.SMOKE, False)
        board.open_contact(17)
        await told.until(Fact.CORD, True)


async def test_leaving_while_it_opens_leaves_nothing_behind(
    board: PinBoard, make_driver: MakeDriver, opened: Any
) -> None:
    driver = make_driver(CORD)

    async def open_it() -> None:
        async with opened(driver):
            await asyncio.Event().wait()

    for rounds in range(20):
        opening = asyncio.create_task(open_it())
        for _ in range(rounds):
            await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
    async with asyncio.timeout(10):
        await board.wait_until(lambda board: board.hub_count == 0)
    async with opened(driver) as told:
        await told.until(Fact.CORD, True)


def test_whether_outputs_outlive_the_process_is_read_from_the_kernel(tmp_path: Path) -> None:
    switch = tmp_path / "persist_gpio_outputs"
    assert do_outputs_persist([switch]) is None
    switch.write_text("Y\n")
    assert do_outputs_persist([tmp_path / "absent", switch]) is True
    switch.write_text("N\n")
    assert do_outputs_persist([switch]) is False


async def test_a_dead_factory_stays_dead_for_all_who_hold_it(board: PinBoard, make_driver: MakeDriver) -> None:
    house = make_driver(CORD)._house
    async with house.use() as pins, house.use() as same:
        assert pins is same
        line = await pins.claim_output(5, is_active_low=False)
        await board.hang_up()
        with pytest.raises(PinsLostError):
            await pins.write(line, True)
        with pytest.raises(PinsLostError):
            same.check()
        async with house.use() as fresh:
            assert fresh is not pins
            await fresh.write(await fresh.claim_output(5, is_active_low=False), True)
            async with asyncio.timeout(10):
                await board.wait_until(lambda board: board.outputs[5])
