"""One flipped byte in the event log is found, wherever it is."""

from __future__ import annotations

import pytest

from central.event_log import verify
from simulators.frame_hub import FrameHub
from tests.central.conftest import FIRST, Bench


@pytest.fixture
async def story(bench: Bench, hub: FrameHub) -> Bench:
    """A log with a handful of entries."""
    for n in range(3):
        alarm = await bench.press(hub, device=f"pendant-{n}", resident=f"r-00000{n}")
        await bench.alarms.claim(alarm.id, FIRST)
        await bench.alarms.close(alarm.id, FIRST, "cleared_by_phone", "anxiety", "Snakket med datter.")
    return bench


async def test_a_log_nobody_touched_is_whole(story: Bench) -> None:
    verdict = await verify(story.store)
    assert verdict.is_whole
    assert verdict.entries == await story.value("SELECT count(*) FROM log_entry") == 10


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("at_ms", "at_ms + 1"),
        ("what", "'released'"),
        ("alarm", "NULL"),
        ("hub", "'0123456789abcdef'"),
        ("actor", "'second'"),
        ("actor_name", "'Operator One '"),
        ("content", "content || ' '"),
        ("hash", "replace(hash, substr(hash, 1, 1), CASE substr(hash, 1, 1) WHEN 'a' THEN 'b' ELSE 'a' END)"),
    ],
)
async def test_a_changed_column_is_found_where_it_was_changed(story: Bench, column: str, value: str) -> None:
    await story.change(f"UPDATE log_entry SET {column} = {value} WHERE no = 3")
    verdict = await verify(story.store)
    assert (verdict.broken_at, verdict.problem, verdict.entries) == (3, "changed", 2)


@pytest.mark.parametrize(
    ("statement", "broken_at", "problem"),
    [
        ("DELETE FROM log_entry WHERE no = 4", 4, "missing"),
        ("DELETE FROM log_entry WHERE no > 7", 8, "cut_off"),
        ("DELETE FROM log_entry", 1, "cut_off"),
        (
            (
                "INSERT INTO log_entry SELECT 11, at_ms, what, alarm, hub, actor, actor_name, content, hash"
                " FROM log_entry WHERE no = 10"
            ),
            11,
            "changed",
        ),
        ("UPDATE log_entry SET no = CASE no WHEN 5 THEN 106 ELSE no END", 5, "missing"),
    ],
)
async def test_what_was_removed_put_in_or_cut_off_is_found(
    story: Bench, statement: str, broken_at: int, problem: str
) -> None:
    await story.change(statement)
    verdict = await verify(story.store)
    assert (verdict.broken_at, verdict.problem) == (broken_at, problem)


async def test_an_end_that_was_rewritten_without_the_counter_is_found(story: Bench) -> None:
    await story.change("UPDATE counter SET hash = 'f' WHERE name = 'log'")
    assert (await verify(story.store)).problem == "end_changed"


async def test_free_text_about_a_resident_is_not_in_the_log(story: Bench) -> None:
    assert await story.value("SELECT count(*) FROM log_entry WHERE content LIKE '%datter%'") == 0
