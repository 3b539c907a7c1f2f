"""A form that is sent when the session is over: it comes back to who wrote it, and to nobody else."""

from __future__ import annotations

import html
import re
import secrets
from typing import Any

import pytest

from central.console import kept
from central.console.roles import Role
from central.console.sessions import IDLE_MS
from tests.central.console.conftest import moments

PASSWORD = "en lang setning om fisk"
TYPED = 'Ragnhild <b>"Myklebust"</b>\r\nhar ringt to ganger'
WHERE = "/technical/maintenance"
AGREED = {"reach": "hub", "ref": "", "sort": "maintenance", "from": "", "to": "2031-01-01T12:00", "why": TYPED}


def hidden(page: str, name: str) -> list[str]:
    return [html.unescape(one) for one in re.findall(rf'type="hidden" name="{name}" value="([^"]*)"', page)]


def over(console: Any) -> None:
    console.bench.clock.advance(IDLE_MS / 1000 + 1)


@pytest.fixture
async def lead(console: Any) -> Any:
    browser = await console.signed_in("Lead One", Role.LEAD)
    await browser.get("/me")
    return browser


async def late(console: Any, browser: Any, form: dict[str, str] | None = None, path: str = WHERE, **more: Any) -> Any:
    """Sent as pages do without a script, when the session is over."""
    over(console)
    headers = {"referer": "http://127.0.0.1:0/technical/maintenance?hub=1"}
    return await browser.request("POST", path, form={"csrf": browser.csrf, **(form or AGREED)}, headers=headers, **more)


async def signed_in(browser: Any, sealed: str, name: str = "Lead One", password: str = PASSWORD) -> Any:
    return await browser.request("POST", "/sign-in", form={"name": name, "password": password, "kept": sealed})


async def test_what_was_written_comes_back_after_signing_in_and_is_sent_by_the_person(console: Any, lead: Any) -> None:
    refused = await late(console, lead)
    assert refused.status == 419
    assert "Du var logget av" in refused.text
    assert "Ragnhild" not in refused.text  # sealed until somebody has signed in
    assert hidden(refused.text, "next") == ["/technical/maintenance?hub=1"]
    wrong = await signed_in(lead, hidden(refused.text, "kept")[0], password="noe helt annet")
    assert wrong.status == 401
    back = await signed_in(lead, hidden(wrong.text, "kept")[0])
    assert back.status == 200
    assert back.header("cache-control") == "no-store"
    assert 'action="/technical/maintenance"' in back.text
    assert "Ragnhild &lt;b&gt;" in back.text
    assert "<b>&#34;" not in back.text
    assert hidden(back.text, "why") == [TYPED]
    assert (await console.bench.rows("SELECT * FROM maintenance")) == []  # nothing happens by itself
    sent = {name: hidden(back.text, name)[0] for name in ("csrf", *AGREED)}
    hub = await console.bench.enrolled("Flat 2")
    later = moments(console.bench.clock.now_ms())["later"]
    answer = await lead.request("POST", WHERE, form=sent | {"ref": hub.id.hex(), "to": later})
    assert answer.status == 303
    assert "ringt to ganger" in (await lead.get(WHERE)).text


async def test_fields_with_several_values_and_the_button_that_was_pressed_come_back_in_order(
    console: Any, lead: Any
) -> None:
    refused = await late(console, lead, AGREED | {"service": ["TA", "DT"], "do": "save"})  # type: ignore[arg-type]
    back = await signed_in(lead, hidden(refused.text, "kept")[0])
    assert hidden(back.text, "service") == ["TA", "DT"]
    assert hidden(back.text, "do") == ["save"]
    assert set(hidden(back.text, "csrf")) == {lead.csrf}


async def test_who_has_signed_in_in_another_window_gets_it_at_once(console: Any, lead: Any) -> None:
    before = lead.csrf
    over(console)
    await lead.sign_in("Lead One")
    assert lead.csrf != before
    back = await lead.request("POST", WHERE, form={"csrf": before, **AGREED})
    assert back.status == 419
    assert hidden(back.text, "why") == [TYPED]
    assert set(hidden(back.text, "csrf")) == {lead.csrf}


