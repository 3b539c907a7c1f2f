"""A mail server as far as a submission goes (RFC 5321, RFC 6409): greets, encrypts, signs in, takes letters, refuses.

Written from the protocol. Change the attributes to make trouble.
"""

from __future__ import annotations

import asyncio
import base64
import email
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.message import Message
from email.policy import default

MAX_LINE = 64 * 1024
DRIP_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What was taken. `was_sealed`: it came over TLS."""

    sender: str
    to: tuple[str, ...]
    content: Message
    signed_in: str
    was_sealed: bool

    @property
    def text(self) -> str:
        """The body."""
        payload = self.content.get_payload(decode=True)
        return payload.decode() if isinstance(payload, bytes) else ""


class MailServer:
    """Takes letters on a free port of this machine."""

    def __init__(self, *, tls: ssl.SSLContext | None = None, password: str = "") -> None:
        self.tls = tls
        self.password = password
        """Whoever gives it may send; empty: everybody may."""
        self.answers: deque[str] = deque()
        """What the next recipients are answered with, one each; then 250."""
        self.is_deaf = False
        """Connections are taken and nothing is said."""
        self.is_dripping = False
        """The greeting comes a byte now and then, and has no end."""
        self.dripping = 0
        """So many greetings drip now."""
        self.lost_answers = 0
        """So many of the next letters are taken, and then the line is cut before the answer."""
        self.letters: list[Letter] = []
        self.tries = 0
        self.port = 0
        self.news = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[MailServer]:
        """While the block lasts."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=MAX_LINE)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            await server.wait_closed()

    async def until(self, holds: Callable[[], bool], timeout_s: float = 10.0) -> None:
        """Wait until something is true of it."""
        async with asyncio.timeout(timeout_s):
            while not holds():
                self.news.clear()
                await self.news.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tries += 1
        self.news.set()
        try:
            if self.is_deaf:
                await reader.read()
                return
            if self.is_dripping:
                await self._drip(writer)
            await self._talk(reader, writer)
        except (OSError, asyncio.IncompleteReadError, ValueError):
            pass
        finally:
            writer.close()

    async def _drip(self, writer: asyncio.StreamWriter) -> None:
        self.dripping += 1
        try:
            while self.is_dripping:
                writer.write(b"2")
                await writer.drain()
                await asyncio.sleep(DRIP_S)
        finally:
            self.dripping -= 1

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def say(text: str) -> None:
            writer.write(text.encode() + b"\r\n")
            await writer.drain()

        sender, to, signed_in, is_sealed = "", [], "", False
        await say("220 mail.example ESMTP")
        while line := (await reader.readline()).decode().rstrip("\r\n"):
            word, _, rest = line.partition(" ")
            match word.upper():
                case "EHLO" | "HELO":
                    await say("250-mail.example")
                    if self.tls is not None and not is_sealed:
                        await say("250-STARTTLS")
                    await say("250 AUTH PLAIN")
                case "STARTTLS" if self.tls is not None and not is_sealed:
                    await say("220 go ahead")
                    await writer.start_tls(self.tls)
                    is_sealed = True
                case "AUTH":
                    _, name, password = base64.b64decode(rest.partition(" ")[2]).decode().split("\x00")
                    is_right = password == self.password
                    signed_in = name if is_right else ""
                    await say("235 welcome" if is_right else "535 no")
                case "MAIL":
                    is_let_in = not self.password or signed_in
                    sender = rest.partition("<")[2].partition(">")[0]
                    await say("250 ok" if is_let_in else "530 sign in first")
                case "RCPT":
                    answer = self.answers.popleft() if self.answers else "250 ok"
                    if answer.startswith("2"):
                        to.append(rest.partition("<")[2].partition(">")[0])
                    await say(answer)
                case "DATA":
                    await say("354 go on")
                    lines = []
                    while (part := await reader.readline()) != b".\r\n":
                        if not part:
                            return
                        lines.append(part.removeprefix(b".") if part.startswith(b"..") else part)
                    content = email.message_from_bytes(b"".join(lines), policy=default)
                    self.letters.append(
                        Letter(sender=sender, to=tuple(to), content=content, signed_in=signed_in, was_sealed=is_sealed)
                    )
                    self.news.set()
                    if self.lost_answers:
                        self.lost_answers -= 1
                        return
                    sender, to = "", []
                    await say("250 taken")
                case "RSET" | "NOOP":
                    await say("250 ok")
                case "QUIT":
                    await say("221 bye")
                    return
                case _:
                    await say("500 what")
