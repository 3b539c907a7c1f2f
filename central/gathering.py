"""Pieces of several hubs share one transaction: what is not urgent is committed together, so that it costs one fsync.

A transaction takes what waits, in the order in which it came, until somebody more urgent wants to write or its time is
over; what it did not come to goes first in the next one. On SQLite, where nobody else writes meanwhile, it is rolled
back between two statements for an alarm, and done again: an alarm waits for a statement, or for a commit that has
begun. The transaction after that is only cut between two pieces, so that a row of alarms holds nothing up for ever: an
alarm that comes during that one waits for a piece and its commit.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from central.errors import GaveWayError, NotStoredError
from central.held import Marks
from central.precedence import Precedence
from central.store import Priority, Store
from central.storing import Piece, Storing
from central.technical.conditions import Told

log = structlog.get_logger()

HOLD_S = 0.006
"""Of writing, before the commit: on SQLite nobody else writes meanwhile."""
HOLD_BESIDE_OTHERS_S = 0.03
"""Where others write beside it. The log and the feed are locked for the end of it only."""
MOST = 64
TOGETHER = 1
TOGETHER_FAR = 2
"""Pieces that are written with statements in common. A statement costs little but where it has to be sent."""


@dataclass(slots=True)
class _Waiting:
    piece: Piece
    done: asyncio.Future[Marks] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def fail(self, error: BaseException) -> None:
        if not self.done.done():
            self.done.set_exception(error)

    def finish(self, marks: Marks) -> None:
        if not self.done.done():
            self.done.set_result(marks)


class Gathering:
    """The pieces of one urgency. Whoever waits for one bounds how many there are."""

    def __init__(self, store: Store, storing: Storing, precedence: Precedence, priority: Priority) -> None:
        self._store = store
        self._storing = storing
        self._precedence = precedence
        self._priority = priority
        self._waiting: deque[_Waiting] = deque()
        self._task: asyncio.Task[None] | None = None
        self._reach = MOST
        self._has_given_way = False
        self._hold_s = HOLD_S if store.dialect.is_sqlite else HOLD_BESIDE_OTHERS_S
        self._together = TOGETHER if store.dialect.is_sqlite else TOGETHER_FAR

    async def commit(self, piece: Piece) -> Marks:
        """Write it, with others. Returns what is held then. Raises NotStoredError, and what its writing raises.

        It is written to its end if the caller leaves.
        """
        waiting = _Waiting(piece)
        self._waiting.append(waiting)
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        return await waiting.done

    async def drain(self) -> None:
        """Wait for all whose callers have left."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._precedence.give_way()
                group = [self._waiting.popleft() for _ in range(min(self._reach, len(self._waiting)))]
                await self._commit(group, None if self._has_given_way else self._is_alarm_waiting)
        finally:
            self._task = None
            while self._waiting:
                self._waiting.popleft().fail(NotStoredError("central stops"))

    async def _commit(self, group: Sequence[_Waiting], is_wanted: Callable[[], bool] | None) -> None:
        try:
            # By hub: two centrals on one database that write for the same hubs lock them in the same order.
            order = sorted(group, key=lambda waiting: waiting.piece.stretch)
            work = partial(self._write, [one.piece for one in order])
            done = await self._store.transact(self._priority, work, is_wanted)
        except GaveWayError:
            self._has_given_way = True
            self._waiting.extendleft(reversed(group))
            return
        except NotStoredError as error:
            for waiting in group:
                waiting.fail(error)
            return
        except asyncio.CancelledError:
            for waiting in group:
                waiting.fail(NotStoredError("central stops"))
            raise
        except Exception as error:  # noqa: BLE001  # a fault of ours with one of them: the others must not suffer
            if len(group) == 1:
                group[0].fail(error)
                return
            log.info("pieces_committed_singly", pieces=len(group), reason=type(error).__name__)
            for waiting in group:
                await self._commit([waiting], None)
            return
        self._has_given_way = False
        for waiting, marks in zip(order, done, strict=False):
            waiting.finish(marks)
        # What was cut off by urgency is taken up in the order in which it came, and no more than can be done at once.
        left = {id(waiting) for waiting in order[len(done) :]}
        self._waiting.extendleft(waiting for waiting in reversed(group) if id(waiting) in left)
        self._reach = max(1, len(done)) if left else min(MOST, 2 * self._reach)

    async def _write(self, pieces: Sequence[Piece], connection: AsyncConnection) -> list[Marks]:
        told, done = Told(), list[Marks]()
        start_s = time.monotonic()
        while len(done) < len(pieces):
            is_wanted = self._is_wanted()
            if done and (is_wanted or time.monotonic() - start_s > self._hold_s):
                break
            until = len(done) + (1 if is_wanted else self._together)
            done += await self._storing.write(connection, pieces[len(done) : until], told)
        await self._storing.tell(connection, told)
        return done

    def _is_wanted(self) -> bool:
        return self._precedence.is_claimed or self._store.is_wanted(self._priority)

    def _is_alarm_waiting(self) -> bool:
        return self._precedence.is_claimed or self._store.is_wanted(Priority.PEOPLE)
