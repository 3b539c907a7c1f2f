"""A control group with little memory or little of a processor, for a process and its children. Needs root.

On a machine with the unified hierarchy (cgroup v2) by `memory.max` and `cpu.max`; where the controllers are still bound
to the old one, by the files that mean the same there.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
PERIOD_US = 100_000
GONE_S = 5.0


class LimitError(Exception):
    """This machine lets us make no such group. The text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Where processes are put, and where it is told how they fare."""

    places: tuple[Path, ...]
    memory: Path
    is_unified: bool

    def before(self) -> list[str]:
        """Words before a command line: it runs in this group."""
        joins = " && ".join(f'echo $$ > "{place}/cgroup.procs"' for place in self.places)
        return ["sh", "-c", f'{joins} && exec "$@"', "sh"]

    def set_memory(self, limit_bytes: int) -> None:
        """From now on no more than this. Pages on swap count as well."""
        if self.is_unified:
            (self.memory / "memory.max").write_text(str(limit_bytes))
            with contextlib.suppress(OSError):
                (self.memory / "memory.swap.max").write_text("0")
            return
        both = self.memory / "memory.memsw.limit_in_bytes"
        with contextlib.suppress(OSError):
            both.write_text("-1")
        (self.memory / "memory.limit_in_bytes").write_text(str(limit_bytes))
        if limit_bytes > 0:
            with contextlib.suppress(OSError):
                both.write_text(str(limit_bytes))

    def used_bytes(self) -> int:
        """What the group holds now, the pages of its files included."""
        name = "memory.current" if self.is_unified else "memory.usage_in_bytes"
        return int((self.memory / name).read_text())

    def kills(self) -> int:
        """How often the kernel has ended one for want of memory."""
        name = "memory.events" if self.is_unified else "memory.oom_control"
        for line in (self.memory / name).read_text().splitlines():
            word, _, number = line.partition(" ")
            if word == "oom_kill":
                return int(number)
        return 0


@contextmanager
def group(name: str, *, share: float | None = None) -> Iterator[Group]:
    """A group, with `share` of one processor. It is gone afterwards, and what still ran in it is ended."""
    name = f"vaktpost-{name}-{os.getpid()}"
    if os.geteuid() != 0:
        raise LimitError("limits by control group need root")
    unified = "memory" in _words(ROOT / "cgroup.controllers") and "cpu" in _words(ROOT / "cgroup.controllers")
    bases = [ROOT] if unified else [ROOT / "memory", ROOT / "cpu"]
    for base in bases:
        if not (base / "cgroup.procs").exists():
            raise LimitError(f"there is no control group hierarchy at {base}")
    places = tuple(base / name for base in bases)
    if unified and not {"memory", "cpu"} <= set(_words(ROOT / "cgroup.subtree_control")):
        (ROOT / "cgroup.subtree_control").write_text("+memory +cpu")
    try:
        for place in places:
            place.mkdir()
        if share is not None:
            quota = round(share * PERIOD_US)
            if unified:
                (places[0] / "cpu.max").write_text(f"{quota} {PERIOD_US}")
            else:
                (places[1] / "cpu.cfs_period_us").write_text(str(PERIOD_US))
                (places[1] / "cpu.cfs_quota_us").write_text(str(quota))
        yield Group(places=places, memory=places[0], is_unified=unified)
    finally:
        for place in places:
            _remove(place)


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []


def _remove(place: Path) -> None:
    if not place.is_dir():
        return
    ends = time.monotonic() + GONE_S
    while True:
        for pid in _words(place / "cgroup.procs"):
            with contextlib.suppress(ProcessLookupError, ValueError):
                os.kill(int(pid), 9)
        try:
            place.rmdir()
        except OSError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.05)
        else:
            return
