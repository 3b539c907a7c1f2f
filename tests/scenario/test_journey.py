"""A press reaches a person who answers for it, and the home is told each step; the network and central may be away."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sqlite3
import time
from pathlib import Path

import pytest

from cloud_sync.identity import Lane
from cloud_sync.vocabulary import BY_WORD
from simulators import plans
from simulators.boot_clock import boot_s
from simulators.demo.program import ProgramError, run, vaktpost
from simulators.scene import Scene

pytestmark = pytest.mark.asyncio(loop_scope="module")

STEPS = ("pressed", "judged", "durable", "sent", "receipt", "committed", "shown", "taken", "reassured")
BACKLOG = 3000


async def answered(scene: Scene, alarm_id: str) -> None:
    """Somebody sees it, takes it, goes there and closes it; the lamp at home shows each of these."""
    await scene.lamp("waiting")
    await scene.show(alarm_id)
    await scene.claim(alarm_id)
    await scene.lamp("taken")
    await scene.go(alarm_id)
    await scene.lamp("on_the_way")
    await scene.close(alarm_id)
    await scene.lamp("off")


async def test_a_press_is_taken_by_a_person_and_the_lamp_tells_each_step(flat_scene: Scene) -> None:
    assert flat_scene.stage.has_bluetooth, "dbus-daemon is needed for the simulated radio: make debian"
    async with flat_scene.lamp_diary() as diary:
        await flat_scene.act(do="press", device=plans.BLE_PENDANT)
        alarm = await flat_scene.new_alarm("pendant_pressed", plans.BLE_PENDANT)
        await answered(flat_scene, alarm["id"])
    assert [word for word in diary if word != "unknown"] == ["off", "waiting", "taken", "on_the_way", "off"]
    steps = await flat_scene.steps(alarm["id"], *STEPS)
    on_the_hub = [steps[name] for name in ("pressed", "judged", "sent", "receipt")]
    at_central = [steps[name] for name in ("pressed", "shown", "taken", "reassured")]
    assert on_the_hub == sorted(on_the_hub)
    assert at_central == sorted(at_central)
    told = [moment["what"] for moment in (await flat_scene.detail(alarm["id"]))["timeline"]]
    assert [what for what in told if what in {"raised", "claimed", "on_the_way", "closed"}] == [
        "raised",
        "claimed",
        "on_the_way",
        "closed",
    ]


async def test_a_pulled_cord_is_answered_likewise(flat_scene: Scene) -> None:
    await flat_scene.act(do="pull", device=plans.CORD)
    alarm = await flat_scene.new_alarm("cord_pulled", plans.CORD)
    assert alarm["rank"] == 1
    await answered(flat_scene, alarm["id"])


async def test_smoke_comes_before_a_press_and_airing_out_does_not_close_it(flat_scene: Scene) -> None:
    await flat_scene.act(do="press", device=plans.BLE_PENDANT)
    press = await flat_scene.new_alarm("pendant_pressed")
    await flat_scene.act(do="smoke", device="smoke-1")
    smoke = await flat_scene.new_alarm("smoke")
    assert [alarm["id"] for alarm in await flat_scene.open_alarms()] == [smoke["id"], press["id"]]
    await flat_scene.act(do="clear", device="smoke-1")
    sql = "SELECT 1 FROM alarm WHERE id = ? AND condition = 'cleared' AND handling = 'waiting'"
    await flat_scene.found(sql, smoke["id"])
    await flat_scene.claim(smoke["id"])
    await flat_scene.lamp("waiting")  # the press still waits: the least reassuring state is shown
    await flat_scene.claim(press["id"])
    await flat_scene.lamp("taken")


@pytest.mark.soak
@pytest.mark.timeout(240)
async def test_a_claim_whose_console_died_runs_out_and_the_home_is_told_that_nobody_has_it(flat_scene: Scene) -> None:
    scene = flat_scene
    await scene.act(do="press", device=plans.BLE_PENDANT)
    alarm = await scene.new_alarm("pendant_pressed")
    await scene.claim(alarm["id"])
    taken_s = await scene.lamp("taken")
    told_s = await scene.lamp("waiting", within_s=120)  # nobody renews: no page is open
    assert told_s - taken_s > 80
    returned = await scene.new_alarm("pendant_pressed")
    assert (returned["id"], returned["returned"]) == (alarm["id"], 1)


# the network


async def test_a_press_without_network_shows_red_and_overtakes_thousands_of_readings_when_it_is_back(
    flat_scene: Scene,
) -> None:
    scene = flat_scene
    await scene.settled()
    scene.stage.cable.cut()
    before = (await scene.load(readings=BACKLOG))["made"]

    async def is_taken() -> bool:
        lanes = await scene.lanes()
        return lanes is not None and lanes["telemetry"]["waiting"] >= BACKLOG

    await scene.until(is_taken, f"the hub did not take {BACKLOG} readings")
    pressed_s = (await scene.act(do="press", device=plans.BLE_PENDANT))["at_boot_s"]
    await scene.lamp("unknown")

    async def is_down() -> bool:
        return (await scene.stage.hub_status())["paths"][0]["state"] != "up"

    await scene.until(is_down, "the hub did not notice that nobody answers")
    mended_ms = time.time_ns() // 1_000_000
    scene.stage.cable.mend()
    await scene.lamp("waiting")
    await scene.settled()

    pressed = BY_WORD["pendant_pressed"].code
    ((alarm_ms, boot_ms),) = scene.stage.rows(
        "SELECT received_ms, boot_ms FROM event WHERE kind = ? AND boot_ms >= ?", pressed, int(pressed_s * 1000)
    )
    readings = [
        received_ms
        for (received_ms,) in scene.stage.rows(
            "SELECT received_ms FROM event WHERE lane = ? AND device = 'sensor-1' AND received_ms >= ?",
            int(Lane.TELEMETRY),
            mended_ms,
        )
    ]
    assert len(readings) == BACKLOG, before
    assert 0 <= alarm_ms - mended_ms < 2000
    assert boot_ms < boot_s() * 1000
    # What was in the socket when the cable was cut may be before it; everything else comes after.
    assert sum(received_ms < alarm_ms for received_ms in readings) <= BACKLOG // 4
    assert max(readings) > alarm_ms


async def test_presses_while_central_stands_still_arrive_once_it_is_back(flat_scene: Scene) -> None:
    scene = flat_scene
    await scene.stage.central.stop()
    await scene.act(do="press", device=plans.BLE_PENDANT)
    await scene.lamp("unknown")
    await scene.act(do="pull", device=plans.CORD)
    await scene.act(do="leave", device="bed-1")
    await scene.act(do="return", device="bed-1")
    await scene.stage.central.start()
    await scene.stage.central_is_up()
    await scene.lamp("waiting")
    await scene.settled()
    raised = {(alarm["kind"], alarm["repeats"]) for alarm in await scene.open_alarms()}
    assert raised == {("pendant_pressed", 0), ("cord_pulled", 0)}


# looking at it from the command line


async def test_the_command_line_tells_the_truth_about_a_running_hub(flat_scene: Scene) -> None:
    await flat_scene.settled()

    async def hub(*words: str) -> str:
        return await run(words[0], vaktpost("hub", *words, "--config", str(flat_scene.stage.hub_config)))

    status, journal, checked, text = await asyncio.gather(
        hub("status", "--json"), hub("journal", "--json"), hub("check-config", "--json"), hub("status")
    )
    told = json.loads(status)
    assert told["is_running"]
    assert told["is_healthy"]
    assert told["paths"][0]["state"] == "up"
    assert {driver["driver"]: driver["state"] for driver in told["drivers"]} == {
        "bluetooth": "running",
        "inputs": "running",
        "load": "running",
    }
    card = json.loads(journal)
    assert card["epochs"][-1]["epoch"] == told["epoch"]
    assert not card["epochs"][-1]["is_clean"]
    assert {lane: facts["lost"] for lane, facts in card["lanes"].items()} == dict.fromkeys(card["lanes"], 0)
    assert json.loads(checked)["config_hash"] == told["config_hash"]
    assert re.search(r"main\s+up", text)
    assert "r-7f3a90" not in text + status + journal


async def test_the_event_log_of_a_real_run_is_whole_and_one_flipped_bit_is_found(
    flat_scene: Scene, tmp_path: Path
) -> None:
    await flat_scene.act(do="press", device=plans.BLE_PENDANT)
    alarm = await flat_scene.new_alarm()
    await flat_scene.claim(alarm["id"])
    whole = await flat_scene.verify_log()
    assert whole["ok"]
    ((number, content),) = flat_scene.stage.rows(
        "SELECT no, content FROM log_entry WHERE what = 'raised' AND alarm = ?", alarm["id"]
    )
    assert 1 < number < whole["entries"]
    copy = tmp_path / "copy"
    await asyncio.to_thread(copied_with_a_flipped_bit, flat_scene.stage.central_config.parent, copy, content)
    words = vaktpost("central", "verify-log", "--config", str(copy / "central.toml"))
    with pytest.raises(ProgramError, match=rf"status 1:\n.*tampered.*entry {number} is changed") as shown:
        await run("verify-log", words)
    assert "Traceback" not in str(shown.value)
    assert (await flat_scene.verify_log())["ok"]


def copied_with_a_flipped_bit(central: Path, copy: Path, content: str) -> None:
    """A copy of a central's folder in which one bit of an entry of the event log is another, in the raw file."""
    shutil.copytree(central, copy, ignore=shutil.ignore_patterns("central.db*", "*.sock"))
    source, target = sqlite3.connect(central / "central.db"), sqlite3.connect(copy / "central.db")
    try:
        source.backup(target)
    finally:
        source.close()
        target.close()
    database = bytearray((copy / "central.db").read_bytes())
    at = database.index(content.encode())
    assert database.find(content.encode(), at + 1) == -1, "the entry's content is found more than once"
    database[at + 2] ^= 1
    (copy / "central.db").write_bytes(database)


# the end of a run


async def test_a_hub_asked_to_stop_ends_within_five_seconds_and_says_so_to_the_next_run(flat_scene: Scene) -> None:
    scene = flat_scene
    await scene.load(readings=500)
    await scene.act(do="press", device=plans.BLE_PENDANT)
    await scene.new_alarm("pendant_pressed")
    epoch = scene.epochs()[-1]["epoch"]
    asked_s = boot_s()
    await scene.stage.hub.stop()
    assert boot_s() - asked_s < 5
    assert not (await scene.act(do="state"))["healthy"]
    ended = scene.epochs()[-1]
    assert (ended["epoch"], ended["is_clean"]) == (epoch, True)
    await scene.stage.hub.start()
    await scene.stage.hub_is_up()
    await scene.lamp("waiting")  # the press is still open, and the next run knows
    started = BY_WORD["hub_started"].code
    ((details,),) = await scene.found(
        "SELECT details FROM event WHERE kind = ? AND epoch = ?", started, scene.epochs()[-1]["epoch"]
    )
    assert json.loads(details)["after_clean_end"] is True
