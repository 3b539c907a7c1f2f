"""The cable between hub and central: it carries, it stops dead, it flows on."""

from __future__ import annotations

import asyncio

import pytest

from simulators.network import Cable


@pytest.fixture
async def echo():
    async def serve(reader, writer):
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()


async def test_a_cut_holds_everything_and_mending_lets_it_flow_on(echo):
    async with Cable(echo) as cable:
        reader, writer = await asyncio.open_connection("127.0.0.1", cable.port)
        writer.write(b"one")
        assert await asyncio.wait_for(reader.read(10), 2) == b"one"
        cable.cut()
        writer.write(b"two")
        late_reader, late_writer = await asyncio.open_connection("127.0.0.1", cable.port)
        late_writer.write(b"three")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(10), 0.1)
        assert cable.carried_bytes == 6
        cable.mend()
        assert await asyncio.wait_for(reader.read(10), 2) == b"two"
        assert await asyncio.wait_for(late_reader.read(10), 2) == b"three"
        writer.close()
        late_writer.close()


async def test_who_gave_up_while_the_cable_was_cut_never_comes_to_the_other_end():
    came = []

    async def note(reader, writer):
        came.append(await reader.read(100))
        writer.close()

    server = await asyncio.start_server(note, "127.0.0.1", 0)
    async with server, Cable(server.sockets[0].getsockname()) as cable:
        cable.cut()
        writers = [(await asyncio.open_connection("127.0.0.1", cable.port))[1] for _ in range(2)]
        for writer in writers:
            writer.write(b"hello")
            await writer.drain()
        writers[0].transport.abort()
        await asyncio.sleep(0.05)
        cable.mend()
        async with asyncio.timeout(2):
            while not came:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert came == [b"hello"]
        writers[1].close()


async def test_a_dead_far_end_closes_the_near_one():
    async with Cable(("127.0.0.1", 1)) as cable:
        reader, writer = await asyncio.open_connection("127.0.0.1", cable.port)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(1), 2)
        writer.close()
