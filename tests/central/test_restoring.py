"""A database that is copied, put back, older than it should be, and trimmed."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from central import cli, event_log
from central.admin import AdminSocket
from central.errors import CentralError
from central.gaps import dropped_by
from central.lifecycle import Queue
from central.restoring import back_up, restored
from central.settings import CentralSettings
from central.trimming import Trimming
from central.views import Actor
from central.windows import Windows
from cloud_sync.hub_messages import Heartbeat
from cloud_sync.identity import Lane

FIRST = Actor(id="first", name="Operator One", role="responder")


async def test_a_database_that_was_put_back_gets_a_new_lineage_and_gives_claims_back(
    open_bench: Any, settings: CentralSettings, clock: Any
) -> None:
    async with open_bench() as bench:
        hub = await bench.enrolled()
        alarm = await bench.press(hub)
        await bench.alarms.claim(alarm.id, FIRST)
        await bench.alarms.on_the_way(alarm.id, FIRST)
        before = bench.store.lineage
    clock.advance(86_400)
    done = await restored(settings, clock)
    assert (done.lineage_before, done.open_alarms, done.returned) == (before.hex(), 1, 1)
    async with open_bench() as bench:
        assert bench.store.lineage.hex() == done.lineage != before.hex()
        (again,) = await bench.alarms.queue()
        assert (again.id, again.owner) == (alarm.id, None)
        assert await bench.kinds(Queue.TECHNICAL) == ["central_restored"]
        assert (await event_log.verify(bench.store)).is_whole


async def test_commands_after_a_restore_are_numbered_above_those_that_hubs_have_seen(
    open_bench: Any, settings: CentralSettings, clock: Any
) -> None:
    async with open_bench() as bench:
        hub = await bench.enrolled()
        await bench.press(hub)
    await restored(settings, clock)
    async with open_bench() as bench:
        number = "SELECT number FROM command ORDER BY number DESC LIMIT 1"
        await bench.services.commands.check(hub.id.hex(), FIRST, timeout_s=0.01)
        first = await bench.value(number)
        assert first > clock.now_ms() // 1000 - 10
        await bench.services.commands.check(hub.id.hex(), FIRST, timeout_s=0.01)
        assert await bench.value(number) == first + 1


async def test_what_was_receipted_after_the_backup_comes_again_once_and_what_was_before_has_no_second_effect(
    open_bench: Any, settings: CentralSettings, clock: Any, tmp_path: Path, database: str
) -> None:
    if database:
        await _against_a_dump(open_bench)
        return
    async with open_bench() as bench:
        hub = await bench.enrolled()
        early, late = hub.seal("pendant_pressed"), hub.seal("fall", device="watch-1")
        await bench.tell(hub, early, has_header=True)
        back_up(settings, tmp_path / "copy.db")
        await bench.tell(hub, late)
        assert sorted(await bench.kinds()) == ["fall", "pendant_pressed"]
    file = settings.data_dir / "central.db"
    for path in file.parent.glob("central.db*"):
        path.unlink()
    shutil.copy(tmp_path / "copy.db", file)
    await restored(settings, clock)
    async with open_bench() as bench:
        assert await bench.kinds() == ["pendant_pressed"]
        for _ in range(2):
            receipt = await bench.tell(hub, early, late, has_header=True)
        assert receipt.high == 2
        assert sorted(await bench.kinds()) == ["fall", "pendant_pressed"]
        assert await bench.rows("SELECT repeats FROM alarm WHERE queue = 'personal'") == [(0,), (0,)]


async def _against_a_dump(open_bench: Any) -> None:
    """PostgreSQL's copies are its own programs' work; here only that a receipt names its lineage."""
    async with open_bench() as bench:
        hub = await bench.enrolled()
        receipt = await bench.tell(hub, hub.seal("pendant_pressed"), has_header=True)
        assert receipt.lineage == bench.store.lineage


@pytest.mark.sqlite
async def test_restored_refuses_while_central_runs(bench: Any, settings: CentralSettings, clock: Any) -> None:
    services = bench.services
    socket = AdminSocket(settings.admin_socket, services.hubs, services.commands, services.metrics)
    async with socket.open():
        with pytest.raises(CentralError, match="central is running"):
            await restored(settings, clock)
    assert bench.store.lineage.hex() == await bench.value("SELECT value FROM central_state WHERE name = 'lineage'")


@pytest.mark.sqlite
async def test_a_backup_is_whole_while_central_writes_and_overwrites_nothing(
    bench: Any, hub: Any, settings: CentralSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await bench.press(hub)
    target = tmp_path / "copy.db"
    assert cli.main(["backup", str(target), "--config", str(settings.source)]) == cli.OK
    assert "whole and checked" in capsys.readouterr().out
    assert target.stat().st_mode & 0o777 == 0o600
    with sqlite3.connect(target) as copy:
        assert copy.execute("SELECT count(*) FROM event").fetchone() == (1,)
    copy.close()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("copy")] == ["copy.db"]
    assert cli.main(["backup", str(target), "--config", str(settings.source)]) == cli.FAILED
    assert "is there already" in capsys.readouterr().err
    with pytest.raises(CentralError, match="could not be made"):
        back_up(settings, tmp_path / "no folder" / "copy.db")


@pytest.mark.parametrize(
    ("marks", "is_same_lineage", "is_older"),
    [
        ({Lane.ALARM: 1}, True, False),
        ({Lane.ALARM: 2}, True, True),
        ({Lane.CARE: 1}, True, True),
        ({Lane.ALARM: 2}, False, False),
        ({}, True, False),
    ],
)
async def test_a_hub_with_receipts_that_the_database_knows_nothing_of_is_a_technical_alarm(
    bench: Any, hub: Any, marks: dict[Lane, int], is_same_lineage: bool, is_older: bool
) -> None:
    await bench.tell(hub, hub.seal("pendant_pressed"), has_header=True)
    lineage = bench.store.lineage if is_same_lineage else b"another!"
    for _ in range(2):
        beat = Heartbeat(sender=hub.sender(), uplink="main", is_hello=True, lineage=lineage, receipted=marks)
        await bench.reception.hello(beat.pack(hub.key), "https")
    assert await bench.kinds(Queue.TECHNICAL) == (["database_older"] if is_older else [])


async def test_gaps_are_told_with_their_count_and_the_times_they_lie_between(bench: Any, hub: Any) -> None:
    def measured() -> Any:
        return hub.seal("temperature", device="t", value=1)

    first = measured()
    await bench.tell(hub, first, has_header=True)
    hub.now.seqs[Lane.TELEMETRY] += 50
    bench.clock.advance(60)
    await bench.tell(hub, measured(), gaps=[(2, 30), (41, 51)])
    (gap,) = await dropped_by(bench.store, hub.id.hex())
    assert (gap.lane, gap.ranges, gap.count) == (Lane.TELEMETRY, ((2, 30), (41, 51)), 40)
    assert gap.from_ms is not None
    assert gap.to_ms is not None
    assert gap.from_ms <= gap.to_ms
    (alarm,) = await bench.alarms.queue(Queue.TECHNICAL)
    assert alarm.details["count"] == 40
    assert alarm.details["lane"] == "telemetry"
    assert alarm.details["from_ms"] == gap.from_ms


async def test_what_nobody_needs_any_more_goes_and_what_is_needed_stays(bench: Any, hub: Any, clock: Any) -> None:
    sealed = hub.seal("pendant_pressed")
    old = hub.envelope(sealed, has_header=True)
    await bench.send(hub, old)
    await bench.central.reception._quarantine.keep("0" * 16, 1, "https", b"something")
    await bench.change(
        "INSERT INTO command (id, hub, epoch, number, name, arguments, actor, created_ms, expires_ms, state) VALUES"
        f" ('{'c' * 16}', '{hub.id.hex()}', '{'e' * 16}', 1, 'health', '{{}}', 'first', {clock.now_ms()}, 0, 'sent')"
    )
    await bench.change(
        f"INSERT INTO command_part (command, part, is_last, content) VALUES ('{'c' * 16}', 0, false, '{{}}')"
    )
    clock.advance(3600)
    assert (await Trimming(bench.store, clock).trim())["answer_parts"] == 0  # somebody may wait for the rest
    before = hub.now
    clock.advance(91 * 86_400)
    hub.start(before=before)
    await bench.tell(hub, hub.seal("pendant_pressed"), has_header=True)
    await bench.change(f"UPDATE hub SET epoch = '{hub.now.epoch.hex()}'")
    gone = await Trimming(bench.store, clock).trim()
    assert (gone["windows"], gone["quarantine"], gone["answer_parts"]) == (1, 1, 1)
    assert await bench.value("SELECT count(*) FROM sender_window") == 1
    assert await bench.value("SELECT count(*) FROM high_water") == 2
    fresh = Windows(bench.store, clock)  # a central that was started since
    assert not await fresh.accept(hub.id.hex(), before.epoch.hex(), 1)  # played again from long ago
    assert await fresh.accept(hub.id.hex(), hub.now.epoch.hex(), 10_000)
    assert (await Trimming(bench.store, clock).trim())["windows"] == 0
