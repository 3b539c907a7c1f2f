"""Attempts at what is not theirs to do, on every route: refused, nothing changed, and a security event for each.

What they name of another tenant's is tried in `test_console_scopes.py` (in addresses) and `test_bad_input.py` (in
bodies). Here it is about who asks: a page's token that was made up, another site, a role that does not cover it, a
session that nobody was given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from central.console.gate import Needs
from central.console.roles import ALLOWED, Role
from central.console.routes import guards
from tests.central.console.conftest import Browser, Towns
from tests.central.console.sound_requests import SOUND, asked, named_routes, sent_as
from tests.central.console.test_bad_input import Bad, Case, changed
from tests.central.console.test_console_scopes import filled


@pytest.fixture
async def bad(towns: Towns) -> Bad:
    return Bad(towns)


async def guarded(bad: Bad) -> list[Case]:
    """What changes something and asks who it is."""
    return [case for case in await bad.cases() if isinstance(next(guards(case.route.dependant)), Needs)]


FORGED: Mapping[str, tuple[dict[str, str], set[int], str]] = {
    "no token of a page": ({}, {403}, "csrf"),
    "a token that is none": ({"x-csrf-token": "x"}, {403}, "csrf"),
    "the token of another session": ({"x-csrf-token": "y" * 43}, {419}, "csrf"),
    "another site": ({"sec-fetch-site": "cross-site"}, {403}, "cross_site"),
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("what", FORGED)
async def test_what_was_forged_changes_nothing_on_any_route_and_is_noted(bad: Bad, what: str) -> None:
    """With everything else sound: the right person, the right body."""
    headers, statuses, reason = FORGED[what]
    cases, wrong, counts = await guarded(bad), [], bad.towns.console.services.metrics.counts
    before = await bad.rows.all()
    for case in cases:
        sent = sent_as(case.sound, bad.own)
        if reason == "cross_site":
            headers = headers | {"x-csrf-token": case.browser.csrf}
        noted = counts[f"refused.{reason}"]
        path = filled(case.route.path, bad.own) + asked(case.sound, bad.own)
        answer = await case.browser.request(case.method, path, headers=headers, **sent)
        if answer.status not in statuses or counts[f"refused.{reason}"] != noted + 1:
            wrong.append(f"{case.name}: {answer.status}, noted {counts[f'refused.{reason}'] - noted} times")
    assert not wrong, "\n".join(wrong)
    assert await bad.towns.refused(reason) == len(cases) > 100
    assert changed(before, await bad.rows.all()) == []


def beyond(bad: Bad, role: Role) -> Iterator[tuple[str, str, str]]:
    """The routes that a role does not cover: name, method, path."""
    for name, route in named_routes(bad.towns.console.app):
        guard = next(guards(route.dependant))
        if isinstance(guard, Needs) and role not in ALLOWED[guard.action]:
            yield name, name.split(" ")[0], filled(route.path, bad.own)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("role", list(Role))
async def test_what_a_role_does_not_cover_changes_nothing_and_is_noted(bad: Bad, role: Role) -> None:
    browser: Browser = await bad.towns.console.signed_in(f"House {role}", role)
    wrong, tried, counts = [], 0, bad.towns.console.services.metrics.counts
    before = await bad.rows.all()
    for name, method, path in beyond(bad, role):
        noted = counts["refused.forbidden"]
        sent = sent_as(SOUND.get(name), bad.own)
        answer = await browser.request(method, path, headers={"x-csrf-token": browser.csrf}, **sent)
        tried += 1
        if answer.status != 403 or counts["refused.forbidden"] != noted + 1:
            wrong.append(f"{name}: {answer.status}, noted {counts['refused.forbidden'] - noted} times")
    assert not wrong, "\n".join(wrong)
    assert await bad.towns.refused("forbidden") == tried > 20
    assert changed(before, await bad.rows.all()) == []


async def test_a_session_that_nobody_was_given_is_noted_and_one_that_has_ended_is_not(bad: Bad) -> None:
    console = bad.towns.console
    for made_up in ("x" * 43, "x" * 500, "'; --"):
        stranger = console.browser()
        stranger.jar[console.desk.session_cookie] = made_up
        noted = await bad.towns.refused("session_unknown")
        assert (await stranger.get("/api/v1/alarms")).status == 401
        assert await bad.towns.refused("session_unknown") == noted + 1, made_up
    ours = await console.signed_in("House lead", Role.LEAD)
    token = dict(ours.jar)
    await ours.request("POST", "/sign-out", form={"csrf": ours.csrf})
    noted = await bad.towns.refused("session_unknown")
    ours.jar = token
    assert (await ours.get("/api/v1/alarms")).status == 401
    bad.towns.console.bench.clock.advance(3600 * 24 * 30)
    assert (await (await console.signed_in("Late")).get("/api/v1/alarms")).status == 200
    assert (await ours.get("/api/v1/alarms")).status == 401
    assert (await console.browser().get("/api/v1/alarms")).status == 401  # nobody, who claims nothing
    assert await bad.towns.refused("session_unknown") == noted
