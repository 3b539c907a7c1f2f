"""Damage, full cards, cards that are not there, files from the future or from elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import sqlite3
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cloud_sync.identity import Lane
from cloud_sync.ranges import SeqRanges
from cloud_sync.record import parse_record
from gateway.errors import JournalError
from gateway.journal import Journal, Trouble, database
from gateway.journal.database import stored_version
from gateway.journal.salvage import carve_file

NONE = SeqRanges()
LINEAGE = b"lineage1"
MEMORY = {"driver/ble/counter": 41, "triage/mat": "absent since 3"}


async def fill(journal: Journal, run: Any, rows: int = 60) -> None:
    await journal.start_epoch(run.epoch, run.header)
    for lane in Lane:
        await asyncio.gather(
            *(journal.append_nowait(lane, seq, run.record(lane, seq), MEMORY) for seq in range(1, rows + 1))
        )


async def all_seqs(journal: Journal, lane: Lane, epoch: bytes) -> set[int]:
    found, cursor = set(), None
    while page := await journal.unsettled(lane, cursor, 100):
        found.update(stored.seq for stored in page if stored.epoch == epoch)
        cursor = page[-1].cursor
    return found


async def until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("name", ["alarm.db", "bulk.db"])
@pytest.mark.parametrize("how", ["no header", "no schema", "holes", "half of it", "rubbish"])
async def test_a_damaged_file_is_set_aside_and_its_records_come_back(
    journal_at: Any, run: Any, tmp_path: Path, troubles: list[Trouble], name: str, how: str
) -> None:
    async with journal_at() as journal:
        await fill(journal, run)
        await journal.close(is_clean=True, last=dict.fromkeys(Lane, 60))
    path = tmp_path / "journal" / name
    whole = path.read_bytes()
    damaged, lost = damage(whole, how)
    path.write_bytes(damaged)
    lanes = (Lane.ALARM, Lane.CARE) if name == "alarm.db" else (Lane.TECHNICAL, Lane.TELEMETRY)
    async with journal_at() as journal:
        assert journal.opened.memory == MEMORY  # the other file, or the remains
        assert journal.opened.previous is not None
        assert journal.opened.previous.is_clean
        assert journal.opened.previous.last[lanes[0]] == 60

        async def is_salvaged() -> bool:
            for lane in lanes:  # looking at it is what finds damage that opening did not
                try:
                    await all_seqs(journal, lane, run.epoch)
                except JournalError:
                    return False
            told = [trouble.what for trouble in (*journal.opened.troubles, *troubles)]
            return "salvaged" in told

        await until(is_salvaged)
        for lane in Lane:
            there = await all_seqs(journal, lane, run.epoch)
            assert len(there) >= (60 - lost if lane in lanes else 60)
        for lane in lanes:
            for stored in await journal.unsettled(lane):
                assert stored.record == run_record(run, lane, stored.seq, stored.record)
        new = type(run)()
        await journal.start_epoch(new.epoch, new.header)
        await journal.append(lanes[0], 1, new.record(lanes[0], 1))
        assert (await journal.unsettled(lanes[0]))[-1].epoch == new.epoch
        assert await journal.epoch_header(run.epoch) == run.header
        kinds = {trouble.what: trouble for trouble in (*journal.opened.troubles, *troubles)}
        assert set(kinds) == {"damaged", "salvaged"}
        assert kinds["damaged"].file == name
        assert kinds["salvaged"].records >= 2 * (60 - lost)
    aside = path.with_name(f"{name}.damaged-1")
    assert aside.exists()
    assert aside.read_bytes() == damaged  # as it was found
    troubles.clear()
    async with journal_at() as journal:  # and only once
        assert journal.opened.troubles == ()
        assert journal.opened.previous is not None
        assert journal.opened.previous.epoch == new.epoch
    assert troubles == []


async def test_a_file_that_is_cut_off_where_its_log_has_it_all_loses_nothing_and_is_no_trouble(
    journal_at: Any, run: Any, tmp_path: Path, troubles: list[Trouble]
) -> None:
    journal_folder, killed = tmp_path / "journal", tmp_path / "killed"
    async with journal_at() as journal:
        await fill(journal, run)
        shutil.copytree(journal_folder, killed, ignore=shutil.ignore_patterns("*-shm"))  # as after kill -9
    shutil.rmtree(journal_folder)
    killed.rename(journal_folder)
    os.truncate(journal_folder / "alarm.db", (journal_folder / "alarm.db").stat().st_size - 4000)
    async with journal_at() as journal:
        assert await all_seqs(journal, Lane.ALARM, run.epoch) == set(range(1, 61))
        assert journal.opened.troubles == ()
    assert troubles == []
    assert not list(journal_folder.glob("*.damaged-*"))


def run_record(run: Any, lane: Lane, seq: int, record: bytes) -> bytes:
    """Opens only if not a bit of it has changed."""
    event = parse_record(record).open(run.key)
    assert event.value == seq
    assert parse_record(record).id.lane is lane
    return record


def damage(whole: bytes, how: str) -> tuple[bytes, int]:
    """The damaged bytes, and how many records of a lane may be lost by it."""
    pages = [whole[at : at + 4096] for at in range(0, len(whole), 4096)]
    if how == "no header":
        return b"\xff" * 100 + whole[100:], 0
    if how == "no schema":
        return whole[:100] + bytes(3996) + whole[4096:], 0
    if how == "half of it":
        return whole[: len(whole) // 8192 * 4096], 60
    if how == "rubbish":
        return bytes(range(256)) * 64, 60
    for number in range(5, len(pages), 4):
        pages[number] = b"\xee" * 4096
    return b"".join(pages), 60


async def test_damage_met_while_running_is_replaced_under_the_daemon(
    journal_at: Any, run: Any, tmp_path: Path, troubles: list[Trouble]
) -> None:
    path = tmp_path / "journal/alarm.db"
    async with journal_at() as journal:
        await fill(journal, run)
        await journal.settle(run.epoch, Lane.ALARM, SeqRanges([(1, 5)]), NONE, LINEAGE)
        await journal.close(is_clean=False)
    async with journal_at() as journal:
        new = type(run)()
        await journal.start_epoch(new.epoch, new.header)
        assert journal.opened.troubles == ()
        data = bytearray(path.read_bytes())
        for page in range(4, len(data) // 4096):
            data[page * 4096 : page * 4096 + 8] = b"\xaa" * 8  # page headers only: no record is hit
        with path.open("r+b") as file:
            file.write(data)
        # What SQLite still has in its cache is read all the same; the append makes it look at the file again.
        with contextlib.suppress(JournalError):
            await all_seqs(journal, Lane.ALARM, run.epoch)
        await journal.append(Lane.ALARM, 1, new.record(Lane.ALARM, 1), {"driver/ble/counter": 42})

        async def is_salvaged() -> bool:
            with contextlib.suppress(JournalError):
                await all_seqs(journal, Lane.ALARM, run.epoch)
            return any(trouble.what == "salvaged" for trouble in troubles)

        await until(is_salvaged)
        assert await all_seqs(journal, Lane.ALARM, run.epoch) == set(range(6, 61))
        assert await all_seqs(journal, Lane.CARE, run.epoch) == set(range(1, 61))
        assert await all_seqs(journal, Lane.ALARM, new.epoch) == {1}
    async with journal_at() as journal:
        assert await all_seqs(journal, Lane.ALARM, run.epoch) == set(range(6, 61))
        assert journal.opened.memory == MEMORY | {"driver/ble/counter": 42}
        assert journal.opened.lineage == LINEAGE
        assert journal.opened.previous is not None
        assert journal.opened.previous.epoch == new.epoch


async def test_salvage_that_was_cut_short_is_taken_up_again(
    journal_at: Any, run: Any, tmp_path: Path, troubles: list[Trouble]
) -> None:
    async with journal_at() as journal:
        await fill(journal, run)
        await journal.close(is_clean=False)
    path = tmp_path / "journal/bulk.db"
    path.write_bytes(b"\xff" * 100 + path.read_bytes()[100:])
    async with journal_at() as journal:
        assert [trouble.what for trouble in journal.opened.troubles] == ["damaged"]
    assert troubles == []
    async with journal_at() as journal:

        async def is_salvaged() -> bool:
            return any(trouble.what == "salvaged" for trouble in troubles)

        await until(is_salvaged)
        assert await all_seqs(journal, Lane.TELEMETRY, run.epoch) == set(range(1, 61))


async def test_with_both_files_damaged_the_alarms_name_their_epochs_themselves(
    journal_at: Any, new_run: Any, tmp_path: Path
) -> None:
    runs = [new_run(), new_run()]
    for a_run in runs:
        async with journal_at() as journal:
            await fill(journal, a_run, rows=3)
    for name in ("alarm.db", "bulk.db"):
        path = tmp_path / "journal" / name
        path.write_bytes(b"\xff" * 100 + path.read_bytes()[100:])
    async with journal_at() as journal:
        for a_run in runs:
            assert await all_seqs(journal, Lane.ALARM, a_run.epoch) == {1, 2, 3}
            assert await journal.epoch_header(a_run.epoch) == a_run.header


@pytest.mark.parametrize("name", ["alarm.db", "bulk.db"])
@pytest.mark.parametrize("is_in_log", [False, True])
async def test_a_file_from_the_future_is_not_touched_and_another_beside_it_is_used(
    journal_at: Any, run: Any, tmp_path: Path, troubles: list[Trouble], name: str, is_in_log: bool
) -> None:
    lane = Lane.ALARM if name == "alarm.db" else Lane.TELEMETRY
    async with journal_at() as journal:
        await fill(journal, run, rows=5)
    path = tmp_path / "journal" / name
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA user_version = 2")
    if not is_in_log:
        other.close()
    before = snapshot(tmp_path, name)
    assert stored_version(path) == 2
    late = type(run)()
    async with journal_at() as journal:
        assert [(trouble.file, trouble.what) for trouble in journal.opened.troubles] == [(name, "newer")]
        assert "a newer Vaktpost (journal version 2" in journal.opened.troubles[0].detail
        assert [state.is_beside for state in await journal.files()] == [name == "alarm.db", name == "bulk.db"]
        await journal.start_epoch(late.epoch, late.header)
        await journal.append(lane, 1, late.record(lane, 1))
    assert snapshot(tmp_path, name) == before
    async with journal_at() as journal:  # what lies beside it lasts
        assert await all_seqs(journal, lane, late.epoch) == {1}
        assert journal.opened.previous is not None
        assert journal.opened.previous.epoch == late.epoch
    other.close()
    back = sqlite3.connect(path, isolation_level=None)
    back.execute("PRAGMA user_version = 1")  # the program that can read it is installed again
    back.close()
    async with journal_at() as journal:
        told = {trouble.what for trouble in (*journal.opened.troubles, *troubles)}

        async def is_back() -> bool:
            return await all_seqs(journal, lane, late.epoch) == {1}

        await until(is_back)
        assert await all_seqs(journal, lane, run.epoch) == {1, 2, 3, 4, 5}
        assert await journal.epoch_header(late.epoch) == late.header
        assert "beside" in told
        assert not any(state.is_beside for state in await journal.files())


def snapshot(directory: Path, name: str) -> dict[str, tuple[bytes, int]]:
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in directory.rglob(f"{name}*")}


async def test_the_journal_of_another_hub_is_set_aside_whole(
    journal_at: Any, run: Any, tmp_path: Path, troubles: list[Trouble]
) -> None:
    async with journal_at() as journal:
        await fill(journal, run, rows=3)
    async with journal_at(hub=b"otherhub") as journal:
        assert [trouble.what for trouble in journal.opened.troubles if not trouble.is_mended] == ["foreign"] * 2
        assert journal.opened.memory == {}
        assert journal.opened.previous is None
        assert await journal.unsettled(Lane.ALARM) == []
    assert (tmp_path / "journal/alarm.db.damaged-1").exists()


async def limit_pages(journal: Any, store: str, pages: int) -> None:
    """Fill the card, as far as SQLite is concerned."""
    await getattr(journal._core, store)._file._writer.run(
        lambda connection: connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()
    )


async def test_a_full_card_costs_the_reserve_then_an_error_and_is_tried_again(
    journal_at: Any, run: Any, tmp_path: Path, troubles: list[Trouble]
) -> None:
    async with journal_at() as journal:
        await journal.start_epoch(run.epoch, run.header)

        async def has_reserve() -> bool:
            return (await journal.probe()).reserve_bytes >= 64 * 1024

        await until(has_reserve)
        await limit_pages(journal, "alarm", 1)
        seq = 0
        with pytest.raises(JournalError, match=r"alarm\.db cannot be written"):
            while seq < 100:
                seq += 1
                await journal.append(Lane.ALARM, seq, run.record(Lane.ALARM, seq), {"driver/x/counter": seq})
        assert (await journal.probe()).reserve_bytes == 0
        assert [trouble.what for trouble in troubles] == ["reserve_released", "full"]
        await journal.append(Lane.TELEMETRY, 1, run.record(Lane.TELEMETRY, 1))  # the other file is none the worse
        with pytest.raises(JournalError):
            await journal.append(Lane.ALARM, seq, run.record(Lane.ALARM, seq))
        await limit_pages(journal, "alarm", 100_000)
        await journal.append(Lane.ALARM, seq, run.record(Lane.ALARM, seq))
        assert [trouble.what for trouble in troubles] == ["reserve_released", "full", "recovered"]
        assert await all_seqs(journal, Lane.ALARM, run.epoch) == set(range(1, seq + 1))
    async with journal_at() as journal:
        assert journal.opened.memory["driver/x/counter"] == seq - 1  # never before its event


async def test_bulk_thins_itself_when_the_card_is_full(journal_at: Any, run: Any, troubles: list[Trouble]) -> None:
    async with journal_at(delete_rows=200, bulk_commit_rows=50) as journal:
        await journal.start_epoch(run.epoch, run.header)
        await limit_pages(journal, "bulk", 60)
        for seq in range(1, 2001, 50):
            await asyncio.gather(
                *(
                    journal.append_nowait(Lane.TELEMETRY, number, run.record(Lane.TELEMETRY, number))
                    for number in range(seq, seq + 50)
                )
            )
        ((first, last),) = journal.gaps(Lane.TELEMETRY, run.epoch)
        assert first == 1
        assert await all_seqs(journal, Lane.TELEMETRY, run.epoch) == set(range(last + 1, 2001))
        assert troubles == []


async def test_bulk_does_not_grow_any_more_when_little_is_left_on_the_card(
    journal_at: Any, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def add(first: int, last: int) -> None:
        for start in range(first, last, 1000):
            await asyncio.gather(
                *(
                    journal.append_nowait(Lane.TELEMETRY, seq, run.record(Lane.TELEMETRY, seq))
                    for seq in range(start, start + 1000)
                )
            )

    async with journal_at() as journal:
        await journal.start_epoch(run.epoch, run.header)
        await add(1, 20_000)
        assert journal.gaps(Lane.TELEMETRY, run.epoch) == ()
        real = os.statvfs(tmp_path)
        monkeypatch.setattr(os, "statvfs", lambda _path: Nearly(real.f_blocks, real.f_frsize, 100))
        await add(20_001, 40_000)
        ((first, last),) = journal.gaps(Lane.TELEMETRY, run.epoch)
        assert first == 1
        assert 20_000 < last < 35_000  # it keeps what it has room for
        assert (tmp_path / "journal/bulk.db").stat().st_size < 20_000 * 150  # as big as it was, and no bigger


class Nearly(NamedTuple):
    """A card that is nearly full."""

    f_blocks: int
    f_frsize: int
    f_bavail: int


async def test_bulk_gives_way_to_alarms_that_have_no_room(
    journal_at: Any, run: Any, tmp_path: Path, troubles: list[Trouble]
) -> None:
    async with journal_at(reserve_bytes=0) as journal:
        await journal.start_epoch(run.epoch, run.header)
        rows = 12_000
        for start in range(1, rows, 1000):
            await asyncio.gather(
                *(
                    journal.append_nowait(Lane.TELEMETRY, seq, run.record(Lane.TELEMETRY, seq), {"driver/y/c": seq})
                    for seq in range(start, start + 1000)
                )
            )
        await limit_pages(journal, "alarm", 1)
        with pytest.raises(JournalError):  # nothing helps against this kind of full
            for seq in range(1, 100):
                await journal.append(Lane.ALARM, seq, run.record(Lane.ALARM, seq))
        dropped = next(trouble for trouble in troubles if trouble.what == "bulk_dropped")
        assert dropped.records == rows
        assert (tmp_path / "journal/bulk.db").stat().st_size < 100_000
        assert journal.gaps(Lane.TELEMETRY, run.epoch) == ((1, rows),)
        await journal.append(Lane.TELEMETRY, rows + 1, run.record(Lane.TELEMETRY, rows + 1))
    async with journal_at() as journal:
        assert journal.gaps(Lane.TELEMETRY, run.epoch) == ((1, rows),)
        assert journal.opened.memory == {"driver/y/c": rows}
        assert await journal.epoch_header(run.epoch) == run.header
        assert journal.opened.previous is not None
        assert journal.opened.previous.last[Lane.TELEMETRY] == rows + 1


async def test_a_card_that_is_not_there_at_the_start_is_used_when_it_comes(
    journal_at: Any, run: Any, tmp_path: Path, troubles: list[Trouble], new_run: Any
) -> None:
    before = new_run()
    async with journal_at() as journal:
        await fill(journal, before, rows=3)
    (tmp_path / "journal").rename(tmp_path / "away")
    (tmp_path / "journal").write_text("a file where the directory should be")
    async with journal_at() as journal:
        assert {trouble.what for trouble in journal.opened.troubles} == {"unwritable"}
        assert journal.opened.previous is None
        with pytest.raises(JournalError, match="cannot be written"):
            await journal.start_epoch(run.epoch, run.header)
        with pytest.raises(JournalError):
            await journal.append(Lane.ALARM, 1, run.record(Lane.ALARM, 1))
        assert (await journal.probe()).error is not None
        assert not (await journal.counts())[Lane.ALARM].is_exact
        with pytest.raises(JournalError):
            await journal.unsettled(Lane.ALARM)
        (tmp_path / "journal").unlink()
        (tmp_path / "away").rename(tmp_path / "journal")
        await journal.append(Lane.ALARM, 1, run.record(Lane.ALARM, 1))
        await journal.append(Lane.TELEMETRY, 1, run.record(Lane.TELEMETRY, 1))
        assert [trouble.what for trouble in troubles] == ["recovered", "recovered"]
        assert await all_seqs(journal, Lane.ALARM, before.epoch) == {1, 2, 3}
        assert await all_seqs(journal, Lane.ALARM, run.epoch) == {1}
        assert await journal.epoch_header(run.epoch) == run.header
    async with journal_at() as journal:
        assert journal.opened.previous is not None
        assert journal.opened.previous.epoch == run.epoch


async def test_a_failed_commit_loses_no_memory_of_earlier_events(
    journal_at: Any, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, troubles: list[Trouble]
) -> None:
    monkeypatch.setattr(database, "BUSY_S", 0.05)
    async with journal_at() as journal:
        await journal.start_epoch(run.epoch, run.header)
        await journal.append(Lane.ALARM, 1, run.record(Lane.ALARM, 1), {"driver/x/counter": 1})
        await journal.settle(run.epoch, Lane.ALARM, SeqRanges([(1, 1)]), NONE, LINEAGE)
        other = sqlite3.connect(tmp_path / "journal/alarm.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")  # somebody looks at the file with another program
        with pytest.raises(JournalError, match=r"alarm\.db cannot be written .database is locked"):
            await journal.flush()
        with pytest.raises(JournalError, match="locked"):
            await journal.append(Lane.CARE, 1, run.record(Lane.CARE, 1), {"driver/y/counter": 1})
        other.execute("ROLLBACK")
        other.close()
        await journal.append(Lane.CARE, 2, run.record(Lane.CARE, 2), {"driver/z/counter": 2})
        await journal.flush()
        assert [trouble.what for trouble in troubles] == ["unwritable", "recovered"]
    async with journal_at() as journal:
        assert journal.opened.memory == {"driver/x/counter": 1, "driver/z/counter": 2}
        assert await all_seqs(journal, Lane.ALARM, run.epoch) == set()
        assert await all_seqs(journal, Lane.CARE, run.epoch) == {2}


async def test_memory_in_records_survives_any_number_of_power_cuts(
    journal_at: Any, new_run: Any, tmp_path: Path
) -> None:
    for turn in range(4):
        a_run = new_run()
        async with journal_at() as journal:
            assert journal.opened.memory == {f"driver/{number}/counter": number for number in range(turn)}
            await journal.start_epoch(a_run.epoch, a_run.header)
            await journal.append(Lane.ALARM, 1, a_run.record(Lane.ALARM, 1), {f"driver/{turn}/counter": turn})
            if turn % 2:
                await journal.flush()
            shutil.copytree(tmp_path / "journal", tmp_path / "cut")
        shutil.rmtree(tmp_path / "journal")
        (tmp_path / "cut").rename(tmp_path / "journal")


def test_records_are_carved_across_the_seams_of_the_pieces(tmp_path: Path, run: Any) -> None:
    records = [run.record(Lane.ALARM, seq) for seq in range(1, 301)]
    chance = random.Random(1)
    path = tmp_path / "alarm.db.damaged-1"
    path.write_bytes(b"".join(chance.randbytes(chance.randrange(50)) + record for record in records[:200]))
    Path(f"{path}-wal").write_bytes(b"x".join(records[200:]))
    found = {record.raw for piece in carve_file(path) for record in piece or ()}
    assert found == set(records)


async def test_weakened_durability_is_noticed_at_once(journal_at: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real = database._pragmas

    def careless(connection: sqlite3.Connection, shape: Any) -> None:
        real(connection, shape)
        connection.execute("PRAGMA synchronous = NORMAL")

    monkeypatch.setattr(database, "_pragmas", careless)
    async with journal_at() as journal:
        assert {trouble.what for trouble in journal.opened.troubles} == {"unwritable"}
        assert "cannot be made durable" in journal.opened.troubles[0].detail


async def test_any_bytes_at_all_in_place_of_the_files_do_not_stop_the_start(
    journal_at: Any, run: Any, tmp_path: Path, new_run: Any
) -> None:
    async with journal_at() as journal:
        await fill(journal, run, rows=20)
    chance = random.Random(4)
    whole = {name: (tmp_path / "journal" / name).read_bytes() for name in ("alarm.db", "bulk.db")}
    for _ in range(25):
        for path in (tmp_path / "journal").iterdir():
            path.unlink()
        for name, content in whole.items():
            mangled = bytearray(content)
            for _ in range(chance.randrange(1, 40)):
                at = chance.randrange(len(mangled))
                mangled[at : at + chance.randrange(1, 64)] = chance.randbytes(chance.randrange(1, 64))
            (tmp_path / "journal" / name).write_bytes(mangled)
        new = new_run()
        async with journal_at() as journal:
            for attempt in range(5):
                try:
                    await journal.start_epoch(new.epoch, new.header)
                except JournalError:
                    assert attempt < 4
                else:
                    break
            for lane in Lane:
                for _ in range(3):
                    try:
                        await all_seqs(journal, lane, run.epoch)
                        break
                    except JournalError:
                        await asyncio.sleep(0)
                await journal.append(lane, 1, new.record(lane, 1))
                assert await all_seqs(journal, lane, new.epoch) == {1}
