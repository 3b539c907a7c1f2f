"""How a simulated home, and whatever else runs in a demo, is spoken to: JSON lines over a Unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

LONGEST_LINE = 256 * 1024
Act = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
Watch = Callable[[], AsyncIterator[dict[str, Any]]]


class RefusedError(Exception):
    """The other end understood and said no; the message is for a person."""


@asynccontextmanager
async def serve(path: Path, act: Act, watch: Watch) -> AsyncIterator[None]:
    """Answer one request a line with `act`; `{"do": "watch"}` streams what `watch` yields until the caller leaves."""
    calls: set[asyncio.Task[Any]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (call := asyncio.current_task()) is not None:
            calls.add(call)
            call.add_done_callback(calls.discard)
        try:
            while line := await reader.readline():
                try:
                    request = json.loads(line)
                    if request.get("do") == "watch":
                        async for state in watch():
                            await _say(writer, state)
                        continue
                    reply = {"ok": True, **await act(request)}
                except (RefusedError, ValueError, KeyError, TypeError, AttributeError) as error:
                    reply = {"ok": False, "error": str(error) if isinstance(error, RefusedError) else repr(error)}
                await _say(writer, reply)
        except (OSError, asyncio.CancelledError):
            pass  # the caller left, or the server does
        finally:
            writer.close()

    path.unlink(missing_ok=True)
    server = await asyncio.start_unix_server(answer, path, limit=LONGEST_LINE)
    path.chmod(0o600)
    try:
        yield
    finally:
        server.close()
        for call in list(calls):
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        path.unlink(missing_ok=True)


async def ask(path: Path, request: dict[str, Any], *, timeout_s: float = 15.0) -> dict[str, Any]:
    """One request. Raises RefusedError with the other end's reason, or when nobody is there."""
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_unix_connection(path, limit=LONGEST_LINE)
            try:
                await _say(writer, request)
                line = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError) as error:
        raise RefusedError(f"nobody answers at {path}: {str(error) or 'no answer in time'}") from error
    reply: dict[str, Any] = json.loads(line or b"{}")
    if not reply.get("ok"):
        raise RefusedError(str(reply.get("error", "the other end hung up")))
    return reply


async def follow(path: Path) -> AsyncIterator[dict[str, Any]]:
    """States as they change, until the other end goes away."""
    reader, writer = await asyncio.open_unix_connection(path, limit=LONGEST_LINE)
    try:
        await _say(writer, {"do": "watch"})
        while line := await reader.readline():
            yield json.loads(line)
    finally:
        writer.close()


async def _say(writer: asyncio.StreamWriter, line: dict[str, Any]) -> None:
    with contextlib.suppress(RuntimeError):
        writer.write(json.dumps(line).encode() + b"\n")
        await writer.drain()
