"""Who may do what: the whole table, and every route tried in every role."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute

from central.console.assembly import check_guarded
from central.console.gate import Needs, Open
from central.console.roles import ALLOWED, Action, Role, may, role_from
from central.console.routes import UNGUARDED, api_routes

R, L, T, I, A = Role  # noqa: E741  # one letter per role keeps the table readable
EVERYBODY = frozenset(Role)
PUBLIC = None

EXPECTED: dict[str, frozenset[Role] | None] = {
    "GET /": EVERYBODY,
    "GET /parts/queue": frozenset({R, L, T}),
    "GET /parts/gate": frozenset({R, L, T}),
    "GET /calm": frozenset({R, L, T}),
    "GET /alarms/{alarm_id}": frozenset({R, L, T}),
    "GET /alarms/{alarm_id}/part": frozenset({R, L, T}),
    "GET /sign-in": PUBLIC,
    "POST /sign-in": PUBLIC,
    "GET /link/{token}": PUBLIC,
    "POST /link": PUBLIC,
    "POST /language": PUBLIC,
    "POST /kept": PUBLIC,
    "POST /sign-out": EVERYBODY,
    "GET /password": EVERYBODY,
    "POST /password": EVERYBODY,
    "GET /me": EVERYBODY,
    "POST /me": EVERYBODY,
    "POST /me/reach": EVERYBODY,
    "GET /technical": frozenset({R, L, T}),
    "POST /technical/close": frozenset({L, T}),
    "GET /technical/incidents/{incident_id}": frozenset({R, L, T}),
    "POST /technical/incidents/{incident_id}/claim": frozenset({L, T}),
    "POST /technical/incidents/{incident_id}/release": frozenset({L, T}),
    "POST /technical/incidents/{incident_id}/note": frozenset({L, T}),
    "POST /technical/incidents/{incident_id}/close": frozenset({L, T}),
    "GET /technical/maintenance": frozenset({R, L, T}),
    "POST /technical/maintenance": frozenset({L, T}),
    "POST /technical/maintenance/{period_id}/end": frozenset({L, T}),
    "GET /hubs": frozenset({L, T, I, A}),
    "GET /hubs/{hub_id}": frozenset({L, T, I, A}),
    "GET /hubs/{hub_id}/check": frozenset({L, T, I, A}),
    "POST /hubs/{hub_id}/check": frozenset({T, I}),
    "GET /log": frozenset({L, A}),
    "POST /log/verify": frozenset({L, A}),
    "GET /codes": frozenset({I, A}),
    "POST /codes": frozenset({I, A}),
    "GET /users": frozenset({A}),
    "POST /users": frozenset({A}),
    "POST /users/{account_id}/link": frozenset({A}),
    "POST /users/{account_id}/role": frozenset({A}),
    "POST /users/{account_id}/disable": frozenset({A}),
    "POST /users/{account_id}/enable": frozenset({A}),
    "GET /plans": frozenset({R, L, A}),
    "GET /plans/{plan_id}": frozenset({R, L, A}),
    "GET /plan-editor": frozenset({L, A}),
    "POST /plan-editor": frozenset({L, A}),
    "POST /plan-editor/preview": frozenset({L, A}),
    "GET /plans/{plan_id}/edit": frozenset({L, A}),
    "POST /plans/{plan_id}/edit": frozenset({L, A}),
    "POST /plans/{plan_id}/end": frozenset({L, A}),
    "GET /cards": frozenset({R, L, T, A}),
    "GET /cards/{card_id}": frozenset({R, L, T, A}),
    "GET /card-editor": frozenset({L, A}),
    "POST /card-editor": frozenset({L, A}),
    "POST /card-editor/preview": frozenset({L, A}),
    "GET /cards/{card_id}/edit": frozenset({L, A}),
    "POST /cards/{card_id}/edit": frozenset({L, A}),
    "POST /cards/{card_id}/end": frozenset({L, A}),
    "GET /criteria": frozenset({R, L, T, A}),
    "GET /criteria/{tenant_id}/edit": frozenset({L, A}),
    "POST /criteria/{tenant_id}/edit": frozenset({L, A}),
    "POST /criteria/{tenant_id}/reset": frozenset({L, A}),
    "GET /api/v1/cards": frozenset({R, L, T, A}),
    "GET /outcomes": frozenset({R, L, T, A}),
    "GET /outcomes/{tenant_id}/edit": frozenset({L, A}),
    "POST /outcomes/{tenant_id}/edit": frozenset({L, A}),
    "POST /outcomes/{tenant_id}/reset": frozenset({L, A}),
    "GET /api/v1/tenants/{tenant_id}/outcomes": frozenset({R, L, T, A}),
    "GET /api/v1/tenants/{tenant_id}/outcomes/versions": frozenset({R, L, T, A}),
    "PUT /api/v1/tenants/{tenant_id}/outcomes": frozenset({L, A}),
    "POST /api/v1/cards": frozenset({L, A}),
    "GET /api/v1/cards/{card_id}": frozenset({R, L, T, A}),
    "PUT /api/v1/cards/{card_id}": frozenset({L, A}),
    "DELETE /api/v1/cards/{card_id}": frozenset({L, A}),
    "GET /api/v1/alarms/{alarm_id}/routine": frozenset({R, L, T}),
    "GET /api/v1/tenants/{tenant_id}/criteria": frozenset({R, L, T, A}),
    "GET /api/v1/tenants/{tenant_id}/criteria/versions": frozenset({R, L, T, A}),
    "PUT /api/v1/tenants/{tenant_id}/criteria": frozenset({L, A}),
    "POST /find": EVERYBODY,
    "GET /residents": frozenset({R, L}),
    "GET /residents/new": frozenset({L}),
    "POST /residents/sites/part": frozenset({L}),
    "POST /residents/hubs/part": frozenset({L}),
    "POST /residents/{resident_id}/units/part": frozenset({L}),
    "POST /residents": frozenset({L}),
    "GET /residents/{resident_id}": frozenset({R, L}),
    "POST /residents/{resident_id}/open": frozenset({R, L}),
    "POST /residents/{resident_id}/reveal": frozenset({R, L}),
    "GET /residents/{resident_id}/access": frozenset({L, A}),
    "POST /residents/{resident_id}/facts": frozenset({L}),
    "POST /residents/{resident_id}/contacts": frozenset({L}),
    "POST /residents/{resident_id}/contacts/{contact_id}/end": frozenset({L}),
    "POST /residents/{resident_id}/contacts/{contact_id}/up": frozenset({L}),
    "POST /residents/{resident_id}/services": frozenset({L}),
    "GET /residents/{resident_id}/contacts/new": frozenset({L}),
    "GET /residents/{resident_id}/contacts/{contact_id}": frozenset({L}),
    "POST /residents/{resident_id}/contacts/{contact_id}": frozenset({L}),
    "GET /residents/{resident_id}/services/new": frozenset({L}),
    "GET /residents/{resident_id}/services/{service_id}": frozenset({L}),
    "POST /residents/{resident_id}/services/{service_id}": frozenset({L}),
    "GET /residents/{resident_id}/visits/new": frozenset({L}),
    "POST /residents/{resident_id}/visits": frozenset({L}),
    "GET /residents/{resident_id}/visits/{visit_id}": frozenset({L}),
    "POST /residents/{resident_id}/visits/{visit_id}": frozenset({L}),
    "POST /residents/{resident_id}/visits/{visit_id}/state": frozenset({L}),
    "POST /residents/{resident_id}/services/{service_id}/end": frozenset({L}),
    "POST /residents/{resident_id}/place": frozenset({L}),
    "POST /residents/{resident_id}/erase": frozenset({L}),
    "GET /places": frozenset({A}),
    "GET /places/{part}": frozenset({A}),
    "POST /places/accounts/part": frozenset({A}),
    "POST /places/sites/part": frozenset({A}),
    "GET /places/teams/{team_id}": frozenset({A}),
    "POST /places/teams/{team_id}/members": frozenset({A}),
    "POST /places/teams/{team_id}/members/{account_id}/end": frozenset({A}),
    "GET /places/tenants/{tenant_id}": frozenset({A}),
    "POST /places/units/{unit_id}/presence": frozenset({A}),
    "GET /api/v1/tenants": frozenset({A}),
    "POST /api/v1/tenants": frozenset({A}),
    "GET /api/v1/tenants/{tenant_id}": frozenset({A}),
    "PUT /api/v1/tenants/{tenant_id}": frozenset({A}),
    "GET /api/v1/units": frozenset({A}),
    "POST /api/v1/units": frozenset({A}),
    "PUT /api/v1/units/{unit_id}": frozenset({A}),
    "GET /api/v1/teams": frozenset({A}),
    "POST /api/v1/teams": frozenset({A}),
    "PUT /api/v1/teams/{team_id}": frozenset({A}),
    "GET /api/v1/assignments": frozenset({A}),
    "POST /api/v1/assignments": frozenset({A}),
    "DELETE /api/v1/assignments/{assignment_id}": frozenset({A}),
    "PUT /api/v1/hubs/{hub_id}/place": frozenset({A}),
    "POST /api/v1/residents": frozenset({L}),
    "PUT /api/v1/residents/{resident_id}/place": frozenset({L}),
    "POST /api/v1/residents/{resident_id}/contacts": frozenset({L}),
    "PUT /api/v1/residents/{resident_id}/contacts/{contact_id}": frozenset({L}),
    "POST /api/v1/residents/{resident_id}/contacts/{contact_id}/earlier": frozenset({L}),
    "DELETE /api/v1/residents/{resident_id}/contacts/{contact_id}": frozenset({L}),
    "POST /api/v1/residents/{resident_id}/services": frozenset({L}),
    "PUT /api/v1/residents/{resident_id}/services/{service_id}": frozenset({L}),
    "POST /api/v1/residents/{resident_id}/visits": frozenset({L}),
    "PUT /api/v1/residents/{resident_id}/visits/{visit_id}": frozenset({L}),
    "POST /api/v1/residents/{resident_id}/visits/{visit_id}/state": frozenset({L}),
    "POST /api/v1/residents/{resident_id}/erase": frozenset({L}),
    "GET /api/v1/incidents": frozenset({R, L, T}),
    "GET /api/v1/incidents/{incident_id}": frozenset({R, L, T}),
    "GET /api/v1/technical/duty": frozenset({R, L, T}),
    "GET /api/v1/maintenance": frozenset({R, L, T}),
    "POST /api/v1/incidents/{incident_id}/claim": frozenset({L, T}),
    "POST /api/v1/incidents/{incident_id}/release": frozenset({L, T}),
    "PUT /api/v1/incidents/{incident_id}/note": frozenset({L, T}),
    "POST /api/v1/incidents/{incident_id}/close": frozenset({L, T}),
    "POST /api/v1/technical/close": frozenset({L, T}),
    "POST /api/v1/maintenance": frozenset({L, T}),
    "POST /api/v1/maintenance/{period_id}/end": frozenset({L, T}),
    "POST /places/tenants": frozenset({A}),
    "POST /places/tenants/{tenant_id}": frozenset({A}),
    "POST /places/units": frozenset({A}),
    "POST /places/units/{unit_id}": frozenset({A}),
    "POST /places/teams": frozenset({A}),
    "POST /places/teams/{team_id}": frozenset({A}),
    "POST /places/assignments": frozenset({A}),
    "POST /places/assignments/{assignment_id}/end": frozenset({A}),
    "POST /places/hubs/{hub_id}": frozenset({A}),
    "POST /api/v1/residents/search": frozenset({R, L}),
    "GET /api/v1/residents/{resident_id}": frozenset({R, L}),
    "POST /api/v1/residents/{resident_id}/break-glass": frozenset({R, L}),
    "POST /api/v1/residents/{resident_id}/facts": frozenset({L}),
    "POST /api/v1/residents/{resident_id}/facts/{kind}/reveal": frozenset({R, L}),
    "GET /api/v1/residents/{resident_id}/access": frozenset({L, A}),
    "GET /rota": frozenset({R, L, T, A}),
    "GET /rota/{team_id}": frozenset({R, L, T, A}),
    "POST /rota/{team_id}/people/part": frozenset({L, A}),
    "POST /rota/{team_id}/shifts": frozenset({L, A}),
    "POST /rota/{team_id}/shifts/{shift_id}/end": frozenset({L, A}),
    "POST /rota/{team_id}/overrides": frozenset({L, A}),
    "POST /rota/{team_id}/overrides/{override_id}/end": frozenset({L, A}),
    "GET /api/v1/plans": frozenset({R, L, A}),
    "POST /api/v1/plans": frozenset({L, A}),
    "GET /api/v1/plans/{plan_id}": frozenset({R, L, A}),
    "PUT /api/v1/plans/{plan_id}": frozenset({L, A}),
    "DELETE /api/v1/plans/{plan_id}": frozenset({L, A}),
    "GET /api/v1/plans/{plan_id}/trial": frozenset({R, L, A}),
    "GET /api/v1/teams/{team_id}/rota": frozenset({R, L, T, A}),
    "POST /api/v1/teams/{team_id}/rota/shifts": frozenset({L, A}),
    "DELETE /api/v1/teams/{team_id}/rota/shifts/{shift_id}": frozenset({L, A}),
    "POST /api/v1/teams/{team_id}/rota/overrides": frozenset({L, A}),
    "DELETE /api/v1/teams/{team_id}/rota/overrides/{override_id}": frozenset({L, A}),
    "POST /api/v1/session": PUBLIC,
    "GET /api/v1/session": EVERYBODY,
    "DELETE /api/v1/session": EVERYBODY,
    "GET /api/v1/alarms": frozenset({R, L, T}),
    "POST /api/v1/alarms/next": frozenset({R, L, T}),
    "GET /api/v1/alarms/{alarm_id}": frozenset({R, L, T}),
    "POST /api/v1/alarms/{alarm_id}/claim": frozenset({R, L, T}),
    "POST /api/v1/alarms/{alarm_id}/release": frozenset({R, L, T}),
    "POST /api/v1/alarms/{alarm_id}/on-the-way": frozenset({R, L, T}),
    "POST /api/v1/alarms/{alarm_id}/renew": frozenset({R, L, T}),
    "POST /api/v1/alarms/{alarm_id}/close": frozenset({R, L, T}),
    "POST /api/v1/alarms/{alarm_id}/undo": frozenset({R, L, T}),
    "POST /api/v1/alarms/{alarm_id}/shown": frozenset({R, L, T}),
    "GET /api/v1/alarms/{alarm_id}/choices": frozenset({R, L, T}),
    "POST /api/v1/alarms/{alarm_id}/take-over": frozenset({L}),
    "POST /api/v1/alarms/{alarm_id}/offer": frozenset({R, L, T}),
    "POST /api/v1/alarms/{alarm_id}/defer": frozenset({R, L}),
    "POST /api/v1/alarms/{alarm_id}/dispatches": frozenset({R, L}),
    "POST /api/v1/alarms/{alarm_id}/on-site": frozenset({R, L}),
    "POST /api/v1/alarms/{alarm_id}/criterion": frozenset({R, L}),
    "POST /api/v1/alarms/{alarm_id}/calls": frozenset({R, L, T}),
    "POST /api/v1/offers/{offer_id}/accept": frozenset({R, L, T}),
    "POST /api/v1/offers/{offer_id}/decline": frozenset({R, L, T}),
    "POST /api/v1/alarms/{alarm_id}/notes": frozenset({R, L, T}),
    "POST /api/v1/offers/{offer_id}/withdraw": frozenset({R, L, T}),
    "POST /api/v1/dispatches/{dispatch_id}/{step}": frozenset({R, L}),
    "POST /api/v1/duty": frozenset({R, L, T}),
    "GET /api/v1/duty": frozenset({R, L, T}),
    "GET /api/v1/hubs": frozenset({L, T, I, A}),
    "GET /api/v1/hubs/{hub_id}": frozenset({L, T, I, A}),
    "GET /api/v1/hubs/{hub_id}/availability": frozenset({L, T, I, A}),
    "GET /api/v1/hubs/{hub_id}/place": frozenset({A}),
    "GET /api/v1/hubs/{hub_id}/checks": frozenset({L, T, I, A}),
    "POST /api/v1/hubs/{hub_id}/checks": frozenset({T, I}),
    "GET /api/v1/metrics": frozenset({L, T, I, A}),
    "GET /api/v1/feed": frozenset({R, L, T}),
}

DOORS = {"POST /sign-out", "DELETE /api/v1/session"}
"""They end the session that the other routes are tried with."""


def routes(app: FastAPI) -> Iterator[tuple[str, APIRoute]]:
    for route in api_routes(app.routes):
        if route.path not in UNGUARDED:
            for method in sorted(route.methods - {"HEAD"}):
                yield f"{method} {route.path}", route


def test_every_route_stands_in_this_files_table_and_no_other(console: Any) -> None:
    assert {name for name, _ in routes(console.app)} == set(EXPECTED)


def tried(name: str) -> tuple[str, str]:
    method, path = name.split(" ")
    return method, re.sub(r"\{\w+\}", "0123456789abcdef", path)


@pytest.mark.parametrize("role", list(Role))
async def test_every_route_lets_in_who_is_in_the_table_and_nobody_else(console: Any, role: Role) -> None:
    browser = await console.signed_in("Somebody", role)
    wrong = []
    for name, allowed in EXPECTED.items():
        if name in DOORS or allowed is PUBLIC:
            continue
        method, path = tried(name)
        if name == "GET /api/v1/feed":
            if role in allowed:
                async with browser.stream(f"{path}?console=0011223344556677"):
                    pass
                continue
            path += "?console=0011223344556677"
        answer = await browser.request(method, path, headers={"x-csrf-token": browser.csrf})
        is_refused = answer.status in {401, 403, 419}
        if is_refused != (role not in allowed) or answer.status >= 500:
            wrong.append((name, answer.status))
    assert not wrong


async def test_nobody_gets_anywhere_without_signing_in(console: Any) -> None:
    browser = console.browser()
    for name, allowed in EXPECTED.items():
        if allowed is PUBLIC:
            continue
        method, path = tried(name)
        answer = await browser.request(method, path)
        if path.startswith("/api/"):
            assert answer.status == 401, name
            assert answer.json["reason"] == "sign_in", name
        elif method == "GET":
            assert (answer.status, (answer.header("location") or "")[:13]) == (303, "/sign-in?next"), name
        elif name == "POST /sign-out":  # they are
            assert (answer.status, answer.header("location")) == (303, "/sign-in?said=signed_out")
        else:
            assert answer.status == 419, name


async def test_every_change_needs_the_token_of_this_session(console: Any) -> None:
    browser = await console.signed_in("Somebody", Role.LEAD)
    other = await console.signed_in("Somebody Else", Role.LEAD)
    refused = 0
    for name, allowed in EXPECTED.items():
        method, path = tried(name)
        if method == "GET" or allowed is PUBLIC or Role.LEAD not in allowed:
            continue
        for headers, status in (
            ({}, 403), ({"x-csrf-token": other.csrf}, 419), ({"x-csrf-token": "x"}, 403), ({"x-csrf-token": "æ"}, 403)
        ):  # fmt: skip
            encoded = {key: value.encode().decode("latin-1") for key, value in headers.items()}
            assert (await browser.request(method, path, headers=encoded)).status == status, name
            refused += 1
        if not path.startswith("/api/"):
            assert (await browser.request(method, path, form={"csrf": other.csrf})).status == 419, name
            refused += 1
    assert (await browser.get("/me")).status == 200
    await console.services.security.flush()
    noted = [event.count for event in await console.services.security.recent() if event.reason == "csrf"]
    assert sum(noted) == refused  # each of them may have been somebody else's doing


def test_a_route_that_does_not_say_who_may_use_it_stops_the_start() -> None:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)

    @app.get("/open", dependencies=[Depends(Open())])
    def is_open() -> None: ...

    @app.get("/guarded", dependencies=[Depends(Needs(Action.READ_LOG))])
    def is_guarded() -> None: ...

    check_guarded(app)

    router = APIRouter(prefix="/inner")

    @router.get("/forgotten")
    def is_forgotten() -> None: ...

    app.include_router(router)
    with pytest.raises(RuntimeError, match="/inner/forgotten"):
        check_guarded(app)


def test_what_cannot_be_looked_into_stops_the_start_too() -> None:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.mount("/other", FastAPI())
    with pytest.raises(RuntimeError, match="/other"):
        check_guarded(app)


def test_what_is_not_in_the_table_is_denied() -> None:
    assert set(ALLOWED) == set(Action)
    assert may(Role.LEAD, Action.OVERRIDE_CLAIM)
    assert not any(may(role, Action.OVERRIDE_CLAIM) for role in Role if role is not Role.LEAD)
    assert not any(may(role, Action.PERSONAL) for role in (Role.TECHNICIAN, Role.INSTALLER, Role.ADMINISTRATOR))


def test_a_role_that_does_not_exist_is_answered_with_the_nearest() -> None:
    assert role_from("lead") is Role.LEAD
    with pytest.raises(ValueError, match="Did you mean technician"):
        role_from("technican")
