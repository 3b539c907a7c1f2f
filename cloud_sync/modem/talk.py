"""A conversation with a modem over an open line: ask, and be told what it says by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import NoReturn

from cloud_sync.modem.codec import Command, Dialogue, Finished, Unsolicited, Write
from cloud_sync.modem.errors import ModemError, Reason, refusal
from cloud_sync.modem.link import Line

QUIET_S = 0.2
SYNC_TRIES = 4
SYNC_S = 2.0
WONDER_S = 5.0
WONDER_AGAIN_S = 600.0


class Talk:
    """One command at a time. `read` has to run beside whoever asks."""

    def __init__(self, line: Line, on_unsolicited: Callable[[Unsolicited], None]) -> None:
        self._line = line
        self._on_unsolicited = on_unsolicited
        self._dialogue = Dialogue()
        self._answer: asyncio.Future[Finished] | None = None
        self._chunks = 0
        self._unanswered_s: dict[str, float] = {}

    @property
    def echoes(self) -> int:
        """How often the modem has repeated a command."""
        return self._dialogue.echoes

    async def read(self) -> NoReturn:
        """Take what the modem says. Raises ModemError when it is gone."""
        while True:
            chunk = await self._line.read()
            if not chunk:
                raise ModemError(Reason.NO_MODEM, "the modem has gone: unplugged, or it has restarted")
            self._chunks += 1
            for step in self._dialogue.feed(chunk):
                match step:
                    case Write():
                        await self._line.write(step.content)
                    case Unsolicited():
                        self._on_unsolicited(step)
                    case Finished():
                        if self._answer is not None and not self._answer.done():
                            self._answer.set_result(step)

    async def ask(self, command: Command) -> Finished:
        """The answer, also when it is a refusal. Raises ModemError (TIMEOUT when there is none)."""
        self._answer = asyncio.get_running_loop().create_future()
        try:
            await self._line.write(self._dialogue.begin(command))
            async with asyncio.timeout(command.timeout_s):
                return await self._answer
        except TimeoutError:
            await self._line.write(self._dialogue.give_up())
            raise ModemError(Reason.TIMEOUT, "the modem gave no answer in time") from None
        finally:
            self._answer = None

    async def tell(self, command: Command) -> Finished:
        """As `ask`, and a refusal is a ModemError."""
        answer = await self.ask(command)
        if not answer.is_ok:
            raise refusal(answer.final)
        return answer

    async def wonder(self, command: Command) -> Finished | None:
        """As `ask`, for what nothing depends on: what got no answer is None, and not asked again for a while."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._unanswered_s.get(command.text, -WONDER_AGAIN_S) < WONDER_AGAIN_S:
            return None
        try:
            return await self.ask(replace(command, timeout_s=WONDER_S))
        except ModemError as error:
            if error.reason is not Reason.TIMEOUT:
                raise
            self._unanswered_s[command.text] = now_s
            await self.synchronise()
            return None

    async def synchronise(self) -> None:
        """Come to a point where the next answer belongs to the next question. Raises ModemError."""
        for attempt in range(SYNC_TRIES):
            try:
                await self.ask(Command(text="AT", timeout_s=SYNC_S))
            except ModemError as error:
                if error.reason is not Reason.TIMEOUT or attempt == SYNC_TRIES - 1:
                    raise ModemError(Reason.NO_MODEM, "nothing on this port answers to AT") from None
                continue
            for _ in range(10):  # what an earlier command still had to say
                before = self._chunks
                await asyncio.sleep(QUIET_S)
                if self._chunks == before:
                    return
            return
