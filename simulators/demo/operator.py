"""The demo's own eyes at central: signs in like a person, follows the feed, and can answer an alarm by itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import sqlite3
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from simulators.demo.program import ProgramError
from simulators.demo.stage import HOST, Stage

RESPONDER = "demo"
OBSERVER = "demo-observer"
CONSOLE = secrets.token_hex(8)
PRESSES = ("pendant_pressed", "cord_pulled", "smoke", "nurse_call", "nurse_emergency", "nurse_assistance")


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
        """Presses that have had an effect at central since the demo began, repeats included."""
        self._before: int | None = None

    @property
    def console(self) -> str:
        """Central's address for people."""
        return f"http://{HOST}:{self._stage.ports.console}"

    async def add_accounts(self) -> None:
        """Make the demo's accounts, unless an earlier run did."""
        for name, role in ((RESPONDER, "responder"), (OBSERVER, "lead")):
            with contextlib.suppress(ProgramError):  # there already: a link is made for it below
                await self._stage.central_command("user", "add", name, "--role", role)

    async def sign_in_link(self, *, language: str = "nb", name: str = RESPONDER) -> str:
        """A one-time link for an account."""
        answer = await self._stage.central_command("user", "link", name)
        return f"{answer['link']}?lang={language}"

    async def sign_in(self, name: str = OBSERVER) -> None:
        """Use a one-time link up ourselves. Raises OperatorError."""
        self._csrf = str((await self._redeem(self._http, name))["csrf"])

    async def session_cookie(self, name: str = RESPONDER) -> tuple[str, str]:
        """A session for somebody's browser: the cookie's name and value. Raises OperatorError."""
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(cookie_jar=jar) as http:
            await self._redeem(http, name)
        for cookie in jar:
            return cookie.key, cookie.value
        raise OperatorError("central let us in without a cookie")

    async def _redeem(self, http: aiohttp.ClientSession, name: str) -> dict[str, Any]:
        token = urlsplit(await self.sign_in_link(name=name)).path.rpartition("/")[2]
        return await self._call(http, "POST", "/api/v1/session", {"link": token}, {})

    async def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """One call of the JSON API. Raises OperatorError."""
        headers = {"X-CSRF-Token": self._csrf} if method != "GET" else {}
        return await self._call(self._http, method, path, body, headers)

    async def _call(
        self, http: aiohttp.ClientSession, method: str, path: str, body: Any, headers: dict[str, str]
    ) -> dict[str, Any]:
        try:
            async with http.request(method, self.console + path, json=body, headers=headers) as answer:
                text = await answer.text()
                if answer.status >= 400:
                    raise OperatorError(f"{method} {path} was answered with {answer.status}: {text[:300]}")
                found: dict[str, Any] = json.loads(text) if text else {}
                return found
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise OperatorError(f"{method} {path}: {error}") from error

    async def feed(self) -> AsyncGenerator[tuple[str, dict[str, Any], float], None]:
        """(event, data, boot-time clock at arrival) of the console's stream, until it breaks (OperatorError)."""
        timeout = aiohttp.ClientTimeout(total=None, sock_read=20)
        name = "message"
        try:
            async with self._http.get(f"{self.console}/api/v1/feed?console={CONSOLE}", timeout=timeout) as stream:
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
        """Take in the newest alarm and how many presses have arrived, from central's own database."""
        database = self._stage.folder / "central" / "central.db"
        self.arrived, newest = await asyncio.to_thread(_read, database)
        if self._before is None:
            self._before = self.arrived
        self.arrived -= self._before
        if newest is None:
            return
        detail = await self.call("GET", f"/api/v1/alarms/{newest}")
        steps = dict(detail["journey"]["steps"])
        pressed_ms = int(detail["journey"]["pressed_ms"])
        for moment in detail["timeline"]:
            if moment["what"] in {"on_the_way", "closed"}:
                steps[moment["what"]] = float(moment["at_ms"] - pressed_ms)
        self.last = {"id": newest, "kind": detail["alarm"]["kind"], "steps": steps}

    async def follow(self, tell: Callable[[], Awaitable[None]]) -> None:
        """Keep `last` and `arrived` true until cancelled; central may come and go."""
        while True:
            try:
                if not self._csrf:
                    await self.sign_in()
                await self.look()
                await tell()
                async with aclosing(self.feed()) as events:
                    await self._look_at_changes(events, tell)
            except (OperatorError, ProgramError, KeyError):
                await asyncio.sleep(0.5)

    async def _look_at_changes(
        self, events: AsyncGenerator[tuple[str, dict[str, Any], float], None], tell: Callable[[], Awaitable[None]]
    ) -> None:
        """Look after each change, and a second later: that a console shows an alarm is no change to consoles."""
        upcoming: asyncio.Future[tuple[str, dict[str, Any], float]] | None = None
        looks = 0
        try:
            while True:
                upcoming = upcoming or asyncio.ensure_future(anext(events))
                done, _ = await asyncio.wait({upcoming}, timeout=1.0 if looks else None)
                looks = 2 if done and upcoming.result()[0] == "change" else max(0, looks - 1)
                if done:
                    upcoming = None
                await self.look()
                await tell()
        finally:
            if upcoming is not None:
                upcoming.cancel()
                await asyncio.gather(upcoming, return_exceptions=True)


def _read(database: Path) -> tuple[int, str | None]:
    """How many presses have had an effect, and the id of the alarm that something happened to last."""
    marks = ", ".join("?" * len(PRESSES))
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=5)
    try:
        (count,) = connection.execute(
            "SELECT count(*) FROM alarm_event JOIN alarm ON alarm.id = alarm_event.alarm "  # noqa: S608  # marks only
            f"WHERE role IN ('raised', 'repeat') AND kind IN ({marks})",
            PRESSES,
        ).fetchone()
        newest = connection.execute(
            "SELECT id FROM alarm WHERE queue = 'personal' ORDER BY last_event_ms DESC LIMIT 1"
        ).fetchone()
    except sqlite3.Error as error:
        raise OperatorError(f"central's database cannot be read: {error}") from error
    finally:
        connection.close()
    return int(count), None if newest is None else str(newest[0])
