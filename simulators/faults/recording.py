"""A recording of what a process asked of its disk (recorder.h), read back in order."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

_HEAD = struct.Struct("<IIQqII")
_MAGIC = 0x56524543


class Note(IntEnum):
    """What was noted. Numbers as in recorder.h."""

    OPEN = 1
    WRITE = 2
    SYNC_BEGIN = 3
    SYNC_END = 4
    TRUNCATE = 5
    UNLINK = 6
    RENAME = 7
    MKDIR = 8
    ALLOCATE = 9
    MARK = 10
    """Of the hub itself: see `recorded_hub`."""


@dataclass(frozen=True, slots=True)
class Step:
    """One note. `number`: offset, length or flags, as recorder.h says."""

    kind: Note
    inode: int
    number: int
    thread: int
    content: bytes

    @property
    def path(self) -> str:
        """Of an open, unlink or mkdir."""
        return self.content.decode()

    @property
    def mark(self) -> dict[str, Any]:
        """Of a mark."""
        found: dict[str, Any] = json.loads(self.content)
        return found


def packed_mark(mark: dict[str, Any]) -> bytes:
    """A mark, to be appended to a recording with one write."""
    content = json.dumps(mark, separators=(",", ":")).encode()
    return _HEAD.pack(_MAGIC, Note.MARK, 0, 0, 0, len(content)) + content


def steps(recording: Path) -> Iterator[Step]:
    """Everything, in order. Raises ValueError for a recording that is not whole."""
    data = memoryview(recording.read_bytes())
    at = 0
    while at < len(data):
        magic, kind, inode, number, thread, length = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        if magic != _MAGIC or at + length > len(data):
            raise ValueError(f"{recording} is not whole at byte {at}")
        yield Step(Note(kind), inode, number, thread, bytes(data[at : at + length]))
        at += length
