"""Probes side by side, each with its deadline: what hangs or fails spoils its own line only."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest

from cloud_sync.health import HealthResult, Outcome
from gateway.health.examination import Deadlines, Examiner
from gateway.health.facts import (
    ClockFacts,
    DeviceFacts,
    DriverFacts,
    HealthSources,
    JournalFacts,
    KeyFacts,
    SettingsFacts,
    TestFacts,
    UplinkFacts,
    WaitingFacts,
)

GIB = 1024**3
AMPLE = Deadlines(journal_s=30, uplink_s=30, test_s=30, quick_s=30)
"""For what answers at once: on a busy machine that takes a while too."""
HUNG_S = 1.0
"""For what never answers. What shares the deadline and answers has it too."""


def giving(value: Any) -> Callable[[], Awaitable[Any]]:
    async def give() -> Any:
        await asyncio.sleep(0)
        return value

    return give


async def hang() -> NoReturn:
    await asyncio.Event().wait()
    raise AssertionError


async def fail() -> NoReturn:
    raise OSError(5, "Input/output error")


def fail_at_once() -> NoReturn:
    raise KeyError("resident r-7f3a90")


GOOD = HealthSources(
    journal=giving(
        JournalFacts(write_ms=3.0, read_ms=0.2, free_bytes=4 * GIB, total_bytes=8 * GIB, reserve_bytes=4 << 20)
    ),
    drivers=lambda: [DriverFacts(name="inputs", type_name="gpio", state="running", is_link_up=True)],
    devices=lambda: [
        DeviceFacts(alias="cord-1", driver="inputs", heard_s_ago=1.0, watched_s=9.0, missing_after_s=None)
    ],
    uplinks={
        "main": giving(UplinkFacts(name="main", is_up=True, round_trip_ms=9.0, answered_s_ago=1.0)),
        "reserve": giving(UplinkFacts(name="reserve", is_up=True, round_trip_ms=99.0, answered_s_ago=1.0)),
    },
    clock=lambda: ClockFacts(is_trusted=True, offset_ms=3.0, wall_ms=1_795_300_000_000),
    waiting=lambda: WaitingFacts(records=0, oldest_s=None),
    keys=lambda: [KeyFacts(name="identity", created_ms=1_795_000_000_000)],
    settings=lambda: SettingsFacts(software="vaktpost 0.1.0", config_hash="9f2c", running_s=9.0),
    test_event=giving(TestFacts(durable_ms=3.0, receipt_ms=9.0, answered_ms=12.0)),
    board=Path("/nowhere"),
)


def examiner(**changes: Any) -> Examiner:
    deadlines = changes.pop("deadlines", AMPLE)
    return Examiner(
        replace(GOOD, **changes),
        boot_s=time.monotonic,
        wall_ms=lambda: 1_795_300_000_000,
        deadlines=deadlines,
    )


def deviations(result: HealthResult) -> dict[str, Outcome]:
    return {line.id: line.result for line in result.lines if line.result is not Outcome.OK}


async def test_a_sound_hub_is_in_order_in_every_line() -> None:
    result = await examiner().examine()
    assert deviations(result) == {}
    assert [line.id for line in result.lines] == [
        "test",
        "journal.write",
        "journal.space",
        "uplink.main",
        "uplink.reserve",
        "waiting.alarms",
        "driver.inputs",
        "device.cord-1.heard",
        "clock",
        "key.identity",
        "program",
        "software",
        "settings",
    ]


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"journal": hang}, {"journal.write": "fail", "journal.space": "unknown"}),
        ({"journal": fail}, {"journal.write": "fail", "journal.space": "unknown"}),
        ({"test_event": hang}, {"test": "fail"}),
        ({"test_event": fail}, {"test": "unknown"}),
        ({"uplinks": {**GOOD.uplinks, "reserve": hang}}, {"uplink.reserve": "unknown"}),  # type: ignore[dict-item]
        ({"uplinks": {**GOOD.uplinks, "reserve": fail}}, {"uplink.reserve": "unknown"}),  # type: ignore[dict-item]
        ({"drivers": fail_at_once}, {"driver": "unknown"}),
        ({"devices": fail_at_once}, {"driver": "unknown"}),
        ({"clock": fail_at_once}, {"clock": "unknown"}),
        ({"keys": fail_at_once}, {"clock": "unknown"}),
        ({"waiting": fail_at_once}, {"waiting.alarms": "unknown"}),
        ({"settings": fail_at_once}, {"program": "unknown"}),
    ],
)
async def test_one_source_that_hangs_or_fails_spoils_its_own_line_only(
    changes: dict[str, Any], wanted: dict[str, str]
) -> None:
    hung = Deadlines(journal_s=HUNG_S, uplink_s=HUNG_S, test_s=HUNG_S, quick_s=30)
    examined = examiner(**changes, deadlines=hung)
    assert deviations(await examined.examine()) == wanted
    await examined.close()


async def test_probes_wait_beside_one_another_and_not_one_after_the_other() -> None:
    examined = examiner(
        journal=hang,
        test_event=hang,
        uplinks={f"path-{n}": hang for n in range(6)},
        deadlines=Deadlines(journal_s=0.3, uplink_s=0.1, test_s=0.1, quick_s=0.3),
    )
    started_s = time.monotonic()
    await examined.examine()
    assert time.monotonic() - started_s < 1.5  # the longest is 0.6 s; in turn they would take five
    await examined.close()


def test_the_longest_wait_leaves_room_within_ten_seconds() -> None:
    deadlines = Deadlines()
    assert max(deadlines.journal_s, deadlines.uplink_s + 0.5, deadlines.test_s + 0.5, deadlines.quick_s) <= 8.0


async def test_who_asks_while_a_check_runs_gets_the_same_result() -> None:
    writes = 0
    release = asyncio.Event()

    async def probe() -> JournalFacts:
        nonlocal writes
        writes += 1
        await release.wait()
        return JournalFacts(write_ms=1.0, read_ms=1.0, free_bytes=GIB, total_bytes=GIB, reserve_bytes=0)

    examined = examiner(journal=probe, deadlines=Deadlines(journal_s=5))
    first, second = asyncio.create_task(examined.examine()), asyncio.create_task(examined.examine())
    await asyncio.sleep(0.05)
    release.set()
    assert await first is await second
    assert writes == 1


async def test_one_asker_who_leaves_does_not_end_the_check_for_the_other() -> None:
    release = asyncio.Event()

    async def probe() -> JournalFacts:
        await release.wait()
        return JournalFacts(write_ms=1.0, read_ms=1.0, free_bytes=GIB, total_bytes=GIB, reserve_bytes=0)

    examined = examiner(journal=probe, deadlines=Deadlines(journal_s=5))
    leaving, staying = asyncio.create_task(examined.examine()), asyncio.create_task(examined.examine())
    await asyncio.sleep(0.05)
    leaving.cancel()
    release.set()
    assert deviations(await staying) == {}


async def test_a_card_that_hangs_is_not_written_to_again_until_it_answers() -> None:
    started = 0
    release = asyncio.Event()

    async def probe() -> JournalFacts:
        nonlocal started
        started += 1
        await release.wait()
        return JournalFacts(write_ms=1.0, read_ms=1.0, free_bytes=GIB, total_bytes=GIB, reserve_bytes=0)

    examined = examiner(journal=probe, deadlines=replace(AMPLE, journal_s=HUNG_S))
    for _ in range(3):
        assert deviations(await examined.examine())["journal.write"] is Outcome.FAIL
    assert started == 1
    release.set()
    await asyncio.sleep(0.05)
    assert deviations(await examined.examine()) == {}
    assert started == 2


async def test_without_a_daemon_everything_it_would_tell_is_unknown() -> None:
    result = await examiner(
        drivers=None,
        devices=None,
        uplinks=None,
        test_event=None,
        waiting=None,
        settings=lambda: SettingsFacts(software="vaktpost 0.1.0", config_hash="9f2c"),
    ).examine()
    unknown = Outcome.UNKNOWN
    assert deviations(result) == {
        "test": unknown,
        "uplink": unknown,
        "driver": unknown,
        "device": unknown,
        "program": Outcome.FAIL,
    }


async def test_names_that_differ_only_in_their_signs_keep_a_line_each() -> None:
    def path(name: str) -> Callable[[], Awaitable[UplinkFacts]]:
        return giving(UplinkFacts(name=name, is_up=True, round_trip_ms=9.0, answered_s_ago=1.0))

    result = await examiner(uplinks={name: path(name) for name in ("4G", "4g", "4g!")}).examine()
    assert [line.id for line in result.lines if line.id.startswith("uplink")] == [
        "uplink.4g",
        "uplink.4g-2",
        "uplink.4g-",
    ]
    assert result.to_plain()["lines"]


async def test_what_went_wrong_is_told_by_its_kind_and_never_by_its_content() -> None:
    result = await examiner(drivers=fail_at_once).examine()
    assert "r-7f3a90" not in repr(result)


async def test_closing_ends_what_hangs() -> None:
    examined = examiner(journal=hang, deadlines=replace(AMPLE, journal_s=0.1))
    await examined.examine()
    await examined.close()
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
