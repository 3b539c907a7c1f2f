"""The other ends of the ways of telling people, alike to the contract test: what came, refusing, losing, hanging."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack, aclosing, suppress
from pathlib import Path
from typing import Any

from central.feed import Change
from central.settings import EmailSettings, SmsSettings
from simulators.mail_server import MailServer
from simulators.sms_provider import SmsOperator
from tests.central.conftest import Bench

PHONE, ADDRESS = "+4790000002", "vakt@kommune.example"
TOKEN, SECRET = "a token of some length", b"a secret of thirty-two characters"
HUNG_S = 1.0
"""How long a carrier is waited for in these tests."""


class Sms:
    """A provider over HTTP."""

    name = "sms"
    address = PHONE

    async def start(self, stack: AsyncExitStack, folder: Path) -> dict[str, Any]:
        self.operator = SmsOperator("+4759000000", secret=SECRET, token=TOKEN)
        await stack.enter_async_context(self.operator.running())
        (folder / "token").write_text(TOKEN)
        (folder / "secret").write_bytes(SECRET)
        return {
            "sms": SmsSettings(
                number="+4759000000",
                inbound_secret_file=folder / "secret",
                outbound_url=self.operator.url,
                outbound_token_file=folder / "token",
                timeout_s=HUNG_S,
            )
        }

    def handed_over(self) -> list[tuple[str, str]]:
        return [(ref, text.text) for ref, text in zip(self.operator.references, self.operator.received, strict=True)]

    def refuse(self, *, is_final: bool) -> None:
        self.operator.statuses.append(400 if is_final else 503)

    def lose_an_answer(self) -> None:
        self.operator.lost_answers += 1

    def hang(self) -> None:
        self.operator.is_deaf = True

    def drip(self, *, is_dripping: bool) -> None:
        self.operator.is_dripping = is_dripping

    def dripping(self) -> int:
        return self.operator.dripping


class Email:
    """A mail server."""

    name = "email"
    address = ADDRESS

    async def start(self, stack: AsyncExitStack, _folder: Path) -> dict[str, Any]:
        self.server = await stack.enter_async_context(MailServer().running())
        sender = "vaktpost@kommune.example"
        return {
            "email": EmailSettings(host="127.0.0.1", port=self.server.port, tls="none", sender=sender, timeout_s=HUNG_S)
        }

    def handed_over(self) -> list[tuple[str, str]]:
        return [(str(letter.content["Message-ID"]), letter.text) for letter in self.server.letters]

    def refuse(self, *, is_final: bool) -> None:
        self.server.answers.append("550 nobody of that name" if is_final else "451 later")

    def lose_an_answer(self) -> None:
        self.server.lost_answers += 1

    def hang(self) -> None:
        self.server.is_deaf = True

    def drip(self, *, is_dripping: bool) -> None:
        self.server.is_dripping = is_dripping

    def dripping(self) -> int:
        return self.server.dripping


class Pager:
    """The gateway of docs/adding-a-channel.md: a line in, a line out."""

    name = "pager"
    address = PHONE

    async def start(self, stack: AsyncExitStack, _folder: Path) -> dict[str, Any]:
        self.taken: list[tuple[str, str]] = []
        self.answers: list[bytes] = []
        self.is_deaf = self.is_dripping = False
        self.dripped_on = 0
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        stack.callback(server.close)
        port = server.sockets[0].getsockname()[1]
        return {"channels": {"pager": {"host": "127.0.0.1", "port": port, "timeout_s": HUNG_S}}}

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            said = json.loads(await reader.readline())
            if self.is_deaf:
                await reader.read()
            self.dripped_on += 1
            try:
                while self.is_dripping:
                    writer.write(b"o")
                    await writer.drain()
                    await asyncio.sleep(0.2)
            finally:
                self.dripped_on -= 1
            answer = self.answers.pop(0) if self.answers else b"ok\n"
            if answer in {b"ok\n", b""}:
                self.taken.append((said["reference"], said["text"]))
            writer.write(answer)
        writer.close()

    def handed_over(self) -> list[tuple[str, str]]:
        return list(self.taken)

    def refuse(self, *, is_final: bool) -> None:
        self.answers.append(b"no\n" if is_final else b"later\n")

    def lose_an_answer(self) -> None:
        self.answers.append(b"")

    def hang(self) -> None:
        self.is_deaf = True

    def drip(self, *, is_dripping: bool) -> None:
        self.is_dripping = is_dripping

    def dripping(self) -> int:
        return self.dripped_on


class Console:
    """A console that follows the feed of a real central."""

    name = "console"

    async def start(self, _stack: AsyncExitStack, _folder: Path) -> dict[str, Any]:
        self.changes: list[Change] = []
        return {}

    def handed_over(self) -> list[tuple[str, str]]:
        return [(str(change.no), f"/alarms/{change.ref}") for change in self.changes if change.topic == "alarm"]

    async def follow(self, bench: Bench) -> None:
        async with aclosing(bench.services.feed.follow(0)) as items:
            async for item in items:
                if isinstance(item, Change):
                    self.changes.append(item)
