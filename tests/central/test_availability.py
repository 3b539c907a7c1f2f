"""When hubs were heard: bits of five minutes that survive, add up, and never blame a hub for central's own silence."""

from __future__ import annotations

import datetime as dt
import re
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from central.availability import CENTRAL, KEPT_DAYS, LAG_MS, SLOT_MS, SLOTS, Availability, marks
from central.availability_days import SETTLED_MS, Day, Mark, days_of
from central.errors import NotStoredError
from central.links import HubLinks
from central.presence import Presence
from central.store import Priority
from central.trimming import Trimming
from central.wakeup import Wakeup
from central.windows import DAY_MS
from simulators.frame_hub import FrameHub
from tests.central.conftest import Bench, ManualClock, OpenBench

OSLO = ZoneInfo("Europe/Oslo")
HUB = "00000000000000aa"
NOON_MS = 1_793_707_200_000
"""12:00 UTC on 3 November 2026."""
DAY = NOON_MS // DAY_MS


def presence_of(bench: Bench) -> Presence:
    ear = bench.services.hubs.ear
    assert isinstance(ear, Presence)
    return ear


@pytest.fixture
def noon(bench: Bench, clock: ManualClock) -> ManualClock:
    clock.wall_ms = NOON_MS
    return clock


def pass_time(kept: Availability, clock: ManualClock, seconds: int, *heard: str, is_listening: bool = True) -> None:
    """Looks every second, as `Presence` does; hubs speak every thirty."""
    for second in range(seconds):
        if second % 30 == 0:
            for hub in heard:
                kept.hear(hub, clock.now_ms())
        clock.advance(1)
        kept.look(is_listening=is_listening)


async def slots(bench: Bench, hub: str = HUB, day: int = DAY) -> tuple[set[int], set[int]]:
    """Which slots of a UTC day are marked: those of the hub, those of central."""
    heard, listened = await bench.store.fetch(lambda connection: marks(connection, hub, day, day))
    return _places(heard), _places(listened)


def _places(bits: int) -> set[int]:
    return {slot for slot in range(SLOTS) if bits >> slot & 1}


async def seen(bench: Bench, *, count: int = 1, since_ms: int = 0, hub: str = HUB, zone: ZoneInfo = OSLO) -> list[Day]:
    now = bench.clock.now_ms()
    return await days_of(bench.store, hub, zone=zone, since_ms=since_ms, now_ms=now, count=count)


