from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from drivers.espa.calls import Acknowledged, Asked, Ear, Garbled, Over, PageCall, Refused, Told, encode_text
from drivers.espa.codec import BLOCK_LIMIT
from drivers.espa.pager import Pager, PagerError
from drivers.espa.pager_settings import PagerSettings
from simulators.demo.stage import free_port
from simulators.espa_wires import ClientWire, PtyWire, ServerWire, Wire
from simulators.pager import PagingSystem

CALL = PageCall(address="550", text="ALARM Bad 2")
PATIENCE_S = 5.0


class Line:
    """A hub's pager, and what it said of its line."""

    def __init__(self, port: str, **settings: Any) -> None:
        quick = {"reply_timeout_s": 0.3, "poll_interval_s": 0.2, "poll_timeout_s": 1}
        self.settings = PagerSettings(port=port, address="550", **{**quick, **settings})
        self.links: list[tuple[bool, str]] = []
        self.changed = asyncio.Event()
        self.pager = Pager(self.settings, now_s=time.monotonic, on_link=self._turned)

    def _turned(self, is_up: bool, reason: str) -> None:
        self.links.append((is_up, reason))
        self.changed.set()

    async def until_link(self, is_up: bool) -> str:
        async with asyncio.timeout(PATIENCE_S):
            while not self.links or self.links[-1][0] is not is_up:
                self.changed.clear()
                await self.changed.wait()
        return self.links[-1][1]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Pager]:
        task = asyncio.create_task(self.pager.run())
        try:
            yield self.pager
        finally:
            task.cancel()
            await asyncio.wait({task})


def wire(kind: str, folder: Path) -> Wire:
    match kind:
        case "pty":
            return PtyWire(folder / "pager.tty")
        case "server":
            return ServerWire()
        case _:
            return ClientWire("127.0.0.1", free_port())


