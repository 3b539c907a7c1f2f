"""What central may ask of a hub: each command checked, run in a task of its own, its result sealed and sent back.

A command names this hub and this run of it (the inbox has checked that), a number that rises within the run, and an
expiry in central's time. Nothing here is ever ahead of an alarm: one command runs at a time, beside everything else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NoReturn

import structlog

from cloud_sync.cancellation import end_if_cancelled
from cloud_sync.central_messages import Command
from cloud_sync.errors import ReplayedError, WireError
from gateway.clock import HubClock
from gateway.errors import HubError

MAX_WAITING = 8
RUN_LIMIT_S = 25.0
"""Central waits for 30 s; what takes longer is answered as unfinished."""
SEND_ATTEMPTS = 5
SEND_PAUSE_S = 1.0

Arguments = Mapping[str, Any]
Function = Callable[[Arguments], Awaitable[object]]
Send = Callable[[bytes, object], Awaitable[bool]]
"""Seals a result and hands it to a path. False when no path would take it."""

_log = structlog.get_logger()


class CommandError(HubError):
    """A command that cannot be done as asked. `reason` is machine-readable."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(detail or reason)
        self.reason = reason


class Commands:
    """The registry of what a hub can be asked, and the one that runs it."""

    def __init__(
        self, *, clock: HubClock, send: Send, refuse: Callable[[WireError], None], run_limit_s: float = RUN_LIMIT_S
    ) -> None:
        self._clock = clock
        self._send = send
        self._refuse = refuse
        self._run_limit_s = run_limit_s
        self._functions: dict[str, Function] = {}
        self._queue: asyncio.Queue[Command] = asyncio.Queue(MAX_WAITING)
        self._last_number = 0
        self._last_id = b""

    def register(self, name: str, function: Function) -> None:
        """Add a command: an async function of the arguments that returns what CBOR can carry."""
        self._functions[name] = function

    @property
    def names(self) -> tuple[str, ...]:
        """What can be asked."""
        return tuple(sorted(self._functions))

    async def call(self, name: str, arguments: Arguments) -> object:
        """Run a command for somebody on this machine. Raises CommandError."""
        function = self._functions.get(name)
        if function is None:
            raise CommandError("unknown_command", f"known are: {', '.join(self.names)}")
        return await function(arguments)

    def accept(self, command: Command) -> None:
        """A verified command to this run of the hub came in."""
        if command.number == self._last_number and command.command == self._last_id:
            return  # a second copy, over another path
        if command.number <= self._last_number:
            self._refuse(ReplayedError("old_command"))
            return
        self._last_number, self._last_id = command.number, command.command
        try:
            self._queue.put_nowait(command)
        except asyncio.QueueFull:
            _log.warning("command_not_taken", command=command.command, waiting=self._queue.qsize())

    async def run(self) -> NoReturn:
        """Run commands, one at a time, until cancelled."""
        while True:
            command = await self._queue.get()
            result = await self._result_of(command)
            for _ in range(SEND_ATTEMPTS):
                if await self._deliver(command, result):
                    break
                await asyncio.sleep(SEND_PAUSE_S)
            else:
                _log.warning("command_result_not_sent", command=command.command)

    async def _deliver(self, command: Command, result: object) -> bool:
        try:
            return await self._send(command.command, result)
        except ValueError as error:  # too long for one message
            return await self._send(command.command, _failure("result_too_long", str(error)))

    async def _result_of(self, command: Command) -> object:
        now_ms = self._clock.central_ms()
        if now_ms is None or now_ms > command.expires_ms:
            _log.info("command_expired", command=command.command)
            return _failure("expired", "the command came too late to be carried out")
        _log.info("command_started", what=command.name, command=command.command)
        try:
            async with asyncio.timeout(self._run_limit_s):
                return await self.call(command.name, command.arguments)
        except TimeoutError:
            return _failure("unfinished", f"not done within {self._run_limit_s:g} s")
        except CommandError as error:
            return _failure(error.reason, str(error))
        except Exception as error:  # noqa: BLE001  # a command that fails is an answer, not the end of the hub
            end_if_cancelled()
            _log.warning("command_failed", what=command.name, error=error)
            _log.debug("command_fault", exc_info=error)
            return _failure("failed", type(error).__name__)


def _failure(reason: str, detail: str) -> dict[str, Any]:
    return {"error": {"reason": reason, "detail": detail}}
