"""A serial port by its file descriptor, on a pseudo-terminal whose other end takes its time."""

from __future__ import annotations

import asyncio
import os
import threading
import tty
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from ground import serial_port
from ground.serial_port import OPENING_ERRORS, SerialPort, number_of, open_port


@dataclass
class Pair:
    port: SerialPort
    other_end: int

    def hang_up(self) -> None:
        os.close(self.other_end)
        self.other_end = -1


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    master, slave = os.openpty()
    tty.setraw(master)
    path = os.ttyname(slave)
    made = Pair(await open_port(path, baudrate=9600), master)
    os.close(slave)
    yield made
    made.port.close()
    if made.other_end >= 0:
        os.close(made.other_end)


async def test_a_reader_waits_for_bytes_and_is_told_of_a_hangup(pair: Pair) -> None:
    reading = asyncio.create_task(pair.port.read())
    await asyncio.sleep(0)
    assert not reading.done()
    os.write(pair.other_end, b"\x05")
    async with asyncio.timeout(5):
        assert await reading == b"\x05"
        pair.hang_up()
        assert await pair.port.read() == b""


async def test_closing_wakes_the_reader_and_may_be_done_twice(pair: Pair) -> None:
    reading = asyncio.create_task(pair.port.read())
    await asyncio.sleep(0)
    pair.port.close()
    pair.port.close()
    async with asyncio.timeout(5):
        assert await reading == b""


async def test_more_than_the_port_takes_at_once_is_sent_whole(pair: Pair) -> None:
    content = bytes(range(256)) * 256
    sending = asyncio.create_task(pair.port.send(content))
    received = b""
    async with asyncio.timeout(10):
        while len(received) < len(content):
            received += await asyncio.to_thread(os.read, pair.other_end, 4096)
        await sending
    assert received == content


async def test_what_has_to_go_at_once_never_waits_for_room(pair: Pair) -> None:
    for _ in range(1000):
        pair.port.send_now(bytes(1024))  # nobody takes it
    pair.port.close()
    pair.port.send_now(b"\x06")


async def test_a_port_that_is_not_there_tells_its_error_number() -> None:
    with pytest.raises(OPENING_ERRORS) as caught:
        await open_port("/dev/ttyNobody", baudrate=9600)
    assert number_of(caught.value) == 2


async def test_a_port_that_opens_after_its_user_went_away_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    opens, closed = threading.Event(), threading.Event()

    class Late:
        def close(self) -> None:
            closed.set()

    def slowly(_path: str, _line: object) -> Late:
        opens.wait(5)
        return Late()

    monkeypatch.setattr(serial_port, "_open_blocking", slowly)
    opening = asyncio.create_task(open_port("/dev/ttySlow"))
    await asyncio.sleep(0.01)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    opens.set()
    assert await asyncio.to_thread(closed.wait, 5)
