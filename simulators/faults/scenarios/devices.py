"""Devices that go and come back: the Bluetooth bus, a stuck radio, the serial line, a driver that crashes in a loop.

In each an alarm through another driver gets through meanwhile, and one through the mended driver afterwards; people are
told once that it is gone and once that it is back.
"""

from __future__ import annotations

import asyncio
from typing import Any

from cloud_sync.vocabulary import BY_WORD
from gateway import control as hub_control
from simulators import control, plans
from simulators.faults.ledger import Press
from simulators.faults.registry import Run, scenario
from simulators.faults.trial import Trial
from simulators.faults.verdict import Verdict

BAD_BUTTON = "button-2"
TROUBLED = f"""
[drivers.bad]
type = "troubled"
mode_file = "bad.mode"
socket = "bad.sock"

[[devices]]
alias = "{BAD_BUTTON}"
profile = "pendant"
resident = "r-7f3a90"

[[devices]]
alias = "sensor-2"
profile = "thermometer"
"""
TROUBLES = ("crash", "open_hangs", "needs_person", "crash_after_telling", "blocks")


@scenario("bluetooth-bus-killed", "the Bluetooth bus is killed and comes back", short=2, long=40)
async def bluetooth_bus_killed(run: Run) -> Verdict:
    """The whole message bus, with bluetoothd on it."""
    async with Trial.open(run, plan=plans.FLAT) as trial:
        _forgive_sleepers(trial)
        await _link(trial, "bluetooth", is_up=True)
        async with trial.load():
            async for _ in run.each_round():
                await trial.stage.home_act(do="bluetooth", what="kill")
                await _link(trial, "bluetooth", is_up=False)
                await trial.confirmed(3)
                await trial.stage.home_act(do="bluetooth", what="on")
                await _link(trial, "bluetooth", is_up=True)
                await _press_pendant(trial)
        verdict = await trial.judged()
    return _told(trial, verdict, "link_lost", "link_back", run.rounds)


@scenario("adapter-stuck", "the Bluetooth radio hears nothing until it is switched off and on", short=1, long=10)
async def adapter_stuck(run: Run) -> Verdict:
    """It says that it searches; what the hub does about it is all that helps."""
    async with Trial.open(run, plan=plans.FLAT) as trial:
        _forgive_sleepers(trial)
        await trial.stage.hub.stop()
        settings = trial.stage.hub_config
        settings.write_text(settings.read_text().replace('type = "ble"\n', 'type = "ble"\nsilence_s = 5\n'))
        await trial.start_hub()
        await trial.stage.home_act(do="readings", per_s=20)
        await _link(trial, "bluetooth", is_up=True)
        async with trial.load(readings_per_s=50):
            async for _ in run.each_round():
                await _diagnosed(trial, "bluetooth", lambda facts: facts.get("last_advert_boot_s") is not None)
                await asyncio.sleep(2.0)  # enough advertisements to know how lively this place is
                await trial.stage.home_act(do="bluetooth", what="stuck")
                await _link(trial, "bluetooth", is_up=False, within_s=40)
                await trial.confirmed(3)
                await _link(trial, "bluetooth", is_up=True, within_s=40)
                await _press_pendant(trial)
        await _diagnosed(trial, "bluetooth", lambda facts: facts.get("power_cycles") == run.rounds)
        await trial.stage.home_act(do="readings", per_s=0)
        verdict = await trial.judged()
    return _told(trial, verdict, "link_lost", "link_back", run.rounds)


@scenario("serial-hung-up", "the nurse-call panel's serial line is unplugged and comes back", short=2, long=60)
async def serial_hung_up(run: Run) -> Verdict:
    """Also in the middle of a call: what was acknowledged is there, what was not comes again, and once."""
    chance = run.chance
    async with Trial.open(run) as trial:
        await _link(trial, "panel", is_up=True)
        async with trial.load():
            async for _ in run.each_round():
                await asyncio.sleep(chance.uniform(0.1, 0.8))
                await trial.stage.home_act(do="serial", on=False)
                await _link(trial, "panel", is_up=False)
                await trial.confirmed(3)
                await trial.stage.home_act(do="serial", on=True)
                await _link(trial, "panel", is_up=True)
                acked = sum(trial.ledger.acked.values())

                async def is_heard(before: int = acked) -> bool:
                    return sum(trial.ledger.acked.values()) > before

                await trial.until(is_heard, "no call is acknowledged after the line came back")
        verdict = await trial.judged()
    return _told(trial, verdict, "link_lost", "link_back", run.rounds)


