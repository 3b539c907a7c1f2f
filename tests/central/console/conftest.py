"""A browser reduced to requests and cookies, before the console of a central of our own."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode

import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI

from central.app import create_console_app
from central.console.accounts import Account, Accounts
from central.console.gate import Desk
from central.console.passwords import Passwords
from central.console.roles import Role
from central.console.sessions import Sessions
from central.console.signin import SignIn

ORIGIN = "http://127.0.0.1:0"
PASSWORD = "en lang setning om fisk"
TIMEOUT_S = 10


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)

    @property
    def cookies(self) -> list[str]:
        return [value for key, value in self.headers if key == "set-cookie"]


@dataclass
class Browser:
    """Speaks to the application in this loop. Keeps cookies, sends what browsers send."""

    app: FastAPI
    jar: dict[str, str] = field(default_factory=dict)
    csrf: str = ""
    language: str = "nb"
    address: str = "192.0.2.7"

    async def request(
        self,
        method: str,
        path: str,
        *,
        form: dict[str, str] | None = None,
        content: Any = None,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
    ) -> Answer:
        scope, body = self._scope(method, path, form, content, headers, body)
        sent = False
        started: dict[str, Any] = {}
        parts: list[bytes] = []

        async def receive() -> dict[str, Any]:
            nonlocal sent
            if sent:
                await asyncio.Event().wait()
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                started.update(message)
            else:
                parts.append(message.get("body", b""))

        async with asyncio.timeout(TIMEOUT_S):
            await self.app(scope, receive, send)
        return self._answer(started, b"".join(parts))

    async def get(self, path: str, **more: Any) -> Answer:
        return await self.request("GET", path, **more)

    async def post(self, path: str, **more: Any) -> Answer:
        """With the session's token, as the pages send it."""
        headers = {"x-csrf-token": self.csrf, **more.pop("headers", {})}
        return await self.request("POST", path, headers=headers, **more)

    @asynccontextmanager
    async def stream(self, path: str, **headers: str) -> AsyncIterator[Callable[[], Awaitable[dict[str, Any]]]]:
        """Server-sent events, one at a time; the connection ends with the block."""
        scope, _ = self._scope("GET", path, None, None, headers, b"")
        pieces: asyncio.Queue[bytes] = asyncio.Queue()
        gone = asyncio.Event()
        started: dict[str, Any] = {}

        async def receive() -> dict[str, Any]:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                started.update(message)
            else:
                pieces.put_nowait(message.get("body", b""))

        async def event() -> dict[str, Any]:
            async with asyncio.timeout(TIMEOUT_S):
                while True:
                    lines = dict(
                        line.split(": ", 1) for line in (await pieces.get()).decode().splitlines() if ": " in line
                    )
                    if "event" in lines:
                        return {"name": lines["event"], "id": int(lines["id"]), **json.loads(lines["data"])}

        task = asyncio.create_task(self.app(scope, receive, send))
        try:
            yield event
        finally:
            gone.set()
            async with asyncio.timeout(TIMEOUT_S):
                await task

    def _scope(
        self,
        method: str,
        path: str,
        form: dict[str, str] | None,
        content: Any,
        headers: dict[str, str] | None,
        body: bytes,
    ) -> tuple[dict[str, Any], bytes]:
        sent = {"host": "127.0.0.1:0", "accept-language": self.language, "sec-fetch-site": "same-origin"}
        if self.jar:
            sent["cookie"] = "; ".join(f"{name}={value}" for name, value in self.jar.items())
        if form is not None:
            body = urlencode(form).encode()
            sent["content-type"] = "application/x-www-form-urlencoded"
        if content is not None:
            body = json.dumps(content).encode()
            sent["content-type"] = "application/json"
        if body:
            sent["content-length"] = str(len(body))
        sent |= {name.lower(): value for name, value in (headers or {}).items()}
        target, _, query = path.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": target,
            "raw_path": target.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in sent.items() if value != ""],
            "client": (self.address, 50000),
            "server": ("127.0.0.1", 0),
        }
        return scope, body

    def _answer(self, started: dict[str, Any], body: bytes) -> Answer:
        headers = [(name.decode(), value.decode()) for name, value in started["headers"]]
        answer = Answer(started["status"], headers, body)
        for line in answer.cookies:
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0" or not morsel.value:
                    self.jar.pop(name, None)
                else:
                    self.jar[name] = morsel.value
        found = (
            re.search(r'data-csrf="([^"]+)"', answer.text) if "html" in (answer.header("content-type") or "") else None
        )
        if found:
            self.csrf = found[1]
        return answer

    async def sign_in(self, name: str, password: str = PASSWORD) -> Answer:
        """Through the form; then the token of the new session."""
        answer = await self.request("POST", "/sign-in", form={"name": name, "password": password})
        if answer.status == 303:
            self.csrf = (await self.get("/api/v1/session")).json["csrf"]
        return answer


class Console:
    """The console of a central, its accounts, and browsers before it."""

    def __init__(self, bench: Any) -> None:
        self.bench = bench
        self.services = bench.services
        self.app = create_console_app(bench.services)
        # Real argon2id with the smallest parameters: these tests sign in hundreds of times.
        accounts = Accounts(bench.store, bench.clock, Passwords(PasswordHasher(1, 8, 1)))
        hours = bench.services.settings.console.session_hours
        self.desk = Desk(
            services=bench.services,
            accounts=accounts,
            sessions=Sessions(bench.store, bench.clock, hours),
            signin=SignIn(bench.services.security, bench.clock, accounts),
            onlookers=self.app.state.desk.onlookers,
        )
        self.app.state.desk = self.desk

    @property
    def accounts(self) -> Accounts:
        return self.desk.accounts

    async def account(self, name: str, role: Role = Role.RESPONDER) -> Account:
        """Somebody with a password."""
        account = await self.accounts.add(name, role)
        await self.accounts.set_password(account.id, PASSWORD)
        return account

    def browser(self, **more: Any) -> Browser:
        return Browser(self.app, **more)

    async def signed_in(self, name: str, role: Role = Role.RESPONDER, **more: Any) -> Browser:
        """Somebody new, at a browser of their own."""
        await self.account(name, role)
        browser = self.browser(**more)
        answer = await browser.sign_in(name)
        assert answer.status == 303
        return browser


@pytest.fixture
async def console(bench: Any) -> Console:
    return Console(bench)


@pytest.fixture
async def first(console: Console) -> Browser:
    return await console.signed_in("Operator One")


@pytest.fixture
async def other(console: Console) -> Browser:
    return await console.signed_in("Operator Two", Role.LEAD)


@pytest.fixture
async def tore(console: Console) -> Browser:
    return await console.signed_in("Tore Berg", Role.TECHNICIAN)


@pytest.fixture
async def ada(console: Console) -> Browser:
    return await console.signed_in("Ada Nes", Role.ADMINISTRATOR)
