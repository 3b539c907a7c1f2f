"""What is not urgent shares transactions: nothing is lost or doubled by it, and one's fault is not another's."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from central import event_log
from central.errors import NotStoredError
from central.gathering import MOST
from central.lifecycle import Queue
from central.precedence import Precedence
from cloud_sync.errors import ReplayedError
from cloud_sync.identity import Lane
from simulators.frame_hub import FrameHub
from tests.central.conftest import Bench

FAULTS = 5


async def known(bench: Bench, count: int) -> list[FrameHub]:
    """Hubs whose runs central knows."""
    hubs = [await bench.enrolled(f"Flat {number}") for number in range(count)]
    for hub in hubs:
        await bench.reception.receive(hub.heartbeat(has_header=True), "https")
    return hubs


def faults(hub: FrameHub, device: str = "d", count: int = FAULTS) -> bytes:
    return hub.envelope(*(hub.seal("device_missing", device=f"{device}{number}") for number in range(count)))


async def all_of(bench: Bench, hubs: list[FrameHub], frames: list[bytes]) -> list[Any]:
    """All at once; the receipts."""
    answers = await asyncio.gather(*(bench.reception.receive(frame, "https") for frame in frames))
    return [hub.receipt(answer) for hub, answer in zip(hubs, answers, strict=True)]


async def test_many_hubs_share_transactions_and_each_gets_its_own_receipt(bench: Bench) -> None:
    hubs = await known(bench, 20)
    gathering = bench.reception._ingest._gatherings[Lane.TECHNICAL]
    gathering._hold_s = 60.0  # however slow the machine is
    groups: list[int] = []
    write = gathering._write

    async def watched(pieces: Any, connection: Any) -> Any:
        done = await write(pieces, connection)
        groups.append(len(done))
        return done

    gathering._write = watched  # type: ignore[method-assign]
    receipts = await all_of(bench, hubs, [faults(hub, f"d{number}-") for number, hub in enumerate(hubs)])
    assert sum(groups) == 20
    assert len(groups) < 20
    assert {(receipt.high, receipt.unopened) for receipt in receipts} == {(FAULTS, ())}
    assert await bench.value("SELECT count(*) FROM event") == 20 * FAULTS
    assert await bench.value("SELECT count(*) FROM alarm_event WHERE role = 'raised'") == 20 * FAULTS
    assert len(await bench.alarms.queue(Queue.TECHNICAL)) == 20 * FAULTS
    assert await bench.value("SELECT count(*) FROM log_entry WHERE what = 'raised'") == 20 * FAULTS
    assert (await event_log.verify(bench.store)).is_whole


async def test_envelopes_of_one_hub_are_written_in_the_order_in_which_they_came(bench: Bench) -> None:
    (hub,) = await known(bench, 1)
    words = ["device_missing", "device_back"] * 6
    frames = [hub.envelope(hub.seal(word, device="d")) for word in words]
    receipts = await all_of(bench, [hub] * len(frames), frames)
    highs = [receipt.high for receipt in receipts]
    assert highs == sorted(highs)
    assert all(high >= number for number, high in enumerate(highs, 1)), highs  # the next one may be committed with it
    assert await bench.kinds(Queue.TECHNICAL) == []
    assert await bench.value("SELECT count(*) FROM alarm WHERE outcome = 'condition_cleared'") == 6
    told = [row[0] for row in await bench.rows("SELECT what FROM log_entry WHERE hub IS NOT NULL ORDER BY no")]
    assert told[-12:] == ["raised", "condition_cleared"] * 6


async def test_one_that_trips_a_fault_of_ours_does_not_touch_the_others(bench: Bench) -> None:
    hubs = await known(bench, 8)
    await bench.refuse_inserts("alarm", when="NEW.device = 'odd0'")
    frames = [faults(hub, "odd" if number == 3 else "d", 2) for number, hub in enumerate(hubs)]
    receipts = await all_of(bench, hubs, frames)
    assert [receipt.unopened for receipt in receipts] == [((1, 1),) if number == 3 else () for number in range(8)]
    assert await bench.value("SELECT count(*) FROM event") == 16
    assert await bench.value("SELECT count(*) FROM alarm WHERE kind = 'device_missing'") == 15
    assert (await event_log.verify(bench.store)).is_whole


async def test_without_a_place_to_commit_them_nobody_gets_a_receipt(bench: Bench) -> None:
    hubs = await known(bench, 4)
    frames = [faults(hub) for hub in hubs]
    await bench.change("ALTER TABLE event RENAME TO gone")
    answers = await asyncio.gather(
        *(bench.reception.receive(frame, "https") for frame in frames), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [NotStoredError] * 4
    await bench.change("ALTER TABLE gone RENAME TO event")
    again = await all_of(bench, hubs, [faults(hub, "e") for hub in hubs])
    assert {receipt.beyond for receipt in again} == {((FAULTS + 1, 2 * FAULTS),)}  # the first ones have to come again


async def test_while_an_alarm_is_dealt_with_a_transaction_takes_one_piece_and_all_have_their_turn(bench: Bench) -> None:
    hubs = await known(bench, 12)
    ingest = bench.reception._ingest
    gathering = ingest._gatherings[Lane.TECHNICAL]
    reached: list[int] = []
    write = gathering._write

    async def watched(pieces: Any, connection: Any) -> Any:
        done = await write(pieces, connection)
        reached.append(len(done))
        return done

    gathering._write = watched  # type: ignore[method-assign]
    gathering._is_wanted = lambda: True  # type: ignore[method-assign]  # as if alarms never ended
    receipts = await all_of(bench, hubs, [faults(hub) for hub in hubs])
    assert {receipt.high for receipt in receipts} == {FAULTS}
    assert reached == [1] * 12
    assert gathering._reach < MOST


async def test_on_sqlite_a_transaction_is_rolled_back_for_an_alarm_and_done_again_whole(bench: Bench) -> None:
    hubs = await known(bench, 4)
    gathering = bench.reception._ingest._gatherings[Lane.TECHNICAL]
    gathering._hold_s = 60.0
    written, begun = [0], [0]
    write, storing = gathering._write, gathering._storing.write

    async def counted(pieces: Any, connection: Any) -> Any:
        begun[0] += 1
        return await write(pieces, connection)

    async def claimed_after_two(connection: Any, pieces: Any, told: Any) -> Any:
        marks = await storing(connection, pieces, told)
        written[0] += 1
        if written[0] == 2:
            gathering._precedence._alarms += 1
        return marks

    async def gave_way() -> None:
        gathering._precedence._alarms = 0
        while not begun[0] and len(gathering._waiting) < len(hubs):
            await asyncio.sleep(0)

    gathering._precedence = Precedence()
    gathering._write = counted  # type: ignore[method-assign]
    gathering._storing.write = claimed_after_two  # type: ignore[method-assign]
    gathering._precedence.give_way = gave_way  # type: ignore[method-assign]
    receipts = await all_of(bench, hubs, [faults(hub) for hub in hubs])
    assert {receipt.high for receipt in receipts} == {FAULTS}
    if bench.store.dialect.is_sqlite:
        assert (begun[0], written[0]) == (2, 2 + 4), "the third piece was not begun, and all four were written anew"
    assert await bench.value("SELECT count(*) FROM event") == 4 * FAULTS
    assert await bench.value("SELECT count(*) FROM alarm") == 4 * FAULTS
    assert await bench.value("SELECT count(*) FROM log_entry WHERE what = 'raised'") == 4 * FAULTS
    assert (await event_log.verify(bench.store)).is_whole
    assert not gathering._has_given_way


async def test_bulky_work_stands_still_once_an_alarm_is_authentic_and_not_for_a_replayed_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    (hub,) = await known(bench, 1)
    reception = bench.reception
    precedence, windows = reception._ingest.precedence, reception._windows
    seen: list[tuple[str, bool]] = []
    accept, receive = windows.accept, reception._ingest.receive

    async def placed(*words: Any) -> bool:
        is_new = await accept(*words)
        seen.append(("placed", precedence.is_claimed))
        return is_new

    async def taken(*words: Any) -> bytes:
        seen.append(("taken", precedence.is_claimed))
        return await receive(*words)

    monkeypatch.setattr(windows, "accept", placed)
    monkeypatch.setattr(reception._ingest, "receive", taken)
    frame = hub.envelope(hub.seal("pendant_pressed", device="pendant-1"))
    await reception.receive(frame, "https")
    assert seen == [("placed", True), ("taken", True)]
    async with asyncio.timeout(10):
        await precedence._calm.wait()
    with pytest.raises(ReplayedError):
        await reception.receive(frame, "https")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not precedence.is_claimed


async def test_a_row_of_alarms_stops_no_two_transactions_running(bench: Bench) -> None:
    hubs = await known(bench, 6)
    gathering = bench.reception._ingest._gatherings[Lane.TECHNICAL]
    gathering._is_alarm_waiting = lambda: True  # type: ignore[method-assign]  # one after the other, for ever
    async with asyncio.timeout(60):
        receipts = await all_of(bench, hubs, [faults(hub) for hub in hubs])
    assert {receipt.high for receipt in receipts} == {FAULTS}
    assert await bench.value("SELECT count(*) FROM event") == 6 * FAULTS


async def test_what_is_being_written_is_written_although_its_caller_leaves(bench: Bench) -> None:
    (hub,) = await known(bench, 1)
    leaving = asyncio.create_task(bench.reception.receive(faults(hub), "https"))
    gathering = bench.reception._ingest._gatherings[Lane.TECHNICAL]
    async with asyncio.timeout(10):
        while gathering._task is None:
            await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    await bench.reception._ingest.drain()
    assert await bench.value("SELECT count(*) FROM event") == FAULTS


async def test_what_could_not_be_read_makes_room_for_what_can_also_within_one_transaction(bench: Bench) -> None:
    hub = await bench.enrolled("Flat 1")
    gathering = bench.reception._ingest._gatherings[Lane.TECHNICAL]
    gathering._hold_s, gathering._together = 60.0, 4

    async def both_wait() -> None:
        while len(gathering._waiting) < 2:
            await asyncio.sleep(0)

    gathering._precedence = Precedence()
    gathering._precedence.give_way = both_wait  # type: ignore[method-assign]
    fault = hub.seal("device_missing", device="d", resident=None)
    frames = [hub.envelope(fault, has_header=has_header) for has_header in (False, True)]
    async with asyncio.timeout(20):
        receipts = await all_of(bench, [hub, hub], frames)
    assert [receipt.unopened for receipt in receipts] == [(), ()]
    assert await bench.rows("SELECT device, unreadable FROM event") == [("d", None)]
    assert await bench.value("SELECT count(*) FROM event_raw") == 0
    assert "device_missing" in await bench.kinds(Queue.TECHNICAL)