@pytest.fixture(params=["control", "polled"])
def role(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def other_end(role: str, at: Wire) -> PagingSystem:
    return PagingSystem(at, polls_hub=role == "polled", hub_station="1" if role == "control" else "3")


def hub_end(role: str, port: str, **settings: Any) -> Line:
    return Line(port, role=role, own_station="1" if role == "control" else "3", **settings)


# framing


def test_a_call_is_framed_as_the_standard_says() -> None:
    call = PageCall(address="550", text="CALL ME 101", beep="3", call_type="3", transmissions="3", priority="3")
    assert call.block("ascii") == bytes.fromhex(
        "01 31 02 31 1f 35 35 30 1e 32 1f 43 41 4c 4c 20 4d 45 20 31 30 31 1e 33 1f 33 1e 34 1f 33 1e 35 1f 33 1e 36"
        " 1f 33 03 23"
    )


@pytest.mark.parametrize(
    ("text", "charset", "octets"),
    [
        ("Bad på gård Ås", "iso646-no", b"Bad p} g}rd ]s"),
        ("Øl [2]", "iso646-no", b"\\l (2)"),
        ("Øl [2]", "ascii", b"Ol [2]"),
        ("ÆØÅ", "latin-1", b"\xc6\xd8\xc5"),
        ("ALARM\x02\x03\x1f rom", "ascii", b"ALARM    rom"),
    ],
)
def test_display_text_holds_no_control_sign_and_no_letter_that_the_set_has_not(
    text: str, charset: Any, octets: bytes
) -> None:
    assert encode_text(text, charset) == octets


@given(text=st.text(max_size=300), charset=st.sampled_from(["ascii", "iso646-no", "iso646-se", "latin-1", "utf-8"]))
def test_whatever_the_text_the_other_end_reads_one_sound_block(text: str, charset: Any) -> None:
    block = PageCall(address="550", text=text).block(charset)
    (told,) = Ear().feed(block)
    assert isinstance(told, Told)
    assert [name for name, _ in told.block.records] == ["1", "2", "3", "4", "5", "6"]
    assert len(block) < BLOCK_LIMIT


@given(data=st.data(), junk=st.binary(max_size=600))
def test_any_bytes_in_any_pieces_mean_the_same_and_hold_no_more_than_a_block(data: Any, junk: bytes) -> None:
    whole, pieces = Ear(), Ear()
    said = whole.feed(junk)
    found, at = [], 0
    while at < len(junk):
        step = data.draw(st.integers(1, 40))
        found += pieces.feed(junk[at : at + step])
        at += step
    assert found == said
    assert len(pieces._body or b"") <= BLOCK_LIMIT


def test_what_the_line_says_is_told_apart() -> None:
    good = PageCall(address="1", text="x").block("ascii")
    bad = good[:-1] + bytes([good[-1] ^ 1])
    said = Ear().feed(b"\x06" + b"1\x15" + b"\x04" + b"2\x05" + bad + good)
    kinds = [type(token) for token in said]
    assert kinds == [Acknowledged, Refused, Over, Asked, Garbled, Told]
    assert said[1] == Refused(prefix="1")
    assert said[3] == Asked(station="2")


# a line and its other end


@pytest.mark.parametrize("kind", ["pty", "server", "client"])
async def test_a_call_reaches_the_display_over_every_kind_of_line(kind: str, role: str, tmp_path: Path) -> None:
    async with other_end(role, wire(kind, tmp_path)) as paging:
        line = hub_end(role, paging.port)
        async with line.running() as pager:
            await pager.page(CALL, deadline_s=PATIENCE_S)
            await line.until_link(True)
    (page,) = paging.pages
    assert (page.address, page.text, page.call_type, page.priority) == ("550", "ALARM Bad 2", "3", "1")


async def test_a_spoiled_block_is_sent_again_and_a_lost_acknowledgement_too(role: str) -> None:
    async with other_end(role, ServerWire()) as paging:
        paging.faults.spoiled = 2
        line = hub_end(role, paging.port)
        async with line.running() as pager:
            await pager.page(CALL, deadline_s=PATIENCE_S)
            assert (paging.damaged, len(paging.pages), paging.selections) == (2, 1, 1)
            paging.faults.lost_acks = 1
            await pager.page(CALL, deadline_s=PATIENCE_S)
    assert len(paging.pages) == 3  # the one whose answer was lost came twice


async def test_a_busy_or_refusing_paging_system_is_asked_again_until_it_takes_the_call(role: str) -> None:
    async with other_end(role, ServerWire()) as paging:
        paging.faults.busy, paging.faults.refusals = 1, 1
        line = hub_end(role, paging.port)
        async with line.running() as pager:
            await pager.page(CALL, deadline_s=PATIENCE_S)
    assert len(paging.pages) == 1
    assert (paging.faults.busy, paging.faults.refusals) == (0, 0)


async def test_a_silent_paging_system_is_told_once_down_and_once_back(role: str) -> None:
    async with other_end(role, ServerWire()) as paging:
        line = hub_end(role, paging.port)
        async with line.running() as pager:
            await line.until_link(True)
            paging.faults.is_silent = True
            assert "silent" in await line.until_link(False)
            with pytest.raises(PagerError, match=r"silent|answer"):
                await pager.page(CALL, deadline_s=0.5)
            paging.faults.is_silent = False
            await line.until_link(True)
            await pager.page(CALL, deadline_s=PATIENCE_S)
    told = [is_up for is_up, _ in line.links]
    assert all(now is not before for before, now in pairwise(told)), "once down and once back"
    assert len(paging.pages) == 1, "a call that was given up is not paged later"


async def test_a_line_that_is_pulled_out_comes_back_and_a_waiting_call_goes(tmp_path: Path, role: str) -> None:
    async with other_end(role, PtyWire(tmp_path / "pager.tty")) as paging:
        line = hub_end(role, paging.port)
        async with line.running() as pager:
            await line.until_link(True)
            await paging.hang_up()
            await line.until_link(False)
            paged = asyncio.create_task(pager.page(CALL, deadline_s=PATIENCE_S))
            await paging.plug_in()
            await paged
    assert len(paging.pages) == 1


async def test_what_the_paging_system_says_of_a_call_and_of_its_transmitter_is_heard() -> None:
    async with other_end("control", ServerWire()) as paging:
        line = hub_end("control", paging.port)
        async with line.running() as pager:
            await pager.page(CALL, deadline_s=PATIENCE_S)
            seen = paging.polls
            async with asyncio.timeout(PATIENCE_S):
                await paging.until(lambda: paging.polls > seen + 1)
            assert pager.last_call_state == "paged"
            paging.fail_transmitter(is_broken=True)
            assert "transmitter" in await line.until_link(False)
            paging.fail_transmitter(is_broken=False)
            await line.until_link(True)


async def test_nobody_at_the_port_is_said_in_words() -> None:
    line = hub_end("control", f"socket://127.0.0.1:{free_port()}")
    async with line.running() as pager:
        assert "cannot be reached" in await line.until_link(False)
        with pytest.raises(PagerError, match="cannot be reached"):
            await pager.page(CALL, deadline_s=0.2)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"own_station": "2"}, "a number of its own"),
        ({"port": "ttyUSB0"}, "neither a device path"),
        ({"charset": "latin-1", "bytesize": 7}, "eight data bits"),
        ({"address": "55 0"}, "address"),
        ({"allow_from": ["192.0.2.1"]}, "listen://"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        PagerSettings(**{"port": "/dev/ttyS0", "address": "550", **wrong})


@asynccontextmanager
async def at_the_other_end(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """Somebody who answers a line, as an address; gone altogether when the block is over."""
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError):
                await talk(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            over.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"socket://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with asyncio.timeout(10):
            await over.wait()


async def test_a_line_that_gives_back_what_the_hub_says_is_not_taken_for_a_paging_system() -> None:
    async def give_back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while octets := await reader.read(64):
            for octet in octets:  # as a serial line does: one after the other
                writer.write(bytes([octet]))
                await writer.drain()

    async with at_the_other_end(give_back) as address:
        line = hub_end("control", address)
        async with line.running() as pager:
            assert "echo of the converter" in await line.until_link(False)
            with pytest.raises(PagerError):
                await pager.page(CALL, deadline_s=0.5)
    assert [is_up for is_up, _ in line.links] == [False]


async def test_somebody_who_babbles_without_end_is_told_to_be_no_paging_system() -> None:
    async def babble(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"9\x05")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with at_the_other_end(babble) as address:
        line = hub_end("control", address)
        async with line.running():
            assert "silent" in await line.until_link(False)
