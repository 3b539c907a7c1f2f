"""Which path an alarm takes next. Pure: everything known comes in as values, time included.

The rules, for every alarm or care record that central has not receipted:

- It goes at once to the first path, in the order of the settings, that is up; one that lately answered goes before
  one that is silent.
- Without a receipt after `second_path_s` it goes to the next path as well, after `third_path_s` to the one after that,
  and to one more each time so long has passed again. A path that went down or failed does not count, so the next one
  is tried at once.
- Where it was sent and no receipt came within `resend_s`, it is sent again: over a fresh connection, unless this one
  has carried something from central meanwhile. The wait doubles up to `resend_max_s`, so that a path that is only
  slow gets its chance; what was not given its time (the connection went, or nobody was there yet) doubles nothing.
- Where it was sent before central was first heard on that connection (a broker takes what nobody reads), it is sent
  again `greeted_s` after that.
- Where sending failed, it is sent again after `retry_s`, doubling likewise; every other time over a fresh connection.
- A path that carries only stubs comes after all others. While one of those is up and answers, it waits for its turn in
  time, whatever fails meanwhile; when none has been for `second_path_s` it goes at once. What it has taken is sent
  again after `stub_resend_s`, doubling up to `stub_resend_max_s`: a text message may be long on its way.
- No path gets a record twice in one instant. A moment that lies in the future (a clock that was turned back) counts as
  long ago.
- Nothing is ever given up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

INSTANT_S = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How patient the hub is."""

    second_path_s: float = 2.0
    third_path_s: float = 10.0
    resend_s: float = 5.0
    resend_max_s: float = 60.0
    retry_s: float = 0.5
    greeted_s: float = 1.0
    stub_retry_s: float = 5.0
    stub_resend_s: float = 120.0
    stub_resend_max_s: float = 1800.0

    def rung_s(self, place: int) -> float:
        """How long after the first sending the path in this place (0: the first) has its turn."""
        if place <= 1:
            return self.second_path_s * max(0, place)
        return max(self.second_path_s, self.third_path_s) + self.third_path_s * (place - 2)

    def receipt_wait_s(self, count: int) -> float:
        """How long to wait for a receipt after the `count`-th attempt on a path."""
        return _doubled(self.resend_s, count, self.resend_max_s)

    def failure_wait_s(self, count: int) -> float:
        """How long to wait after the `count`-th attempt on a path has failed."""
        return _doubled(self.retry_s, count, self.resend_max_s)

    def stub_wait_s(self, count: int, *, has_failed: bool) -> float:
        """How long to wait after the `count`-th attempt on a path that carries stubs."""
        if has_failed:
            return _doubled(self.stub_retry_s, count, self.stub_resend_s)
        return _doubled(self.stub_resend_s, count, self.stub_resend_max_s)