async def test_who_signs_in_with_a_link_asks_for_it_then(console: Any, lead: Any) -> None:
    sealed = hidden((await late(console, lead)).text, "kept")[0]
    early = await lead.request("POST", "/kept", form={"kept": sealed})
    assert early.status == 401
    assert hidden(early.text, "kept") == [sealed]
    await lead.sign_in("Lead One")
    assert hidden((await lead.request("POST", "/kept", form={"kept": sealed})).text, "why") == [TYPED]


@pytest.mark.parametrize("is_in", [False, True], ids=["signs in", "is signed in"])
async def test_somebody_else_gets_nothing_of_it(console: Any, lead: Any, is_in: bool) -> None:
    await console.account("Lead Two", Role.LEAD)
    before = lead.csrf
    refused = await late(console, lead)
    if is_in:
        await lead.sign_in("Lead Two")
        answer = await lead.request("POST", WHERE, form={"csrf": before, **AGREED})
    else:
        answer = await signed_in(lead, hidden(refused.text, "kept")[0], "Lead Two")
        assert (await lead.get("/api/v1/session")).json["name"] == "Lead Two"
    assert answer.status == 419
    assert "skrevet av en annen" in answer.text
    assert "Ragnhild" not in answer.text


async def test_what_no_page_of_ours_held_is_not_kept(console: Any, lead: Any) -> None:
    over(console)
    for token in ("x" * 43, "", "æ" * 43):
        answer = await lead.request("POST", WHERE, form={"csrf": token, **AGREED})
        assert answer.status == 419
        assert hidden(answer.text, "kept") == []
        assert "Ragnhild" not in answer.text


async def test_a_sealed_form_that_was_changed_or_is_old_or_none_is_not_opened(console: Any, lead: Any) -> None:
    sealed = hidden((await late(console, lead)).text, "kept")[0]
    middle = len(sealed) // 2
    changed = sealed[:middle] + ("A" if sealed[middle] != "A" else "B") + sealed[middle + 1 :]
    for bad in (changed, sealed[:-8], "AAAA", "æ", "x" * 200, "=" * 9):
        answer = await signed_in(lead, bad)
        assert (answer.status, "lot seg ikke hente" in answer.text or "for lenge siden" in answer.text) == (419, True)
    console.bench.clock.advance(kept.KEPT_MS / 1000 + 1)
    answer = await signed_in(lead, sealed)
    assert "for lenge siden" in answer.text
    assert "Ragnhild" not in answer.text


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/password", {"current": PASSWORD, "new": "hemmelig setning", "again": "hemmelig setning"}),
        ("/residents/r-1/facts", {"kind": "key_code", "text": "hemmelig 4471", "source": "resident"}),
    ],
)
async def test_passwords_and_codes_are_not_kept(console: Any, lead: Any, path: str, form: dict[str, str]) -> None:
    before = lead.csrf
    answer = await late(console, lead, form, path)
    assert answer.status == 419
    assert hidden(answer.text, "kept") == []
    assert "blir aldri tatt vare på" in answer.text
    await lead.sign_in("Lead One")
    again = await lead.request("POST", path, form={"csrf": before, **form})
    assert again.status == 419
    assert "hemmelig" not in again.text


async def test_what_is_too_long_to_come_back_is_left_to_the_browser(console: Any, lead: Any) -> None:
    noise = secrets.token_hex(30_000)
    answer = await late(console, lead, AGREED | {"why": noise})
    assert answer.status == 419
    assert "for langt" in answer.text
    assert hidden(answer.text, "kept") == []


async def test_nothing_of_it_stays_at_central(console: Any, lead: Any, caplog: pytest.LogCaptureFixture) -> None:
    sealed = hidden((await late(console, lead)).text, "kept")[0]
    await signed_in(lead, sealed)
    await console.services.security.flush()
    for name in ("session", "log_entry", "security_event", "central_state", "access_entry"):
        rows = str([tuple(row) for row in await console.bench.rows(f"SELECT * FROM {name}")])
        assert "Ragnhild" not in rows, name
        assert sealed[200:260] not in rows, name
    assert "Ragnhild" not in caplog.text


async def test_who_signs_out_in_a_session_that_is_over_is_signed_out(console: Any, lead: Any) -> None:
    over(console)
    answer = await lead.request("POST", "/sign-out", form={"csrf": lead.csrf})
    assert (answer.status, answer.header("location")) == (303, "/sign-in?said=signed_out")
