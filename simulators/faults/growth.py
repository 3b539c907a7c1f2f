"""Whether a program grows: memory, open files, threads, tasks, and what lies beside the journal."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median_low

MORE_RSS_BYTES = 40 * 1024 * 1024
"""A program that has just started has met half of its code, and no trouble yet: its buffers come with the first."""
MORE_LATER_BYTES = 9 * 1024 * 1024
"""By half-time it has met everything. What is added from then on is a leak; of all of it the last quarter sees most.

Its median, because what comes and goes is none: while central copies its log into its database it is some 20 MB larger,
and may be looked at in that moment.
"""
MOST_CACHED_BYTES = 52 * 1024 * 1024
"""Allowed for the pages of its database that central keeps; their own bounds (`central.dialect`) are wider."""
LONG_ENOUGH_S = 120.0
LOOK_S = 2.0
MORE_FDS = 12
MORE_THREADS = 6
MORE_TASKS = 12
LARGEST_LOG_BYTES = 20 * 1024 * 1024
_EXPECTED = {f"{name}.db{end}" for name in ("alarm", "bulk") for end in ("", "-wal", "-shm")} | {
    "lock",
    *(f"reserve-{number}" for number in range(1, 5)),
    "probe",
    "lost+found",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """A process at one moment."""

    rss_bytes: int
    fds: int
    threads: int
    tasks: int | None = None
    files: Counter[str] = field(default_factory=Counter)
    """What is open, by kind: the names of files, "socket", "pipe" and the like."""


def size_of(pid: int, tasks: int | None = None) -> Size | None:
    """How large it is now; None when it is gone."""
    proc = Path("/proc") / str(pid)
    try:
        files = Counter(_open_files(proc / "fd"))
        status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines() if ":" in line)
        return Size(
            rss_bytes=int(status["VmRSS"].split()[0]) * 1024,
            fds=files.total(),
            threads=int(status["Threads"]),
            tasks=tasks,
            files=files,
        )
    except (OSError, KeyError, ValueError):
        return None


def _open_files(folder: Path) -> Iterator[str]:
    for number in folder.iterdir():
        try:
            target = str(number.readlink())
        except FileNotFoundError:  # closed meanwhile
            continue
        yield Path(target).name if target.startswith("/") else target.partition(":")[0]


class Looking:
    """Looks at the memory of programs every now and then, each process for itself."""

    def __init__(self) -> None:
        self._seen: dict[int, list[tuple[float, int]]] = {}

    def look(self, pid: int | None) -> None:
        """Write down how large it is now."""
        size = None if pid is None else size_of(pid)
        if pid is not None and size is not None:
            self._seen.setdefault(pid, []).append((time.monotonic(), size.rss_bytes))

    def grown(self, name: str, pid: int | None, cached: int = 0) -> list[str]:
        """Whether a process that ran long enough was still growing in the second half of its time.

        `cached`: so many bytes it may have put into caches that are bounded.
        """
        seen = self._seen.get(pid or 0, [])
        if len(seen) < 4 or seen[-1][0] - seen[0][0] < LONG_ENOUGH_S:
            return []
        start_s, end_s = seen[0][0], seen[-1][0]
        before = max(rss_bytes for at_s, rss_bytes in seen if at_s <= (start_s + end_s) / 2)
        lately = median_low(rss_bytes for at_s, rss_bytes in seen if at_s >= start_s + (end_s - start_s) * 3 / 4)
        if lately <= before + MORE_LATER_BYTES + cached:
            return []
        return [f"{name} still grows: {before} bytes of memory at most by half-time, mostly {lately} at the end"]


def cached_of(database: Path) -> int:
    """The bytes of a database that may be in memory."""
    files = (database, database.with_name(f"{database.name}-wal"))
    return min(MOST_CACHED_BYTES, sum(file.stat().st_size for file in files if file.exists()))


def grown(name: str, before: Size, after: Size, cached: int = 0) -> list[str]:
    """What has become more than chance allows. `cached`: see `Looking.grown`."""
    found = []
    for what, was, now, more in (
        ("bytes of memory", before.rss_bytes, after.rss_bytes, MORE_RSS_BYTES + cached),
        ("open files", before.fds, after.fds, MORE_FDS),
        ("threads", before.threads, after.threads, MORE_THREADS),
        ("tasks", before.tasks, after.tasks, MORE_TASKS),
    ):
        if was is not None and now is not None and now > was + more:
            kinds = (after.files - before.files).most_common() if what == "open files" else []
            which = f": {', '.join(f'{count} {kind}' for kind, count in kinds)}" if kinds else ""
            found.append(f"{name} has grown from {was} to {now} {what}{which}")
    return found


def litter(journal: Path, *, is_damage_expected: bool) -> list[str]:
    """Files in the journal's folder that nobody needs, and logs that were not cut back."""
    found = []
    for path in sorted(journal.iterdir()):
        is_aside = ".damaged-" in path.name
        if path.name not in _EXPECTED and not (is_aside and is_damage_expected):
            found.append(f"{path.name} lies in the journal's folder")
        elif path.name.endswith("-wal") and not is_aside and path.stat().st_size > LARGEST_LOG_BYTES:
            found.append(f"{path.name} has {path.stat().st_size} bytes")
    return found
