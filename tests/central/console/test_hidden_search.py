"""Who is searched for by name stands in no address, and so in no history and no log."""

from __future__ import annotations

import html
import re
from typing import Any
from urllib.parse import unquote_plus

import pytest
from structlog.testing import capture_logs

from central.console.roles import Role
from central.people.facts import FactKind
from tests.central.console.conftest import LEAD, Browser, Console

NAME = "Ragnhild Øverås"


def text_of(answer: Any) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


def is_named_in(address: str, name: str = NAME) -> bool:
    return any(word.casefold() in unquote_plus(address).casefold() for word in name.split())


async def found(browser: Browser, page: str, **typed: str) -> str:
    """Where the search leads."""
    answer = await browser.post("/find", form={"page": page} | typed)
    assert answer.status == 303
    return answer.header("location") or ""


@pytest.fixture
async def ragnhild(console: Console, bench: Any) -> None:
    await console.services.people.keeping.register(
        LEAD, tenant=await bench.value("SELECT id FROM tenant"), pseudonym="r-1", source="resident",
        named={FactKind.FIRST_NAME: "Ragnhild", FactKind.LAST_NAME: "Øverås"},
    )  # fmt: skip


async def test_a_resident_is_found_by_a_name_that_no_address_and_no_log_line_holds(
    console: Console, ragnhild: None
) -> None:
    lead = await console.signed_in("Nina Berg", Role.LEAD)
    with capture_logs() as logged:
        where = await found(lead, "/residents", q=NAME)
        page = await lead.get(where)
    assert where.startswith("/residents?s=")
    assert not is_named_in(where)
    assert "r-1" in text_of(page)
    assert f'value="{NAME}"' in page.text  # to be changed, in the field only
    assert not [one for one in re.findall(r'(?:href|action)="([^"]*)"', page.text) if is_named_in(one)]
    assert not is_named_in(repr(logged))
    assert "r-1" in text_of(await lead.get(where)), "loading anew and going back ask again for the same"
    assert "Ingen" in text_of(await lead.get(await found(lead, "/residents", q="Torvald")))


async def test_who_must_say_why_says_it_with_the_search(console: Console, ragnhild: None) -> None:
    responder = await console.signed_in("Kari Nordmann", Role.RESPONDER)
    unsaid = await responder.get(await found(responder, "/residents", q=NAME))
    assert unsaid.status == 422
    where = await found(responder, "/residents", q=NAME, why="resident_called")
    assert "resident_called" not in where
    assert "r-1" in text_of(await responder.get(where))


async def test_a_search_opens_in_no_other_session_and_on_no_other_page(console: Console, ragnhild: None) -> None:
    lead = await console.signed_in("Nina Berg", Role.LEAD)
    ada = await console.signed_in("Ada Nes", Role.ADMINISTRATOR)
    where = await found(lead, "/residents", q=NAME)
    other = await console.signed_in("Lise Moe", Role.LEAD)
    for browser, address in (
        (other, where), (lead, where[:-4] + "AAAA"), (lead, "/residents?s=%F0%9F%98%80"), (lead, "/residents?s=A"),
        (ada, "/users?s=" + where.partition("=")[2]), (ada, "/places/teams?s=AAAA"), (ada, "/places/roles?q=Kari"),
    ):  # fmt: skip
        answer = await browser.get(address)
        assert answer.status == 422, address
        assert "r-1" not in answer.text
        assert f'href="{address.partition("?")[0]}"' in answer.text, "there is a way on"
    assert "Dette søket er over" in text_of(await other.get(where))


async def test_accounts_are_searched_in_pages_without_their_names_in_the_way_on(console: Console, ada: Browser) -> None:
    bench: Any = console.bench
    shown = ", ".join(f"('{n:032x}', 'Ørjan Vik {n:03}', 'responder', 'active', 1)" for n in range(130))
    await bench.change(f"INSERT INTO user_account (id, name, role, state, created_ms) VALUES {shown}")
    page = await ada.get(await found(ada, "/users", q="Vik"))
    assert page.text.count("Ørjan Vik") >= 100
    assert 'method="post" action="/find"' in page.text
    after = html.unescape(re.findall(r'href="(/users\?[^"]*page=2)"', page.text)[0])
    assert not is_named_in(after, "Vik")
    second = await ada.get(after)
    assert "101 til 130 av 130" in text_of(second)
    assert "Fant ingenting for «Torvald»" in text_of(await ada.get(await found(ada, "/users", q="Torvald")))
    for n in range(30):
        await bench.change(
            "INSERT INTO assignment (id, account, role, tenant, from_ms, given_by)"
            f" VALUES ('{n:016x}', '{n:032x}', 'responder', (SELECT id FROM tenant), 0, 'x')"
        )
    roles = await ada.get(await found(ada, "/places/roles", q="vik 007"))
    assert "Ørjan Vik 007" in roles.text
    assert "Ørjan Vik 008" not in roles.text


@pytest.mark.sqlite
async def test_a_search_leads_to_pages_of_our_own_only(console: Console) -> None:
    lead = await console.signed_in("Nina Berg", Role.LEAD)
    for page in (
        "",
        "residents",
        "//evil.example",
        "https://evil.example",
        "/residents?q=x",
        "/../x",
        "/\\evil",
        "/a\n/b",
    ):
        assert (await lead.post("/find", form={"page": page, "q": "x"})).status == 422, page
    assert await found(lead, "/residents", q="  ") == "/residents"


@pytest.mark.sqlite
async def test_a_program_searches_with_the_name_in_the_body(console: Console, ragnhild: None) -> None:
    lead = await console.signed_in("Nina Berg", Role.LEAD)
    answer = await lead.post("/api/v1/residents/search", content={"q": NAME})
    assert [one["resident"] for one in answer.json["residents"]] == ["r-1"]
    assert (await lead.get("/api/v1/residents?q=Ragnhild")).status == 405
