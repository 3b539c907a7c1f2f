"""Somebody's browser: signs in, keeps its cookie and its token, and speaks to the JSON API in this process."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from http.cookies import SimpleCookie
from typing import Any

from starlette.applications import Starlette

from simulators.asgi import exchange, scope_of

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
        exchanged = await exchange(self._app, scope_of(method, path, self._headers(body), client="192.0.2.1"), body)
        for name, value in exchanged.headers:
            if name == "set-cookie":
                self._jar |= {key: morsel.value for key, morsel in SimpleCookie(value).items()}
        said = json.loads(exchanged.body) if exchanged.body else None
        if exchanged.status >= FAULT:
            raise RefusedError(method, path, exchanged.status, said)
        return said

    def _headers(self, body: bytes) -> dict[str, str]:
        headers = {"host": "127.0.0.1", "content-length": str(len(body))}
        if body:
            headers["content-type"] = "application/json"
        if self._jar:
            headers["cookie"] = "; ".join(f"{key}={value}" for key, value in self._jar.items())
        if self._csrf:
            headers["x-csrf-token"] = self._csrf
        return headers
