"""The demo's own eyes at central: signs in like a person, follows the feed, and can answer an alarm by itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

import aiohttp

from simulators.demo.program import ProgramError
from simulators.demo.stage import HOST, Stage

RESPONDER = "demo"
OBSERVER = "demo-observer"
PATIENCE_S = 10.0


class OperatorError(Exception):
    """Central said no, or nothing, to a person; the message tells."""


class Operator:
    """A responder's account, used over the JSON API with a real session."""

    def __init__(self, stage: Stage, http: aiohttp.ClientSession) -> None:
        self._stage = stage
        self._http = http
        self._csrf = ""
        self.last: dict[str, Any] | None = None
        """The newest alarm: kind, steps of its journey, and what the console shows of it."""
        self.arrived = 0
        """Presses that central has: alarm events of the home, repeats included."""

    @property
    def console(self) -> str:
        """Central's address for people."""
        return f"http://{HOST}:{self._stage.ports.console}"

    async def add_accounts(self) -> None:
        """Make the demo's accounts, unless an earlier run did."""
        for name, role in ((RESPONDER, "responder"), (OBSERVER, "lead")):
            with contextlib.suppress(ProgramError):  # there already: a link is made for it below
                await self._stage.central_command("user", "add", name, "--role", role)

    async def sign_in_link(self, *, is_compact: bool = False, language: str = "nb", name: str = RESPONDER) -> str:
        """A one-time link for an account."""
        answer = await self._stage.central_command("user", "link", name)
        query = {"lang": language} | ({"next": "/?compact=1"} if is_compact else {})
        link = str(answer["link"])
        return f"{link}{'&' if '?' in link else '?'}{urlencode(query)}"

    async def sign_in(self, name: str = OBSERVER) -> None:
        """Use a link of our own. Raises OperatorError."""
        link = await self.sign_in_link(name=name)
        async with self._http.get(link) as answer:
            text = await answer.text()
            if answer.status != 200:
                raise OperatorError(f"signing in at {self.console} was answered with {answer.status}: {text[:200]}")
        self._csrf = str((await self.call("GET", "/api/v1/session"))["csrf"])

    async def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """One call of the JSON API. Raises OperatorError."""
        headers = {"X-CSRF-Token": self._csrf} if method != "GET" else {}
        try:
            async with self._http.request(method, self.console + path, json=body, headers=headers) as answer:
                text = await answer.text()
                if answer.status >= 400:
                    raise OperatorError(f"{method} {path} was answered with {answer.status}: {text[:300]}")
                found: dict[str, Any] = json.loads(text) if text else {}
                return found
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise OperatorError(f"{method} {path}: {error}") from error

    async def feed(self) -> AsyncIterator[tuple[str, dict[str, Any], float]]:
        """(event, data, boot-time clock at arrival) of the console's stream, until it breaks (OperatorError)."""
        timeout = aiohttp.ClientTimeout(total=None, sock_read=20)
        name = "message"
        try:
            async with self._http.get(self.console + "/api/v1/feed", timeout=timeout) as stream:
                if stream.status != 200:
                    raise OperatorError(f"the feed was answered with {stream.status}")
                async for raw in stream.content:
                    line = raw.decode().rstrip("\r\n")
                    if line.startswith("event:"):
                        name = line[6:].strip()
                    elif line.startswith("data:"):
                        data = json.loads(line[5:])
                        yield name, data, time.clock_gettime(time.CLOCK_BOOTTIME)
                        name = "message"
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise OperatorError(f"the feed broke: {error}") from error

    async def look(self) -> None:
        """Take in the newest alarm and how many presses have arrived."""
        listed = await self.call("GET", "/api/v1/alarms?state=all&limit=200")
        alarms = listed["alarms"]
        self.arrived = sum(int(alarm["repeats"]) + 1 for alarm in alarms)
        if not alarms:
            return
        newest = max(alarms, key=lambda alarm: int(alarm["last_event_ms"]))
        detail = await self.call("GET", f"/api/v1/alarms/{newest['id']}")
        self.last = {"kind": newest["kind"], "alarm": detail["alarm"], "steps": detail["journey"]["steps"]}

    async def follow(self, tell: Callable[[], Awaitable[None]]) -> None:
        """Keep `last` and `arrived` true until cancelled; central may come and go."""
        while True:
            try:
                if not self._csrf:
                    await self.sign_in()
                await self.look()
                await tell()
                async for event, _data, _at in self.feed():
                    if event == "change":
                        await self.look()
                        await tell()
            except (OperatorError, ProgramError, KeyError):
                await asyncio.sleep(0.5)
