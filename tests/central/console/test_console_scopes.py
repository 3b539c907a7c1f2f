"""Who sees which tenant: every route of the application, every role, with the ids of one's own tenant and of another's.

The routes come from the application itself. A route with a kind of id that `holdings` in `conftest.py` does not know
fails the test: make one there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from central.console.gate import Needs
from central.console.roles import ALLOWED, Action, Role
from central.console.routes import UNGUARDED, api_routes, guards
from central.people.facts import FactKind
from tests.central.console.conftest import ADMIN, FREE_IN_PATHS, LEAD, Holdings, Towns
from tests.central.console.sound_requests import SOUND, asked, missing, sent_as

ID = re.compile(r"\{(\w+)(?::\w+)?\}")


def routes(console: Any) -> Iterator[tuple[str, str, Needs]]:
    for route in api_routes(console.app.routes):
        guard = next(iter(guards(route.dependant)), None) if route.path not in UNGUARDED else None
        if isinstance(guard, Needs):
            for method in sorted(route.methods - {"HEAD"}):
                yield method, route.path, guard


def filled(path: str, *places: Holdings) -> str:
    """The path with the ids of these, in turn; the last one's for all that come after."""
    given = iter(places)
    now = next(given)

    def fill(found: re.Match[str]) -> str:
        nonlocal now
        if found[1] in FREE_IN_PATHS:
            return FREE_IN_PATHS[found[1]]
        value, now = now[found[1]], next(given, now)
        return value

    return ID.sub(fill, path)


def test_every_kind_of_id_in_a_path_is_held_by_the_towns_of_these_tests(towns: Towns) -> None:
    unknown = {
        f"{method} {path}": name
        for method, path, _ in routes(towns.console)
        for name in ID.findall(path)
        if name not in towns.own.ids and name not in FREE_IN_PATHS
    }
    assert not unknown, "make one of these in holdings() of conftest.py, or say in FREE_IN_PATHS that it is nobody's"


def test_every_change_has_a_sound_request(towns: Towns) -> None:
    assert not missing(towns.console.app), "write one for each into sound_requests.py"


@pytest.mark.parametrize("role", list(Role))
async def test_another_tenants_ids_are_not_found_on_any_route_in_any_role(towns: Towns, role: Role) -> None:
    browser = await towns.signed_in(role)
    wrong, tried = [], 0
    for method, path, guard in routes(towns.console):
        names = [name for name in ID.findall(path) if name not in FREE_IN_PATHS]
        if not names or role not in ALLOWED[guard.action]:
            continue
        name = f"{method} {path}"
        sound = sent_as(SOUND.get(name), towns.own)
        query = asked(SOUND.get(name), towns.own)
        headers = {"x-csrf-token": browser.csrf}
        before = await towns.refused()
        answer = await browser.request(method, filled(path, towns.other) + query, headers=headers, **sound)
        tried += 1
        is_noted = await towns.refused() > before
        leaks = [word for word in towns.other.secrets if word in answer.text and word not in answer.path]
        wanted = 403 if guard.everywhere else 404
        if answer.status != wanted or leaks or (answer.status == 404 and not is_noted):
            wrong.append((name, answer.status, leaks, is_noted))
        if len(names) > 1 and not guard.everywhere:  # another tenant's below one's own
            mixed = await browser.request(
                method, filled(path, towns.own, towns.other) + query, headers=headers, **sound
            )
            leaks = [word for word in towns.other.secrets if word in mixed.text]
            if mixed.status != 404 or leaks:
                wrong.append((name, "below one's own", mixed.status, leaks))
    assert not wrong, "\n".join(map(str, wrong))
    assert tried or role is Role.ADMINISTRATOR


@pytest.mark.parametrize("role", list(Role))
async def test_lists_hold_what_is_ones_own_and_nothing_of_another_tenant(towns: Towns, role: Role) -> None:
    browser = await towns.signed_in(role)
    wrong, seen_own = [], []
    for method, path, guard in routes(towns.console):
        if method != "GET" or ID.search(path) or path == "/api/v1/feed" or role not in ALLOWED[guard.action]:
            continue
        answer = await browser.get(path)
        other = [word for word in towns.other.secrets if word in answer.text]
        if other or answer.status >= 500:
            wrong.append((path, answer.status, other))
        if towns.own.name in answer.text:
            seen_own.append(path)
    assert not wrong, "\n".join(map(str, wrong))
    assert seen_own or role is Role.ADMINISTRATOR


async def test_the_next_alarm_is_never_another_tenants(towns: Towns) -> None:
    browser = await towns.signed_in(Role.RESPONDER)
    taken = await browser.post("/api/v1/alarms/next")
    assert taken.json["alarm"]["id"] == towns.own["waiting_id"]
    assert (await browser.post("/api/v1/alarms/next")).json["alarm"] is None


async def test_an_alarm_that_belongs_nowhere_yet_is_seen_by_everybody_who_answers(towns: Towns) -> None:
    stray = await towns.console.bench.enrolled("Stray")
    alarm = await towns.console.bench.press(stray, resident=None)
    browser = await towns.signed_in(Role.RESPONDER)
    listed = (await browser.get("/api/v1/alarms")).json["alarms"]
    assert {one["id"] for one in listed} == {towns.own["alarm_id"], towns.own["waiting_id"], alarm.id}


