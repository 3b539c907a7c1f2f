"""All paths over IP are cut: a press reaches a person by SMS, the home is told, and the record completes it later."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from simulators import plans
from simulators.demo.stage import free_port
from simulators.load_driver import LOAD_SETTINGS
from simulators.modem import SimulatedModem
from simulators.scene import Scene
from simulators.sms_provider import SmsOperator

pytestmark = pytest.mark.asyncio(loop_scope="module")

CENTRAL_NUMBER, SIM = "+4759000000", "+4759000001"
SECRET, TOKEN = "a secret of thirty-two characters", "a token of central's own at the provider"
HUB = """
[uplinks.sms]
type = "sms"
number = "{number}"

[modem]
port = "{port}"
poll_s = 5.0
"""
CENTRAL = """
[sms]
number = "{number}"
port = {port}
inbound_secret_file = "{folder}/inbound"
outbound_url = "{url}"
outbound_token_file = "{folder}/outbound"
timeout_s = 2.0
"""


class Air:
    """A scene, and the mobile network around it."""

    def __init__(self, scene: Scene, modem: SimulatedModem, operator: SmsOperator) -> None:
        self.scene = scene
        self.modem = modem
        self.operator = operator


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def raised(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Air]:
    folder = tmp_path_factory.mktemp("s")
    (folder / "inbound").write_text(SECRET + "\n")
    (folder / "outbound").write_text(TOKEN + "\n")
    modem, operator = SimulatedModem(SIM), SmsOperator(CENTRAL_NUMBER, secret=SECRET.encode(), token=TOKEN)
    operator.join(modem)
    port = free_port()
    operator.webhook = f"http://127.0.0.1:{port}"
    async with operator.running(), modem.on_tcp() as address:
        central = CENTRAL.format(number=CENTRAL_NUMBER, port=port, folder=folder, url=operator.url)
        hub = HUB.format(number=CENTRAL_NUMBER, port=address)
        async with Scene.open(
            folder / "scene", plans.FLAT, more_settings=LOAD_SETTINGS + hub, more_of_central=central
        ) as scene:
            yield Air(scene, modem, operator)


@pytest_asyncio.fixture(loop_scope="module")
async def air(raised: Air) -> Air:
    raised.operator.is_cut = raised.operator.doubles = False
    raised.operator.statuses.clear()
    raised.modem.errors.clear()
    raised.modem.set_registration(1)
    await raised.scene.calm()
    await raised.scene.until(lambda: _sms_is_up(raised.scene), "the path by SMS does not come up")
    return raised


async def _sms_is_up(scene: Scene) -> bool:
    status = await scene.stage.hub_status()
    return status["modem"] is not None and bool(status["modem"]["is_ready"])


async def _cut_and_press(scene: Scene) -> str:
    """The alarm that central knows by SMS."""
    before = {row[0] for row in scene.stage.rows("SELECT id FROM alarm")}
    scene.stage.cable.cut()
    await scene.act(do="press")

    async def look() -> str | None:
        found = [
            row
            for row in scene.stage.rows("SELECT id, kind FROM alarm WHERE queue = 'personal'")
            if row[0] not in before
        ]
        assert len(found) <= 1, found
        return found[0][0] if found else None

    return await scene.until(look, "no alarm came by SMS", within_s=30)


async def _is_whole(scene: Scene, alarm: str) -> bool:
    return scene.stage.rows("SELECT kind, is_complete FROM alarm WHERE id = ?", alarm) == [("pendant_pressed", 1)]


async def test_a_press_without_any_network_is_answered_by_a_person_and_completed_when_the_network_is_back(
    air: Air,
) -> None:
    scene = air.scene
    async with scene.lamp_diary() as diary:
        alarm = await _cut_and_press(scene)
        (shown,) = await scene.open_alarms()
        assert (shown["id"], shown["kind"]) == (alarm, "stub_personal")
        await scene.lamp("waiting", within_s=30)
        await scene.claim(alarm)
        await scene.lamp("taken", within_s=30)
        await scene.go(alarm)
        await scene.lamp("on_the_way", within_s=30)
        scene.stage.cable.mend()
        await scene.until(lambda: _is_whole(scene, alarm), "the record does not complete the alarm", within_s=60)
        await scene.settled("alarm", "care")
        (whole,) = await scene.open_alarms()
        assert (whole["id"], whole["kind"], whole["stage"]) == (alarm, "pendant_pressed", "on_the_way")
        assert scene.stage.rows("SELECT repeats, sound_no, resident FROM alarm WHERE id = ?", alarm)[0][:2] == (0, 1)
        assert scene.stage.rows("SELECT count(*) FROM alarm_event WHERE alarm = ?", alarm) == [(1,)]
        await scene.close(alarm)
        await scene.lamp("off", within_s=30)
    assert diary == ["off", "unknown", "waiting", "taken", "on_the_way", "off"], diary
    for text in [text for _, text in air.modem.sent]:
        assert len(text) < 160
        assert "r-7f3a90" not in text


@pytest.mark.soak
async def test_everything_is_delivered_twice_and_the_provider_fails_at_first(air: Air) -> None:
    scene, operator = air.scene, air.operator
    operator.doubles = True
    operator.statuses.extend([503, 500])
    alarm = await _cut_and_press(scene)
    await scene.lamp("waiting", within_s=40)
    await scene.claim(alarm)
    await scene.lamp("taken", within_s=40)
    assert operator.refused == 2
    scene.stage.cable.mend()
    await scene.until(lambda: _is_whole(scene, alarm), "the record does not complete the alarm", within_s=60)
    assert scene.stage.rows("SELECT repeats FROM alarm WHERE id = ?", alarm) == [(0,)]


@pytest.mark.soak
async def test_the_network_refuses_at_first_and_the_stub_is_sent_again(air: Air) -> None:
    scene = air.scene
    air.modem.errors = ["+CMS ERROR: 42", "+CMS ERROR: 331"]
    alarm = await _cut_and_press(scene)
    await scene.lamp("waiting", within_s=30)
    scene.stage.cable.mend()
    await scene.until(lambda: _is_whole(scene, alarm), "the record does not complete the alarm", within_s=60)


@pytest.mark.soak
async def test_central_is_away_while_the_text_comes_and_takes_it_afterwards(air: Air) -> None:
    scene = air.scene
    scene.stage.cable.cut()
    await scene.stage.central.stop()
    sent = len(air.modem.sent)
    await scene.act(do="press")
    await air.modem.until(lambda: len(air.modem.sent) > sent, 30)
    await scene.stage.central.start()
    await scene.stage.central_is_up()
    alarm = await scene.new_alarm("stub_personal", within_s=30)
    await scene.lamp("waiting", within_s=30)
    scene.stage.cable.mend()
    await scene.until(lambda: _is_whole(scene, alarm["id"]), "the record does not complete the alarm", within_s=60)


async def test_the_webhook_believes_nobody_else(air: Air) -> None:
    operator = air.operator
    body = b'{"from": "+4790000000", "to": "+4759000000", "text": "hei"}'
    post = operator.post_raw
    assert await post("/sms/v1/inbound", body) == 200
    assert await post("/sms/v1/inbound", body, secret=b"another secret of much length") == 401
    assert await post("/sms/v1/inbound", body, at_s=0) == 409
    assert await post("/sms/v1/inbound", body, signature="sha256=") == 401
    assert await post("/sms/v1/inbound", b"[]") == 400
    assert await post("/sms/v1/inbound", b"{" * 10_000) == 400
    assert await post("/sms/v1/inbound", b'{"from": "+47"}') == 400
    assert await post("/sms/v1/inbound", b"x" * 20_000) == 413
    assert await post("/sms/v1/receipt", b'{"id": "nobody knows", "state": "delivered"}') == 200
    assert await post("/api/v1/alarms", body) == 404
    answers = await asyncio.gather(*(post("/sms/v1/inbound", body) for _ in range(10)))
    assert set(answers) == {200}
