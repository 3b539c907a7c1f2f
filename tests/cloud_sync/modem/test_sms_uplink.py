"""The path by SMS: stubs out, answers in from central's numbers only, and an honest end."""

from __future__ import annotations

import asyncio
import secrets

import pytest

from cloud_sync import uplinks
from cloud_sync.errors import UplinkError
from cloud_sync.identity import Lane
from cloud_sync.modem import Modem, open_modem
from cloud_sync.modem import modem as modem_module
from cloud_sync.modem import talk as talk_module
from cloud_sync.settings import ModemSettings, SmsSettings
from cloud_sync.stub import from_text, to_text
from cloud_sync.uplinks import sms as sms_module
from simulators.modem import SimulatedModem

US, CENTRAL, OTHER = "+4759000001", "+4759000000", "+4759000009"
BLOB = secrets.token_bytes(111)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(modem_module, "BACK_OFF_MIN_S", 0.05)
    monkeypatch.setattr(modem_module, "HINDERED_POLL_S", 0.1)
    monkeypatch.setattr(talk_module, "QUIET_S", 0.02)
    monkeypatch.setattr(talk_module, "SYNC_S", 0.2)
    monkeypatch.setattr(sms_module, "LOST_PATIENCE_S", 0.3)


@pytest.fixture
async def there():
    return SimulatedModem(US)


@pytest.fixture
async def port(there):
    async with there.on_tcp() as address:
        yield address


@pytest.fixture
async def modem(port):
    async with open_modem(ModemSettings(port=port)) as modem:
        yield modem


def uplink_over(modem, **more):
    settings = SmsSettings(type="sms", number=CENTRAL, **more)
    uplink = uplinks.build("sms", settings, trust=None, hub=bytes(8), hub_epoch=bytes(8))
    assert uplink.carries_stubs
    if modem is not None:
        uplink.use(modem)
    return uplink


async def test_a_stub_goes_to_central_and_opening_says_nothing(there, modem):
    async with uplink_over(modem).open(b"") as session:
        assert there.sent == []
        await session.send(BLOB, lane=Lane.ALARM, deadline_s=5)
        await session.send(BLOB[:64], lane=None, deadline_s=5)
    assert [(to, from_text(text)) for to, text in there.sent] == [(CENTRAL, BLOB), (CENTRAL, BLOB[:64])]


async def test_answers_come_from_centrals_numbers_only(there, modem):
    async with uplink_over(modem, answers_from=(OTHER,)).open(b"") as session:
        frames = session.frames()
        coming = asyncio.ensure_future(anext(frames))
        await asyncio.sleep(0)
        there.receive("+4766666666", to_text(b"stranger"))
        there.receive("Svindel", to_text(b"stranger"))
        there.receive(CENTRAL, "Your invoice is ready!")
        there.receive(CENTRAL, to_text(BLOB) + "\n")
        assert await asyncio.wait_for(coming, 10) == BLOB
        there.receive(OTHER, to_text(BLOB[:70]))
        assert await asyncio.wait_for(anext(frames), 10) == BLOB[:70]
        await frames.aclose()


async def test_without_a_modem_in_the_settings_or_on_the_line_the_path_does_not_open(monkeypatch, tmp_path):
    monkeypatch.setattr(sms_module, "READY_WAIT_S", 0.2)
    with pytest.raises(UplinkError, match=r"lack \[modem\]"):
        async with uplink_over(None).open(b""):
            pass
    async with open_modem(ModemSettings(port=str(tmp_path / "none"))) as modem:
        with pytest.raises(UplinkError, match=r"no_modem: .* is not there"):
            async with uplink_over(modem).open(b""):
                pass
    with pytest.raises(UplinkError, match="no_modem"):
        async with uplink_over(Modem(ModemSettings(port="nothing"))).open(b""):  # one that nobody runs
            pass


async def test_a_path_opens_as_soon_as_the_network_lets_the_modem_in(there, modem):
    there.registration = there.packet_registration = 2
    opening = asyncio.create_task(uplink_over(modem).open(b"").__aenter__())
    await there.until(lambda: there.commands.count("AT+CSQ") >= 2)
    assert not opening.done()
    there.set_registration(5)
    await asyncio.wait_for(opening, 5)


@pytest.mark.parametrize("trouble", ["pulled", "sim", "network"])
async def test_the_session_ends_when_messages_cannot_go_any_more(there, modem, trouble):
    async with uplink_over(modem).open(b"") as session:
        coming = asyncio.ensure_future(anext(session.frames()))
        match trouble:
            case "pulled":
                there.hang_up()
            case "sim":
                there.card.is_in = False
                there.say("RDY")
            case "network":
                there.set_registration(2)
        with pytest.raises(
            UplinkError, match={"pulled": "no_modem", "sim": "no_sim", "network": "no_network"}[trouble]
        ):
            await asyncio.wait_for(coming, 10)


async def test_a_network_that_is_away_for_a_moment_ends_nothing(there, modem, monkeypatch):
    monkeypatch.setattr(sms_module, "LOST_PATIENCE_S", 5.0)
    async with uplink_over(modem).open(b"") as session:
        frames = session.frames()
        coming = asyncio.ensure_future(anext(frames))
        there.set_registration(2)
        while modem.state.is_ready:
            await modem.changed()
        with pytest.raises(UplinkError, match="no_network"):
            await session.send(BLOB, lane=Lane.ALARM, deadline_s=1)
        there.set_registration(1)
        while not modem.state.is_ready:
            await modem.changed()
        there.receive(CENTRAL, to_text(BLOB))
        assert await asyncio.wait_for(coming, 10) == BLOB
        await frames.aclose()


async def test_the_networks_refusal_is_the_paths(there, modem):
    there.errors = ["+CMS ERROR: 30"]
    async with uplink_over(modem).open(b"") as session:
        with pytest.raises(UplinkError, match="bad_number"):
            await session.send(BLOB, lane=Lane.CARE, deadline_s=5)


async def test_the_deadline_is_kept(there, modem):
    there.send_delay_s = 3
    async with uplink_over(modem).open(b"") as session:
        with pytest.raises(UplinkError, match="timeout"):
            await asyncio.wait_for(session.send(BLOB, lane=Lane.CARE, deadline_s=0.2), 1)
