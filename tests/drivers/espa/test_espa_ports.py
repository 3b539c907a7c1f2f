"""A converter that comes back under another name, and the line that goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from serial.tools.list_ports_common import ListPortInfo

from drivers.contract import Fact
from drivers.errors import TransientDriverError
from drivers.espa import PLUGIN
from drivers.espa.ports import choose, parse
from simulators.bare_hub import BareHub
from simulators.espa_panel import EspaPanel, Outcome, PtyWire, ServerWire

if TYPE_CHECKING:
    from conftest import MakeDriver

QUICK: dict[str, Any] = {"poll_interval_s": 0.05, "reply_timeout_s": 0.2, "retry_s": 0.02}
PORT = "usb:0403:6001:A10KX3"


def plugged(path: str, serial: str | None = "A10KX3", vid: int | None = 0x0403, pid: int | None = 0x6001) -> Any:
    info = ListPortInfo(path)
    info.device, info.vid, info.pid, info.serial_number = path, vid, pid, serial
    return info


def test_a_converter_is_found_under_whatever_name_it_has() -> None:
    identity = parse(PORT)
    assert identity is not None
    others = [plugged("/dev/ttyS0", None, None, None), plugged("/dev/ttyUSB0", "OTHER")]
    assert choose(PORT, identity, [*others, plugged("/dev/ttyUSB1")]) == "/dev/ttyUSB1"


@pytest.mark.parametrize(
    ("port", "present", "words"),
    [
        (PORT, [], "not plugged in. What is: no USB converter"),
        (PORT, [plugged("/dev/ttyUSB0", "OTHER")], "What is: usb:0403:6001:OTHER"),
        ("usb:0403:6001", [plugged("/dev/ttyUSB1", "A"), plugged("/dev/ttyUSB0", "B")], "fits /dev/ttyUSB0, /dev/tty"),
    ],
)
def test_one_that_is_not_there_or_there_twice_is_said_so(port: str, present: list[Any], words: str) -> None:
    identity = parse(port)
    assert identity is not None
    with pytest.raises(TransientDriverError, match=words):
        choose(port, identity, present)


@pytest.mark.parametrize("port", ["usb:", "usb:403:6001", "usb:0403:6001:", "usb:0403:6001:with space", "tty"])
def test_an_identity_that_is_none_is_refused_with_how_to_write_one(port: str) -> None:
    with pytest.raises(ValidationError, match="usb:"):
        PLUGIN.settings.model_validate({"alias": "panel", "port": port})


@given(st.text(max_size=40))
def test_any_text_is_an_identity_or_refused_in_words(text: str) -> None:
    for port in (text, f"usb:{text}"):
        refusal = ""
        try:
            parse(port)
        except ValueError as error:
            refusal = str(error)
        assert refusal == "" or "should look like" in refusal
        assert refusal == "" or port.lower().startswith("usb:")


@pytest.fixture
def tty(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is plugged in, as the system lists it."""
    present: list[Any] = []
    monkeypatch.setattr("serial.tools.list_ports.comports", lambda: list(present))
    return present


async def test_a_converter_that_comes_back_as_another_port_is_taken_up_again(
    tmp_path: Path, tty: list[Any], make_driver: MakeDriver
) -> None:
    wire = PtyWire(tmp_path / "ttyUSB0")
    async with EspaPanel(wire, **QUICK) as panel:
        tty.append(plugged(wire.port))
        driver = make_driver(panel, port=PORT)
        async with BareHub(driver) as hub:
            assert (await hub.next(Fact.LINK)).value is True
            assert (await panel.press("call", room="101")).outcome is Outcome.ACKED
            await panel.hang_up()
            tty.clear()
            assert (await hub.next(Fact.LINK)).details["reason"] == "line_lost"
            pressing = asyncio.create_task(panel.press("call", room="102"))
            wire._link = tmp_path / "ttyUSB1"
            await panel.plug_in()
            tty.append(plugged(wire.port))
            assert (await hub.next(Fact.LINK)).value is True
            assert (await pressing).outcome is Outcome.ACKED
            assert not hub.failures
        assert hub.values(Fact.LINK) == [True, False, True]
        assert [each.device for each in hub.seen if each.fact is Fact.NURSE_CALL] == ["room-101", "room-102"]


async def cut_while_a_block_waits(panel: EspaPanel, driver: Any) -> BareHub:
    """A call that is not confirmed yet when the line goes, and confirmed while it is gone."""
    async with BareHub(driver, verdict=None) as hub:
        assert (await hub.next(Fact.LINK)).value is True
        pressing = asyncio.create_task(panel.press("call", room="101"))
        call = await hub.next(Fact.NURSE_CALL)
        await panel.hang_up()
        assert (await hub.next(Fact.LINK)).value is False
        hub.resolve(call, verdict=True)
        assert not pressing.done()
        await panel.plug_in()
        assert (await hub.next(Fact.LINK)).value is True
        assert (await pressing).outcome is Outcome.ACKED
    return hub


@pytest.mark.parametrize("wire", [lambda folder: PtyWire(folder / "ward.tty"), lambda _folder: ServerWire()])
async def test_an_ack_that_was_owed_when_the_line_went_is_given_to_the_repeat_and_to_nothing_else(
    tmp_path: Path, make_driver: MakeDriver, wire: Callable[[Path], Any]
) -> None:
    async with EspaPanel(wire(tmp_path), **QUICK) as panel:
        hub = await cut_while_a_block_waits(panel, make_driver(panel))
    assert hub.values(Fact.NURSE_CALL) == ["call"]
    assert hub.context.diagnostics["redeliveries"] == 1


async def test_a_serial_server_that_restarts_again_and_again_is_told_once_each_way(
    make_driver: MakeDriver,
) -> None:
    async with EspaPanel(ServerWire(), **QUICK) as panel, BareHub(make_driver(panel)) as hub:
        assert (await hub.next(Fact.LINK)).value is True
        for room in ("101", "102", "103"):
            await panel.hang_up()
            assert (await hub.next(Fact.LINK)).value is False
            await panel.plug_in()
            assert (await hub.next(Fact.LINK)).value is True
            assert (await panel.press("call", room=room)).outcome is Outcome.ACKED
    assert hub.values(Fact.LINK) == [True, *[False, True] * 3]
