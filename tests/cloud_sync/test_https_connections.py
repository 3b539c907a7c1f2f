"""The hub's HTTP: connections kept, given up and made anew, and other ends that do not keep to the protocol."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path

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
        self.is_reading = True
        self._writers = []
        self._tasks = set()

    async def ended(self):
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0.01)

    async def serve(self, reader, writer):
        self._tasks.add(asyncio.current_task())
        self.connections += 1
        self._writers.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if not self.is_reading:
                    writer.write(b"".join(self.answer))
                    await asyncio.sleep(3600)
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
            # A farewell would wait behind what is not read.
            (writer.close if self.is_reading else writer.transport.abort)()

    def hang_up(self):
        for writer in self._writers:
            writer.close()

    def say(self, octets):
        for writer in self._writers:
            writer.write(octets)


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
        await server.ended()


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


async def test_a_refusal_that_was_heard_to_its_end_keeps_the_connection(authority, tmp_path):
    async with talk(authority, tmp_path) as (server, client):
        server.answer = [b"HTTP/1.1 429 Later\r\nContent-Length: 4\r\n\r\nbusy"]

        async def refused():
            async with client.post("/ask", b"") as answer:
                raise UplinkError(f"{answer.status} {(await answer.read(100)).decode()}")

        for _ in range(3):
            with pytest.raises(UplinkError, match="429 busy"):
                await refused()
        assert server.connections == 1


async def test_a_connection_that_the_other_end_hung_up_is_not_tried_again(authority, tmp_path):
    async with talk(authority, tmp_path) as (server, client):
        await ask(client)
        server.hang_up()
        await until(lambda: not client._idle)
        assert await ask(client) == (200, b"fine")
        assert server.connections == 2


async def test_a_line_that_does_not_answer_is_not_called_anew_by_everybody_who_gives_up(authority, tmp_path):
    calls = []
    is_dead = asyncio.Event()

    async def silent(_, writer):
        calls.append(writer)
        await is_dead.wait()
        writer.transport.abort()

    listener = await asyncio.start_server(silent, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    client = Connections(url, client_context([authority.der]), (), limit=2, connect_timeout_s=30)
    for _ in range(5):  # each gives up in its turn, as an alarm does that another path has brought home
        givers = [asyncio.create_task(ask(client)) for _ in range(3)]
        await until(lambda: len(calls) == 2)
        await asyncio.sleep(0.02)
        for giver in givers:
            giver.cancel()
        await asyncio.gather(*givers, return_exceptions=True)
    assert len(calls) == 2
    is_dead.set()
    with pytest.raises(UplinkError):
        await ask(client)
    await client.close()
    assert not client._left
    listener.close()


async def test_a_connection_that_comes_when_nobody_waits_for_it_any_more_serves_the_next(authority, tmp_path):
    async with talk(authority, tmp_path) as (server, client):
        giver = asyncio.create_task(ask(client))
        await asyncio.sleep(0)  # it has called
        giver.cancel()
        await asyncio.gather(giver, return_exceptions=True)
        await until(lambda: client._idle)
        assert await ask(client) == (200, b"fine")
        assert server.connections == 1


async def test_leaving_ends_calls_that_nobody_waits_for(authority, tmp_path):
    async with talk(authority, tmp_path) as (_, client):
        giver = asyncio.create_task(ask(client))
        await asyncio.sleep(0)
        giver.cancel()
        await asyncio.gather(giver, return_exceptions=True)
        await client.close()
        assert not client._left
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "uplink-connect"]


async def test_a_connection_is_not_used_after_a_long_pause(authority, tmp_path):
    async with talk(authority, tmp_path) as (server, client):
        await ask(client)
        client._idle[0]._idle_since_s -= KEPT_S + 1
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


@pytest.mark.parametrize("is_early", [True, False], ids=["in the same breath", "later"])
async def test_what_comes_after_an_answer_is_never_taken_for_the_next_one(authority, tmp_path, is_early):
    async with talk(authority, tmp_path) as (server, client):
        forged = b"HTTP/1.1 418 No\r\nContent-Length: 0\r\n\r\n"
        server.answer = [OK + forged if is_early else OK]
        assert await ask(client) == (200, b"fine")
        if not is_early:
            server.say(forged)
            await until(lambda: not client._idle)
        server.answer = [OK]
        assert await ask(client) == (200, b"fine")
        assert server.connections == 2


async def test_an_answer_that_says_it_is_too_long_is_not_even_read(authority, tmp_path):
    async with talk(authority, tmp_path) as (server, client):
        server.answer = [b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"]  # and then nothing
        with pytest.raises(UplinkError, match="too long"):
            await ask(client)


async def test_an_endless_answer_in_chunks_is_given_up_at_the_limit(authority, tmp_path):
    async with talk(authority, tmp_path) as (server, client):
        server.answer = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"] + [b"400\r\n" + bytes(1024)] * 1
        server.answer += [b"\r\n400\r\n" + bytes(1024)] * 3
        with pytest.raises(UplinkError, match="too long"):
            await ask(client)


@pytest.mark.parametrize("cut_at", range(len(CHUNKED) - 1), ids=lambda at: CHUNKED[:at].decode()[-4:].encode().hex())
async def test_wherever_the_other_end_breaks_off_it_is_an_error_of_the_path(authority, tmp_path, cut_at):
    async with talk(authority, tmp_path) as (server, client):
        server.answer, server.is_closing_after = [CHUNKED[:cut_at]], True
        with pytest.raises(UplinkError):
            await ask(client)


async def test_a_refusal_that_comes_before_all_was_sent_is_heard(authority, tmp_path):
    async with talk(authority, tmp_path) as (server, client):
        server.is_reading = False
        server.answer = [b"HTTP/1.1 413 Too much\r\nContent-Length: 2\r\n\r\nno"]
        assert await ask(client, bytes(20_000_000)) == (413, b"no")
        assert not client._idle


async def test_leaving_ends_what_is_under_way(authority, tmp_path):
    async with talk(authority, tmp_path) as (server, client):
        server.answer = []
        asked = [asyncio.create_task(ask(client)) for _ in range(4)]  # two wait for a connection
        await until(lambda: len(server.requests) == 2)
        await client.close()
        async with asyncio.timeout(1):
            found = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(one) for one in found] == [UplinkError] * 4
        assert not client._open


async def test_a_host_that_takes_the_call_and_says_nothing_is_given_up(authority, tmp_path):
    mute = []
    listener = await asyncio.start_server(lambda _reader, writer: mute.append(writer), "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    client = Connections(
        f"https://127.0.0.1:{port}", client_context([authority.der]), (), limit=1, connect_timeout_s=0.2
    )
    async with asyncio.timeout(3):
        with pytest.raises(UplinkError, match="in time"):
            await ask(client)
    listener.close()
    for writer in mute:
        writer.close()


@pytest.mark.parametrize("name", ["x" * 70 + ".example.org", "a..example.org", "xn--" + "y" * 64])
async def test_a_name_that_can_be_none_is_an_error_of_the_path(authority, name):
    with pytest.raises(UplinkError):
        await ask(Connections(f"https://{name}", client_context([authority.der]), (), limit=1, connect_timeout_s=2))


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://sentral.bærum.example", b"sentral.xn--brum-voa.example"),
        ("https://[::1]:8443", b"[::1]:8443"),
        ("https://user:word@central.example:1", b"central.example:1"),
    ],
)
def test_the_host_is_named_as_http_has_it(authority, url, host):
    client = Connections(url, client_context([authority.der]), (), limit=1, connect_timeout_s=1)
    assert dict(client._headers)["Host"].encode("ascii") == host


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


async def reconnect(authority, folder, rounds):
    """Connections that end in every way there is, over and over; what is open afterwards."""
    tasks = asyncio.all_tasks()
    async with talk(authority, folder, limit=3) as (server, client):
        before = open_files()
        for turn in range(rounds):
            server.answer, server.is_closing_after = [OK], turn % 5 == 0
            if turn % 5 == 1:
                server.answer = [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfi"]
            if turn % 5 == 2:
                server.answer = [b"garbage\r\n\r\n"]
            try:
                async with asyncio.timeout(0.002 if turn % 5 == 1 else 5):  # also in the middle of a handshake
                    await ask(client)
            except (UplinkError, TimeoutError):
                pass
            if turn % 5 == 3:
                server.hang_up()
            server._writers = [writer for writer in server._writers if not writer.is_closing()]
            server._tasks = {task for task in server._tasks if not task.done()}
        await client.close()
        server.hang_up()
        await until(lambda: open_files() <= before)
        assert not client._open
        assert not client._idle
    assert asyncio.all_tasks() == tasks


async def test_two_hundred_reconnects_leave_nothing_open(authority, tmp_path):
    await reconnect(authority, tmp_path, 200)


@pytest.mark.soak
async def test_ten_thousand_reconnects_leave_nothing_open(authority, tmp_path):
    await reconnect(authority, tmp_path, 10_000)


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
