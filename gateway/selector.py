"""Which path an alarm takes next. Pure: everything known comes in as values, time included.

The rules, for every alarm or care record that central has not receipted:

- It goes at once to the first path, in the order of the settings, that is up; one that lately answered goes before
  one that is silent.
- Without a receipt after `second_path_s` it goes to the next path as well, and so on: one more path each time. A
  path that went down or failed does not count, so the next one is tried at once.
- Where it was sent and no receipt came within `resend_s`, it is sent again: over a fresh connection, unless this one
  has carried something from central meanwhile. The wait doubles up to `resend_max_s`, so that a path that is only
  slow gets its chance.
- Where it was sent before central was first heard on that connection (a broker takes what nobody reads), it is sent
  again `greeted_s` after that.
- Where sending failed, it is sent again after `retry_s`, doubling likewise; every other time over a fresh connection.
- Nothing is ever given up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How patient the hub is."""

    second_path_s: float = 2.0
    resend_s: float = 5.0
    resend_max_s: float = 60.0
    retry_s: float = 0.5
    greeted_s: float = 1.0

    def receipt_wait_s(self, count: int) -> float:
        """How long to wait for a receipt after the `count`-th attempt on a path."""
        return min(self.resend_s * 2.0 ** min(count - 1, 10), self.resend_max_s)

    def failure_wait_s(self, count: int) -> float:
        """How long to wait after the `count`-th attempt on a path has failed."""
        return min(self.retry_s * 2.0 ** min(count - 1, 10), self.resend_max_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class PathView:
    """A path as it stands. `session` counts its connections.

    `greeted_s` and `heard_s` are when central was first and last heard on this one.
    """

    name: str
    is_up: bool
    is_answering: bool = True
    session: int = 0
    opened_s: float = 0.0
    heard_s: float | None = None
    greeted_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """The last time that a record was handed to a path, and how often it was in all."""

    session: int
    sent_s: float
    count: int = 1
    has_failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What to do with a record now, and when to ask again (None: when something changes)."""

    send: tuple[str, ...] = ()
    renew: tuple[str, ...] = ()
    next_s: float | None = None


def ranked(paths: Sequence[PathView]) -> list[PathView]:
    """The paths that are up, best first. The order of the settings decides among equals."""
    return sorted((path for path in paths if path.is_up), key=lambda path: not path.is_answering)


def choose(
    attempts: Mapping[str, Attempt],
    first_sent_s: float | None,
    paths: Sequence[PathView],
    now_s: float,
    timing: Timing,
) -> Choice:
    """What to do with one record. `attempts` are by path name; `first_sent_s` is when it was first handed to any."""
    up = ranked(paths)
    send: list[str] = []
    renew: list[str] = []
    times: list[float] = []
    under_way = 0
    for path in up:
        attempt = attempts.get(path.name)
        if attempt is None:
            continue
        if attempt.session != path.session:
            send.append(path.name)
            under_way += 1
            continue
        under_way += not attempt.has_failed
        wait_s = (timing.failure_wait_s if attempt.has_failed else timing.receipt_wait_s)(attempt.count)
        due_s = attempt.sent_s + wait_s
        is_sound = path.heard_s is not None and path.heard_s > attempt.sent_s
        if path.greeted_s is not None and path.greeted_s > attempt.sent_s and not attempt.has_failed:
            due_s = min(due_s, path.greeted_s + timing.greeted_s)
        if (attempt.count % 2 == 1) if attempt.has_failed else is_sound:
            if now_s >= due_s:
                send.append(path.name)
            else:
                times.append(due_s)
        else:
            due_s = max(due_s, path.opened_s + timing.resend_s)
            if now_s >= due_s:
                renew.append(path.name)
            else:
                times.append(due_s)
    fresh = [path.name for path in up if path.name not in attempts]
    if fresh:
        started_s = now_s if first_sent_s is None else min(first_sent_s, now_s)
        allowed = 1 + int((now_s - started_s) / timing.second_path_s)
        chosen = fresh[: max(0, allowed - under_way)]
        send += chosen
        if len(chosen) < len(fresh):
            times.append(max(started_s + (under_way + len(chosen)) * timing.second_path_s, now_s + 0.01))
    return Choice(send=tuple(send), renew=tuple(renew), next_s=min(times, default=None))


def bulk_path(paths: Sequence[PathView]) -> str | None:
    """The path for everything that can wait."""
    return next((path.name for path in ranked(paths)), None)
