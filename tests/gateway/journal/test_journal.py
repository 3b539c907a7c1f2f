"""What the journal promises to the daemon, on real files."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cloud_sync.identity import Lane, new_id
from cloud_sync.ranges import SeqRanges
from gateway.errors import JournalError, JournalFullError, JournalRefusedError
from gateway.journal import Journal, open_journal
from gateway.journal.directory import Reserve
from gateway.journal.inspection import dump

NONE = SeqRanges()
LINEAGE = b"lineage1"
OTHER_LINEAGE = b"lineage2"
DAY_MS = 86_400_000


def upto(last: int) -> SeqRanges:
    return SeqRanges([(1, last)])


async def seqs(journal: Journal, lane: Lane) -> list[int]:
    return [stored.seq for stored in await journal.unsettled(lane)]


async def test_what_was_appended_is_there_after_a_restart_byte_for_byte(journal_at: Any, run: Any) -> None:
    records = {lane: run.record(lane, 1) for lane in Lane}
    async with journal_at() as journal:
        await journal.start_epoch(run.epoch, run.header)
        for lane, record in records.items():
            await journal.append(lane, 1, record)
    async with journal_at() as journal:
        for lane, record in records.items():
            (stored,) = await journal.unsettled(lane)
            assert (stored.epoch, stored.seq, stored.record) == (run.epoch, 1, record)
        assert await journal.epoch_header(run.epoch) == run.header
        assert await journal.epoch_header(new_id()) is None


async def test_an_alarm_waits_for_no_timer_and_joins_what_waits(journal_at: Any, run: Any) -> None:
    async with journal_at(telemetry_commit_s=3600, technical_commit_s=3600) as journal:
        await journal.start_epoch(run.epoch, run.header)
        async with asyncio.timeout(5):
            await asyncio.gather(
                *(journal.append_nowait(Lane.ALARM, seq, run.record(Lane.ALARM, seq)) for seq in range(1, 50)),
                journal.append(Lane.CARE, 1, run.record(Lane.CARE, 1)),
            )
        bulk = journal.append_nowait(Lane.TELEMETRY, 1, run.record(Lane.TELEMETRY, 1))
        assert not bulk.done()
        await journal.flush()
        assert bulk.done()


async def test_technical_events_do_not_wait_for_the_telemetry_timer(journal_at: Any, run: Any) -> None:
    async with journal_at(telemetry_commit_s=3600) as journal:
        await journal.start_epoch(run.epoch, run.header)
        measured = journal.append_nowait(Lane.TELEMETRY, 1, run.record(Lane.TELEMETRY, 1))
        async with asyncio.timeout(5):
            await journal.append(Lane.TECHNICAL, 1, run.record(Lane.TECHNICAL, 1))
        assert measured.done()  # it went along


async def test_much_telemetry_is_committed_before_its_timer(journal_at: Any, run: Any) -> None:
    async with journal_at(telemetry_commit_s=3600, bulk_commit_rows=10) as journal:
        await journal.start_epoch(run.epoch, run.header)
        async with asyncio.timeout(5):
            await asyncio.gather(
                *(journal.append_nowait(Lane.TELEMETRY, seq, run.record(Lane.TELEMETRY, seq)) for seq in range(1, 101))
            )


async def test_records_come_back_in_order_page_by_page_over_epochs(journal_at: Any, new_run: Any) -> None:
    runs = [new_run() for _ in range(3)]
    for a_run in runs:
        async with journal_at() as journal:
            await journal.start_epoch(a_run.epoch, a_run.header)
            futures = [
                journal.append_nowait(Lane.TELEMETRY, seq, a_run.record(Lane.TELEMETRY, seq)) for seq in range(1, 8)
            ]
            await asyncio.gather(*futures)
    async with journal_at() as journal:
        found, cursor = [], None
        while page := await journal.unsettled(Lane.TELEMETRY, cursor, 4):
            assert len(page) <= 4
            found.extend((stored.epoch, stored.seq) for stored in page)
            cursor = page[-1].cursor
        assert found == [(a_run.epoch, seq) for a_run in runs for seq in range(1, 8)]


async def test_the_next_start_knows_how_the_last_one_ended(journal_at: Any, new_run: Any) -> None:
    first, second = new_run(), new_run()
    async with journal_at() as journal:
        assert journal.opened.previous is None
        await journal.start_epoch(first.epoch, first.header)
        await journal.append(Lane.ALARM, 1, first.record(Lane.ALARM, 1))
        await journal.close(is_clean=True, last={Lane.ALARM: 3, Lane.TELEMETRY: 40})
    async with journal_at() as journal:
        previous = journal.opened.previous
        assert previous is not None
        assert previous.epoch == first.epoch
        assert previous.is_clean
        assert previous.last == {Lane.ALARM: 3, Lane.CARE: 0, Lane.TECHNICAL: 0, Lane.TELEMETRY: 40}
        await journal.start_epoch(second.epoch, second.header)
        await journal.append(Lane.TELEMETRY, 1, second.record(Lane.TELEMETRY, 1))
        await journal.append(Lane.TELEMETRY, 2, second.record(Lane.TELEMETRY, 2))
        await journal.settle(second.epoch, Lane.TELEMETRY, upto(2), NONE, LINEAGE)
        await journal.flush()
    async with journal_at() as journal:
        previous = journal.opened.previous
        assert previous is not None
        assert previous.epoch == second.epoch
        assert not previous.is_clean
        assert previous.last[Lane.TELEMETRY] == 2  # although the rows are deleted
        assert journal.opened.lineage == LINEAGE


async def test_what_central_has_of_earlier_runs_is_known_after_a_run_that_ends_as_soon_as_it_began(
    journal_at: Any, new_run: Any, tmp_path: Path
) -> None:
    first, second = new_run(), new_run()
    async with journal_at(settle_s=3600.0) as journal:
        await journal.start_epoch(first.epoch, first.header)
        for seq in (1, 2, 3):
            await journal.append(Lane.ALARM, seq, first.record(Lane.ALARM, seq))
    async with journal_at(settle_s=3600.0) as journal:
        await journal.start_epoch(second.epoch, second.header)
        await journal.append(Lane.ALARM, 1, second.record(Lane.ALARM, 1))
        await journal.settle(second.epoch, Lane.ALARM, upto(1), NONE, LINEAGE)
        await journal.settle(first.epoch, Lane.ALARM, upto(2), NONE, LINEAGE)
        async with asyncio.timeout(5):
            while sum(row.is_settled for row in dump(tmp_path / "journal")) < 3:  # what a kill would leave behind
                await asyncio.sleep(0.05)
        assert [row.seq for row in dump(tmp_path / "journal") if not row.is_settled] == [3]


async def test_settled_bulk_is_deleted_and_settled_alarms_stay(journal_at: Any, run: Any, tmp_path: Path) -> None:
    async with journal_at() as journal:
        await journal.start_epoch(run.epoch, run.header)
        for lane in (Lane.ALARM, Lane.TELEMETRY):
            await asyncio.gather(*(journal.append_nowait(lane, seq, run.record(lane, seq)) for seq in range(1, 6)))
            assert await journal.settle(run.epoch, lane, SeqRanges([(1, 2), (4, 4)]), NONE, LINEAGE) == 3
            assert await journal.settle(run.epoch, lane, SeqRanges([(1, 2), (4, 4)]), NONE, LINEAGE) == 0
            assert await seqs(journal, lane) == [3, 5]
        await journal.flush()
        assert count(tmp_path / "journal/bulk.db", "telemetry") == 2
        assert count(tmp_path / "journal/alarm.db", "alarm") == 5
    async with journal_at() as journal:
        assert await seqs(journal, Lane.ALARM) == [3, 5]
        assert await seqs(journal, Lane.TELEMETRY) == [3, 5]


def count(path: Path, table: str) -> int:
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    try:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    finally:
        connection.close()


async def test_a_receipt_may_come_before_the_card(journal_at: Any, run: Any, tmp_path: Path) -> None:
    async with journal_at(telemetry_commit_s=3600) as journal:
        await journal.start_epoch(run.epoch, run.header)
        waiting = journal.append_nowait(Lane.TELEMETRY, 1, run.record(Lane.TELEMETRY, 1), {"driver/x/counter": 7})
        await journal.settle(run.epoch, Lane.TELEMETRY, upto(1), NONE, LINEAGE)
        await journal.settle(run.epoch, Lane.ALARM, upto(1), NONE, LINEAGE)
        await journal.append(Lane.ALARM, 1, run.record(Lane.ALARM, 1))
        await journal.flush()
        assert waiting.done()
        assert await seqs(journal, Lane.TELEMETRY) == await seqs(journal, Lane.ALARM) == []
        assert count(tmp_path / "journal/bulk.db", "telemetry") == 0
    async with journal_at() as journal:
        assert journal.opened.memory == {"driver/x/counter": 7}
        previous = journal.opened.previous
        assert previous is not None
        assert previous.last[Lane.TELEMETRY] == 1


async def test_a_receipt_may_come_while_the_card_is_busy(journal_at: Any, run: Any, tmp_path: Path) -> None:
    async with journal_at() as journal:
        await journal.start_epoch(run.epoch, run.header)
        waiting = journal.append_nowait(Lane.TELEMETRY, 1, run.record(Lane.TELEMETRY, 1))
        flushing = asyncio.create_task(journal.flush())
        while journal._core.bulk.waiting.entries:
            await asyncio.sleep(0)
        assert not waiting.done()  # in the middle of its commit
        await journal.settle(run.epoch, Lane.TELEMETRY, upto(1), NONE, LINEAGE)
        await flushing
        await journal.flush()
        assert count(tmp_path / "journal/bulk.db", "telemetry") == 0


async def test_what_central_could_not_open_is_kept_also_when_it_is_bulk(
    journal_at: Any, run: Any, tmp_path: Path
) -> None:
    async with journal_at() as journal:
        await journal.start_epoch(run.epoch, run.header)
        for seq in (1, 2, 3):
            await journal.append(Lane.TECHNICAL, seq, run.record(Lane.TECHNICAL, seq))
        await journal.settle(run.epoch, Lane.TECHNICAL, upto(3), SeqRanges([(2, 2)]), LINEAGE)
        await journal.flush()
        assert await seqs(journal, Lane.TECHNICAL) == []
        assert count(tmp_path / "journal/bulk.db", "technical") == 1
    async with journal_at() as journal:
        assert await seqs(journal, Lane.TECHNICAL) == []
        await journal.settle(run.epoch, Lane.TECHNICAL, NONE, NONE, OTHER_LINEAGE)
        assert await seqs(journal, Lane.TECHNICAL) == [2]


async def test_a_restored_central_is_offered_again_what_was_kept(journal_at: Any, run: Any) -> None:
    async with journal_at() as journal:
        await journal.start_epoch(run.epoch, run.header)
        for seq in (1, 2, 3):
            await journal.append(Lane.ALARM, seq, run.record(Lane.ALARM, seq))
        await journal.settle(run.epoch, Lane.ALARM, upto(2), NONE, LINEAGE)
        await journal.flush()
        await journal.settle(run.epoch, Lane.ALARM, SeqRanges([(3, 3)]), NONE, OTHER_LINEAGE)
        again = await journal.unsettled(Lane.ALARM)
        assert [(stored.seq, stored.was_settled) for stored in again] == [(1, True), (2, True)]
        await journal.flush()
    async with journal_at() as journal:  # and this is not forgotten
        again = await journal.unsettled(Lane.ALARM)
        assert [(stored.seq, stored.was_settled) for stored in again] == [(1, True), (2, True)]
        assert journal.opened.lineage == OTHER_LINEAGE
        assert await journal.settle(run.epoch, Lane.ALARM, upto(3), NONE, OTHER_LINEAGE) == 2
        await journal.flush()
    async with journal_at() as journal:
        assert await seqs(journal, Lane.ALARM) == []


async def test_settled_alarms_stay_for_seven_days_and_no_longer(journal_at: Any, run: Any, tmp_path: Path) -> None:
    now = [20_000 * DAY_MS]
    alarms = tmp_path / "journal/alarm.db"
    async with journal_at(wall_ms=lambda: now[0]) as journal:
        await journal.start_epoch(run.epoch, run.header)
        for seq in (1, 2):
            await journal.append(Lane.ALARM, seq, run.record(Lane.ALARM, seq))
        await journal.settle(run.epoch, Lane.ALARM, upto(1), NONE, LINEAGE)
    for days, left in ((7, 2), (8, 1), (400, 1)):
        async with journal_at(wall_ms=lambda days=days: now[0] + days * DAY_MS) as journal:
            await asyncio.sleep(0)  # the caretaker's first round
            await journal.start_epoch(new_id(), b"header")
        assert count(alarms, "alarm") == left
    async with journal_at() as journal:
        assert await seqs(journal, Lane.ALARM) == [2]


async def test_memory_is_committed_with_its_event_and_the_newest_counts(journal_at: Any, run: Any) -> None:
    async with journal_at() as journal:
        await journal.start_epoch(run.epoch, run.header)
        await journal.append(Lane.ALARM, 1, run.record(Lane.ALARM, 1), {"driver/ble/a": 900, "triage/mat": "absent"})
        await journal.append(Lane.TELEMETRY, 1, run.record(Lane.TELEMETRY, 1), {"driver/ble/a": 3})
        await journal.remember(Lane.TECHNICAL, {"triage/gone": "x"})
        await journal.remember(Lane.ALARM, {"triage/gone": "", "triage/là": 2**62})
        assert journal.memory["driver/ble/a"] == 3
    expected = {"driver/ble/a": 3, "triage/mat": "absent", "triage/là": 2**62}
    for _ in range(3):  # through tidying up, too
        async with journal_at() as journal:
            assert journal.opened.memory == journal.memory == expected
            await journal.start_epoch(new_id(), b"header")


async def test_memory_that_is_folded_late_does_not_overrule_what_came_later(journal_at: Any, run: Any) -> None:
    async with journal_at() as journal:
        await journal.start_epoch(run.epoch, run.header)
        await journal.append(Lane.ALARM, 1, run.record(Lane.ALARM, 1), {"key": 1})  # rides in its record
        await journal.remember(Lane.ALARM, {"key": 2})  # goes to the table at once
        await journal.flush()
    async with journal_at() as journal:
        assert journal.opened.memory == {"key": 2}


async def test_what_cannot_be_remembered_is_refused_at_once_and_harms_nobody(journal_at: Any, run: Any) -> None:
    async with journal_at() as journal:
        await journal.start_epoch(run.epoch, run.header)
        for value in (2**63, 1.5, None):
            with pytest.raises(ValueError, match="can remember a text or a 64-bit integer"):
                journal.append_nowait(Lane.ALARM, 1, b"x", {"key": value})
        with pytest.raises(ValueError, match="not a sequence number"):
            journal.append_nowait(Lane.ALARM, 0, b"x")
        await journal.append(Lane.ALARM, 1, run.record(Lane.ALARM, 1))


async def test_appending_the_same_again_is_harmless(journal_at: Any, run: Any) -> None:
    record = run.record(Lane.ALARM, 1)
    async with journal_at() as journal:
        await journal.start_epoch(run.epoch, run.header)
        for _ in range(3):
            await journal.append(Lane.ALARM, 1, record, {"key": 1})
        assert [stored.record for stored in await journal.unsettled(Lane.ALARM)] == [record]
        assert (await journal.counts())[Lane.ALARM].records == 1


async def test_counts_are_known_at_once_and_after_a_restart(journal_at: Any, run: Any) -> None:
    async with journal_at() as journal:
        await journal.start_epoch(run.epoch, run.header)
        await asyncio.gather(
            *(
                journal.append_nowait(Lane.TELEMETRY, seq, run.record(Lane.TELEMETRY, seq, wall_ms=seq * 1000))
                for seq in range(1, 101)
            )
        )
        await journal.settle(run.epoch, Lane.TELEMETRY, SeqRanges([(1, 10), (50, 59)]), NONE, LINEAGE)
        counted = (await journal.counts())[Lane.TELEMETRY]
        assert (counted.records, counted.oldest_ms, counted.is_exact) == (80, 11_000, True)
        assert counted.size_bytes == pytest.approx(80 * len(run.record(Lane.TELEMETRY, 50)), rel=0.1)
        await journal.flush()
    async with journal_at() as journal:
        async with asyncio.timeout(5):
            while not (counted := (await journal.counts())[Lane.TELEMETRY]).is_exact:
                assert counted.records in {80, 90}  # the hole is not known yet
                await asyncio.sleep(0.01)
        assert (counted.records, counted.oldest_ms) == (80, 11_000)


async def test_bulk_that_grows_too_big_loses_the_oldest_and_says_which(journal_at: Any, run: Any) -> None:
    async with journal_at(bulk_limit_bytes=200 * 1024, delete_rows=50, bulk_commit_rows=20) as journal:
        await journal.start_epoch(run.epoch, run.header)
        await journal.append(Lane.TECHNICAL, 1, run.record(Lane.TECHNICAL, 1))
        for start in range(1, 4001, 100):
            await asyncio.gather(
                *(
                    journal.append_nowait(Lane.TELEMETRY, seq, run.record(Lane.TELEMETRY, seq))
                    for seq in range(start, start + 100)
                )
            )
        ((first, last),) = journal.gaps(Lane.TELEMETRY, run.epoch)
        assert first == 1
        assert 1000 < last < 4000
        assert journal.epochs_with_gaps(Lane.TELEMETRY) == (run.epoch,)
        assert (await journal.unsettled(Lane.TELEMETRY, limit=1))[0].seq == last + 1
        assert await seqs(journal, Lane.TECHNICAL) == [1]
        assert journal.gaps(Lane.TECHNICAL, run.epoch) == ()
        assert (await journal.counts())[Lane.TELEMETRY].records == 4000 - last
        state = next(state for state in await journal.files() if state.name == "bulk.db")
        assert state.size_bytes < 6_000_000  # its log included
    async with journal_at() as journal:
        assert journal.gaps(Lane.TELEMETRY, run.epoch) == ((1, last),)
        await journal.settle(run.epoch, Lane.TELEMETRY, upto(last), NONE, LINEAGE)
        assert journal.gaps(Lane.TELEMETRY, run.epoch) == ()
        await journal.flush()
    async with journal_at() as journal:
        assert journal.epochs_with_gaps(Lane.TELEMETRY) == ()


async def test_numbers_that_were_given_up_are_a_gap(journal_at: Any, run: Any) -> None:
    async with journal_at() as journal:
        await journal.start_epoch(run.epoch, run.header)
        journal.give_up(Lane.TELEMETRY, 3, 9)
        await journal.append(Lane.TELEMETRY, 10, run.record(Lane.TELEMETRY, 10))
        assert journal.gaps(Lane.TELEMETRY, run.epoch) == ((3, 9),)
    async with journal_at() as journal:
        assert journal.gaps(Lane.TELEMETRY, run.epoch) == ((3, 9),)
        previous = journal.opened.previous
        assert previous is not None
        assert previous.last[Lane.TELEMETRY] == 10


async def test_a_million_settled_rows_do_not_stand_before_anything(journal_at: Any, run: Any, tmp_path: Path) -> None:
    async with journal_at(delete_rows=100) as journal:
        await journal.start_epoch(run.epoch, run.header)
        await asyncio.gather(
            *(journal.append_nowait(Lane.TELEMETRY, seq, run.record(Lane.TELEMETRY, seq)) for seq in range(1, 1501))
        )
        await journal.settle(run.epoch, Lane.TELEMETRY, upto(1500), NONE, LINEAGE)
        await journal.append(Lane.TECHNICAL, 1, run.record(Lane.TECHNICAL, 1))
        assert count(tmp_path / "journal/bulk.db", "telemetry") == 1400  # a bounded part went along
        async with asyncio.timeout(10):  # and the rest goes by itself
            while count(tmp_path / "journal/bulk.db", "telemetry"):
                await asyncio.sleep(0.05)


async def test_a_full_waiting_room_refuses_alarms_and_holds_back_bulk(journal_at: Any, run: Any) -> None:
    async with journal_at(alarm_waiting_bytes=10_000, bulk_waiting_bytes=10_000) as journal:
        await journal.start_epoch(run.epoch, run.header)
        record = run.record(Lane.ALARM, 1)
        futures = []
        with pytest.raises(JournalFullError):
            for seq in range(1, 100):
                futures.append(journal.append_nowait(Lane.ALARM, seq, record))  # noqa: PERF401
        assert futures
        await asyncio.gather(*futures)  # what was taken is kept
        async with asyncio.timeout(10):
            await asyncio.gather(
                *(journal.append(Lane.TELEMETRY, seq, run.record(Lane.TELEMETRY, seq)) for seq in range(1, 200))
            )


async def test_giving_up_waiting_does_not_break_off_the_commit(journal_at: Any, run: Any) -> None:
    async with journal_at() as journal:
        await journal.start_epoch(run.epoch, run.header)
        task = asyncio.create_task(journal.append(Lane.ALARM, 1, run.record(Lane.ALARM, 1)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await journal.append(Lane.ALARM, 2, run.record(Lane.ALARM, 2))
        assert await seqs(journal, Lane.ALARM) == [1, 2]


async def test_epochs_of_which_nothing_is_left_are_forgotten(journal_at: Any, new_run: Any, tmp_path: Path) -> None:
    for _ in range(6):
        a_run = new_run()
        async with journal_at() as journal:
            await journal.start_epoch(a_run.epoch, a_run.header)
    for name in ("alarm", "bulk"):
        assert count(tmp_path / f"journal/{name}.db", "epoch") == 2  # this one, and the one before


async def test_the_floor_of_time_only_rises(journal_at: Any, run: Any) -> None:
    async with journal_at() as journal:
        assert journal.opened.floor_ms == 0
        await journal.start_epoch(run.epoch, run.header)
        journal.set_floor(2000)
        journal.set_floor(1000)
    async with journal_at() as journal:
        assert journal.opened.floor_ms == 2000


async def test_a_closed_journal_takes_nothing(journal_at: Any, run: Any) -> None:
    async with journal_at() as journal:
        with pytest.raises(JournalError, match="no epoch"):
            await journal.append(Lane.ALARM, 1, b"x")
        await journal.start_epoch(run.epoch, run.header)
        with pytest.raises(JournalError, match="running already"):
            await journal.start_epoch(new_id(), b"")
        last = journal.append_nowait(Lane.TELEMETRY, 1, run.record(Lane.TELEMETRY, 1))
        await journal.close(is_clean=True)
        assert last.done()
        assert last.exception() is None
        with pytest.raises(JournalError, match="closed"):
            await journal.append(Lane.ALARM, 1, b"x")
        await journal.close(is_clean=True)


async def test_two_daemons_cannot_have_one_journal(journal_at: Any, run: Any) -> None:
    async with journal_at() as journal:
        with pytest.raises(JournalRefusedError, match="in use by another process"):
            async with journal_at():
                pass
        await journal.start_epoch(run.epoch, run.header)  # the first one is none the worse


@pytest.mark.parametrize("hangs", [False, True])
async def test_nobody_else_has_the_journal_while_its_reserve_is_still_being_made(
    journal_at: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hangs: bool
) -> None:
    begun, goes_on = threading.Event(), threading.Event()
    fill = Reserve.fill

    def slowly(reserve: Reserve) -> bool:
        begun.set()
        goes_on.wait(30)
        return fill(reserve)

    monkeypatch.setattr(Reserve, "fill", slowly)
    async with journal_at(close_s=0.2 if hangs else 30.0) as journal:
        async with asyncio.timeout(10):
            while not begun.is_set():
                await asyncio.sleep(0.001)
        closing = asyncio.create_task(journal.close(is_clean=True))
        await asyncio.wait([closing], timeout=None if hangs else 0.3)
        assert closing.done() == hangs
        with pytest.raises(JournalRefusedError, match="in use by another process"):
            async with journal_at():
                pass
        goes_on.set()
        await closing
    if not hangs:
        assert {"reserve-1", "reserve-2"} <= {path.name for path in (tmp_path / "journal").iterdir()}
        async with journal_at():
            pass


async def test_only_the_owner_can_look_into_the_journal(journal_at: Any, run: Any, tmp_path: Path) -> None:
    directory = tmp_path / "journal"
    directory.mkdir(mode=0o755)
    async with journal_at() as journal:
        await journal.start_epoch(run.epoch, run.header)
        await journal.append(Lane.ALARM, 1, run.record(Lane.ALARM, 1))
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        names = sorted(path.name for path in directory.iterdir())
        assert {"alarm.db", "alarm.db-wal", "bulk.db", "bulk.db-wal"} <= set(names)
        for path in directory.iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


async def test_commits_are_as_durable_as_promised(journal_at: Any) -> None:
    async with journal_at() as journal:
        for state in await journal.files():
            assert state.is_open
            assert state.durability["journal_mode"] == "wal"
            assert state.durability["synchronous"] == "full"
            assert state.durability["page_size"] == 4096


async def test_the_probe_writes_and_reads_back(journal_at: Any, tmp_path: Path) -> None:
    async with journal_at() as journal:
        async with asyncio.timeout(5):  # the reserve is filled in the background
            while (result := await journal.probe()).reserve_bytes < 64 * 1024:
                await asyncio.sleep(0.01)
        assert result.error is None
        assert result.write_ms is not None
        assert result.write_ms > 0
        assert result.read_ms is not None
        assert result.reserve_bytes == 64 * 1024
        assert 0 < result.free_bytes < result.total_bytes
        assert not (tmp_path / "journal/probe").exists()


async def test_opening_elsewhere_makes_the_whole_path(tmp_path: Path, hub_id: bytes, run: Any) -> None:
    directory = tmp_path / "a/b/journal"
    clock: Callable[[], int] = lambda: 0  # noqa: E731
    async with open_journal(directory, hub_id, wall_ms=clock) as journal:
        await journal.start_epoch(run.epoch, run.header)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700