@scenario("driver-in-trouble", "a driver crashes in a loop, hangs, blocks, is parked and mended", short=2, long=10)
async def driver_in_trouble(run: Run) -> Verdict:
    """Each round another kind of trouble, until people are told; then it is mended and asked to try again."""
    async with Trial.open(run, more_settings=TROUBLED) as trial:
        trial.health_may_name |= {"driver.bad", f"device.{BAD_BUTTON}.heard", "device.sensor-2.heard"}
        mode = trial.home / "bad.mode"
        async with trial.load():
            async for number in run.each_round():
                trouble = TROUBLES[number % len(TROUBLES)] if run.is_long else TROUBLES[number % 2 * 2]
                mode.write_text(trouble)
                await trial.stage.hub.stop()
                trial.no_way()
                await trial.start_hub()
                await _driver(trial, lambda driver: driver["restarts"] > 0, within_s=60)
                if trouble != "open_hangs":  # which takes half a minute each time
                    await _driver(trial, lambda driver: driver["state"] == "parked", within_s=90)
                await trial.confirmed(3)
                mode.write_text("fine")
                # It waits for its next try, unless that came just now and found all well.
                await _driver(
                    trial,
                    lambda driver: driver["retry_in_s"] is not None or driver["state"] == "running",
                    within_s=60,
                )
                state = trial.stage.folder / "home" / "state"
                await asyncio.to_thread(hub_control.ask, state, {"ask": "retry_driver", "driver": "bad"})
                await _driver(trial, lambda driver: driver["state"] == "running")
                await _press_bad(trial)
        return await trial.judged()


def _forgive_sleepers(trial: Trial) -> None:
    """Devices that say something only now and then: their silence in so short a time means nothing."""
    names = [device.alias for device in plans.ble_devices(plans.FLAT)]
    trial.health_may_name |= {f"device.{name}.heard" for name in names}


async def _drivers(trial: Trial) -> dict[str, dict[str, Any]]:
    status = await trial.status()
    return {} if status is None else {driver["driver"]: driver for driver in status["drivers"]}


async def _link(trial: Trial, name: str, *, is_up: bool, within_s: float = 20.0) -> None:
    async def is_so() -> bool:
        return (await _drivers(trial)).get(name, {}).get("link") is is_up

    await trial.until(
        is_so,
        f"status does not say that the line of {name} is {'there' if is_up else 'lost'}",
        within_s=within_s,
        every_s=0.1,
    )


async def _diagnosed(trial: Trial, name: str, is_so: Any, within_s: float = 20.0) -> None:
    async def look() -> bool:
        return bool(is_so((await _drivers(trial)).get(name, {}).get("diagnostics", {})))

    await trial.until(look, f"the figures of {name} do not say so", within_s=within_s, every_s=0.1)


async def _driver(trial: Trial, is_so: Any, within_s: float = 20.0) -> None:
    async def look() -> bool:
        driver = (await _drivers(trial)).get("bad")
        return driver is not None and bool(is_so(driver))

    await trial.until(look, "status does not say so of the driver", within_s=within_s, every_s=0.1)


async def _press_pendant(trial: Trial) -> None:
    """Press the pendant once, through the air, until central has it."""
    trial.ledger.asked[plans.BLE_PENDANT] += 1
    wanted = trial.ledger.asked[plans.BLE_PENDANT]
    await trial.stage.home_act(do="press", device=plans.BLE_PENDANT)

    async def is_there() -> bool:
        sql = "SELECT count(*) FROM event WHERE kind = ? AND device = ?"
        ((there,),) = trial.stage.rows(sql, BY_WORD["pendant_pressed"].code, plans.BLE_PENDANT)
        return bool(there >= wanted)

    await trial.until(is_there, "a press of the pendant is not at central")


async def _press_bad(trial: Trial) -> None:
    """Press the button of the driver that was mended."""
    trial.ledger.asked[BAD_BUTTON] += 1
    request = {"press": True, "device": BAD_BUTTON, "wait_s": 10}
    answer = await control.ask(trial.home / "bad.sock", request)
    if answer["confirmed_at_boot_s"] is None:
        trial.complain("a press through the mended driver was not confirmed")
        return
    trial.ledger.presses.append(
        Press(device=BAD_BUTTON, pressed_s=answer["at_boot_s"], confirmed_s=answer["confirmed_at_boot_s"])
    )


def _told(trial: Trial, verdict: Verdict, lost: str, back: str, rounds: int) -> Verdict:
    """People are told of the loss and of the return; what comes again within moments is folded into one event."""
    counts = {
        word: trial.stage.rows("SELECT count(*) FROM event WHERE kind = ?", BY_WORD[word].code)[0][0]
        for word in (lost, back)
    }
    wrong = [
        f"{word} was told {count} times in {rounds} rounds"
        for word, count in counts.items()
        if not 1 <= count <= rounds
    ]
    return verdict + Verdict(complaints=tuple(wrong))
