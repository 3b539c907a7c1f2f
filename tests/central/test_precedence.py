"""Who computes a great deal stands still while an alarm is dealt with, and not for ever."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from central import precedence as subject
from central.precedence import LONGEST_S, SLICE, Precedence

MANY = 10 * SLICE


async def test_a_thread_stands_still_until_the_alarm_is_dealt_with(monkeypatch: pytest.MonkeyPatch) -> None:
    precedence, loop = Precedence(), asyncio.get_running_loop()
    stands, may_end = asyncio.Event(), asyncio.Event()
    done: list[int] = []

    def look(_seconds: float) -> None:
        loop.call_soon_threadsafe(stands.set)
        asyncio.run_coroutine_threadsafe(may_end.wait(), loop).result(30)

    monkeypatch.setattr(subject.time, "sleep", look)
    monkeypatch.setattr(subject, "LONGEST_S", 60.0)
    with precedence.claimed(linger_s=0.0):
        computing = asyncio.create_task(asyncio.to_thread(lambda: done.extend(precedence.calmly(range(MANY)))))
        await asyncio.wait_for(stands.wait(), 30)
        assert done == []
    while precedence.is_claimed:
        await asyncio.sleep(0)
    may_end.set()
    await asyncio.wait_for(computing, 30)
    assert done == list(range(MANY))


def test_an_alarm_in_the_middle_is_noticed_before_the_next_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    precedence, looked = Precedence(), list[float]()

    def look(seconds: float) -> None:
        looked.append(seconds)
        precedence._alarms = 0

    monkeypatch.setattr(subject.time, "sleep", look)
    items = precedence.calmly(range(MANY))
    assert list(itertools.islice(items, 3)) == [0, 1, 2]
    precedence._alarms = 1
    assert list(itertools.islice(items, SLICE - 3)) == list(range(3, SLICE))
    assert not looked
    assert next(items) == SLICE
    assert len(looked) == 1


def test_alarms_without_end_do_not_stop_it_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    precedence, now_s = Precedence(), 0.0

    def sleep(seconds: float) -> None:
        nonlocal now_s
        now_s += seconds

    monkeypatch.setattr(subject.time, "sleep", sleep)
    monkeypatch.setattr(subject.time, "monotonic", lambda: now_s)
    precedence._alarms = 1
    assert list(precedence.calmly(range(MANY))) == list(range(MANY))
    assert now_s == pytest.approx(LONGEST_S * MANY / SLICE, rel=0.1)
