"""One call of an application in this process: what a server would hand it, and what it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp

TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Exchanged:
    """What came back."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


def scope_of(method: str, path: str, headers: Mapping[str, str], *, client: str) -> dict[str, Any]:
    """A request from this address; the path may have a query."""
    target, _, query = path.partition("?")
    return {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "method": method,
        "path": target, "raw_path": target.encode(), "query_string": query.encode(), "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": (client, 50000), "server": ("127.0.0.1", 80),
    }  # fmt: skip


async def exchange(app: ASGIApp, scope: dict[str, Any], body: bytes) -> Exchanged:
    """One request with its answer. Raises TimeoutError when there is none."""
    is_read = False
    begun: dict[str, Any] = {}
    parts: list[bytes] = []

    async def receive() -> dict[str, Any]:
        nonlocal is_read
        if is_read:
            await asyncio.Event().wait()  # the other end stays
        is_read = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            begun.update(message)
        else:
            parts.append(message.get("body", b""))

    async with asyncio.timeout(TIMEOUT_S):
        await app(scope, receive, send)
    headers = [(name.decode(), value.decode()) for name, value in begun["headers"]]
    return Exchanged(begun["status"], headers, b"".join(parts))
