"""The hub's HTTP: connections kept, given up and made anew, and other ends that do not keep to the protocol."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloud_sync.errors import UplinkError
from cloud_sync.uplinks.connections import KEPT_S, MAX_HEAD, Connections
from cloud_sync.uplinks.tls import client_context
from simulators.certificates import Authority

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nfi\r\n2\r\nne\r\n0\r\n\r\n"


class RawServer:
    """Answers every request with the bytes it is given, in pieces, whatever they are."""

    def __init__(self):
        self.answer = [OK]
        self.is_closing_after = False
        self.connections = 0
        self.requests = []
        self._writers = []

    async def serve(self, reader, writer):
        self.connections += 1
        self._writers.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                self.requests.append((head, await reader.readexactly(length)))
                for piece in self.answer:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
                if self.is_closing_after:
                    return
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    def hang_up(self):
        for writer in self._writers:
            writer.close()


@pytest.fixture(scope="module")
def authority():
    return Authority()


@asynccontextmanager
async def talk(authority, folder, *, limit=2):
    server = RawServer()
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=authority.server_context(folder / "tls"))
    port = listener.sockets[0].getsockname()[1]
    url = f"https://127.0.0.1:{port}"
    client = Connections(url, client_context([authority.der]), (), limit=limit, connect_timeout_s=5)
    try:
        yield server, client
    finally:
        await client.close()
        server.hang_up()
        listener.close()
        await asyncio.sleep(0)


async def ask(client, body=b"question", limit=1000):
    async with asyncio.timeout(5), client.post("/ask", body) as answer:
        return answer.status, await answer.read(limit)


async def test_a_connection_is_kept_for_the_next_request(authority, tmp_path):
    async with talk(authority, tmp_path) as (server, client):
        assert [await ask(client) for _ in range(3)] == [(200, b"fine")] * 3
        assert server.connections == 1
        head, body = server.requests[0]
        assert head.startswith(b"POST /ask HTTP/1.1\r\n")
        assert b"\r\nhost: 127.0.0.1:" in head.lower()
        assert body == b"question"


async def test_a_connection_that_the_other_end_hung_up_is_not_tried_again(authority, tmp_path):
    async with talk(authority, tmp_path) as (server, client):
        await ask(client)
        server.hang_up()
        await until(lambda: not client._idle[0].is_open())
        assert await ask(client) == (200, b"fine")
        assert server.connections == 2


async def test_a_connection_is_not_used_after_a_long_pause(authority, tmp_path):
    async with talk(authority, tmp_path) as (server, client):
        await ask(client)
        client._idle[0].idle_since_s -= KEPT_S + 1
        assert await ask(client) == (200, b"fine")
        assert server.connections == 2


async def test_no_more_connections_than_allowed(authority, tmp_path):
    async with talk(authority, tmp_path, limit=3) as (server, client):
        assert await asyncio.gather(*(ask(client) for _ in range(12))) == [(200, b"fine")] * 12
        assert server.connections == 3


async def test_an_exchange_that_was_broken_off_takes_its_connection_with_it(authority, tmp_path):
    async with talk(authority, tmp_path) as (server, client):
        server.answer = []
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1), client.post("/ask", b""):
                pass
        server.answer = [OK]
        assert await ask(client) == (200, b"fine")
        assert server.connections == 2


async def test_an_answer_that_was_not_read_takes_its_connection_with_it(authority, tmp_path):
    async with talk(authority, tmp_path) as (server, client):
        async with client.post("/ask", b"") as answer:
            assert answer.status == 200
        assert await ask(client) == (200, b"fine")
        assert server.connections == 2


@pytest.mark.parametrize("answer", [OK, CHUNKED, b"HTTP/1.1 100 Continue\r\n\r\n" + OK])
async def test_an_answer_may_come_one_byte_at_a_time(authority, tmp_path, answer):
    async with talk(authority, tmp_path) as (server, client):
        server.answer = [bytes([byte]) for byte in answer]
        assert await ask(client) == (200, b"fine")


async def test_an_answer_that_ends_with_the_connection_is_whole(authority, tmp_path):
    async with talk(authority, tmp_path) as (server, client):
        server.answer, server.is_closing_after = [b"HTTP/1.1 200 OK\r\n\r\nfine"], True
        assert await ask(client) == (200, b"fine")
        assert await ask(client) == (200, b"fine")
        assert server.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\nshort",
        b"220 mail.example.org ready\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * MAX_HEAD * 2,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
    ],
)
async def test_what_is_no_answer_is_an_error_of_the_path(authority, tmp_path, answer):
    async with talk(authority, tmp_path) as (server, client):
        server.answer, server.is_closing_after = [answer], True
        with pytest.raises(UplinkError):
            await ask(client)


async def test_an_answer_longer_than_asked_for_is_not_taken(authority, tmp_path):
    async with talk(authority, tmp_path) as (server, client):
        server.answer = [b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + bytes(2000)]
        with pytest.raises(UplinkError, match="too long"):
            await ask(client)


async def test_a_long_body_arrives_whole(authority, tmp_path):
    body = bytes(range(256)) * 6000
    async with talk(authority, tmp_path) as (server, client):
        assert await ask(client, body) == (200, b"fine")
        assert server.requests[0][1] == body


async def test_nothing_is_sent_after_leaving(authority, tmp_path):
    async with talk(authority, tmp_path) as (server, client):
        await ask(client)
        await client.close()
        with pytest.raises(UplinkError, match="left"):
            await ask(client)
        assert len(server.requests) == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.lists(st.one_of(st.binary(max_size=40), st.sampled_from([OK, CHUNKED, OK[:30], CHUNKED[-9:]])), max_size=6))
async def test_any_bytes_are_an_answer_or_an_error_of_the_path(authority, tmp_path_factory, pieces):
    async with talk(authority, tmp_path_factory.mktemp("any")) as (server, client):
        server.answer, server.is_closing_after = pieces, True
        try:
            status, body = await ask(client)
        except UplinkError:
            return
        assert 200 <= status < 1000
        assert len(body) <= 1000


async def until(is_so):
    async with asyncio.timeout(5):
        while not is_so():
            await asyncio.sleep(0.005)
