"""Somebody's browser: signs in, keeps its cookie and its token, and speaks to the JSON API in this process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from http.cookies import SimpleCookie
from typing import Any

from starlette.applications import Starlette

HOST = "127.0.0.1"
TIMEOUT_S = 30.0
UNAUTHORIZED = 401
FAULT = 400


class RefusedError(Exception):
    """Central said no: the status and what it said."""

    def __init__(self, method: str, path: str, status: int, answer: Any) -> None:
        super().__init__(f"{method} {path}: {status} {answer}")
        self.status = status
        self.answer = answer


class Browser:
    """One person's. `new_link` gives a one-time link to sign in with."""

    def __init__(self, app: Starlette, new_link: Callable[[], Awaitable[str]]) -> None:
        self._app = app
        self._new_link = new_link
        self._jar: dict[str, str] = {}
        self._csrf = ""

    async def sign_in(self) -> None:
        """A new session."""
        self._jar.clear()
        answer = await self._ask("POST", "/api/v1/session", {"link": await self._new_link()})
        self._csrf = answer["csrf"]

    def take_session_of(self, other: Browser) -> None:
        """Central was restarted: the session of before goes on."""
        self._jar, self._csrf = dict(other._jar), other._csrf

    async def post(self, path: str, content: dict[str, Any] | None = None) -> Any:
        """Ask for a change; sign in again first where the session has ended. Raises RefusedError."""
        try:
            return await self._ask("POST", path, content)
        except RefusedError as error:
            if error.status != UNAUTHORIZED:
                raise
        await self.sign_in()
        return await self._ask("POST", path, content)

    async def _ask(self, method: str, path: str, content: dict[str, Any] | None) -> Any:
        body = b"" if content is None else json.dumps(content).encode()
        status, headers, answer = await self._exchange(method, path, body)
        for name, value in headers:
            if name == b"set-cookie":
                self._jar |= {key: morsel.value for key, morsel in SimpleCookie(value.decode()).items()}
        said = json.loads(answer) if answer else None
        if status >= FAULT:
            raise RefusedError(method, path, status, said)
        return said

    async def _exchange(self, method: str, path: str, body: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        headers = [(b"host", HOST.encode()), (b"content-length", str(len(body)).encode())]
        if body:
            headers.append((b"content-type", b"application/json"))
        if self._jar:
            headers.append((b"cookie", "; ".join(f"{key}={value}" for key, value in self._jar.items()).encode()))
        if self._csrf:
            headers.append((b"x-csrf-token", self._csrf.encode()))
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "method": method,
            "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": headers,
            "client": ("192.0.2.1", 40000), "server": (HOST, 80),
        }  # fmt: skip
        is_read = False
        begun: dict[str, Any] = {}
        parts: list[bytes] = []

        async def receive() -> dict[str, Any]:
            nonlocal is_read
            if is_read:
                await asyncio.Event().wait()
            is_read = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                begun.update(message)
            else:
                parts.append(message.get("body", b""))

        async with asyncio.timeout(TIMEOUT_S):
            await self._app(scope, receive, send)
        return begun["status"], list(begun["headers"]), b"".join(parts)
