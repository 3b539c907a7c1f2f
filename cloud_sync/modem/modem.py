"""The modem of a hub: brought up, watched, brought up again; messages go out by urgency and come in one by one."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from enum import IntEnum
from pathlib import Path
from typing import Any, NoReturn, Protocol

import structlog

from cloud_sync.cancellation import end_if_cancelled
from cloud_sync.modem import pdu
from cloud_sync.modem.bringing_up import Bringing
from cloud_sync.modem.codec import Command, Unsolicited, number_at, parameters
from cloud_sync.modem.errors import ModemError, Reason
from cloud_sync.modem.link import open_line
from cloud_sync.modem.pin import Pin
from cloud_sync.modem.state import ModemState, Registration, better, operator_in, registration_in, signal_in
from cloud_sync.modem.stuck import Stuck
from cloud_sync.modem.talk import Talk
from cloud_sync.settings import ModemSettings

MAX_WAITING = 32
"""So many messages of one urgency may wait."""
MAX_INBOUND = 64
BACK_OFF_MIN_S = 1.0
BACK_OFF_MAX_S = 30.0
HINDERED_POLL_S = 5.0
"""While messages cannot go, the modem is asked this often what it lacks."""
SWEEP_POLLS = 4
"""Every so many polls the storage is looked through: a notice of a message can be lost."""
STUB_VALID_MIN = 24 * 60
TEXT_VALID_MIN = 60
"""A text to a phone that comes an hour late helps nobody."""
_RESTARTED = ("RDY", "^SYSSTART", "SMS READY", "SMS DONE", "+CPIN: READY", "^BOOT", "PB DONE")

_log = structlog.get_logger()


class Urgency(IntEnum):
    """Who goes first."""

    STUB = 0
    URGENT = 1
    ORDINARY = 2
    PROBE = 3


class Texting(Protocol):
    """Something that can text a phone."""

    async def text(self, number: str, text: str, /, *, deadline_s: float, is_urgent: bool) -> int:
        """Hand a text to the network; returns the network's reference. Raises ModemError.

        The text is for a phone that anybody may look at: no names, nothing about health.
        """


@dataclass(order=True, slots=True)
class _Request:
    urgency: Urgency
    count: int
    message: pdu.Submit = field(compare=False)
    done: asyncio.Future[int] = field(compare=False)


class Modem:
    """Does nothing until `run`, see also `open_modem`. Sending is safe from several tasks; `inbound` is for one reader.

    Paths in the settings start from `base`; in `state_dir` is kept that a PIN was refused.
    """

    def __init__(
        self,
        settings: ModemSettings,
        *,
        base: Path = Path(),
        state_dir: Path | None = None,
        boot_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._boot_s = boot_s
        self._pin = Pin(base / settings.pin_file if settings.pin_file is not None else None, state_dir)
        self._state = ModemState()
        self._changed = asyncio.Event()
        self._queue: list[_Request] = []
        self._count = 0
        self._inbound: deque[tuple[str, str]] = deque(maxlen=MAX_INBOUND)
        self._arrival = asyncio.Event()
        self._wake = asyncio.Event()
        self._places: deque[int] = deque(maxlen=MAX_INBOUND)
        self._is_sweep_due = True
        self._is_setup_due = True
        self._circuit = self._packet = Registration.UNKNOWN
        self._stuck = Stuck()

    # what others see and do

    @property
    def state(self) -> ModemState:
        """The modem as it stands."""
        return replace(self._state, waiting=len(self._queue))

    async def changed(self) -> None:
        """Wait for the next change of `state`."""
        await self._changed.wait()

    @property
    async def inbound(self) -> AsyncGenerator[tuple[str, str], None]:
        """Messages as they come, (sender, text). When nobody reads, the oldest are lost."""
        while True:
            while self._inbound:
                yield self._inbound.popleft()
            self._arrival.clear()
            await self._arrival.wait()

    async def text(self, number: str, text: str, /, *, deadline_s: float, is_urgent: bool) -> int:
        """See `Texting`."""
        urgency = Urgency.URGENT if is_urgent else Urgency.ORDINARY
        return await self._hand_over(number, text, urgency, deadline_s, TEXT_VALID_MIN)

    async def stub(self, number: str, text: str, /, *, deadline_s: float) -> int:
        """A stub to central, before everything else. Raises ModemError."""
        return await self._hand_over(number, text, Urgency.STUB, deadline_s, STUB_VALID_MIN)

    async def probe(self, number: str, text: str, /, *, deadline_s: float) -> int:
        """A stub that only asks whether the path works: after everything else. Raises ModemError."""
        return await self._hand_over(number, text, Urgency.PROBE, deadline_s, TEXT_VALID_MIN)

    async def _hand_over(self, number: str, text: str, urgency: Urgency, deadline_s: float, valid_minutes: int) -> int:
        try:
            message = pdu.submit(number, text, valid_minutes=valid_minutes)
        except pdu.PduError as error:
            raise ModemError(Reason.TOO_LONG if not pdu.fits(text) else Reason.BAD_NUMBER, str(error)) from None
        hindrance = self._state.hindrance
        if hindrance is not None:
            raise ModemError(hindrance, self._state.last_error)
        if sum(request.urgency is urgency for request in self._queue) >= MAX_WAITING:
            raise ModemError(Reason.BUSY, "too many messages wait")
        self._count += 1
        request = _Request(urgency, self._count, message, asyncio.get_running_loop().create_future())
        heapq.heappush(self._queue, request)
        self._wake.set()
        try:
            async with asyncio.timeout(deadline_s):
                return await request.done
        except TimeoutError:
            raise ModemError(Reason.TIMEOUT, "it was not sent in time") from None

    # the task

    async def run(self) -> NoReturn:
        """Keep the modem up until cancelled."""
        pause_s = BACK_OFF_MIN_S
        while True:
            started_s = self._boot_s()
            try:
                await self._hold()
            except* ModemError as errors:
                error = _first(errors)
                if self._state.is_present or self._state.last_error != error.detail:
                    _log.warning("modem_lost", reason=error.reason.value, detail=error.detail)
                self._lost(error)
            end_if_cancelled()
            pause_s = BACK_OFF_MIN_S if self._boot_s() - started_s > BACK_OFF_MAX_S else pause_s
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, BACK_OFF_MAX_S)

    async def _hold(self) -> None:
        async with open_line(self._settings) as line:
            talk = Talk(line, self._heard)
            self._is_setup_due = True
            async with asyncio.TaskGroup() as group:
                group.create_task(talk.read(), name="modem-read")
                await self._work(talk)  # here: see cloud_sync.cancellation

    async def _work(self, talk: Talk) -> NoReturn:
        polls, poll_at_s = 0, 0.0
        while True:
            self._wake.clear()
            try:
                if self._is_setup_due:
                    await self._set_up(talk)
                    poll_at_s = 0.0
                if self._boot_s() >= poll_at_s:
                    await self._look(talk)
                    polls += 1
                    self._is_sweep_due = self._is_sweep_due or polls % SWEEP_POLLS == 0
                    poll_at_s = self._boot_s() + (
                        self._settings.poll_s if self._state.is_ready else min(HINDERED_POLL_S, self._settings.poll_s)
                    )
                await self._restart_if_stuck(talk)
                await self._send_next(talk)
                await self._collect(talk)
            except ModemError as error:
                if error.reason is Reason.NO_MODEM:
                    raise
                self._note(last_error=str(error))
                if error.reason is Reason.TIMEOUT:
                    await talk.synchronise()
                poll_at_s = self._boot_s() + BACK_OFF_MIN_S  # soon, but not before a text that waits has had its turn
            if self._queue or self._is_setup_due or self._stuck.why(self._boot_s()):
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.05, poll_at_s - self._boot_s())):
                    await self._wake.wait()

    async def _set_up(self, talk: Talk) -> None:
        await talk.synchronise()
        bringing = Bringing(talk, self._pin)
        sim, why = await bringing.up()
        self._is_setup_due = False
        self._is_sweep_due = True
        before = self._state
        self._note(is_present=True, sim=sim, last_error=why)
        if (before.is_present, before.sim) != (True, sim):
            _log.info("modem_found", sim=sim.value, detail=why)

    async def _look(self, talk: Talk) -> None:
        """What card and network say now."""
        echoes = talk.echoes
        sim, why = await Bringing(talk, self._pin).sim()
        if talk.echoes != echoes:
            self._is_setup_due = True  # it has restarted and forgotten what it was told
        if sim is not self._state.sim:
            self._is_setup_due = self._is_setup_due or self._state.hindrance is not None
            self._note(sim=sim, last_error=why)
            _log.info("modem_sim", sim=sim.value)
        for name in ("+CREG", "+CEREG"):
            answer = await talk.ask(Command(text=f"AT{name}?", prefix=f"{name}:"))
            self._registered(name, registration_in(answer.lines[0]) if answer.lines else Registration.UNKNOWN)
        signal = await talk.wonder(Command(text="AT+CSQ", prefix="+CSQ:"))
        operator = await talk.wonder(Command(text="AT+COPS?", prefix="+COPS:"))
        self._note(
            signal_dbm=signal_in(signal.lines[0]) if signal is not None and signal.lines else None,
            operator=operator_in(operator.lines[0]) if operator is not None and operator.lines else "",
        )
        if self._state.is_ready and self._state.failed == 0:
            self._note(last_error="")

    async def _restart_if_stuck(self, talk: Talk) -> None:
        """As somebody would who pulled it out and put it back (TS 27.007 §8.2). Raises ModemError when it was done."""
        now_s = self._boot_s()
        self._stuck.stands(self._state.hindrance, now_s)
        why = self._stuck.why(now_s)
        if not why:
            return
        _log.warning("modem_restarted", reason=why)
        self._stuck.restarted(now_s)
        await talk.wonder(Command(text="AT+CFUN=1,1"))
        raise ModemError(Reason.NO_MODEM, f"it was told to start anew: {why}")

    # out

    async def _send_next(self, talk: Talk) -> None:
        while self._queue:
            request = heapq.heappop(self._queue)
            if request.done.done():  # nobody waits for it any more
                continue
            hindrance = self._state.hindrance
            try:
                if hindrance is not None:
                    raise ModemError(hindrance, self._state.last_error)  # noqa: TRY301  # the same way out
                reference = await self._send(talk, request)
            except ModemError as error:
                self._failed(request, error)
                if error.reason in {Reason.TIMEOUT, Reason.NO_MODEM}:
                    raise
            except asyncio.CancelledError:
                self._failed(request, ModemError(Reason.NO_MODEM, "the modem was lost meanwhile"))
                raise
            else:
                self._stuck.sent()
                self._note(last_sent_s=self._boot_s(), sent=self._state.sent + 1, failed=0, last_error="")
                if not request.done.done():
                    request.done.set_result(reference)
            return

    async def _send(self, talk: Talk, request: _Request) -> int:
        message = request.message
        command = Command(
            text=f"AT+CMGS={message.length}",
            prefix="+CMGS:",
            body=message.pdu,
            timeout_s=self._settings.send_timeout_s,
        )
        try:
            answer = await talk.tell(command)
        except ModemError as error:
            if error.reason is not Reason.STORAGE_FULL:
                raise
            await self._sweep(talk)
            answer = await talk.tell(command)
        reference = number_at(parameters(answer.lines[0]), 0) if answer.lines else None
        if reference is None:
            raise ModemError(Reason.REFUSED, "the modem says OK but names no message")
        return reference

    def _failed(self, request: _Request, error: ModemError) -> None:
        self._stuck.refused(error.reason, self._state.hindrance)
        self._note(failed=self._state.failed + 1, last_error=str(error))
        _log.warning("sms_not_sent", reason=error.reason.value, code=error.code, urgency=request.urgency.name.lower())
        if not request.done.done():
            request.done.set_exception(error)

    # in

    async def _collect(self, talk: Talk) -> None:
        """Read what has come, and take it off the storage, which is small."""
        if self._is_sweep_due and self._state.sim.value == "ready":
            await self._sweep(talk)
        while self._places:
            place = self._places.popleft()
            answer = await talk.ask(Command(text=f"AT+CMGR={place}", prefix="+CMGR:", has_pdus=True))
            self._received(answer.pdus)
            if answer.is_ok:
                await talk.ask(Command(text=f"AT+CMGD={place}"))

    async def _sweep(self, talk: Talk) -> None:
        answer = await talk.ask(Command(text="AT+CMGL=4", prefix="+CMGL:", has_pdus=True, timeout_s=20.0))
        self._is_sweep_due = False
        self._received(answer.pdus)
        places = (number_at(parameters(line), 0) for line in answer.lines)
        for place in [place for place in places if place is not None]:
            with contextlib.suppress(ValueError):
                self._places.remove(place)  # before it is free: the next message may have the same place
            await talk.ask(Command(text=f"AT+CMGD={place}"))

    def _received(self, pdus: tuple[str, ...]) -> None:
        for digits in pdus:
            try:
                message = pdu.deliver(digits)
            except pdu.PduError as error:
                _log.info("sms_unreadable", reason=str(error))
                continue
            self._note(last_received_s=self._boot_s())
            self._inbound.append((message.sender, message.text))
            self._arrival.set()

    # what the modem says by itself

    def _heard(self, news: Unsolicited) -> None:
        line = news.line
        if line.startswith("+CMTI:"):
            place = number_at(parameters(line), 1)
            if place is not None and place not in self._places:
                self._places.append(place)
            else:
                self._is_sweep_due = True
        elif line.startswith("+CMT:"):
            self._received((news.body,))
        elif line.startswith(("+CREG:", "+CEREG:")):
            self._registered(line.partition(":")[0], registration_in(line))
        elif line.upper().startswith(_RESTARTED) and self._state.is_present:
            self._is_setup_due = True
        else:
            return
        self._wake.set()

    def _registered(self, name: str, registration: Registration) -> None:
        if name == "+CREG":
            self._circuit = registration
        else:
            self._packet = registration
        now = better(self._circuit, self._packet)
        if now is not self._state.registration:
            _log.info("modem_registration", before=self._state.registration.value, now=now.value)
            self._note(registration=now)

    def _lost(self, error: ModemError) -> None:
        self._circuit = self._packet = Registration.UNKNOWN
        self._places.clear()
        kept = self._state
        self._state = ModemState(
            last_error=error.detail or str(error),
            last_sent_s=kept.last_sent_s,
            last_received_s=kept.last_received_s,
            sent=kept.sent,
            failed=kept.failed,
        )
        self._tell()
        while self._queue:
            request = heapq.heappop(self._queue)
            if not request.done.done():
                request.done.set_exception(ModemError(Reason.NO_MODEM, self._state.last_error))

    def _note(self, **changes: Any) -> None:
        after = replace(self._state, **changes)
        if after != self._state:
            self._state = after
            self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _first(group: BaseExceptionGroup[ModemError]) -> ModemError:
    for one in group.exceptions:
        return _first(one) if isinstance(one, BaseExceptionGroup) else one
    raise AssertionError("a group is never empty")


@asynccontextmanager
async def open_modem(
    settings: ModemSettings,
    *,
    base: Path = Path(),
    state_dir: Path | None = None,
    boot_s: Callable[[], float] = time.monotonic,
) -> AsyncIterator[Modem]:
    """A modem that runs for as long as the block lasts, whether it is there or not: `state` says."""
    modem = Modem(settings, base=base, state_dir=state_dir, boot_s=boot_s)
    task = asyncio.create_task(modem.run(), name="modem")
    try:
        yield modem
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