async def between(bench: Bench, begin_ms: int, end_ms: int, **more: Any) -> str:
    """The letters of today between two times."""
    (day,) = await seen(bench, **more)
    return day.marks[(begin_ms - day.begin_ms) // SLOT_MS : (end_ms - day.begin_ms) // SLOT_MS]


async def test_signs_of_life_are_bits_of_one_row_and_nothing_is_written_before_its_time(
    bench: Bench, noon: ManualClock
) -> None:
    kept = Availability(bench.store, noon)
    pass_time(kept, noon, 930, HUB)
    assert await bench.value("SELECT count(*) FROM hub_day") == 0
    await kept.write()
    assert await slots(bench) == ({144, 145, 146, 147}, {144, 145, 146})
    assert await bench.value(f"SELECT count(*) FROM hub_day WHERE hub = '{HUB}'") == 1
    commits = bench.store.commits
    await kept.write()
    assert bench.store.commits == commits, "nothing was new"


async def test_a_hub_costs_one_row_in_five_minutes_however_much_it_says(bench: Bench, noon: ManualClock) -> None:
    kept, written = Availability(bench.store, noon), []
    transact = bench.store.transact

    async def counted(priority: Priority, work: partial[Any]) -> Any:
        written.append((priority, [row[1] for row in work.keywords["rows"]]))
        return await transact(priority, work)

    hubs = [f"{number:016x}" for number in range(70)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench.store, "transact", counted)
        for _ in range(3):
            pass_time(kept, noon, 300, *hubs)
            await kept.write()
    assert {priority for priority, _ in written} == {Priority.UPKEEP}
    assert max(len(rows) for _, rows in written) <= 32, "an alarm waits for one of these at most"
    rows = [hub for _, hubs in written for hub in hubs]
    assert all(rows.count(hub) <= 3 for hub in hubs)
    assert rows[-1] == CENTRAL


async def test_what_several_processes_heard_adds_up(bench: Bench, noon: ManualClock) -> None:
    first, second = (Availability(bench.store, noon) for _ in range(2))
    pass_time(first, noon, 300, HUB)
    noon.advance(1500)
    second.hear(HUB, noon.now_ms())
    noon.advance(SLOT_MS / 1000)
    first.hear(HUB, noon.now_ms())
    await first.write()
    await second.write()
    await first.write()
    heard, _ = await slots(bench)
    assert heard == {144, 150, 151}


async def test_what_one_process_heard_the_others_know_before_they_say_that_they_listened(
    bench: Bench, hub: FrameHub, clock: ManualClock
) -> None:
    """So a process may be killed without its minutes being missed: the others have written them."""
    here, there = (Presence(bench.store, clock, HubLinks(), Wakeup()) for _ in range(2))
    here.hear(hub.id.hex(), "0" * 16)
    await here.share()
    await there.share()
    await there.availability.write()
    slot = clock.now_ms() // SLOT_MS
    heard, _ = await slots(bench, hub.id.hex(), slot // SLOTS)
    assert heard == {slot % SLOTS}


async def test_what_was_heard_survives_a_restart_and_the_time_between_counts_against_nobody(
    open_bench: OpenBench, clock: ManualClock
) -> None:
    clock.wall_ms = NOON_MS
    async with open_bench() as bench:
        kept = presence_of(bench).availability
        pass_time(kept, clock, 660, HUB)
    clock.advance(3600)
    async with open_bench() as bench:
        kept = presence_of(bench).availability
        pass_time(kept, clock, 1800)
        await kept.write()
        # 12:00 and 12:05 heard, 12:10 heard for a minute; down until 13:11; heard no more, and that counts from 13:15.
        found = await between(bench, NOON_MS, NOON_MS + 90 * 60_000)
        assert found == "hhh" + "u" * 12 + "mmm"


async def test_a_process_that_is_killed_leaves_minutes_unknown_and_none_missed(bench: Bench, noon: ManualClock) -> None:
    killed = Availability(bench.store, noon)
    pass_time(killed, noon, 660, HUB)
    await killed.write()
    pass_time(killed, noon, 600, HUB)  # and is no more
    after = Availability(bench.store, noon)
    pass_time(after, noon, 1800, HUB)
    await after.write()
    noon.advance(SETTLED_MS / 1000)
    assert await between(bench, NOON_MS, NOON_MS + 40 * 60_000) == "hhhuhhhh"
    # Of a hub that nobody heard: what the killed one had not written is unknown, and the slot in which the next began.
    assert await between(bench, NOON_MS, NOON_MS + 40 * 60_000, hub="00000000000000bb") == "mmuuummm"


async def test_when_central_listened_is_written_after_all_that_it_heard(bench: Bench, noon: ManualClock) -> None:
    kept = Availability(bench.store, noon)
    hubs = [f"{number:016x}" for number in range(40)]
    pass_time(kept, noon, 660, *hubs)
    transact, calls = bench.store.transact, 0

    async def once(priority: Priority, work: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise NotStoredError("the disk is full")
        return await transact(priority, work)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench.store, "transact", once)
        with pytest.raises(NotStoredError):
            await kept.write()
    assert await bench.value("SELECT count(*) FROM hub_day") == 32
    assert await slots(bench, hubs[39]) == (set(), set()), "a hub that is not written yet must not look absent"
    await kept.write()
    assert await slots(bench, hubs[39]) == ({144, 145, 146}, {144, 145})


@pytest.mark.parametrize("why", ["asleep", "set on", "set back", "no database"])
async def test_time_in_which_central_could_not_listen_is_unknown(bench: Bench, noon: ManualClock, why: str) -> None:
    kept = Availability(bench.store, noon)
    pass_time(kept, noon, 400)
    if why == "asleep":
        noon.advance(60)
    elif why == "set on":
        noon.wall_ms += 3000
    elif why == "set back":
        noon.wall_ms -= 3000
    else:
        pass_time(kept, noon, 2, is_listening=False)
    pass_time(kept, noon, 900)
    await kept.write()
    _, listened = await slots(bench)
    assert listened == {144, 146, 147}


async def test_others_have_time_to_tell_whom_they_heard_before_a_slot_counts(bench: Bench, noon: ManualClock) -> None:
    kept = Availability(bench.store, noon)
    pass_time(kept, noon, 300 + LAG_MS // 1000 - 1)
    await kept.write()
    assert await slots(bench) == (set(), set())
    pass_time(kept, noon, 1)
    await kept.write()
    assert await slots(bench) == (set(), {144})


async def test_a_central_that_hears_nobody_blames_nobody(bench: Bench, clock: ManualClock) -> None:
    hubs = [await bench.enrolled(f"Flat {number}") for number in range(6)]
    presence = presence_of(bench)
    begun = clock.now_ms()

    async def second(*alive: FrameHub) -> None:
        clock.advance(1)
        bench.store._proven_s = clock.mono_s()  # what the probe does every few seconds
        for hub in alive:
            await bench.reception.receive(hub.heartbeat(), "https")
        await presence.sweep()

    for count in range(1500):
        await second(*(hubs if count % 30 == 0 and count < 600 else ()))
    for count in range(1200):
        await second(*(hubs[:5] if count % 30 == 0 else ()))
    await presence.availability.write()
    noted = await seen(bench, count=2, since_ms=begun, hub=hubs[5].id.hex())
    silent = "".join(day.marks for day in reversed(noted)).strip("ab")
    assert re.fullmatch("hh+uuu+mm+", silent), "it heard all, nobody for a quarter of an hour, and all but one"


async def test_while_alarms_cannot_be_committed_central_does_not_listen(bench: Bench, clock: ManualClock) -> None:
    presence = presence_of(bench)
    for _ in range(1300):
        clock.advance(1)
        await presence.sweep()
    await presence.availability.write()
    assert await bench.value("SELECT count(*) FROM hub_day") == 0


async def test_every_authentic_message_is_a_mark(bench: Bench, hub: FrameHub, clock: ManualClock) -> None:
    await bench.press(hub)
    await presence_of(bench).availability.write()
    slot = clock.now_ms() // SLOT_MS
    heard, _ = await slots(bench, hub.id.hex(), slot // SLOTS)
    assert heard == {slot % SLOTS}


async def test_a_day_on_which_the_clock_is_set_is_an_hour_longer_or_shorter(bench: Bench, clock: ManualClock) -> None:
    for date, length in ((dt.date(2026, 10, 25), 300), (dt.date(2027, 3, 28), 276), (dt.date(2026, 11, 3), 288)):
        clock.wall_ms = int(dt.datetime(date.year, date.month, date.day, 12, tzinfo=OSLO).timestamp()) * 1000
        today, yesterday = await seen(bench, count=2)
        assert (today.date, len(today.marks)) == (date, length)
        assert yesterday.begin_ms + len(yesterday.marks) * SLOT_MS == today.begin_ms


async def test_before_a_hub_was_there_and_what_is_not_over_are_neither(bench: Bench, noon: ManualClock) -> None:
    kept = Availability(bench.store, noon)
    pass_time(kept, noon, 4 * 300 + 60)
    await kept.write()
    (day,) = await seen(bench, since_ms=NOON_MS + SLOT_MS + 1)
    at = (NOON_MS - day.begin_ms) // SLOT_MS
    assert day.marks[: at + 2] == "b" * (at + 2)
    assert day.marks[at + 2 :] == "mm" + "a" * (288 - at - 4)
    assert (day.count(Mark.MISSED), day.tenths) == (2, 0)
    assert [one.mark for one in day.stretches()] == [Mark.BEFORE, Mark.MISSED, Mark.AHEAD]


def test_a_figure_is_never_better_than_what_was_seen() -> None:
    def of(marks: str) -> int | None:
        return Day(date=dt.date(2026, 11, 3), begin_ms=0, marks=marks).tenths

    assert of("h" * 287 + "m") == 996
    assert of("h" * 99_999 + "m") == 999
    assert of("h" * 100 + "u" * 188) == 1000
    assert of("b" * 200 + "u" * 88) is None


async def test_days_are_kept_for_thirteen_months(bench: Bench, noon: ManualClock) -> None:
    today = NOON_MS // DAY_MS
    columns = ", ".join("1" for _ in range(6))
    for back in (0, KEPT_DAYS, KEPT_DAYS + 1, KEPT_DAYS + 2):
        await bench.change(f"INSERT INTO hub_day VALUES ({today - back}, '{HUB}', {columns})")
    assert (await Trimming(bench.store, noon).trim())["hub_days"] == 2
    assert [row[0] for row in await bench.rows("SELECT day FROM hub_day ORDER BY day DESC")] == [
        today, today - KEPT_DAYS,
    ]  # fmt: skip
