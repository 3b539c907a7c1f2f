"""A path to central that is kept open: connect, greet, give signs of life, notice silence, connect again.

Each path runs in a task of its own, so none waits for another. Between attempts it backs off (`gateway.back_off`);
while an alarm waits it tries again at once, at a bounded rate. Silence counts from the first sign of life that was not
answered: then they are given more often, so that a path in reserve is known to be dead, or alive again, within a minute
or two, however rarely it is looked at otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import NoReturn

import structlog

from cloud_sync.cancellation import end_if_cancelled
from cloud_sync.errors import RefusedError, UplinkError
from cloud_sync.identity import Lane
from cloud_sync.uplink import Uplink, UplinkSession
from gateway.back_off import FRAMES, BackOff, BackOffRule
from gateway.selector import PathView

HEARTBEAT_S = 30.0
WATCHED_BEAT_S = 30.0
"""A path that is silent or down is watched as closely as this, also one in reserve."""
MISSED_BEATS = 3
SILENT_BEATS = 2.5
TICK_S = 5.0
"""How often the time to the next sign of life is looked at: a path in reserve may come into use."""
GREETING_S = 5.0
"""A fresh connection that has not answered for so long is silent."""
BEAT_AGAIN_S = 1.0
"""A sign of life without an answer is repeated after this, then half as often each time: a broker may be back before
central is."""
HURRIED_BEAT_S = 2.0
"""And while an alarm waits, never more rarely than this: it goes out again as soon as somebody is there."""
CONTROL_DEADLINE_S = 10.0

_log = structlog.get_logger()


class _RenewedError(UplinkError):
    """The connection is given up for a fresh one."""


class Path:
    """One uplink and what is known about it."""

    carries_stubs = False
    stubs_per_hour = 0

    def __init__(
        self,
        uplink: Uplink,
        *,
        boot_s: Callable[[], float],
        hello: Callable[[str], bytes],
        beat: Callable[[str], bytes],
        on_frame: Callable[[Path, bytes], None],
        on_change: Callable[[], None],
        on_supervision: Callable[[Path, bool], None],
        heartbeat_s: Callable[[], float] = lambda: HEARTBEAT_S,
        chance: random.Random | None = None,
        rule: BackOffRule = FRAMES,
    ) -> None:
        self.name = uplink.name
        self._uplink = uplink
        self._boot_s = boot_s
        self._hello = hello
        self._beat = beat
        self._on_frame = on_frame
        self._on_change = on_change
        self._on_supervision = on_supervision
        self._heartbeat_s = heartbeat_s
        self._chance = chance or random.Random()  # noqa: S311  # jitter, not a secret
        self._session: UplinkSession | None = None
        self._renewal = asyncio.Event()
        self._hurry = asyncio.Event()
        self._back_off = BackOff(self._chance, rule)
        self._down_since_s = boot_s()
        self._silent_since_s: float | None = boot_s()
        self._beat_due = asyncio.Event()
        self.tried_s = boot_s()
        """When it was last tried, or seen to while it is open. What comes of it does not matter."""
        self.session_count = 0
        self.opened_s = 0.0
        self.heard_s: float | None = None
        self.greeted_s: float | None = None
        self.answered_s: float | None = None
        self.round_trip_s: float | None = None
        self.is_lost = False
        self.last_error = ""
        self.failures = 0

    # what others see

    def view(self) -> PathView:
        """The path as the selector sees it."""
        now_s = self._boot_s()
        if self.heard_s is None:
            is_answering = now_s - self.opened_s < GREETING_S
        else:
            is_answering = self._silent_s(now_s) < SILENT_BEATS * self._watch_s()
        return PathView(
            name=self.name,
            is_up=self._session is not None,
            is_answering=is_answering,
            session=self.session_count,
            opened_s=self.opened_s,
            heard_s=self.heard_s,
            greeted_s=self.greeted_s,
            down_since_s=self._down_since_s,
        )

    @property
    def is_up(self) -> bool:
        """Whether there is a connection; says nothing about central."""
        return self._session is not None

    @property
    def down_since_s(self) -> float | None:
        """Since when there has been no connection."""
        return None if self._session is not None else self._down_since_s

    async def send(self, frame: bytes, *, lane: Lane | None, deadline_s: float) -> None:
        """Hand a frame to the connection. Raises UplinkError."""
        session = self._session
        if session is None:
            raise UplinkError("there is no connection")
        try:
            await session.send(frame, lane=lane, deadline_s=deadline_s)
        except UplinkError:
            raise
        except Exception as error:
            # A fault of one uplink's library is that path's: who reports a lamp or a result must not end over it.
            _log.warning("uplink_fault", uplink=self.name, error=error)
            raise UplinkError(f"a fault of this path: {type(error).__name__}") from error

    def renew(self) -> None:
        """Give the connection up for a fresh one."""
        self._renewal.set()

    def hurry(self, is_urgent: bool) -> None:
        """Whether an alarm waits: then there is no back-off."""
        if is_urgent:
            self._hurry.set()
        else:
            self._hurry.clear()

    def heard(self) -> None:
        """A verified frame from central came over this path."""
        self.heard_s = self.answered_s = self._boot_s()
        self._back_off.heard(self.heard_s)
        self._silent_since_s = None
        if self.is_lost:
            self.is_lost = False
            self._on_supervision(self, True)
        if self.greeted_s is None:
            self.greeted_s = self.heard_s
            self._on_change()

    def ask(self) -> None:
        """Central was heard elsewhere: a path that was silent gives a sign of life now."""
        if self._silent_since_s is not None:
            self._beat_due.set()

    # the task

    async def run(self) -> NoReturn:
        """Keep the path open until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._supervise(), name=f"path-{self.name}-supervision")
            while True:
                self.tried_s = self._boot_s()
                reason = await self._hold()
                end_if_cancelled()
                self._report(reason)
                await self._pause(reason)

    async def _hold(self) -> BaseException:
        """Open the path and hold it until it fails. Returns why."""
        reasons: list[BaseException] = []
        try:
            async with self._uplink.open(self._hello(self.name)) as session:
                self._opened(session)
                try:
                    async with asyncio.TaskGroup() as group:
                        group.create_task(self._live(session), name=f"path-{self.name}-beat")
                        group.create_task(self._await_renewal(), name=f"path-{self.name}-renewal")
                        await self._read(session)  # here: see cloud_sync.cancellation
                finally:
                    self._closed()
        except* UplinkError as errors:
            reasons += _leaves(errors)
        except* Exception as errors:  # noqa: BLE001  # a fault of one uplink's library must not take the others along
            reasons += _leaves(errors)
            _log.debug("uplink_fault", uplink=self.name, exc_info=errors)
        return next((one for one in reasons if isinstance(one, _RenewedError)), reasons[0])

    def _opened(self, session: UplinkSession) -> None:
        self.session_count += 1
        self.opened_s = self._boot_s()
        self.heard_s = self.greeted_s = None
        self._asked(self.opened_s)
        self._back_off.opened()
        self._renewal.clear()
        self._session = session
        _log.info("uplink_opened", uplink=self.name, after_failures=self.failures)
        self.failures = 0
        self.last_error = ""
        self._on_change()

    def _closed(self) -> None:
        self._session = None
        self._down_since_s = self._boot_s()
        self._asked(self._down_since_s)
        self._on_change()

    def _asked(self, now_s: float) -> None:
        """From now on an answer is awaited, unless one was awaited before."""
        if self._silent_since_s is None:
            self._silent_since_s = now_s

    def _silent_s(self, now_s: float) -> float:
        return 0.0 if self._silent_since_s is None else now_s - self._silent_since_s

    def _watch_s(self) -> float:
        return min(self._heartbeat_s(), WATCHED_BEAT_S)

    async def _read(self, session: UplinkSession) -> NoReturn:
        async for frame in session.frames():
            self._on_frame(self, frame)
        raise UplinkError("the path has ended")

    async def _live(self, session: UplinkSession) -> NoReturn:
        sent_s, jitter = self._boot_s(), self._chance.uniform(0.9, 1.1)
        again_s = BEAT_AGAIN_S
        while True:
            if self._silent_since_s is None:
                wait_s, again_s = self._heartbeat_s(), BEAT_AGAIN_S
            else:
                wait_s = min(self._watch_s(), again_s, HURRIED_BEAT_S if self._hurry.is_set() else again_s)
            now_s = self.tried_s = self._boot_s()
            due_s = now_s if self._beat_due.is_set() else sent_s + wait_s * jitter
            if now_s < due_s:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(TICK_S, due_s - now_s)):
                        await self._beat_due.wait()
                continue
            self._beat_due.clear()
            again_s = BEAT_AGAIN_S if self._silent_since_s is None else again_s * 2
            sent_s, jitter = now_s, self._chance.uniform(0.9, 1.1)
            self._asked(now_s)
            await session.send(
                self._beat(self.name), lane=None, deadline_s=min(CONTROL_DEADLINE_S, self._heartbeat_s())
            )
            end_if_cancelled()

    async def _await_renewal(self) -> NoReturn:
        await self._renewal.wait()
        raise _RenewedError("a fresh connection was asked for")

    async def _supervise(self) -> NoReturn:
        while True:
            now_s, patience_s = self._boot_s(), MISSED_BEATS * self._watch_s()
            late_s = self._silent_s(now_s)
            if late_s >= patience_s:
                if not self.is_lost:
                    self.is_lost = True
                    self._on_supervision(self, False)
                if self._session is not None and now_s - self.opened_s >= patience_s:
                    self.renew()
                late_s = 0.0  # look again in a while
            await asyncio.sleep(min(max(0.05, patience_s - late_s), TICK_S))

    def _report(self, reason: BaseException) -> None:
        if isinstance(reason, _RenewedError):
            _log.info("uplink_renewed", uplink=self.name)
            return
        self.failures += 1
        self.last_error = str(reason)[:200] or type(reason).__name__
        if self.failures == 1:
            status = reason.status if isinstance(reason, RefusedError) else None
            _log.warning("uplink_down", uplink=self.name, error=self.last_error, status=status)

    async def _pause(self, reason: BaseException) -> None:
        now_s = self._boot_s()
        self._back_off.lost(now_s)
        if isinstance(reason, _RenewedError):
            return
        pause_s = self._back_off.pause_s()
        hurry_s = min(pause_s, self._back_off.hurry_s(now_s))
        await asyncio.sleep(hurry_s)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s - hurry_s):
                await self._hurry.wait()


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for one in group.exceptions:
        found += _leaves(one) if isinstance(one, BaseExceptionGroup) else [one]
    return found
