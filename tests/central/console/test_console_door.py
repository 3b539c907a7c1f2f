"""Coming in: passwords, one-time links, sessions, and what guessing costs."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from central.console import passwords as rules
from central.console.accounts import LinkGoneError, WrongPasswordError, clean_name, token_hash
from central.console.door import local_path
from central.console.passwords import Passwords
from central.console.roles import Role
from central.console.sessions import IDLE_MS
from central.console.throttle import ACCOUNT, ACCOUNT_AT_ADDRESS, FORGET_AFTER_S, FREE_FAILURES, Throttle
from central.errors import Conflict, IncompleteError

PASSWORD = "en lang setning om fisk"


async def test_a_link_lets_in_once_and_opening_it_does_not_use_it_up(console: Any) -> None:
    account = await console.accounts.add("Operator One", Role.RESPONDER)
    token = await console.accounts.new_link(account.id, 15)
    browser = console.browser()
    for _ in range(2):
        page = await browser.get(f"/link/{token}")
        assert page.status == 200
        assert "Operator One" in page.text
    first = await browser.request("POST", "/link", form={"token": token})
    assert (first.status, first.header("location")) == (303, "/password")
    again = await console.browser().request("POST", "/link", form={"token": token})
    assert again.status == 404
    assert "Lenken virker ikke lenger" in again.text
    assert (await browser.get("/")).status == 200


async def test_of_two_who_use_a_link_at_once_one_gets_in(console: Any) -> None:
    account = await console.accounts.add("Operator One", Role.RESPONDER)
    token = await console.accounts.new_link(account.id, 15)
    found = await asyncio.gather(*(console.accounts.redeem_link(token) for _ in range(5)), return_exceptions=True)
    assert sum(not isinstance(one, BaseException) for one in found) == 1
    assert sum(isinstance(one, LinkGoneError) for one in found) == 4


async def test_a_link_grows_old_is_replaced_by_a_newer_one_and_ends_with_its_account(console: Any) -> None:
    account = await console.accounts.add("Operator One", Role.RESPONDER)
    old = await console.accounts.new_link(account.id, 15)
    console.bench.clock.advance(15 * 60)
    newer = await console.accounts.new_link(account.id, 15)
    newest = await console.accounts.new_link(account.id, 15)
    for token in (old, newer, "x" * 43, ""):
        with pytest.raises(LinkGoneError):
            await console.accounts.look_at_link(token)
    assert (await console.accounts.look_at_link(newest)).id == account.id
    await console.accounts.set_active(account.id, is_active=False)
    with pytest.raises(LinkGoneError):
        await console.accounts.redeem_link(newest)


async def test_after_the_first_sign_in_a_password_is_chosen_and_works(console: Any) -> None:
    account = await console.accounts.add("Operator One", Role.RESPONDER)
    browser = console.browser()
    await browser.request("POST", "/link", form={"token": await console.accounts.new_link(account.id, 15)})
    await browser.get("/password")
    short = await browser.post("/password", form={"new": "kort", "again": "kort"})
    assert (short.status, "minst 12 tegn" in short.text) == (422, True)
    differ = await browser.post("/password", form={"new": PASSWORD, "again": PASSWORD + "!"})
    assert (differ.status, "De to er ikke like" in differ.text) == (422, True)
    saved = await browser.post("/password", form={"new": PASSWORD, "again": PASSWORD})
    assert (saved.status, saved.header("location")) == (303, "/")
    assert (await console.browser().sign_in("operator ONE")).status == 303


async def test_whoever_finds_a_session_open_cannot_change_the_password_without_knowing_it(first: Any) -> None:
    wrong = await first.post(
        "/password", form={"current": "noe helt annet", "new": PASSWORD + "2", "again": PASSWORD + "2"}
    )
    assert (wrong.status, "Det er ikke passordet ditt" in wrong.text) == (422, True)
    right = await first.post("/password", form={"current": PASSWORD, "new": PASSWORD + "2", "again": PASSWORD + "2"})
    assert right.status == 303


async def test_a_new_password_ends_the_other_sessions_and_keeps_ones_own(console: Any, first: Any) -> None:
    other = console.browser()
    await other.sign_in("Operator One")
    await first.post("/password", form={"current": PASSWORD, "new": PASSWORD + "2", "again": PASSWORD + "2"})
    assert (await first.get("/api/v1/session")).status == 200
    assert (await other.get("/api/v1/session")).status == 401


@pytest.mark.parametrize(
    ("password", "fault"),
    [
        ("elleve tegn", "short"),
        ("tolv tegn ja", None),
        ("x" * 257, "long"),
        ("abababababab", "same"),
        ("operator one er meg", "name"),
        ("blåbærsyltetøy på brød", None),
    ],
)
def test_length_is_what_counts_in_a_password(password: str, fault: str | None) -> None:
    assert rules.fault(password, "Operator One") == fault


async def test_an_unknown_name_costs_the_same_check_as_a_wrong_password(console: Any) -> None:
    checked = []

    class Counting(Passwords):
        async def matches(self, kept: str | None, password: str) -> bool:
            checked.append(kept)
            return await super().matches(kept, password)

    await console.account("Operator One")
    console.accounts._passwords = Counting(console.accounts._passwords._hasher)
    for name in ("Operator One", "Nobody At All"):
        with pytest.raises(WrongPasswordError):
            await console.accounts.check_password(name, "galt passord her")
    assert [kept is None for kept in checked] == [False, True]
    assert await console.accounts._passwords.matches(None, "x") is False


async def test_a_disabled_account_is_out_at_once_and_cannot_come_back(console: Any, first: Any, ada: Any) -> None:
    account_id = await console.accounts.id_of("Operator One")
    answer = await ada.post(f"/users/{account_id}/disable", form={"version": "1"})
    assert "stengt ute" in answer.text
    assert (await first.get("/api/v1/session")).status == 401
    assert (await console.browser().sign_in("Operator One")).status == 401
    await ada.post(f"/users/{account_id}/enable", form={"version": "2"})
    assert (await console.browser().sign_in("Operator One")).status == 303


async def test_a_session_ends_when_idle_and_at_its_limit_however_busy(console: Any, first: Any) -> None:
    clock = console.bench.clock
    clock.advance(IDLE_MS / 1000 - 1)
    assert (await first.get("/api/v1/session")).status == 200  # and that counts as use
    clock.advance(IDLE_MS / 1000 - 1)
    assert (await first.get("/api/v1/session")).status == 200
    clock.advance(IDLE_MS / 1000 + 1)
    assert (await first.get("/api/v1/session")).status == 401
    await first.sign_in("Operator One")
    hours = console.services.settings.console.session_hours
    for _ in range(int(hours * 2)):
        assert (await first.get("/api/v1/session")).status == 200
        clock.advance(30 * 60)
    assert (await first.get("/api/v1/session")).status == 401


async def test_a_planted_cookie_is_never_taken_over_and_the_old_session_ends(console: Any, first: Any) -> None:
    await console.account("Operator Two", Role.LEAD)
    planted = console.browser(jar={"vaktpost": "planted-by-somebody-else"})
    await planted.sign_in("Operator Two")
    assert planted.jar["vaktpost"] != "planted-by-somebody-else"
    before = dict(first.jar)
    await first.sign_in("Operator Two")
    assert first.jar != before
    assert (await console.browser(jar=before).get("/api/v1/session")).status == 401


async def test_only_hashes_of_tokens_are_stored(console: Any, first: Any) -> None:
    token = first.jar["vaktpost"]
    link = await console.accounts.new_link(await console.accounts.id_of("Operator One"), 15)
    hashes = await console.bench.rows("SELECT token_hash FROM session")
    assert (token_hash(token),) in hashes
    everything = str(await console.bench.rows("SELECT * FROM session"))
    everything += str(await console.bench.rows("SELECT * FROM login_link"))
    everything += str(await console.bench.rows("SELECT * FROM user_account"))
    assert token not in everything
    assert link not in everything
    assert PASSWORD not in everything
    assert "$argon2id$" in everything


async def test_the_session_cookie_is_out_of_reach_of_scripts_and_other_sites(console: Any) -> None:
    await console.account("Operator One")
    answer = await console.browser().sign_in("Operator One")
    (cookie,) = answer.cookies
    assert re.match(r"vaktpost=[\w-]{43}; HttpOnly; Max-Age=\d+; Path=/; SameSite=strict$", cookie)


async def test_signing_out_ends_the_session_and_not_only_the_cookie(console: Any, first: Any) -> None:
    kept = dict(first.jar)
    answer = await first.post("/sign-out")
    assert answer.header("location") == "/sign-in?said=signed_out"
    assert not first.jar
    assert (await console.browser(jar=kept).get("/api/v1/session")).status == 401


async def test_guessing_is_slowed_down_noted_and_a_right_password_ends_it(console: Any) -> None:
    await console.account("Operator One")
    browser = console.browser()
    for _ in range(FREE_FAILURES):
        assert (await browser.sign_in("Operator One", "galt passord her")).status == 401
    delayed = await browser.sign_in("Operator One")
    assert delayed.status == 429
    assert int(delayed.header("retry-after") or 0) >= 1
    assert "For mange forsøk" in delayed.text
    console.bench.clock.advance(3)
    assert (await browser.sign_in("Operator One")).status == 303
    await console.services.security.flush()
    (event,) = await console.services.security.recent()
    assert (event.reason, event.count, event.path) == ("sign_in_failed", FREE_FAILURES, "console")
    assert "galt" not in event.detail
    assert "Operator One" not in event.detail


async def test_attempts_at_once_gain_nothing(console: Any) -> None:
    await console.account("Operator One")
    answers = await asyncio.gather(
        *(
            console.browser().request("POST", "/sign-in", form={"name": "Operator One", "password": f"galt {n}"})
            for n in range(20)
        )
    )
    assert sum(answer.status == 401 for answer in answers) == FREE_FAILURES
    assert sum(answer.status == 429 for answer in answers) == 20 - FREE_FAILURES


async def test_guessing_links_is_slowed_down_too(console: Any) -> None:
    browser = console.browser()
    statuses = [(await browser.request("POST", "/link", form={"token": f"guess-{n}"})).status for n in range(8)]
    assert statuses[:FREE_FAILURES] == [404] * FREE_FAILURES
    assert 429 in statuses
    assert (await console.browser(address="198.51.100.1").request("POST", "/link", form={"token": "x"})).status == 404


@given(st.lists(st.integers(0, 600), max_size=60))
def test_a_delay_never_shrinks_while_failing_and_a_stranger_cannot_lock_anybody_out(pauses: list[int]) -> None:
    throttle, now, last = Throttle(), 0.0, 0.0
    for pause in pauses:
        now += throttle.wait_s("first", "192.0.2.1", now)
        throttle.failed("first", "192.0.2.1", now)
        delay = throttle.wait_s("first", "192.0.2.1", now)
        assert delay >= last
        assert throttle.wait_s("first", "198.51.100.9", now) <= ACCOUNT.longest_s
        last = delay
        now += pause
    if len(pauses) > 15:
        assert last == ACCOUNT_AT_ADDRESS.longest_s


def test_the_throttle_forgets_and_stays_small() -> None:
    throttle = Throttle()
    for n in range(30_000):
        throttle.failed(f"name {n}", f"2001:db8::{n:x}", float(n) / 1000)
    assert len(throttle._tallies) <= 10_000
    for _ in range(10):
        throttle.failed("first", "192.0.2.1", 100.0)
    assert throttle.wait_s("first", "192.0.2.1", 100.0) > 60
    assert throttle.wait_s("first", "192.0.2.1", 101.0 + FORGET_AFTER_S) == 0


@pytest.mark.parametrize("name", ["", "x", "a" * 65, "<script>", "first\nlunde\x00", " ", "-first", "first;--"])
def test_a_name_that_would_do_harm_is_refused(name: str) -> None:
    with pytest.raises(IncompleteError):
        clean_name(name)


@pytest.mark.parametrize("name", ["kl", "Operator One", "Vakt-Nord Øst", "vakt.nord@innfjord", "O'P"])
def test_names_as_people_have_them_are_taken(name: str) -> None:
    assert clean_name(f"  {name} ") == name


async def test_a_name_is_taken_whatever_its_case_also_beyond_ascii(console: Any) -> None:
    await console.accounts.add("Åse Ørjasæter", Role.RESPONDER)
    with pytest.raises(Conflict):
        await console.accounts.add("åse ørjasæTER", Role.LEAD)


@given(st.text(max_size=40))
def test_nobody_is_sent_to_another_site_after_signing_in(text: str) -> None:
    for path in (text, f"/{text}", f"//{text}", f"/\\{text}", f"https:{text}"):
        found = local_path(path)
        assert found.startswith("/")
        assert not found.startswith(("//", "/\\"))
        assert not re.search(r"[\s\x00-\x1f\\]", found)


async def test_a_page_that_needs_signing_in_comes_back_to_where_one_was(console: Any, first: Any) -> None:
    stranger = console.browser()
    answer = await stranger.get("/?view=mine")
    assert answer.header("location") == "/sign-in?next=%2F%3Fview%3Dmine"
    done = await stranger.request(
        "POST", "/sign-in", form={"name": "Operator One", "password": PASSWORD, "next": "/?view=mine"}
    )
    assert done.header("location") == "/?view=mine"


async def test_a_link_in_a_mail_finds_the_session_although_the_cookie_is_strict(console: Any, first: Any) -> None:
    from_mail = await console.browser().get("/hubs", headers={"sec-fetch-site": "cross-site"})
    assert from_mail.status == 200
    assert 'http-equiv="refresh" content="0;url=/hubs"' in from_mail.text


async def test_own_settings_change_language_colours_and_keys(first: Any) -> None:
    await first.post("/me", form={"language": "en", "theme": "light", "keys": "off"})
    page = (await first.get("/")).text
    assert 'lang="en"' in page
    assert 'data-theme="light"' in page
    assert 'data-keys="no"' in page
    assert "Take next" in page
    refused = await first.post("/me", form={"language": "xx"})
    assert refused.status == 422
    first.jar.pop("vaktpost")
    assert 'lang="en" data-theme="light"' in (await first.get("/sign-in")).text


async def test_signing_in_over_the_api_by_link_and_by_password(console: Any) -> None:
    account = await console.account("Operator One")
    token = await console.accounts.new_link(account.id, 5)
    browser = console.browser()
    answer = await browser.request("POST", "/api/v1/session", content={"link": token})
    assert answer.status == 200
    assert answer.json["name"] == "Operator One"
    assert "personal" in answer.json["may"]
    gone = await console.browser().request("POST", "/api/v1/session", content={"link": token})
    assert (gone.status, gone.json["reason"]) == (404, "link_gone")
    wrong = await console.browser().request(
        "POST", "/api/v1/session", content={"name": "Operator One", "password": "nei"}
    )
    assert (wrong.status, wrong.json["reason"]) == (401, "wrong_password")
    right = await console.browser().request(
        "POST", "/api/v1/session", content={"name": "Operator One", "password": PASSWORD}
    )
    assert right.status == 200
