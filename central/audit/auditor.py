"""The auditor at work: looks, says what is wrong by every way it has, and again while it stays so.

It is started beside central and lives on its own: other credentials, another process, standard error in any case. Its
exit status is 1 when something was wrong at its last look.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import TextIO

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from central.audit.findings import UNREACHABLE, Finding, look, mark
from central.clock import Clock
from central.console.catalogue import words
from central.dialect import Dialect
from central.errors import CentralError
from central.notify.channel import Carrier, ChannelError, Message
from central.notify.letters import EmailCarrier
from central.notify.phones import SmsCarrier
from central.settings import CentralSettings
from central.sms_http import HttpProvider

LOOK_WITHIN_S = 15.0
TELL_WITHIN_S = 65.0
"""Longer than any way is set to wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """A way of the auditor's own, and whom it reaches."""

    name: str
    channel: Carrier
    to: tuple[str, ...]


def voices_of(settings: CentralSettings) -> tuple[Voice, ...]:
    """Those that `[audit.sms]` and `[audit.email]` set up. Raises SettingsError when a secret cannot be read."""
    found = []
    audit = settings.audit
    if audit.sms is not None:
        carrier = SmsCarrier(HttpProvider(audit.sms, "audit.sms"))
        found.append(Voice(name="sms", channel=carrier, to=audit.sms.to))
    if audit.email is not None:
        found.append(Voice(name="email", channel=EmailCarrier(audit.email, "audit.email"), to=audit.email.to))
    return tuple(found)


class Auditor:
    """One auditor. `out` is where every word of it goes in any case."""

    def __init__(
        self, settings: CentralSettings, clock: Clock, voices: Sequence[Voice], *, out: TextIO | None = None
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._voices = voices
        self._out = out or sys.stderr
        self._dialect = Dialect(settings.database_url)
        self._said_ms: dict[str, int] = {}
        self._times = 0
        self.findings: Sequence[Finding] = ()
        self.looked_s = clock.mono_s()

    async def look(self) -> Sequence[Finding]:
        """Look once, and leave a mark. A database that does not answer is a finding."""
        try:
            async with asyncio.timeout(LOOK_WITHIN_S):
                found = await self._look()
        except Exception as error:  # noqa: BLE001  # whatever keeps it from looking is what it has to tell
            self._print({"reason": type(error).__name__, "what": UNREACHABLE})
            found = [Finding(what=UNREACHABLE)]
        self.findings = tuple(found)
        self.looked_s = self._clock.mono_s()
        return self.findings

    async def _look(self) -> list[Finding]:
        file = self._dialect.file
        if file is not None and not await asyncio.to_thread(file.exists):
            raise CentralError("there is no database")
        now = self._clock.now_ms()
        async with _begun(self._dialect.reader()) as connection:
            found = await look(connection, self._settings.audit, now)
        content = {"every_s": self._settings.audit.every_s, "findings": [one.what for one in found]}
        async with _begun(self._dialect.writer()) as connection:
            await mark(connection, now, json.dumps(content))
        return found

    async def speak(self) -> None:
        """Say what is new, what still stands after a while, and what is over."""
        now = self._clock.now_ms()
        standing = {one.what: one for one in self.findings}
        if UNREACHABLE in standing:  # nobody knows about the rest: it is not over
            standing |= {what: Finding(what=what) for what in self._said_ms if what not in standing}
        again_ms = round(self._settings.audit.repeat_after_s * 1000)
        due = [one for what, one in standing.items() if now - self._said_ms.get(what, -again_ms) >= again_ms]
        over = [what for what in self._said_ms if what not in standing]
        if not due and not over:
            return
        for one in due:
            self._said_ms[one.what] = now
        for what in over:
            del self._said_ms[what]
        t = words(self._settings.language)
        said = [t(f"audit.{one.what}", n=one.count) for one in due] + [
            t("audit.over", what=t(f"audit.{what}_word")) for what in over
        ]
        self._print({"due": [asdict(one) for one in due], "over": over})
        await self._shout(Message(subject=t("audit.subject"), text=t("audit.text", said=" ".join(said))))

    async def _shout(self, message: Message) -> None:
        self._times += 1
        reference = f"audit-{self._clock.now_ms()}-{self._times}"
        ways = [(voice, to) for voice in self._voices for to in voice.to]
        await asyncio.gather(
            *(self._tell(voice, to, message, f"{reference}-{n}") for n, (voice, to) in enumerate(ways))
        )

    async def _tell(self, voice: Voice, to: str, message: Message, reference: str) -> None:
        try:
            async with asyncio.timeout(TELL_WITHIN_S):  # a way that never ends must not end the looking
                await voice.channel.send(to, message, reference=reference)
        except ChannelError as error:
            self._print({"way": voice.name, "not_told": error.reason})
        except TimeoutError:
            self._print({"way": voice.name, "not_told": "timeout"})

    def _print(self, content: Mapping[str, object]) -> None:
        print(json.dumps({"auditor": content, "at_ms": self._clock.now_ms()}), file=self._out, flush=True)

    async def run(self, stop: asyncio.Event) -> int:
        """Until told to stop. Returns the exit status."""
        if not self._voices:
            self._print({"warning": "no way but standard error: set up [audit.sms] or [audit.email]"})
        while not stop.is_set():
            await self.look()
            await self.speak()
            try:
                async with asyncio.timeout(self._settings.audit.every_s):
                    await stop.wait()
            except TimeoutError:
                continue
        return 1 if self.findings else 0


@asynccontextmanager
async def _begun(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection of its own each time: what is broken in one look is not in the next."""
    try:
        async with engine.connect() as connection, connection.begin():
            yield connection
    finally:
        await engine.dispose()
