"""Power cuts: a recording of the real hub, disks as they may be afterwards, and the real journal opened on each.

python -m simulators.faults.power_cut RECORDING --cut N --chance M    looks at one cut of a kept recording again
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cloud_sync.errors import MalformedError
from cloud_sync.identity import Lane, new_id
from cloud_sync.ranges import SeqRanges
from cloud_sync.record import parse_record
from gateway.errors import HubError
from gateway.journal import Trouble, open_journal
from gateway.journal.inspection import dump
from simulators.faults.disk import Disk, Style
from simulators.faults.ledger import Place
from simulators.faults.recorded_hub import digest
from simulators.faults.recording import Note, Step, packed_mark, steps

SALVAGE_S = 5.0
_URGENT = {int(lane) for lane in Lane if lane.is_urgent}


@dataclass(slots=True)
class Promises:
    """What the card had confirmed by some step of a recording."""

    durable: dict[Place, str] = field(default_factory=dict)
    receipted: dict[tuple[str, int], SeqRanges] = field(default_factory=dict)

    def take(self, step: Step) -> None:
        """The next mark."""
        mark = step.mark
        if "durable" in mark:
            epoch, lane, seq = mark["durable"]
            self.durable[epoch, lane, seq] = mark["digest"]
        else:
            epoch, lane = mark["receipt"]
            ranges = self.receipted.setdefault((epoch, lane), SeqRanges())
            for first, last in mark["ranges"]:
                ranges.add(first, last)

    def must_be_there(self) -> Iterator[tuple[Place, str]]:
        """Alarm and care for days, everything else until central has it."""
        for place, digest_ in self.durable.items():
            epoch, lane, seq = place
            if lane in _URGENT or seq not in self.receipted.get((epoch, lane), ()):
                yield place, digest_


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """One power cut: after which step, and the chance that decides what the disk has kept."""

    step: int
    chance: int

    @property
    def style(self) -> Style:
        """How the disk chooses."""
        return random.Random(self.chance).choice(list(Style))

    @property
    def words(self) -> str:
        """On the command line."""
        return f"--cut {self.step} --chance {self.chance}"


def choose_cuts(recorded: Sequence[Step], count: int, chance: random.Random) -> list[Cut]:
    """Half of them just after something was confirmed, half anywhere since the first confirmation; in order."""
    marks = [number for number, step in enumerate(recorded) if step.kind is Note.MARK and "durable" in step.mark]
    if not marks:
        raise ValueError("nothing was confirmed while this was recorded")
    found = []
    for _ in range(count):
        at = chance.choice(marks) if chance.random() < 0.5 else chance.randrange(marks[0], len(recorded))
        found.append(Cut(step=at, chance=chance.getrandbits(32)))
    return sorted(found, key=lambda cut: cut.step)


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What was found after one cut."""

    cut: Cut
    promised: int
    missing: list[Place] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    refusal: str = ""
    """Why the journal could not be used; empty when it could."""

    @property
    def is_damaged(self) -> bool:
        """Whether a file had to be set aside."""
        return any(trouble.what == "damaged" for trouble in self.troubles)


def play_cuts(
    recorded: Sequence[Step], root: str, cuts: Sequence[Cut], folder: Path
) -> Iterator[tuple[Cut, Promises, Path]]:
    """Each cut with what was promised by then, and a folder with what the disk has kept; it is removed afterwards."""
    disk, promises = Disk(root), Promises()
    done = 0
    for cut in cuts:
        for step in recorded[done : cut.step + 1]:
            disk.take(step)
            if step.kind is Note.MARK:
                promises.take(step)
        done = cut.step + 1
        image = Path(tempfile.mkdtemp(prefix="cut-", dir=folder))
        try:
            disk.leave(image, random.Random(cut.chance + 1), cut.style)
            yield cut, promises, image
        finally:
            shutil.rmtree(image, ignore_errors=True)


