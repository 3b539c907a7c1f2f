"""The nurse-call panel as a driver: answers its line, turns its blocks into Observations, and ACKs what is safe.

A block is answered ACK only once the hub has confirmed the event (fsynced here, or receipted by central), and NAK when
it was refused or not confirmed in time, so that the panel keeps the call and sends it again. `redelivery` has the rule
for telling that repeat from a new call.

The line is supervised: when the panel has not spoken to our station for `poll_timeout_s` (as a control station: when
one that we poll has not answered for so long), or the line is gone, that is told once as `Fact.LINK` False, and once as
True with the next poll. A line that is lost while the driver runs is opened again from inside, more eagerly than a
restart with back-off would: the panel may hold a call. Only a line that cannot be opened when the driver starts ends
it, with a TransientDriverError that says what is missing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from drivers.boot import read_boot_id
from drivers.contract import DriverContext, Fact, Observation
from drivers.errors import TransientDriverError
from drivers.espa.codec import Block, Damaged, Delivered, Elsewhere, Ended, Heard, Overheard, Polled, Selected, Slave
from drivers.espa.control import Answered, Control, Unanswered
from drivers.espa.link import Line, Link, open_link
from drivers.espa.mapping import MappingTable
from drivers.espa.redelivery import LastBlock, Verdict
from drivers.espa.settings import EspaSettings

REMEMBER_KEY = "last_block"
QUEUE_LIMIT = 32
"""Blocks that wait for the hub to take them. Beyond it the panel is told NAK and keeps the call."""
RECONNECT_S = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
UNCONFIRMED_LIMIT = 64
COUNTERS = (
    "blocks_accepted",
    "bcc_errors",
    "redeliveries",
    "refused",
    "ignored",
    "unmapped",
    "overheard",
    "polls_unanswered",
    "bytes_received",
)
LIFE_SIGN_S = 5.0
US = ""
"""In the times at which stations were heard: the panel that polls us."""

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class _Wait:
    """A block whose event is not confirmed yet, and the delivery that waits for it, if one still does."""

    digest: str
    confirmation: asyncio.Future[bool]
    number: int | None
    due_s: float


class EspaDriver:
    """One panel on one line."""

    def __init__(self, name: str, settings: EspaSettings) -> None:
        self.name = name
        self._settings = settings
        self._mapping = MappingTable(settings)
        self._told: bool | None = None
        """What was last said of the link. Outlives a restart of the driver, so that nothing is said twice."""

    @asynccontextmanager
    async def open(self, context: DriverContext, /) -> AsyncIterator[AsyncIterator[Observation]]:
        async with AsyncExitStack() as stack:
            link = await stack.enter_async_context(open_link(self._settings))
            waits_for_panel = self._settings.port.startswith("listen://")
            line = None if waits_for_panel else await link.connect()
            watch = _Watch(self._settings, self._mapping, context, told=self._told)
            serving = asyncio.create_task(watch.serve(link, line), name=f"espa-{self.name}")
            stack.push_async_callback(_join, serving)
            try:
                yield _Observations(watch, serving)
            finally:
                self._told = watch.told


class _Observations:
    """The iterator that `open` gives. Unlike a generator it survives that a wait on it is cancelled."""

    def __init__(self, watch: _Watch, serving: asyncio.Task[None]) -> None:
        self._watch = watch
        self._serving = serving
        serving.add_done_callback(lambda _: watch.news.set())

    def __aiter__(self) -> AsyncIterator[Observation]:
        return self

    async def __anext__(self) -> Observation:
        while (observation := self._watch.take()) is None:
            if self._serving.done():
                if not self._serving.cancelled():
                    self._serving.result()
                raise StopAsyncIteration
            self._watch.news.clear()
            await self._watch.news.wait()
        return observation


async def _join(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})


class _Watch:
    """One stay at the line, from open to close. A single task speaks; the iterator only takes what it left."""

    def __init__(
        self, settings: EspaSettings, mapping: MappingTable, context: DriverContext, *, told: bool | None
    ) -> None:
        self.told = told
        self._settings = settings
        self._mapping = mapping
        self._context = context
        self._log = context.log
        self._slave: Slave | Control
        if settings.role == "control":
            self._slave = Control(
                station=settings.station,
                polled=settings.polls,
                strip_high_bit=settings.strip_high_bit,
                interval_s=settings.poll_interval_s,
                reply_s=settings.reply_timeout_s,
            )
        else:
            self._slave = Slave(station=settings.station, strip_high_bit=settings.strip_high_bit)
        self._last = LastBlock(boot_id=read_boot_id(), window_s=settings.redelivery_window_s)
        self._last.restore(context.remembered(REMEMBER_KEY))
        self._line: Line | None = None
        self._waits: list[_Wait] = []
        self._calls: deque[Observation] = deque()
        self._link_change: tuple[bool, str] | None = None
        self._is_up = told
        self.news = asyncio.Event()
        stations = settings.polls if settings.role == "control" else (US,)
        self._heard_at_s = dict.fromkeys(stations, context.boot_s())
        self._contacts = 0
        self._diagnostics = context.diagnostics
        self._diagnostics["port"] = settings.port
        self._diagnostics.setdefault("last_poll_boot_s", None)
        self._diagnostics.setdefault("stations_heard", "")
        for name in COUNTERS:
            self._diagnostics.setdefault(name, 0)

    # What the hub takes.

    def take(self) -> Observation | None:
        """The next fact, calls first, None when there is none yet."""
        if self._calls:
            return self._calls.popleft()
        if self._link_change is None:
            return None
        (is_up, reason), self._link_change = self._link_change, None
        self.told = is_up
        return Observation(
            device=self._settings.alias,
            fact=Fact.LINK,
            value=is_up,
            observed_boot_s=self._context.boot_s(),
            details={"reason": reason},
        )

    # What the line says.

    async def serve(self, link: Link, line: Line | None) -> None:
        """Answer the panel until cancelled, over as many lines as it takes."""
        in_vain = 0
        while True:
            contacts = self._contacts
            reason = "hung up"
            try:
                if line is None:
                    line = await self._while_watching(link.connect())
                await self._converse(line)
            except TransientDriverError as error:
                reason = str(error)
            if line is not None:
                line.close()
                line = None
            in_vain = 0 if self._contacts != contacts else in_vain + 1
            if in_vain <= 1:
                self._log.warning("espa_line_lost", port=self._settings.port, reason=reason)
            self._turn(is_up=False, reason="line_lost")
            await self._while_watching(asyncio.sleep(RECONNECT_S[min(in_vain, len(RECONNECT_S) - 1)]))

    async def _converse(self, line: Line) -> None:
        self._slave.restart()
        self._line = line
        try:
            self._poll()
            while chunk := await self._while_watching(line.read()):
                now_s = self._context.boot_s()
                self._count("bytes_received", len(chunk))
                for heard in self._slave.feed(chunk, now_s):
                    if heard.reply:
                        line.write(heard.reply)
                    self._hear(heard, now_s)
                # After what the panel said: an answer to which it did not wait is void.
                self._settle()
        finally:
            self._line = None

    async def _while_watching(self, job: Coroutine[Any, Any, T]) -> T:
        """The result of `job`, while confirmations are answered and the clocks of this module run."""
        task = asyncio.ensure_future(job)
        try:
            while not task.done():
                self._context.alive()
                awaited: set[asyncio.Future[Any]] = {task, *(wait.confirmation for wait in self._waits)}
                await asyncio.wait(awaited, timeout=self._until_due_s(), return_when=asyncio.FIRST_COMPLETED)
                if not task.done():
                    self._settle()
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})

    def _hear(self, heard: Heard, now_s: float) -> None:
        match heard:
            case Polled(is_sure=is_sure):
                if is_sure:
                    self._last.idle(now_s)
                else:
                    self._last.went_on(now_s)
                self._spoken_to(now_s)
            case Selected():
                self._last.went_on(now_s)
                if self._settings.role == "slave":
                    self._spoken_to(now_s)
            case Answered(station=station, is_idle=is_idle):
                if is_idle:
                    self._last.idle(now_s)
                else:
                    self._last.went_on(now_s)
                self._spoken_to(now_s, station)
            case Unanswered():
                self._count("polls_unanswered")
            case Ended():
                self._last.went_on(now_s)
            case Delivered(block=block, number=number):
                if self._settings.role == "slave":
                    self._spoken_to(now_s)
                self._deliver(block, number, now_s)
            case Damaged():
                self._count("bcc_errors")
                self._log.warning("espa_block_damaged")
            case Overheard():
                self._count("overheard")
            case Elsewhere(station=station):
                self._last.went_on(now_s)
                known = str(self._diagnostics["stations_heard"])
                if station not in known:
                    self._diagnostics["stations_heard"] = "".join(sorted(known + station))

    def _deliver(self, block: Block, number: int, now_s: float) -> None:
        meaning = self._mapping.meaning(block)
        if meaning.value == "ignore":
            self._count("ignored")
            self._last.forget()
            self._answer(number, None, is_accepted=True)
            return
        digest = self._last.digest(block.raw)
        verdict = self._last.judge(block.raw, now_s)
        if verdict is not Verdict.NEW:
            self._count("redeliveries")
            self._log.info("espa_block_repeated", is_confirmed=verdict is Verdict.REPEATED)
        if verdict is Verdict.REPEATED:
            self._answer(number, digest, is_accepted=True)
            return
        if verdict is Verdict.WAITING:
            for wait in reversed(self._waits):
                if wait.digest == digest:
                    wait.number = number
                    wait.due_s = now_s + self._settings.confirm_timeout_s
                    return
        if len(self._calls) >= QUEUE_LIMIT or len(self._waits) >= UNCONFIRMED_LIMIT:
            self._last.forget()
            self._refuse(number, "hub_busy")
            return
        confirmation: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waits.append(
            _Wait(
                digest=digest,
                confirmation=confirmation,
                number=number,
                due_s=now_s + self._settings.confirm_timeout_s,
            )
        )
        if "unmapped" in meaning.details:
            self._count("unmapped")
            self._log.warning("espa_block_unmapped")
        self._calls.append(
            Observation(
                device=meaning.device,
                fact=Fact.NURSE_CALL,
                value=meaning.value,
                observed_boot_s=now_s,
                may_alarm=True,
                details=meaning.details,
                remember={REMEMBER_KEY: self._last.remember()},
                confirmation=confirmation,
            )
        )
        self.news.set()

    # What becomes of it.

    def _settle(self) -> None:
        """Answer what has been confirmed or refused, and what has waited too long; notice a panel that fell silent."""
        now_s = self._context.boot_s()
        for wait in tuple(self._waits):
            if wait.confirmation.done():
                self._waits.remove(wait)
                self._conclude(wait, now_s)
            elif wait.number is not None and now_s >= wait.due_s:
                # The call may still be confirmed: then the panel's repeat is answered at once.
                self._refuse(wait.number, "not_confirmed_in_time")
                wait.number = None
        self._poll()
        if self._is_up is not False and self._silent(now_s):
            self._turn(is_up=False, reason="no_answer" if self._settings.role == "control" else "no_poll")

    def _poll(self) -> None:
        """As a control station: what is due on the line."""
        if not isinstance(self._slave, Control) or self._line is None:
            return
        now_s = self._context.boot_s()
        said, heard = self._slave.tick(now_s)
        for each in heard:
            self._hear(each, now_s)
        if said:
            self._line.write(said)

    def _silent(self, now_s: float) -> list[str]:
        """The stations that have not been heard for too long."""
        limit_s = self._settings.poll_timeout_s
        silent = [station for station, at_s in self._heard_at_s.items() if now_s - at_s >= limit_s]
        if self._settings.role == "control":
            self._diagnostics["stations_silent"] = "".join(silent)
        return silent

    def _conclude(self, wait: _Wait, now_s: float) -> None:
        confirmation = wait.confirmation
        is_confirmed = not confirmation.cancelled() and confirmation.exception() is None and confirmation.result()
        if is_confirmed:
            self._count("blocks_accepted")
            self._last.confirm(wait.digest, now_s)
            if wait.number is not None:
                self._answer(wait.number, wait.digest, is_accepted=True)
            return
        self._last.refuse(wait.digest)
        if wait.number is not None:
            self._refuse(wait.number, "hub_refused")

    def _refuse(self, number: int, reason: str) -> None:
        self._count("refused")
        self._log.warning("espa_block_refused", reason=reason)
        self._answer(number, None, is_accepted=False)

    def _answer(self, number: int, digest: str | None, *, is_accepted: bool) -> None:
        if isinstance(self._slave, Control):
            answer = self._slave.answer(number, self._context.boot_s(), is_accepted=is_accepted)
        else:
            answer = self._slave.answer(number, is_accepted=is_accepted)
        if not answer or self._line is None:
            return
        self._line.write(answer)
        if is_accepted and digest is not None:
            self._last.answered(digest, self._context.boot_s())

    def _until_due_s(self) -> float:
        now_s = self._context.boot_s()
        due = [wait.due_s for wait in self._waits if wait.number is not None]
        if self._is_up is not False:
            due.append(min(self._heard_at_s.values()) + self._settings.poll_timeout_s)
        if isinstance(self._slave, Control) and self._line is not None:
            due.append(self._slave.due_s())
        # At least a hundredth: the event loop's clock and CLOCK_BOOTTIME need not agree to the microsecond.
        return min(LIFE_SIGN_S, max(0.01, min(due, default=LIFE_SIGN_S + now_s) - now_s))

    def _spoken_to(self, now_s: float, station: str = US) -> None:
        self._heard_at_s[station] = now_s
        self._contacts += 1
        self._diagnostics["last_poll_boot_s"] = now_s
        if not self._silent(now_s):
            self._turn(is_up=True, reason="polled" if station == US else "answered")

    def _turn(self, *, is_up: bool, reason: str) -> None:
        """Say once how the link is. A change that nobody took and that came back was never said."""
        if self._is_up is is_up:
            return
        self._is_up = is_up
        self._log.info("espa_link_up" if is_up else "espa_link_down", reason=reason)
        self._link_change = None if self.told is is_up else (is_up, reason)
        self.news.set()

    def _count(self, name: str, by: int = 1) -> None:
        seen = self._diagnostics.get(name)
        self._diagnostics[name] = (seen if isinstance(seen, int) else 0) + by