def _doubled(first_s: float, count: int, most_s: float) -> float:
    return min(first_s * 2.0 ** min(count - 1, 10), most_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class PathView:
    """A path as it stands. `session` counts its connections.

    `greeted_s` and `heard_s` are when central was first and last heard on this one; `down_since_s` is when the last
    one ended (or, when there was none yet, when the hub began to try).
    """

    name: str
    is_up: bool
    is_answering: bool = True
    session: int = 0
    opened_s: float = 0.0
    heard_s: float | None = None
    greeted_s: float | None = None
    down_since_s: float = float("-inf")
    carries_stubs: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """The last time that a record was handed to a path, and how often it was in all."""

    session: int
    sent_s: float
    count: int = 1
    has_failed: bool = False
    is_queued: bool = False
    """A path that takes one at a time has not got to it yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What to do with a record now, and when to ask again (None: when something changes)."""

    send: tuple[str, ...] = ()
    renew: tuple[str, ...] = ()
    next_s: float | None = None


def handed(before: Attempt | None, path: PathView, now_s: float, timing: Timing, *, is_queued: bool = False) -> Attempt:
    """A record is handed to a path now, after what was tried `before`."""
    count = 1
    if before is not None:
        waited_s = now_s - _past(before.sent_s, now_s)
        is_counted = before.has_failed or path.carries_stubs or waited_s >= timing.receipt_wait_s(before.count)
        count = before.count + is_counted
    return Attempt(session=path.session, sent_s=now_s, count=count, is_queued=is_queued)


class _Plan:
    """What is due now, and when the rest will be."""

    def __init__(self, now_s: float) -> None:
        self.now_s = now_s
        self.send: list[str] = []
        self.renew: list[str] = []
        self._next_s: float | None = None

    def at(self, due_s: float, what: list[str], name: str) -> None:
        if self.now_s >= due_s:
            what.append(name)
        else:
            self._next_s = due_s if self._next_s is None else min(due_s, self._next_s)

    def choice(self) -> Choice:
        return Choice(send=tuple(self.send), renew=tuple(self.renew), next_s=self._next_s)


def ranked(paths: Sequence[PathView]) -> list[PathView]:
    """The paths for frames that are up, best first. The order of the settings decides among equals."""
    return sorted(
        (path for path in paths if path.is_up and not path.carries_stubs), key=lambda one: not one.is_answering
    )


def choose(
    attempts: Mapping[str, Attempt],
    first_sent_s: float | None,
    paths: Sequence[PathView],
    now_s: float,
    timing: Timing,
) -> Choice:
    """What to do with one record. `attempts` are by path name; `first_sent_s` is when it was first handed to any."""
    plan = _Plan(now_s)
    started_s = now_s if first_sent_s is None else _past(first_sent_s, now_s)
    up = ranked(paths)
    under_way = 0
    for path in up:
        attempt = attempts.get(path.name)
        if attempt is not None:
            under_way += not attempt.has_failed or attempt.session != path.session
            _again(plan, path, attempt, timing)
    for place, path in enumerate((path for path in up if path.name not in attempts), under_way):
        plan.at(started_s + timing.rung_s(place), plan.send, path.name)
    _stubs(plan, attempts, started_s, paths, timing)
    return plan.choice()


def bulk_path(paths: Sequence[PathView]) -> str | None:
    """The path for everything that can wait."""
    return next((path.name for path in ranked(paths)), None)


def _again(plan: _Plan, path: PathView, attempt: Attempt, timing: Timing) -> None:
    """A record that this path has had before: send it once more, or ask for a fresh connection."""
    sent_s = _past(attempt.sent_s, plan.now_s)
    if attempt.session != path.session:
        plan.at(sent_s + INSTANT_S, plan.send, path.name)
        return
    wait_s = (timing.failure_wait_s if attempt.has_failed else timing.receipt_wait_s)(attempt.count)
    due_s = sent_s + wait_s
    is_sound = path.heard_s is not None and path.heard_s > attempt.sent_s
    if path.greeted_s is not None and path.greeted_s > attempt.sent_s and not attempt.has_failed:
        due_s = min(due_s, path.greeted_s + timing.greeted_s)
    if (attempt.count % 2 == 1) if attempt.has_failed else is_sound:
        plan.at(due_s, plan.send, path.name)
    else:
        plan.at(max(due_s, _past(path.opened_s, plan.now_s) + timing.resend_s), plan.renew, path.name)


def _stubs(
    plan: _Plan, attempts: Mapping[str, Attempt], started_s: float, paths: Sequence[PathView], timing: Timing
) -> None:
    """The paths that carry stubs: last, and at once when there is nothing else."""
    frames = [path for path in paths if not path.carries_stubs]
    up = [path for path in frames if path.is_up]
    place = len(up) if any(path.is_answering for path in up) else 0  # behind a connection may be nobody
    alone_s = float("-inf")
    if frames and not up:
        alone_s = max(_past(path.down_since_s, plan.now_s) for path in frames) + timing.second_path_s
    for path in paths:
        if not path.carries_stubs:
            continue
        attempt = attempts.get(path.name)
        if attempt is None:
            if not path.is_up:
                continue
            plan.at(max(alone_s, started_s + timing.rung_s(place)), plan.send, path.name)
        elif path.is_up and not attempt.is_queued:
            wait_s = timing.stub_wait_s(attempt.count, has_failed=attempt.has_failed)
            if attempt.has_failed and attempt.session != path.session:
                wait_s = INSTANT_S
            plan.at(_past(attempt.sent_s, plan.now_s) + wait_s, plan.send, path.name)
        place += 1


def _past(moment_s: float, now_s: float) -> float:
    """A moment as one in the past: one that lies ahead is not believed, and counts as long ago."""
    return moment_s if moment_s <= now_s else float("-inf")
