"""The provider over HTTP: what is final and what passes, the webhook's seal, and settings that cannot work."""

from __future__ import annotations

import json

import pytest

from central.errors import SettingsError
from central.settings import SmsSettings, load
from central.sms import SmsError
from central.sms_http import MAX_SEEN, WINDOW_S, HttpProvider, Seal, secret_in, signature_of
from cloud_sync.errors import ForgedError, MalformedError, ReplayedError
from simulators.sms_provider import SmsOperator

SECRET, TOKEN = b"a secret of thirty-two characters", "a token of some length"
NUMBER = "+4759000000"


@pytest.fixture
def made(tmp_path):
    def make(url, **more):
        (tmp_path / "token").write_text(TOKEN + "\n")
        (tmp_path / "secret").write_bytes(SECRET + b"\n")
        return SmsSettings(
            number=NUMBER,
            inbound_secret_file=tmp_path / "secret",
            outbound_url=url,
            outbound_token_file=tmp_path / "token",
            **{"timeout_s": 2.0} | more,
        )

    return make


async def test_a_text_is_handed_over_with_the_token_and_named(made):
    operator = SmsOperator(NUMBER, secret=SECRET, token=TOKEN)
    async with operator.running():
        provider = HttpProvider(made(operator.url))
        assert await provider.send("+4759000001", "tekst æøå", reference="r-1") == "out-r-1"
    (text,) = operator.received
    assert (text.sender, text.to, text.text) == (NUMBER, "+4759000001", "tekst æøå")


@pytest.mark.parametrize(
    ("status", "is_final"),
    [(400, True), (404, True), (422, True), (401, False), (408, False), (429, False), (503, False)],
)
async def test_what_may_pass_is_told_from_what_will_not(made, status, is_final):
    operator = SmsOperator(NUMBER, secret=SECRET, token=TOKEN)
    operator.statuses.append(status)
    async with operator.running():
        with pytest.raises(SmsError, match=f"http_{status}") as caught:
            await HttpProvider(made(operator.url)).send("+4759000001", "x", reference="r")
    assert caught.value.is_final is is_final


async def test_nobody_there_is_no_final_answer(made, unused_tcp_port):
    with pytest.raises(SmsError, match="unreachable") as caught:
        await HttpProvider(made(f"http://127.0.0.1:{unused_tcp_port}/x")).send("+4759000001", "x", reference="r")
    assert not caught.value.is_final


def test_the_seal_is_checked_before_anything_and_an_old_one_refused():
    seal, body, now = Seal(SECRET), b'{"from": "x"}', 1_800_000_000.0
    stamp = str(int(now))
    good = signature_of(SECRET, stamp, body)
    assert good == "sha256=" + good.removeprefix("sha256=").lower()
    assert not seal.check(stamp, good, body, now)
    assert not seal.check(stamp, good, body, now + WINDOW_S)
    seal.taken(good)
    assert seal.check(stamp, good, body, now)
    for wrong in (good[:-1] + ("0" if good[-1] != "0" else "1"), good.removeprefix("sha256="), "", "é"):
        with pytest.raises(ForgedError):
            seal.check(stamp, wrong, body, now)
    with pytest.raises(ForgedError):
        seal.check(stamp, good, body + b" ", now)
    with pytest.raises(ForgedError):
        seal.check(str(int(now) + 1), good, body, now)
    for late in (now + WINDOW_S + 1, now - WINDOW_S - 1):
        with pytest.raises(ReplayedError):
            seal.check(stamp, good, body, late)
    for stamp in ("", "now", "-5", "1" * 13, "١٢٣"):
        with pytest.raises(MalformedError):
            seal.check(stamp, good, body, now)


def test_what_the_webhook_remembers_is_bounded():
    seal = Seal(SECRET)
    for number in range(MAX_SEEN + 10):
        seal.taken(str(number))
    assert len(seal._seen) == MAX_SEEN


def test_a_secret_that_is_missing_or_short_is_said_with_its_key(tmp_path):
    with pytest.raises(SettingsError, match=r"sms\.inbound_secret_file: .*No such file"):
        secret_in(tmp_path / "none", "inbound_secret_file")
    (tmp_path / "short").write_text("secret\n")
    with pytest.raises(SettingsError, match="too easy to guess"):
        secret_in(tmp_path / "short", "inbound_secret_file")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"number": "59000000"}, "sms.number"),
        ({"outbound_url": "ftp://x"}, "sms.outbound_url"),
        ({"provider": "pigeon"}, "sms.provider"),
        ({"inbound_secret": "x"}, "Did you mean `inbound_secret_file`"),
    ],
)
def test_settings_that_cannot_work_are_named(tmp_path, change, complaint):
    good = {
        "number": NUMBER,
        "inbound_secret_file": "a",
        "outbound_url": "https://sms.example.org/v1",
        "outbound_token_file": "b",
    }
    path = tmp_path / "central.toml"
    path.write_text("[sms]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in (good | change).items()))
    with pytest.raises(SettingsError, match=complaint.replace(".", r"\.")):
        load(path)