async def test_a_role_that_has_ended_opens_nothing_any_more(towns: Towns) -> None:
    browser = await towns.signed_in(Role.LEAD)
    assert (await browser.get("/api/v1/alarms")).status == 200
    places = towns.console.services.people.places
    assignment = await towns.console.bench.value(
        f"SELECT id FROM assignment WHERE account = '{await towns.console.accounts.id_of('Somebody lead')}'"
    )
    await places.end_assignment(ADMIN, assignment)
    assert (await browser.get("/api/v1/alarms")).status == 403
    assert (await browser.get("/me")).status == 200


async def test_a_role_in_a_unit_covers_what_lies_in_it_and_nothing_beside(towns: Towns) -> None:
    people = towns.console.services.people
    ward = await people.places.add_unit(
        ADMIN, towns.own["tenant_id"], "Avdeling 3", "ward", parent=towns.own["unit_id"]
    )
    beside = await people.places.add_unit(ADMIN, towns.own["tenant_id"], "Sone sør", "zone")
    await people.keeping.register(LEAD, tenant=towns.own["tenant_id"], unit=ward, pseudonym="r-ward")
    await people.keeping.register(LEAD, tenant=towns.own["tenant_id"], unit=beside, pseudonym="r-beside")
    browser = await towns.console.signed_in("Ward Lead", Role.LEAD)
    account = await towns.console.accounts.id_of("Ward Lead")
    await people.places.assign(ADMIN, account, Role.LEAD, unit=towns.own["unit_id"])
    assert (await browser.get("/api/v1/residents/r-ward")).status == 200
    assert (await browser.get("/api/v1/residents/r-own")).status == 200
    assert (await browser.get("/api/v1/residents/r-beside")).status == 404
    assert Action.OVERRIDE_CLAIM.value in (await browser.get("/api/v1/session")).json["may"]


async def test_who_leads_in_one_town_and_answers_in_another_is_no_lead_there(towns: Towns) -> None:
    """Two roles in two places do not add up: what the one allows stays where it was given."""
    other = towns.other
    browser = await towns.signed_in(Role.LEAD)
    account = await towns.console.accounts.id_of("Somebody lead")
    await towns.console.services.people.places.assign(ADMIN, account, Role.RESPONDER, tenant=other["tenant_id"])
    # Records there are opened with a basis, as by every responder, and not as part of keeping them.
    keeping = towns.console.services.people.keeping
    for town, pseudonym in ((towns.own, "r-quiet-own"), (other, "r-quiet-other")):
        await keeping.register(LEAD, tenant=town["tenant_id"], pseudonym=pseudonym)
        await keeping.record(LEAD, pseudonym, FactKind.KEY_CODE, "4711", source="home_care")
    resident = "/api/v1/residents/r-quiet-other"
    assert (await browser.get(resident)).json["reason"] == "no_basis"
    assert (await browser.post(f"{resident}/facts/key_code/reveal")).json["reason"] == "no_basis"
    assert (await browser.get("/api/v1/residents/r-quiet-own")).json["purpose"] == "administration"
    page = "/residents/r-quiet-{}"
    assert "4711" not in (await browser.post(f"{page.format('other')}/reveal", form={"kind": "key_code"})).text
    assert "/facts" in (await browser.get(page.format("own"))).text  # the form for a new fact
    assert "/facts" not in (await browser.get(page.format("other"))).text
    # Nobody there is overruled.
    alarm = f"/api/v1/alarms/{other['alarm_id']}"
    body = {"disposition": "false_alarm", "outcome": "mis_press", "override": "in a hurry"}
    assert (await browser.post(f"{alarm}/close", content=body)).status == 403
    assert (await browser.post(f"{alarm}/take-over", content={"reason": "in a hurry"})).status == 403
    assert 'data-open="take-over-dialog"' not in (await browser.get(f"/alarms/{other['alarm_id']}")).text
    # Nothing there is made quiet.
    period = f"/technical/maintenance/{other['period_id']}/end"
    assert (await browser.post(period)).status == 404
    begins = {"reach": "hub", "ref": other["hub_id"], "to": other["later"], "why": "new router"}
    assert (await browser.post("/technical/maintenance", form=begins)).status in {404, 422}


async def test_nobody_counts_as_hearing_alarms_that_they_would_not_see(towns: Towns) -> None:
    """An alarm that waits beside a console which cannot show it is an alarm that nobody hears."""
    bench = towns.console.bench

    async def covered() -> set[str]:
        return {row[0] for row in await bench.rows("SELECT DISTINCT team FROM duty WHERE account <> 'nightwatch'")}

    body = {"console": "aabbccdd00112233", "has_sound": True}
    for role, expected in ((Role.RESPONDER, True), (Role.TECHNICIAN, False)):
        browser = await towns.signed_in(role)
        assert (await browser.post("/api/v1/duty", content=body)).status == 204
        teams = await covered()
        assert (towns.own["team_id"] in teams) is expected
        assert towns.other["team_id"] not in teams
        assert "" not in teams
        assert (await browser.post("/api/v1/duty", content={**body, "has_sound": False})).status == 204
        assert not await covered()
    await bench.change("UPDATE team SET state = 'ended'")  # while there is no team, everybody is the house
    for role, expected in ((Role.RESPONDER, {""}), (Role.TECHNICIAN, set())):
        browser = await towns.console.signed_in(f"Late {role}", role)
        assert (await browser.post("/api/v1/duty", content=body)).status == 204
        assert await covered() == expected
        await browser.post("/api/v1/duty", content={**body, "has_sound": False})
