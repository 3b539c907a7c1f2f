"""What a disk may hold after a power cut, given what was asked of it: files by sectors, folders by names. Pure.

The model (docs/durability.md tells why it is as strict as it is):

- A sector of 512 bytes is whole: it holds its content after some write, or what it held when its file was last synced.
  Every unsynced sector chooses for itself: a write may be torn between sectors, and a later one may have come before.
- The length of a file is chosen likewise, apart from its sectors. Below it, what never was written is zero, or rubbish.
- A sync of a file makes its content and length durable as they were when the sync *began*, and not its name.
- A name (made, removed, renamed) is durable once its folder was synced. Until then a beginning of what was done to the
  folder has survived, or any part of it.
- What a process maps into its memory (SQLite's -shm) may hold anything.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from itertools import count
from pathlib import Path, PurePosixPath

from simulators.faults.recording import Note, Step

SECTOR = 512
_CREATE = 0o100


class Style(Enum):
    """How a disk chooses among what was not synced. Any choice is allowed; these find faults soonest."""

    NOTHING = "nothing survived"
    EVERYTHING = "everything survived"
    TORN = "in order up to some write, which is torn"
    WRITES = "each write whole or not at all"
    SECTORS = "each sector for itself"
    LATEST = "sectors, mostly the latest version"


_numbers = count(1)


@dataclass(slots=True, eq=False)
class File:
    """A file: as the process sees it (`live`), as it certainly is on the disk, and versions in between."""

    number: int = field(default_factory=lambda: next(_numbers))
    live: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    versions: dict[int, list[tuple[int, bytes]]] = field(default_factory=dict)
    """By sector: (step, content), oldest first."""
    lengths: list[tuple[int, int]] = field(default_factory=list)
    durable_length: int = 0

    def write(self, step: int, offset: int, content: bytes) -> None:
        """Bytes at a place."""
        end = offset + len(content)
        if end > len(self.live):
            self._resize(step, end)
        self.live[offset:end] = content
        self._note(step, offset, end)

    def truncate(self, step: int, length: int) -> None:
        """A new length."""
        before = len(self.live)
        if length != before:
            self._resize(step, length)
            if length < before:
                self._note(step, length, before)

    def allocate(self, step: int, length: int) -> None:
        """At least this length."""
        if length > len(self.live):
            self._resize(step, length)

    def _resize(self, step: int, length: int) -> None:
        if length < len(self.live):
            del self.live[length:]
        else:
            self.live.extend(bytes(length - len(self.live)))
        self.lengths.append((step, length))

    def _note(self, step: int, first: int, end: int) -> None:
        for sector in range(first // SECTOR, -(-end // SECTOR)):
            content = bytes(self.live[sector * SECTOR : (sector + 1) * SECTOR]).ljust(SECTOR, b"\0")
            self.versions.setdefault(sector, []).append((step, content))

    def sync(self, begun: int) -> None:
        """Everything up to the step at which a sync began is durable."""
        for sector, versions in list(self.versions.items()):
            done = [content for step, content in versions if step <= begun]
            if done:
                self._settle(sector, done[-1])
                self.versions[sector] = versions[len(done) :]
                if not self.versions[sector]:
                    del self.versions[sector]
        past = [length for step, length in self.lengths if step <= begun]
        if past:
            self.durable_length = past[-1]
            self.lengths = self.lengths[len(past) :]

    def _settle(self, sector: int, content: bytes) -> None:
        at = sector * SECTOR
        if len(self.durable) < at + SECTOR:
            self.durable.extend(bytes(at + SECTOR - len(self.durable)))
        self.durable[at : at + SECTOR] = content

    def image(self, chance: random.Random, style: Style) -> bytes:
        """One of the contents that the disk may hold."""
        steps = sorted({step for versions in self.versions.values() for step, _ in versions})
        torn = chance.choice(steps) if steps else 0
        whole = {step: chance.random() < 0.5 for step in steps}
        share = chance.choice((0.1, 0.5, 0.9))
        length = self._length(chance, style, torn)
        content = bytearray(self.durable[:length].ljust(length, b"\0"))
        rubbish = chance.random() < 0.1
        for sector, versions in self.versions.items():
            at = sector * SECTOR
            if at >= length:
                continue
            chosen = self._choose(versions, chance, style, torn, whole, share)
            if chosen is not None:
                content[at : at + SECTOR] = chosen
            elif rubbish and at >= len(self.durable):
                content[at : at + SECTOR] = chance.randbytes(SECTOR)
        return bytes(content[:length])

    @staticmethod
    def _choose(
        versions: list[tuple[int, bytes]],
        chance: random.Random,
        style: Style,
        torn: int,
        whole: Mapping[int, bool],
        share: float,
    ) -> bytes | None:
        match style:
            case Style.NOTHING:
                return None
            case Style.EVERYTHING:
                return versions[-1][1]
            case Style.TORN:
                there = [
                    content for step, content in versions if step < torn or (step == torn and chance.random() < 0.5)
                ]
            case Style.WRITES:
                there = [content for step, content in versions if whole[step]]
            case Style.LATEST:
                there = [versions[-1][1]] if chance.random() < share else []
            case Style.SECTORS:
                return chance.choice([None, *(content for _, content in versions)])
        return there[-1] if there else None

    def _length(self, chance: random.Random, style: Style, torn: int) -> int:
        lengths = [self.durable_length, *(length for _, length in self.lengths)]
        if style is Style.NOTHING:
            return lengths[0]
        if style is Style.EVERYTHING:
            return lengths[-1]
        if style is Style.TORN:
            return [self.durable_length, *(length for step, length in self.lengths if step <= torn)][-1]
        return chance.choice(lengths)


@dataclass(slots=True, eq=False)
class Folder:
    """Names. A change is (step, name, what it names from then on or None)."""

    live: dict[str, File | Folder] = field(default_factory=dict)
    durable: dict[str, File | Folder] = field(default_factory=dict)
    changes: list[tuple[int, tuple[tuple[str, File | Folder | None], ...]]] = field(default_factory=list)

    def change(self, step: int, *names: tuple[str, File | Folder | None]) -> None:
        """These names at once."""
        _apply(self.live, names)
        self.changes.append((step, names))

    def sync(self, begun: int) -> None:
        """What was done up to then is durable."""
        for step, names in self.changes:
            if step <= begun:
                _apply(self.durable, names)
        self.changes = [change for change in self.changes if change[0] > begun]

    def image(self, chance: random.Random, style: Style) -> dict[str, File | Folder]:
        """One of the lists of names that the disk may hold."""
        names = dict(self.durable)
        if style is Style.NOTHING:
            kept = []
        elif style is Style.EVERYTHING:
            kept = self.changes
        elif chance.random() < 0.7:
            kept = self.changes[: chance.randint(0, len(self.changes))]
        else:
            kept = [change for change in self.changes if chance.random() < 0.5]
        for _, change in kept:
            _apply(names, change)
        return names


def _apply(names: dict[str, File | Folder], change: tuple[tuple[str, File | Folder | None], ...]) -> None:
    for name, what in change:
        if what is None:
            names.pop(name, None)
        else:
            names[name] = what


class Disk:
    """Everything below `root` that came there after the recording began; what was there before is left alone."""

    def __init__(self, root: str) -> None:
        self._root = PurePosixPath(root)
        self._top = Folder()
        self._by_inode: dict[int, File | Folder] = {}
        self._strangers: set[int] = set()
        self._syncs: dict[tuple[int, int], int] = {}
        self._step = 0

    def take(self, step: Step) -> None:
        """The next step of the recording."""
        self._step += 1
        if step.inode in self._strangers and step.kind is not Note.OPEN:
            return
        match step.kind:
            case Note.OPEN:
                self._open(step)
            case Note.WRITE:
                self._file(step).write(self._step, step.number, step.content)
            case Note.TRUNCATE:
                self._file(step).truncate(self._step, step.number)
            case Note.ALLOCATE:
                self._file(step).allocate(self._step, step.number)
            case Note.SYNC_BEGIN:
                self._syncs[step.thread, step.inode] = self._step
            case Note.SYNC_END:
                self._by_inode[step.inode].sync(self._syncs.pop((step.thread, step.inode)))
            case Note.UNLINK if self._is_known(step.path):
                folder, name = self._place(step.path)
                folder.change(self._step, (name, None))
            case Note.RENAME:
                self._rename(*step.content.decode().split("\0"))
            case Note.MKDIR if self._is_known(step.path):
                folder, name = self._place(step.path)
                self._by_inode[step.inode] = made = Folder()
                folder.change(self._step, (name, made))
            case _:
                pass

    def _open(self, step: Step) -> None:
        if PurePosixPath(step.path) == self._root:
            self._by_inode[step.inode] = self._top
            return
        if not self._is_known(step.path):
            self._strangers.add(step.inode)
            return
        folder, name = self._place(step.path)
        there = folder.live.get(name)
        if there is not None:
            self._by_inode.setdefault(step.inode, there)
            if self._by_inode[step.inode] is not there:
                raise ValueError(f"{step.path} is another file than was noted")
            return
        if not step.number & _CREATE:
            self._strangers.add(step.inode)  # it was there before the recording began
            return
        self._strangers.discard(step.inode)
        self._by_inode[step.inode] = made = File()
        folder.change(self._step, (name, made))

    def _file(self, step: Step) -> File:
        found = self._by_inode[step.inode]
        if not isinstance(found, File):
            raise TypeError("a folder was written to")
        return found

    def _is_known(self, path: str) -> bool:
        """Whether the folder it lies in was made while this was recorded, or is the root."""
        folder = self._top
        for part in PurePosixPath(path).relative_to(self._root).parts[:-1]:
            below = folder.live.get(part)
            if not isinstance(below, Folder):
                return False
            folder = below
        return True

    def _place(self, path: str) -> tuple[Folder, str]:
        parts = PurePosixPath(path).relative_to(self._root).parts
        folder = self._top
        for part in parts[:-1]:
            below = folder.live[part]
            if not isinstance(below, Folder):
                raise TypeError(f"{part} is no folder")
            folder = below
        return folder, parts[-1]

    def _rename(self, before: str, after: str) -> None:
        source, name = self._place(before)
        target, new = self._place(after)
        moved = source.live[name]
        if source is target:
            source.change(self._step, (new, moved), (name, None))
        else:
            target.change(self._step, (new, moved))
            source.change(self._step, (name, None))

    def live(self) -> dict[str, bytes]:
        """Every file as the process sees it."""
        return {path: bytes(file.live) for path, file in _walk(self._top.live)}

    def leave(self, target: Path, chance: random.Random, style: Style) -> None:
        """Write one of the states that the disk may be in into an empty folder."""
        self._leave(self._top.image(chance, style), target, chance, style)

    def _leave(self, names: dict[str, File | Folder], target: Path, chance: random.Random, style: Style) -> None:
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, what in names.items():
            path = target / name
            if isinstance(what, Folder):
                self._leave(what.image(chance, style), path, chance, style)
            elif name.endswith("-shm"):
                self._leave_map(path, chance)
            else:
                path.write_bytes(what.image(chance, style))
                path.chmod(0o600)

    @staticmethod
    def _leave_map(path: Path, chance: random.Random) -> None:
        content = chance.choice((b"", bytes(32768), chance.randbytes(32768)))
        path.write_bytes(content)
        path.chmod(0o600)


def _walk(names: Mapping[str, File | Folder], before: str = "") -> Iterator[tuple[str, File]]:
    for name, what in names.items():
        if isinstance(what, Folder):
            yield from _walk(what.live, f"{before}{name}/")
        else:
            yield f"{before}{name}", what
