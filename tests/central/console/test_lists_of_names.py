"""Long lists are decided on names alone: in the right order, found by any word, and read whole a page at a time."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import pytest

from central.access import EVERYTHING, Scope
from central.console.roles import Role
from tests.central.conftest import Bench
from tests.central.console.conftest import Console

MANY = 230


@pytest.fixture
async def console(bench: Any) -> Console:
    return Console(bench)


async def hubs(bench: Bench) -> None:
    """So many, one of them silent and one of another tenant."""
    for at in range(0, MANY, 46):
        empty = "x'00'" if bench.store.dialect.is_sqlite else "'\\x00'"
        shown = ", ".join(
            f"('{n:016x}', 'Ørneveien {n:03}', {empty}, 1, 0, '{'silent' if n == 200 else 'present'}',"
            f" '{'t2' if n == 201 else 't1'}')"
            for n in range(at, at + 46)
        )
        await bench.change(
            f"INSERT INTO hub (id, label, public_key, suite, enrolled_ms, presence, tenant) VALUES {shown}"
        )


async def test_hubs_are_listed_worst_first_and_only_those_that_are_seen(bench: Bench) -> None:
    await hubs(bench)
    listed = await bench.services.hubs.listed(EVERYTHING)
    assert [one.label for one in listed[:3]] == ["Ørneveien 200", "Ørneveien 000", "Ørneveien 001"]
    seen = await bench.services.hubs.listed(Scope(tenants=frozenset({"t1"})))
    assert {one.label for one in listed} - {one.label for one in seen} == {"Ørneveien 201"}
    wanted = [listed[5].id, "no such hub", listed[0].id]
    assert [hub.id for hub in await bench.services.hubs.some(wanted)] == [listed[5].id, listed[0].id]


async def test_the_page_of_hubs_comes_in_hundreds_and_finds_any_word(bench: Bench, console: Console) -> None:
    await hubs(bench)
    await bench.change(
        "INSERT INTO health_check (id, hub, actor, asked_ms, answered_ms, state, result) VALUES"
        f" ('c1', '{5:016x}', 'x', 1, 2, 'no_answer', NULL), ('c2', '{5:016x}', 'x', 3, NULL, 'waiting', NULL)"
    )
    checks = await bench.services.commands.last_checks([f"{n:016x}" for n in range(9)])
    assert {hub: check.id for hub, check in checks.items()} == {f"{5:016x}": "c1"}
    tore = await console.signed_in("Tore Tekniker", Role.TECHNICIAN)
    page = await tore.get("/hubs")
    found = re.findall(r'href="/hubs/([0-9a-f]{16})"', page.text)
    assert (len(found), found[0]) == (100, f"{200:016x}")
    found = re.findall(r'href="/hubs/([0-9a-f]{16})"', (await tore.get(f"/hubs?q={quote('213 ØRNEVEIEN')}")).text)
    assert found == [f"{213:016x}"]
    assert len(re.findall(r'href="/hubs/([0-9a-f]{16})"', (await tore.get("/hubs?page=3")).text)) == MANY - 200


async def test_the_overview_has_the_first_by_name_and_says_how_many_there_are(bench: Bench, console: Console) -> None:
    await hubs(bench)
    first, count = await bench.services.hubs.first(EVERYTHING, 12)
    assert ([one.label for one in first], count) == ([f"Ørneveien {n:03}" for n in range(12)], MANY)
    assert (await bench.services.hubs.first(Scope(tenants=frozenset({"t1"})), 12))[1] == MANY - 1
    assert await bench.services.hubs.first(Scope(tenants=frozenset({"nobody's"})), 12) == ([], 0)
    ada = await console.signed_in("Ada Admin", Role.ADMINISTRATOR)
    overview = (await ada.get("/places")).text
    assert len(re.findall(r'action="/places/hubs/([0-9a-f]{16})"', overview)) == 12
    assert f"Alle {MANY} huber" in overview
    whole = (await ada.get("/places/hubs")).text
    assert re.findall(r'action="/places/hubs/([0-9a-f]{16})"', whole)[:13] == [f"{n:016x}" for n in range(13)]


async def test_accounts_are_listed_by_name_with_those_shut_out_last(bench: Bench, console: Console) -> None:
    for name in ("Åse Nord", "bjørn Vest", "Anne Øst"):
        await console.account(name)
    out = await console.account("Aa Ute")
    await console.accounts.set_active(out.id, is_active=False)
    listed = await console.accounts.listed()
    assert [one.name for one in listed] == [account.name for account in await console.accounts.all()]
    assert listed[-1].name == "Aa Ute"
    assert (await console.accounts.names())[out.id] == "Aa Ute"
    wanted = [listed[2].id, listed[0].id]
    assert [account.id for account in await console.accounts.some(wanted)] == wanted
    ada = await console.signed_in("Ada Admin", Role.ADMINISTRATOR)
    page = await ada.get((await ada.post("/find", form={"page": "/users", "q": "BJØRN"})).header("location") or "")
    assert "bjørn Vest" in page.text
    assert "Anne Øst" not in page.text
