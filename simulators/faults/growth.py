"""Whether a program grows: memory, open files, threads, tasks, and what lies beside the journal."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MORE_RSS_BYTES = 24 * 1024 * 1024
"""A hub that has just started has not met half of its code yet; a leak over long rounds is well above this."""
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


def size_of(pid: int, tasks: int | None = None) -> Size | None:
    """How large it is now; None when it is gone."""
    proc = Path("/proc") / str(pid)
    try:
        status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines() if ":" in line)
        return Size(
            rss_bytes=int(status["VmRSS"].split()[0]) * 1024,
            fds=sum(1 for _ in (proc / "fd").iterdir()),
            threads=int(status["Threads"]),
            tasks=tasks,
        )
    except (OSError, KeyError, ValueError):
        return None


def grown(name: str, before: Size, after: Size) -> list[str]:
    """What has become more than chance allows."""
    found = []
    for what, was, now, more in (
        ("bytes of memory", before.rss_bytes, after.rss_bytes, MORE_RSS_BYTES),
        ("open files", before.fds, after.fds, MORE_FDS),
        ("threads", before.threads, after.threads, MORE_THREADS),
        ("tasks", before.tasks, after.tasks, MORE_TASKS),
    ):
        if was is not None and now is not None and now > was + more:
            found.append(f"{name} has grown from {was} to {now} {what}")
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
