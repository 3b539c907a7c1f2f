"""Staff paging: the hub as the sender on an ESPA 4.4.4 line, with a paging system at the other end.

Two roles, by the settings:

- `control`: the hub is the control station. It asks the paging system now and then whether it is there (and takes what
  that has to say of earlier calls), and selects it when there is something to page: EOT, `1 ENQ 2 ENQ`, block, EOT.
- `polled`: somebody else is the control station. The hub answers its polls: EOT when it has nothing, else it becomes
  master for a while, selects the paging system itself and sends.

A block that is answered NAK, or not at all, is sent again up to `tries` times; then the line is ended and the call is
offered again, until it is taken or its deadline is over. A page that the paging system took but whose ACK was lost may
be sent twice: twice is better than not at all.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NoReturn

import structlog

from drivers.errors import TransientDriverError
from drivers.espa.calls import (
    CALL_STATES,
    TRANSMITTER_FAILURE,
    Acknowledged,
    Asked,
    Ear,
    Garbled,
    Over,
    PageCall,
    Refused,
    Token,
    Told,
)
from drivers.espa.codec import ENQ, REPLY_ACK, REPLY_EOT, REPLY_NAK, Block
from drivers.espa.link import Line, open_link
from drivers.espa.pager_settings import PagerSettings

QUEUE_LIMIT = 64
OFFER_AGAIN_S = 1.0
"""How soon a call that was not taken is offered again."""
RECONNECT_S = (0.2, 0.5, 1.0, 2.0, 5.0)
ECHO_S = 0.2
"""What a line gives back of our own poll is there by then, also at 300 Bd."""

_ENQ = bytes([ENQ])
_ECHOES = "the line gives back what the hub says itself: switch off the echo of the converter"
_log = structlog.get_logger()


class PagerError(Exception):
    """A call was not taken. The text says why, for people."""


class _NoAnswerError(Exception):
    """The other end did not say what it had to."""


class _RefusedError(_NoAnswerError):
    """It said that it will not, and why."""


@dataclass(slots=True)
class _Job:
    call: PageCall
    taken: asyncio.Future[None]


class Pager:
    """One paging system. Keep `run` going; `page` from anywhere in the same loop."""

    def __init__(
        self, settings: PagerSettings, *, now_s: Callable[[], float], on_link: Callable[[bool, str], None]
    ) -> None:
        self._settings = settings
        self._now_s = now_s
        self._on_link = on_link
        self._jobs: deque[_Job] = deque()
        self._wake = asyncio.Event()
        self._tokens: deque[Token] = deque()
        self._ear = Ear()
        self._line: Line | None = None
        self._heard_s: float | None = None
        self._started_s = now_s()
        self._has_failed_transmitter = False
        self.is_up: bool | None = None
        """Whether the other end speaks to us; None before it is known."""
        self.reason = "not connected yet"
        """Why it is not up."""
        self.calls_taken = 0
        self.last_call_state = ""
        """What the paging system last said of a call: queued, paged, absent, ..."""

    # what others ask

    async def page(self, call: PageCall, *, deadline_s: float = 30.0) -> None:
        """Have a call paged; returns when the paging system has acknowledged it. Raises PagerError."""
        if len(self._jobs) >= QUEUE_LIMIT:
            raise PagerError(f"{QUEUE_LIMIT} calls wait for the paging system already")
        job = _Job(call, asyncio.get_running_loop().create_future())
        self._jobs.append(job)
        self._wake.set()
        try:
            async with asyncio.timeout(deadline_s):
                await job.taken
        except TimeoutError:
            raise PagerError(self.reason or "the paging system did not take the call") from None
        finally:
            with contextlib.suppress(ValueError):
                self._jobs.remove(job)

    async def run(self) -> NoReturn:
        """Keep the line until cancelled."""
        in_vain = 0
        async with open_link(self._settings.line()) as link:
            while True:
                try:
                    async with self._watched():
                        line = await link.connect()
                    in_vain = 0 if await self._converse(line) else in_vain + 1
                    self._turn(is_up=False, reason="the line was hung up")
                except TransientDriverError as error:
                    in_vain += 1
                    self._turn(is_up=False, reason=str(error))
                await asyncio.sleep(RECONNECT_S[min(in_vain, len(RECONNECT_S) - 1)])

    # the line

    @asynccontextmanager
    async def _watched(self) -> AsyncIterator[None]:
        """While a converter is waited for, say after a while that it does not come."""
        loop = asyncio.get_running_loop()
        timer = loop.call_later(
            self._settings.poll_timeout_s, lambda: self._turn(is_up=False, reason="nobody has connected")
        )
        try:
            yield
        finally:
            timer.cancel()

    async def _converse(self, line: Line) -> bool:
        """Speak until the line is gone. Returns whether anything was heard."""
        self._line, self._ear = line, Ear()
        self._tokens.clear()
        self._started_s = self._now_s()
        heard_s = self._heard_s
        try:
            if self._settings.role == "control":
                await self._control()
            else:
                await self._answer_polls()
        except EOFError:
            return self._heard_s != heard_s
        finally:
            self._line = None
            line.close()

    async def _token(self, timeout_s: float) -> Token | None:
        """The next token, None when none came in time. Raises EOFError when the line is gone."""
        if self._tokens:
            return self._tokens.popleft()
        line = self._line
        if line is None:
            raise EOFError
        try:
            async with asyncio.timeout(timeout_s):
                while not self._tokens:
                    chunk = await line.read()
                    if not chunk:
                        raise EOFError
                    self._tokens.extend(self._ear.feed(chunk))
        except TimeoutError:
            return None
        return self._tokens.popleft()

    async def _answer(self) -> Token:
        """What is said to something that we said. Raises _NoAnswerError."""
        token = await self._token(self._settings.reply_timeout_s)
        if token is None:
            raise _NoAnswerError("the paging system does not answer")
        return token

    def _say(self, octets: bytes) -> None:
        if self._line is not None:
            self._line.write(octets)

    def _ask(self, octets: bytes) -> None:
        """Begin a new phase: what was said before and not heeded is void."""
        self._tokens.clear()
        self._say(octets)

    # the hub as control station

    async def _control(self) -> NoReturn:
        while True:
            if self._jobs:
                is_taken = await self._offer_now(self._jobs[0], prefix=self._settings.own_station.encode() + _ENQ)
                pause_s = 0.0 if is_taken and self._jobs else OFFER_AGAIN_S if self._jobs else None
            else:
                await self._poll()
                pause_s = None
            self._look()
            await self._rest(self._settings.poll_interval_s if pause_s is None else pause_s)

    async def _rest(self, seconds: float) -> None:
        """Wait for so long, or for a call. Bytes that come unasked are taken and mean nothing."""
        if seconds <= 0:
            return
        self._wake.clear()
        waiting = asyncio.ensure_future(self._wake.wait())
        reading = asyncio.ensure_future(self._overhear())
        try:
            await asyncio.wait({waiting, reading}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                reading.result()
        finally:
            for task in (waiting, reading):
                task.cancel()
            await asyncio.wait({waiting, reading})

    async def _overhear(self) -> NoReturn:
        """Raises EOFError when the line is gone."""
        while True:
            await self._token(self._settings.poll_timeout_s)

    async def _poll(self) -> None:
        """Ask the paging system whether it is there and has something to tell."""
        self._ask(REPLY_EOT + self._settings.pager_station.encode() + _ENQ)
        until_s = self._now_s() + self._settings.poll_timeout_s  # a call must not wait for one that never ends
        try:
            while self._now_s() < until_s:
                match await self._answer():
                    case Over():
                        if await self._is_our_own():
                            self._turn(is_up=False, reason=_ECHOES)
                        else:
                            self._heard()
                        return
                    case Asked(station=station) if station == self._settings.own_station:
                        self._heard()
                        self._say(REPLY_ACK)
                    case Told(block=block):
                        self._take(block)
                    case Garbled():
                        self._say(REPLY_NAK)
                    case _:
                        continue
        except _NoAnswerError:
            return

    async def _is_our_own(self) -> bool:
        """Whether an EOT was the first half of our own poll: then nobody has answered."""
        token = await self._token(ECHO_S)
        if token is None:
            return False
        if token == Asked(station=self._settings.pager_station):
            return True
        self._tokens.appendleft(token)
        return False

    # the hub polled by another

    async def _answer_polls(self) -> NoReturn:
        is_other_master = False
        while True:
            token = await self._token(min(1.0, self._settings.poll_timeout_s))
            match token:
                case Over():
                    is_other_master = False
                case Asked(station=station) if station != self._settings.own_station:
                    is_other_master = True
                case Asked():
                    self._heard()
                    if is_other_master:
                        self._say(REPLY_ACK)
                    elif not self._jobs:
                        self._say(REPLY_EOT)
                    else:
                        await self._offer_now(self._jobs[0], prefix=b"")
                case Told(block=block):
                    self._take(block)
                case Garbled():
                    self._say(REPLY_NAK)
            self._look()

    # sending

    async def _offer_now(self, job: _Job, *, prefix: bytes) -> bool:
        """Select the paging system and send a call. `prefix` is the control station's poll of itself."""
        try:
            await self._send(job.call, prefix)
        except _NoAnswerError as error:
            if not self._is_silent_for_long():
                self.reason = str(error)
            _log.info("page_not_taken", reason=str(error))
            return False
        finally:
            self._say(REPLY_EOT)
        self.calls_taken += 1
        if not job.taken.done():
            job.taken.set_result(None)
        if self._jobs and self._jobs[0] is job:
            self._jobs.popleft()
        return True

    async def _send(self, call: PageCall, prefix: bytes) -> None:
        self._ask((REPLY_EOT if prefix else b"") + prefix + self._settings.pager_station.encode() + _ENQ)
        match await self._answer():
            case Acknowledged():
                self._heard()
            case Refused():
                self._heard()
                raise _NoAnswerError("the paging system is busy")
            case _:
                raise _NoAnswerError("the paging system does not let itself be selected")
        block = call.block(self._settings.charset)
        why = ""
        for _ in range(self._settings.tries):
            self._ask(block)
            why = await self._verdict()
            if not why:
                return
        raise _NoAnswerError(why)

    async def _verdict(self) -> str:
        """What the paging system says to a block: empty when it took it, else why to send it again.

        Raises _RefusedError when sending it again would not help.
        """
        try:
            token = await self._answer()
        except _NoAnswerError as error:
            return str(error)
        match token:
            case Acknowledged():
                self._heard()
                return ""
            case Refused(prefix="1" | ""):
                return "the line spoils what is sent"
            case Refused(prefix=code):
                raise _RefusedError(f"the paging system refuses the call (code {code})")
            case _:
                return "the paging system gives no clear answer"

    # what is heard

    def _take(self, block: Block) -> None:
        """Status information about calls and about the paging system itself."""
        self._say(REPLY_ACK)
        if block.header != "2":
            return
        state = block.record("7").decode("ascii", "replace").strip()
        if state:
            self.last_call_state = CALL_STATES.get(state, state[:8])
        system = block.record("8").decode("ascii", "replace").strip()
        if system:
            self._has_failed_transmitter = system == TRANSMITTER_FAILURE
            self._heard()

    def _heard(self) -> None:
        self._heard_s = self._now_s()
        if self._has_failed_transmitter:
            self._turn(is_up=False, reason="the paging system says that its transmitter has failed")
        else:
            self._turn(is_up=True, reason="")

    def _is_silent_for_long(self) -> bool:
        last_s = self._started_s if self._heard_s is None else max(self._heard_s, self._started_s)
        return self._now_s() - last_s >= self._settings.poll_timeout_s

    def _look(self) -> None:
        if self._is_silent_for_long():
            who = "the paging system" if self._settings.role == "control" else "the control station"
            self._turn(is_up=False, reason=f"{who} has been silent for {self._settings.poll_timeout_s:g} s")

    def _turn(self, *, is_up: bool, reason: str) -> None:
        self.reason = reason
        if self.is_up is not is_up:
            self.is_up = is_up
            self._on_link(is_up, reason)
