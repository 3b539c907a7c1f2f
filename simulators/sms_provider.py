"""A mobile operator with an SMS provider's interface: texts between simulated modems and central, over real HTTP.

Modems hand texts to `carry`; those for central's number are posted to its webhook, sealed as docs/administrators says,
and again until central answers 2xx. Central posts its own texts here; they arrive at the modem with that number, or
wait until it can take them.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from simulators.modem import SimulatedModem

RETRY_S = 0.2
DRIP_S = 0.2
MAX_KEPT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A message on its way."""

    sender: str
    to: str
    text: str


class SmsOperator:
    """Change the attributes to make trouble."""

    def __init__(self, number: str, *, secret: bytes, token: str) -> None:
        self.number = number
        self.secret = secret
        self.token = token
        self.webhook = ""
        self.modems: dict[str, SimulatedModem] = {}
        self.statuses: deque[int] = deque()
        """What the next posts of central are answered with, one each; then 202."""
        self.is_cut = False
        """Nothing is carried, in neither direction; it waits."""
        self.is_deaf = False
        """Central's posts are read and never answered."""
        self.is_dripping = False
        """They are answered, a byte now and then, without an end."""
        self.dripping = 0
        """So many answers drip now."""
        self.lost_answers = 0
        """So many of the next are taken, and then the line is cut before the answer."""
        self.references: list[str] = []
        """Of every post that was taken, in central's words: a provider drops the second of the same."""
        self.doubles = False
        """Every text to central is delivered twice."""
        self.received: list[Text] = []
        """Everything that central handed over and that was taken."""
        self.refused = 0
        self.delivered: list[tuple[int, Text]] = []
        """(status, text) of every post to central."""
        self.news = asyncio.Event()
        self._waiting: deque[Text] = deque(maxlen=MAX_KEPT)
        self._wake = asyncio.Event()
        self._url = ""

    def join(self, modem: SimulatedModem) -> None:
        """This modem's card is of ours."""
        self.modems[modem.card.number] = modem
        modem.carry = self.carry

    @property
    def url(self) -> str:
        """Where central posts to."""
        return self._url

    async def carry(self, sender: str, to: str, text: str) -> None:
        """A modem has sent something."""
        self._put(Text(sender=sender, to=to, text=text))

    def _put(self, text: Text) -> None:
        self._waiting.append(text)
        self._wake.set()

    async def until(self, holds: Callable[[], bool], timeout_s: float = 10.0) -> None:
        """Wait until something is true of it."""
        async with asyncio.timeout(timeout_s):
            while not holds():
                self.news.clear()
                await self.news.wait()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[SmsOperator]:
        """On the air, and listening for central."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/messages"
        task = asyncio.create_task(self._carry_on(), name="sms-operator")
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            server.close()
            await server.wait_closed()

    async def _carry_on(self) -> None:
        while True:
            self._wake.clear()
            for text in list(self._waiting):
                if not self.is_cut and await self._deliver(text):
                    self._waiting.remove(text)
                    self.news.set()
            try:
                async with asyncio.timeout(RETRY_S if self._waiting else None):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _deliver(self, text: Text) -> bool:
        if text.to == self.number:
            statuses = [await self.post(text) for _ in range(2 if self.doubles else 1)]
            return all(200 <= status < 500 for status in statuses)
        modem = self.modems.get(text.to)
        return modem is not None and modem.receive(text.sender, text.text)

    async def post(self, text: Text, *, at_s: float | None = None, secret: bytes | None = None) -> int:
        """One POST to central's webhook; the status of its answer, 0 when there is none."""
        body = json.dumps(
            {"from": text.sender, "to": text.to, "text": text.text, "id": f"in-{time.time_ns()}"}
        ).encode()
        status = await self.post_raw("/sms/v1/inbound", body, at_s=at_s, secret=secret)
        self.delivered.append((status, text))
        self.news.set()
        return status

    async def post_raw(
        self, path: str, body: bytes, *, at_s: float | None = None, secret: bytes | None = None, signature: str = ""
    ) -> int:
        """Any POST, sealed as the provider does it."""
        stamp = str(int(time.time() if at_s is None else at_s))
        seal = hmac.new(secret or self.secret, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: central\r\nContent-Type: application/json\r\nConnection: close\r\n"
            f"X-Sms-Timestamp: {stamp}\r\nX-Sms-Signature: {signature or 'sha256=' + seal}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        host, _, port = self.webhook.removeprefix("http://").partition(":")
        try:
            reader, writer = await asyncio.open_connection(host, int(port))
        except (OSError, ValueError):
            return 0
        try:
            writer.write(head.encode() + body)
            await writer.drain()
            answer = await reader.read()
            return int(answer.split(b" ", 2)[1])
        except (OSError, IndexError, ValueError):
            return 0
        finally:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
            body = await reader.readexactly(int(fields.get("content-length", "0")))
            if self.is_deaf:
                await reader.read()
                return
            if self.is_dripping:
                await self._drip(writer)
                return
            status, answer = self._take(head, fields, body)
            if status < 300 and self.lost_answers:
                self.lost_answers -= 1
                return
            content = json.dumps(answer).encode()
            writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError, ValueError):
            pass
        finally:
            writer.close()

    async def _drip(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 202 ")
        self.dripping += 1
        try:
            while self.is_dripping:
                writer.write(b"X")
                await writer.drain()
                await asyncio.sleep(DRIP_S)
        finally:
            self.dripping -= 1

    def _take(self, head: str, fields: dict[str, str], body: bytes) -> tuple[int, dict[str, str]]:
        if f"Bearer {self.token}" not in head or fields.get("content-type") != "application/json":
            return 401, {}
        status = self.statuses.popleft() if self.statuses else 202
        if status >= 300:
            self.refused += 1
            self.news.set()
            return status, {}
        said = json.loads(body)
        text = Text(sender=said["from"], to=said["to"], text=said["text"])
        self.references.append(said["reference"])
        self.received.append(text)
        self._put(text)
        self.news.set()
        return status, {"id": f"out-{said['reference']}"}
