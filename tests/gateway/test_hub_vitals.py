"""What the hub's watchdog rests on: a fault of ours starves it, a fault of the world never does."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from cloud_sync.identity import Lane
from gateway import vitals
from gateway.card_test import CardTest
from gateway.errors import JournalError
from gateway.journal import ProbeResult
from gateway.vitals import Flow, are_sources_alive, is_trying

GOOD = ProbeResult(write_ms=1.0, read_ms=1.0, free_bytes=1 << 30, total_bytes=1 << 31, reserve_bytes=1 << 20)


def test_what_waits_and_is_not_done_is_a_hang_and_an_empty_queue_is_not() -> None:
    flow = Flow()
    assert flow.is_alive(0, 0)
    assert flow.is_alive(0, 0)
    assert flow.is_alive(3, 1)
    assert not flow.is_alive(3, 1)
    assert flow.is_alive(3, 2)


def test_a_path_that_is_tried_again_and_again_in_vain_is_alive() -> None:
    assert is_trying(1000.0, 1000.0 + 60)
    assert not is_trying(1000.0, 1000.0 + 300)


def test_only_a_driver_that_cannot_be_ended_asks_for_a_new_process_and_not_in_safe_mode() -> None:
    assert are_sources_alive((), is_safe_mode=False)
    assert not are_sources_alive(("ward",), is_safe_mode=False)
    assert are_sources_alive(("ward",), is_safe_mode=True)


class Card:
    """A journal whose writer and whose card can each hang."""

    def __init__(self) -> None:
        self.comes_back = asyncio.Event()
        self.comes_back.set()
        self.error: JournalError | None = None
        self.probe_hangs = False
        self.probed: ProbeResult = GOOD
        self.written: list[tuple[Lane, Mapping[str, Any]]] = []

    async def remember(self, lane: Lane, memory: Mapping[str, Any]) -> None:
        await self.comes_back.wait()
        if self.error is not None:
            raise self.error
        self.written.append((lane, memory))

    async def probe(self) -> ProbeResult:
        if self.probe_hangs:
            await asyncio.Event().wait()
        return self.probed


class Told(list[tuple[str, str]]):
    def __call__(self, word: str, *, details: Mapping[str, Any]) -> None:
        self.append((word, str(details["what"])))


@pytest.fixture
def told() -> Told:
    return Told()


def card_test(card: Card, told: Told) -> CardTest:
    return CardTest(card, report=told, write_limit_s=0.05, probe_limit_s=0.05)


async def test_the_journal_is_tested_as_an_alarm_would_be_written(told: Told) -> None:
    card = Card()
    test = card_test(card, told)
    await test.test()
    assert test.is_alive
    assert card.written[0][0] is Lane.ALARM
    assert told == []


async def test_a_card_that_refuses_is_no_reason_for_a_restart(told: Told) -> None:
    card = Card()
    card.error = JournalError("read-only")
    test = card_test(card, told)
    await test.test()
    assert test.is_alive


@pytest.mark.parametrize("how", ["hangs", "fails"])
async def test_a_card_that_hangs_is_told_and_is_no_reason_for_a_restart(told: Told, how: str) -> None:
    card = Card()
    card.comes_back.clear()
    card.probe_hangs = how == "hangs"
    card.probed = replace(GOOD, write_ms=None, error="EIO")
    test = card_test(card, told)
    running = asyncio.create_task(test.test())
    async with asyncio.timeout(5):
        while not told:
            await asyncio.sleep(0.01)
    assert test.is_alive
    assert told == [("journal_trouble", "hangs")]
    card.comes_back.set()
    await running
    assert told[1:] == [("journal_recovered", "hangs")]


async def test_a_journal_that_hangs_on_a_good_card_is_our_own_fault(told: Told) -> None:
    card = Card()
    card.comes_back.clear()
    test = card_test(card, told)
    running = asyncio.create_task(test.test())
    await asyncio.sleep(0.3)
    assert not test.is_alive
    assert told == []
    card.comes_back.set()
    await running
    assert test.is_alive


def test_the_longest_wait_for_a_path_fits_into_the_patience_with_it() -> None:
    from gateway.back_off import FRAMES, STUBS

    assert max(FRAMES.max_s, STUBS.max_s, FRAMES.spread_s) + 60 < vitals.TRY_WITHIN_S
