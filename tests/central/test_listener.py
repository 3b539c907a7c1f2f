"""Who may hold a connection, and for how long."""

from __future__ import annotations

import asyncio

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from central import listener
from central.listener import bind, serve

pytestmark = pytest.mark.sqlite
HEAD = b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 4\r\n"


async def answer(request: Request) -> PlainTextResponse:
    body = await request.body()
    if body == b"slow":
        await asyncio.sleep(1.0)
    return PlainTextResponse(body)


@pytest.fixture
async def address(monkeypatch):
    monkeypatch.setattr(listener, "REQUEST_S", 0.4)
    monkeypatch.setattr(listener, "KEEP_ALIVE_S", 0.4)
    stop = asyncio.Event()
    socket = bind("127.0.0.1", 0, "here")
    serving = asyncio.create_task(serve(Starlette(routes=[Route("/", answer, methods=["POST"])]), socket, stop))
    yield socket.getsockname()
    stop.set()
    async with asyncio.timeout(10):
        await serving


async def ended(reader: asyncio.StreamReader) -> bytes:
    """What came until the other end hung up."""
    async with asyncio.timeout(5):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


@pytest.mark.parametrize(
    "begun", [b"", b"P", HEAD, HEAD + b"\r\nfi"], ids=["nothing", "one-byte", "half-a-head", "half-a-body"]
)
async def test_who_connects_and_does_not_come_to_ask_is_hung_up_on(address, begun):
    reader, writer = await asyncio.open_connection(*address)
    writer.write(begun)
    assert await ended(reader) == b""
    writer.close()


async def test_a_request_that_trickles_is_not_kept_alive_by_its_drops(address):
    reader, writer = await asyncio.open_connection(*address)

    async def trickle() -> None:
        for octet in HEAD * 10:
            writer.write(bytes([octet]))
            await asyncio.sleep(0.05)

    trickling = asyncio.create_task(trickle())
    assert await ended(reader) == b""
    assert not trickling.done()
    trickling.cancel()
    writer.close()


async def test_a_request_is_answered_however_long_the_answer_takes_and_so_is_the_next_one(address):
    reader, writer = await asyncio.open_connection(*address)
    for _ in range(2):
        writer.write(HEAD + b"\r\nslow")
        async with asyncio.timeout(5):
            assert b" 200 " in await reader.readuntil(b"\r\n")
            await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(4) == b"slow"
    assert await ended(reader) == b""  # nothing more is asked
    writer.close()