async def examine(cut: Cut, promises: Promises, journal: Path, hub: bytes) -> Outcome:
    """Start the real journal on it, as the hub does, and look for everything that was promised."""
    wanted = dict(promises.must_be_there())
    outcome = Outcome(cut=cut, promised=len(wanted))
    try:
        await _use(journal, hub, outcome.troubles)
        there = {(row.epoch, int(row.lane), row.seq): bytes.fromhex(row.hex) for row in dump(journal)}
    except (HubError, TimeoutError) as error:
        outcome.refusal = f"{type(error).__name__}: {error}"
        outcome.missing = sorted(wanted)
        return outcome
    outcome.missing = sorted(place for place, mark in wanted.items() if not _is_whole(there.get(place), mark))
    return outcome


def _is_whole(record: bytes | None, mark: str) -> bool:
    if record is None or digest(record) != mark:
        return False
    try:
        parse_record(record)
    except MalformedError:
        return False
    return True


async def _use(directory: Path, hub: bytes, troubles: list[Trouble]) -> None:
    """Open, begin an epoch, add an alarm, wait for salvage, close."""
    told: list[Trouble] = []
    async with (
        asyncio.timeout(30),
        open_journal(directory, hub, wall_ms=lambda: time.time_ns() // 1_000_000, on_trouble=told.append) as journal,
    ):
        epoch = new_id()
        await journal.start_epoch(epoch, b"header of " + epoch)
        await journal.append(Lane.ALARM, 1, b"an alarm after the power cut")
        asides = {trouble.set_aside for trouble in journal.opened.troubles if trouble.what == "damaged"}
        begun = time.monotonic()
        while time.monotonic() < begun + SALVAGE_S:
            salvaged = {one.set_aside for one in [*journal.opened.troubles, *told] if one.what == "salvaged"}
            if asides <= salvaged:
                break
            await asyncio.sleep(0.02)
        await journal.flush()
        await journal.close(is_clean=True, last={Lane.ALARM: 1})
        troubles += [*journal.opened.troubles, *told]


def keep(recording: Path, root: str, hub: bytes, place: Path) -> None:
    """Copy a recording; its last mark says what else `look_again` needs, so that nothing stands before the cuts."""
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(recording, place)
    with place.open("ab") as kept:
        kept.write(packed_mark({"root": root, "hub": hub.hex()}))


async def look_again(kept: Path, cut: Cut, *, copy: Path | None = None) -> Outcome:
    """One disk of a recording that was kept. Raises ValueError for one that was not kept by `keep`, or a cut beyond."""
    *recorded, last = steps(kept)
    if last.kind is not Note.MARK or "root" not in last.mark:
        raise ValueError(f"{kept} is no recording that was kept")
    if cut.step >= len(recorded):
        raise ValueError(f"{kept} has {len(recorded)} steps, and none is number {cut.step}")
    with tempfile.TemporaryDirectory(prefix="cut-") as folder:
        for _, promises, image in play_cuts(recorded, last.mark["root"], [cut], Path(folder)):
            if copy is not None:
                shutil.copytree(image, copy)
            return await examine(cut, promises, image / "journal", bytes.fromhex(last.mark["hub"]))
    raise AssertionError("unreachable")


def main() -> int:
    """Look at one cut again."""
    parser = argparse.ArgumentParser(prog="python -m simulators.faults.power_cut", description=__doc__)
    parser.add_argument("recording", type=Path)
    parser.add_argument("--cut", type=int, required=True)
    parser.add_argument("--chance", type=int, required=True)
    parser.add_argument("--keep", type=Path, help="copy the disk to here first")
    words = parser.parse_args()
    cut = Cut(step=words.cut, chance=words.chance)
    try:
        outcome = asyncio.run(look_again(words.recording, cut, copy=words.keep))
    except (OSError, ValueError) as error:
        parser.error(str(error))
    print(f"{cut.style.value}: {outcome.promised} promised, {len(outcome.missing)} missing {outcome.missing[:5]}")
    print(outcome.refusal or "the journal can be used")
    print(*outcome.troubles, sep="\n")
    return 1 if outcome.missing or outcome.refusal else 0


if __name__ == "__main__":
    sys.exit(main())
