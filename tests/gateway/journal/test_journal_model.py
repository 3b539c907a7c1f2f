"""The journal against a simple model of it, through any order of appends, receipts, restarts and power cuts."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import defaultdict
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from cloud_sync.identity import Lane, new_id
from cloud_sync.ranges import SeqRanges
from gateway.journal import Journal, JournalSettings, open_journal

HUB = b"modelhub"
SETTINGS = JournalSettings(
    telemetry_commit_s=60, technical_commit_s=60, settle_s=60, delete_rows=3, bulk_commit_rows=7, reserve_bytes=0
)
lanes = st.sampled_from(list(Lane))
Name = tuple[bytes, int]


class JournalMachine(RuleBasedStateMachine):
    """`durable`: confirmed. `settled`: receipted, which a power cut may undo. `sure`: receipted and on the card."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.root = Path(tempfile.mkdtemp(prefix="journal-model-"))
        self.copies = 0
        self.stack: AsyncExitStack
        self.journal: Journal
        self.epochs: list[bytes] = []
        self.seqs: dict[Lane, int] = defaultdict(int)
        self.records: dict[Lane, dict[Name, bytes]] = {lane: {} for lane in Lane}
        self.durable: dict[Lane, set[Name]] = {lane: set() for lane in Lane}
        self.settled: dict[Lane, set[Name]] = {lane: set() for lane in Lane}
        self.sure: dict[Lane, set[Name]] = {lane: set() for lane in Lane}
        self.once: dict[Lane, set[Name]] = {lane: set() for lane in Lane}
        """Bulk that was receipted by a lineage before: it may be gone."""
        self.unopened: dict[Lane, set[Name]] = {lane: set() for lane in Lane}
        self.memory: dict[str, int | str] = {}
        self.sure_memory: dict[str, int | str] = {}
        self.lineage = b"lineage0"

    def wait(self, work: Any) -> Any:
        async def bounded() -> Any:
            async with asyncio.timeout(20):
                return await work

        return self.runner.run(bounded())

    @initialize()
    def begin(self) -> None:
        self.wait(self._open())

    async def _open(self) -> None:
        self.stack = AsyncExitStack()
        directory = self.root / f"journal-{self.copies}"
        self.journal = await self.stack.enter_async_context(
            open_journal(directory, HUB, wall_ms=lambda: 86_400_000 * 20_000, settings=SETTINGS)
        )
        assert self.journal.opened.troubles == ()
        if self.epochs:
            assert self.journal.opened.previous is not None
            assert self.journal.opened.previous.epoch == self.epochs[-1]
        await self._recover()
        epoch = new_id()
        await self.journal.start_epoch(epoch, b"header of " + epoch)
        self.epochs.append(epoch)
        self.seqs.clear()
        self._all_is_sure()

    async def _recover(self) -> None:
        """What is there must be between what must be and what may be; from then on it is what is."""
        for lane in Lane:
            found = set(await self._unsettled(lane))
            gone = self.once[lane] if not lane.is_urgent else set()
            assert self.durable[lane] - self.settled[lane] - gone <= found
            assert found <= set(self.records[lane]) - self.sure[lane]
            self.durable[lane] |= found
            self.settled[lane] = {name for name in self.durable[lane] if name not in found}
            self.records[lane] = {name: self.records[lane][name] for name in self.durable[lane]}
        memory = dict(self.journal.opened.memory)
        for key, value in self.sure_memory.items():
            if value != "":
                assert memory.get(key) in {value, self.memory[key]}
        self.memory = memory

    async def _unsettled(self, lane: Lane) -> list[Name]:
        found: list[Name] = []
        cursor = None
        while page := await self.journal.unsettled(lane, cursor, 4):
            for stored in page:
                found.append((stored.epoch, stored.seq))
                assert stored.record == self.records[lane][stored.epoch, stored.seq]
            cursor = page[-1].cursor
        return found

    def _all_is_sure(self) -> None:
        for lane in Lane:
            self.sure[lane] = set(self.settled[lane])
            self.once[lane] = {name for name in self.once[lane] if name in self.durable[lane]}
        self.sure_memory = dict(self.memory)

    @rule(lane=lanes, size=st.integers(1, 3000), count=st.integers(1, 9), key=st.sampled_from(["", "a", "b"]))
    def append(self, lane: Lane, size: int, count: int, key: str) -> None:
        async def append() -> None:
            futures = []
            for _ in range(count):
                self.seqs[lane] += 1
                seq = self.seqs[lane]
                record = bytes([seq % 256]) * size
                self.records[lane][self.epochs[-1], seq] = record
                memory = {key: seq, f"{key}/{lane.word}": str(size)} if key else {}
                self.memory |= memory
                futures.append(self.journal.append_nowait(lane, seq, record, memory))
            if not lane.is_urgent:
                await self.journal.flush()
            await asyncio.gather(*futures)

        self.wait(append())
        self.durable[lane] |= {
            (self.epochs[-1], seq) for seq in range(self.seqs[lane] - count + 1, self.seqs[lane] + 1)
        }
        if lane.is_urgent:
            if key:
                self.sure_memory |= {key: self.memory[key], f"{key}/{lane.word}": str(size)}
        else:
            self.sure_memory = dict(self.memory)  # flushing writes both files

    @rule(lane=lanes, memory=st.dictionaries(st.sampled_from("abcd"), st.integers(-9, 9) | st.sampled_from(["", "x"])))
    def remember(self, lane: Lane, memory: dict[str, int | str]) -> None:
        async def remember() -> None:
            future = self.journal.remember(lane, memory)
            if not lane.is_urgent:
                await self.journal.flush()
            await future

        self.wait(remember())
        self.memory |= memory
        if lane.is_urgent:
            self.sure_memory |= memory
        else:
            self.sure_memory = dict(self.memory)

    @rule(
        lane=lanes, which=st.integers(0, 5), first=st.integers(1, 12), length=st.integers(0, 12), bad=st.integers(0, 12)
    )
    def settle(self, lane: Lane, which: int, first: int, length: int, bad: int) -> None:
        epoch = self.epochs[-1 - which % len(self.epochs)]
        stored = SeqRanges([(first, first + length)])
        unopened = SeqRanges([(bad, bad)]) if bad else SeqRanges()
        self.wait(self.journal.settle(epoch, lane, stored, unopened, self.lineage))
        for _, seq in [name for name in self.durable[lane] if name[0] == epoch]:
            if seq in stored or seq in unopened:
                self.settled[lane].add((epoch, seq))
        # a receipt for what was not appended yet is remembered, too: leave such numbers out of the run
        if epoch == self.epochs[-1]:
            highest = max(first + length, bad)
            for seq in range(self.seqs[lane] + 1, highest + 1):
                if seq in stored or seq in unopened:
                    self.seqs[lane] = max(self.seqs[lane], highest)

    @rule(which=st.integers(0, 5), lane=lanes)
    def central_is_restored(self, which: int, lane: Lane) -> None:
        self.lineage = b"lineage" + str(int(self.lineage[7:]) % 8 + 1).encode()
        self.wait(self.journal.settle(self.epochs[-1], lane, SeqRanges(), SeqRanges(), self.lineage))
        self.wait(self.journal.flush())
        for each in Lane:
            found = set(self.wait(self._unsettled(each)))
            must = self.durable[each] if each.is_urgent else self.durable[each] - self.settled[each]
            assert must <= found <= self.durable[each]
            self.durable[each] = found
            self.settled[each] = set()
            self.sure[each] = set()
            self.records[each] = {name: self.records[each][name] for name in found}
        self.sure_memory = dict(self.memory)

    @rule()
    def flush(self) -> None:
        self.wait(self.journal.flush())
        for lane in Lane:
            if lane.is_urgent:  # bulk deletes a few rows only at a time
                self.sure[lane] = set(self.settled[lane])
        self.sure_memory = dict(self.memory)

    @rule(is_clean=st.booleans())
    def restart(self, is_clean: bool) -> None:
        async def close() -> None:
            await self.journal.close(is_clean=is_clean, last=dict(self.seqs))
            await self.stack.aclose()

        self.wait(close())
        for lane in Lane:
            self.sure[lane] = set(self.settled[lane])
        self.sure_memory = dict(self.memory)
        self.wait(self._open())

    @rule()
    def power_cut(self) -> None:
        before = self.root / f"journal-{self.copies}"
        self.copies += 1
        shutil.copytree(before, self.root / f"journal-{self.copies}")
        self.wait(self.stack.aclose())
        shutil.rmtree(before)
        self.wait(self._open())

    @invariant()
    def offers_exactly_what_is_not_settled(self) -> None:
        if not hasattr(self, "journal"):
            return
        for lane in Lane:
            order = {epoch: number for number, epoch in enumerate(self.epochs)}
            expected = sorted(self.durable[lane] - self.settled[lane], key=lambda name: (order[name[0]], name[1]))
            assert self.wait(self._unsettled(lane)) == expected
            counted = self.wait(self.journal.counts())[lane]
            assert counted.records >= len(expected)
            if counted.is_exact:
                assert counted.records == len(expected)
        assert dict(self.journal.memory) == {key: value for key, value in self.memory.items() if value != ""}

    def teardown(self) -> None:
        if hasattr(self, "stack"):
            self.wait(self.stack.aclose())
        self.runner.close()
        shutil.rmtree(self.root)


TestJournalModel = JournalMachine.TestCase
TestJournalModel.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
