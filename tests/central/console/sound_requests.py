"""One sound request for every route that changes something: what the tests of bad input break in all ways they know.

Values name the things of a tenant in braces, as in `Holdings.ids`, and times as in `moments`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI
from fastapi.routing import APIRoute

from central.console.roles import Role
from central.console.routes import UNGUARDED, api_routes
from tests.central.console.conftest import PASSWORD, Holdings

Form = Mapping[str, Any]
DUTY, COLLEAGUE, NOBODY = "vakt", "kollega", "nobody"
"""Who asks: whoever has the tenant's alarm, whoever it is offered to, nobody signed in."""
CLAIM_CASE = ("POST /technical/incidents/{incident_id}/claim",)
STEP = {"receiver": "centres", "channels": ["console"], "patience_s": 60}
PLAN = {"name": "Natt", "variants": [{"name": "Alltid", "hours": [], "steps": [STEP]}]}
CONTACT = {"person": {"name": "Ola Nes", "phone": "+47 999 00 002"}, "agreement": {"services": ["TA"]}}
PLAN_FORM = {
    "name": "Natt",
    "tenant": "{tenant_id}",
    "service": "DT",
    "why": "ny",
    "no_receipt": "15",
    "no_claim": "120",
    "defer_within": "24",
    "v0.name": "Alltid",
    "v0.s0.to": "centres",
    "v0.s0.by": "console",
    "v0.s0.patience": "60",
    "do": "save",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """A request that is taken. `first` are others that have to come before it, `by` is who sends all of them."""

    by: Role | str
    form: Form | None = None
    json: Any = None
    query: Mapping[str, str] | None = None
    first: tuple[str, ...] = ()
    status: tuple[int, ...] = (200, 201, 204, 303)


def _lead(form: Form | None = None, **more: Any) -> Sound:
    return Sound(by=Role.LEAD, form=form or {}, **more)


def _admin(form: Form | None = None, **more: Any) -> Sound:
    return Sound(by=Role.ADMINISTRATOR, form=form or {}, **more)


def _api(by: Role | str, json: Any = None, **more: Any) -> Sound:
    return Sound(by=by, json=json, **more)


OUTCOMES = (
    ("mis_press", "Feiltrykk", "Mistake"),
    ("no_contact", "Ikke kontakt", "No contact"),
    ("other", "Annet", "Other"),
    ("burn", "Brannskade", "Burn"),
)
SOUND: Mapping[str, Sound] = {
    # ── what cannot be looked at without saying more
    "GET /api/v1/plans/{plan_id}/trial": _api(Role.LEAD, query={"at_ms": "{soon_ms}"}),
    "GET /api/v1/feed": _api(DUTY, query={"console": "0011223344556677"}),
    # ── at the door
    "POST /sign-in": Sound(by=NOBODY, form={"name": "{name} vakt", "password": PASSWORD, "next": "/"}),
    "POST /link": Sound(by=NOBODY, form={"token": "{link}", "next": "/"}),
    "POST /kept": Sound(by=NOBODY, form={"kept": "AQ"}, status=(401,)),
    "POST /language": Sound(by=NOBODY, form={"language": "en", "next": "/sign-in"}),
    "POST /sign-out": Sound(by=DUTY, form={}),
    "POST /password": Sound(
        by=DUTY,
        form={"current": PASSWORD, "new": "fire hester på stranda", "again": "fire hester på stranda", "next": "/"},
    ),
    "POST /me/reach": Sound(by=DUTY, form={"phone": "+47 999 00 003", "email": "vakt@example.org"}),
    "POST /me": Sound(by=DUTY, form={"language": "nb", "theme": "dark", "keys": "on"}),
    "POST /api/v1/session": _api(NOBODY, {"name": "{name} vakt", "password": PASSWORD}),
    "DELETE /api/v1/session": _api(DUTY),
    # ── alarms
    "POST /api/v1/alarms/next": _api(COLLEAGUE, {"queue": "personal"}),
    "POST /api/v1/alarms/{alarm_id}/claim": _api(DUTY),
    "POST /api/v1/alarms/{alarm_id}/release": _api(DUTY, {}),
    "POST /api/v1/alarms/{alarm_id}/on-the-way": _api(DUTY, {}),
    "POST /api/v1/alarms/{alarm_id}/renew": _api(DUTY),
    "POST /api/v1/alarms/{alarm_id}/close": _api(
        DUTY, {"disposition": "cleared_by_phone", "outcome": "anxiety", "note": "snakket", "kind_of_help": "none"}
    ),
    "POST /api/v1/alarms/{alarm_id}/undo": _api(DUTY, first=("POST /api/v1/alarms/{alarm_id}/close",)),
    "POST /api/v1/alarms/{alarm_id}/shown": _api(DUTY, {"console": "0011223344556677"}),
    "POST /api/v1/alarms/{alarm_id}/take-over": _api(Role.LEAD, {"reason": "har gått hjem"}),
    "POST /api/v1/alarms/{alarm_id}/offer": _api(
        DUTY, {"to_team": "{team_id}", "note": "ring på"}, first=("POST /api/v1/offers/{offer_id}/withdraw",)
    ),
    "POST /api/v1/alarms/{alarm_id}/defer": _api(DUTY, {"visit": "{visit_id}"}),
    "POST /api/v1/alarms/{alarm_id}/criterion": _api(DUTY, {"criterion": "fallen"}),
    "POST /api/v1/alarms/{alarm_id}/dispatches": _api(DUTY, {"team": "{ward_id}"}),
    "POST /api/v1/alarms/{alarm_id}/on-site": _api(DUTY, {}),
    "POST /api/v1/alarms/{alarm_id}/calls": _api(
        DUTY, {"called": "contact", "contact": "{contact_id}", "result": "no_answer"}
    ),
    "POST /api/v1/alarms/{alarm_id}/notes": _api(DUTY, {"note": "Datteren er på vei."}),
    "POST /api/v1/offers/{offer_id}/accept": _api(COLLEAGUE),
    "POST /api/v1/offers/{offer_id}/decline": _api(COLLEAGUE),
    "POST /api/v1/offers/{offer_id}/withdraw": _api(DUTY),
    "POST /api/v1/dispatches/{dispatch_id}/{step}": _api(DUTY, {"reason": "ledig"}),
    "POST /api/v1/duty": _api(DUTY, {"console": "0011223344556677", "has_sound": True}),
    # ── routines
    "POST /card-editor": _lead(
        {"tenant": "{tenant_id}", "kind": "fall", "nb": "Ring\nSend", "en": "Call", "why": "ny"}
    ),
    "POST /card-editor/preview": _lead({"tenant": "{tenant_id}", "kind": "fall", "nb": "Ring\nSend", "en": "Call"}),
    "POST /cards/{card_id}/edit": _lead({"version": "1", "nb": "Ring\nSend", "en": "Call", "why": "ny"}),
    "POST /cards/{card_id}/end": _lead({"version": "1"}),
    "POST /criteria/{tenant_id}/edit": _lead(
        {
            "version": "0",
            "why": "kort",
            "c0.code": "fallen",
            "c0.nb": "Har falt",
            "c0.en": "Has fallen",
            "c0.level": "urgent",
            "c0.service": "TA",
            "do": "save",
        }
    ),
    "POST /criteria/{tenant_id}/reset": _lead({"version": "0"}),
    "POST /api/v1/cards": _api(Role.LEAD, {"tenant": "{tenant_id}", "kind": "fall", "nb": ["Ring"], "en": ["Call"]}),
    "PUT /api/v1/cards/{card_id}": _api(Role.LEAD, {"nb": ["Ring"], "en": ["Call"], "version": 1}),
    "DELETE /api/v1/cards/{card_id}": _api(Role.LEAD, query={"version": "1"}),
    "PUT /api/v1/tenants/{tenant_id}/criteria": _api(
        Role.LEAD,
        {"criteria": [{"code": "fallen", "nb": "Har falt", "en": "Fallen", "level": "urgent"}], "version": 0},
    ),
    "POST /outcomes/{tenant_id}/edit": _lead(
        {
            "version": "0",
            "why": "kort",
            **{
                f"o{n}.{key}": value
                for n, (code, nb, en) in enumerate(OUTCOMES)
                for key, value in (("code", code), ("nb", nb), ("en", en), ("help", "health"), ("retired", ""))
            },
            "o3.disposition": ["visit_now", "emergency_services"],
            "o3.only": "yes",
            "do": "save",
        }
    ),
    "POST /outcomes/{tenant_id}/reset": _lead({"version": "0"}),
    "PUT /api/v1/tenants/{tenant_id}/outcomes": _api(
        Role.LEAD,
        {"outcomes": [{"code": code, "nb": nb, "en": en} for code, nb, en in OUTCOMES], "why": "kort", "version": 0},
    ),
    # ── hubs
    "POST /hubs/{hub_id}/check": Sound(by=Role.TECHNICIAN, form={}),
    "POST /api/v1/hubs/{hub_id}/checks": _api(Role.TECHNICIAN),
    "POST /codes": Sound(by=Role.INSTALLER, form={"label": "Solbakken 214"}),
    # ── technical duty
    "POST /technical/close": Sound(by=Role.TECHNICIAN, form={"alarm": ["{technical_id}"], "outcome": "power_restored"}),
    "POST /technical/incidents/{incident_id}/claim": Sound(by=Role.TECHNICIAN, form={}),
    "POST /technical/incidents/{incident_id}/release": Sound(by=Role.TECHNICIAN, form={}, first=CLAIM_CASE),
    "POST /technical/incidents/{incident_id}/note": Sound(
        by=Role.TECHNICIAN, form={"note": "ringt netteier", "version": "2"}, first=CLAIM_CASE
    ),
    "POST /technical/incidents/{incident_id}/close": Sound(
        by=Role.TECHNICIAN, form={"outcome": "power_restored", "note": "alt i orden", "version": "2"}, first=CLAIM_CASE
    ),
    "POST /technical/maintenance": Sound(
        by=Role.TECHNICIAN,
        form={
            "reach": "hub",
            "ref": "{hub_id}",
            "sort": "maintenance",
            "from": "{soon}",
            "to": "{later}",
            "why": "bytter batteri",
        },
    ),
    "POST /technical/maintenance/{period_id}/end": Sound(by=Role.TECHNICIAN, form={}),
    # ── plans and rotas
    "POST /plan-editor": _lead(PLAN_FORM),
    "POST /plan-editor/preview": _lead(PLAN_FORM | {"try_day": "{day}", "try_time": "03:10", "try_second": ""}),
    "POST /plans/{plan_id}/edit": _lead(PLAN_FORM | {"service": "TA", "version": "1"}),
    "POST /plans/{plan_id}/end": _lead({"version": "1"}),
    "POST /rota/{team_id}/shifts": _lead(
        {"day": ["0", "6"], "account": "phone", "from": "22:00", "to": "07:00", "from_day": "{day}", "to_day": ""}
    ),
    "POST /rota/{team_id}/shifts/{shift_id}/end": _lead(),
    "POST /rota/{team_id}/overrides": _lead(
        {
            "who": "nobody",
            "instead_of": "",
            "begin_day": "{later_day}",
            "begin_time": "12:00",
            "end_day": "{later_day}",
            "end_time": "14:00",
            "why": "ferie",
        }
    ),
    "POST /rota/{team_id}/overrides/{override_id}/end": _lead(),
    "POST /api/v1/plans": _api(Role.LEAD, {"plan": PLAN, "tenant": "{tenant_id}", "service": "DT", "why": "ny"}),
    "PUT /api/v1/plans/{plan_id}": _api(Role.LEAD, {"plan": PLAN, "service": "TA", "why": "ny", "version": 1}),
    "DELETE /api/v1/plans/{plan_id}": _api(Role.LEAD, query={"version": "1"}),
    "POST /api/v1/teams/{team_id}/rota/shifts": _api(
        Role.LEAD, {"weekdays": [0, 6], "from_minute": 1320, "to_minute": 420, "from_day": "{day}"}
    ),
    "DELETE /api/v1/teams/{team_id}/rota/shifts/{shift_id}": _api(Role.LEAD),
    "POST /api/v1/teams/{team_id}/rota/overrides": _api(
        Role.LEAD, {"from_ms": "{soon_ms}", "to_ms": "{later_ms}", "why": "ferie"}
    ),
    "DELETE /api/v1/teams/{team_id}/rota/overrides/{override_id}": _api(Role.LEAD),
    # ── residents
    "POST /find": _lead({"page": "/residents", "q": "Kari"}),
    "POST /residents/sites/part": _lead({"q": "nord"}),
    "POST /residents/hubs/part": _lead({"q": "1"}),
    "POST /residents/{resident_id}/units/part": _lead({"q": "nord"}),
    "POST /rota/{team_id}/people/part": _lead({"q": "vakt"}),
    "POST /api/v1/residents/search": _api(Role.RESPONDER, {"q": "Kari", "reason": "resident_called"}),
    "POST /residents": _lead(
        {
            "place": "{tenant_id}:{unit_id}",
            "first_name": "Kari",
            "last_name": "Nes",
            "address": "Solbakken 2",
            "reference": "J-1",
            "pseudonym": "r-kari",
            "hub": "",
            "is_critical": "true",
        }
    ),
    "POST /residents/{resident_id}/open": _lead({"reason": "resident_called"}),
    "POST /residents/{resident_id}/reveal": _lead({"kind": "key_code"}),
    "POST /residents/{resident_id}/facts": _lead(
        {"kind": "address", "text": "Solbakken 2", "source": "resident", "as_of": "{day}"}
    ),
    "POST /residents/{resident_id}/contacts": _lead(
        {"name": "Ola Nes", "relation": "sønn", "phone": "+47 999 00 002", "document": "A-1", "service": ["TA"]}
    ),
    "POST /residents/{resident_id}/contacts/{contact_id}/end": _lead({"version": "1"}),
    "POST /residents/{resident_id}/contacts/{contact_id}/up": _lead(),
    "POST /residents/{resident_id}/contacts/{contact_id}": _lead(
        {"version": "1", "name": "Ola Nes", "relation": "sønn", "phone": "+47 999 00 002", "service": ["TA"]}
    ),
    "POST /residents/{resident_id}/services": _lead(
        {"service": "DT", "from_day": "{day}", "source": "epj", "as_of": "{day}"}
    ),
    "POST /residents/{resident_id}/services/{service_id}": _lead({"version": "1", "from_day": "{day}", "to_day": ""}),
    "POST /residents/{resident_id}/visits": _lead(
        {"day": "{later_day}", "begin": "08:00", "end": "09:00", "team": "{team_id}"}
    ),
    "POST /residents/{resident_id}/visits/{visit_id}": _lead(
        {"version": "1", "day": "{later_day}", "begin": "08:00", "end": "09:00", "team": "{team_id}"}
    ),
    "POST /residents/{resident_id}/visits/{visit_id}/state": _lead({"version": "1", "state": "done"}),
    "POST /residents/{resident_id}/services/{service_id}/end": _lead({"version": "1"}),
    "POST /residents/{resident_id}/place": _lead(
        {"version": "{resident_version}", "unit": "{unit_id}", "hub": "{hub_id}", "is_critical": "true"}
    ),
    "POST /residents/{resident_id}/erase": _lead(
        {"confirm": "{resident_id}"},
        status=(409,),  # they have an alarm that is open
    ),
    "POST /api/v1/residents/{resident_id}/break-glass": _api(Role.RESPONDER, {"reason": "resident_called"}),
    "POST /api/v1/residents/{resident_id}/facts": _api(
        Role.LEAD, {"kind": "address", "text": "Solbakken 2", "source": "resident"}
    ),
    "POST /api/v1/residents/{resident_id}/facts/{kind}/reveal": _api(Role.LEAD),
    "POST /api/v1/residents": _api(
        Role.LEAD,
        {"tenant": "{tenant_id}", "unit": "{unit_id}", "facts": {"first_name": "Kari"}, "source": "resident"},
    ),
    "PUT /api/v1/residents/{resident_id}/place": _api(
        Role.LEAD, {"unit": "{unit_id}", "version": "{resident_version}"}
    ),
    "POST /api/v1/residents/{resident_id}/contacts": _api(Role.LEAD, CONTACT),
    "PUT /api/v1/residents/{resident_id}/contacts/{contact_id}": _api(Role.LEAD, CONTACT | {"version": 1}),
    "POST /api/v1/residents/{resident_id}/contacts/{contact_id}/earlier": _api(Role.LEAD),
    "DELETE /api/v1/residents/{resident_id}/contacts/{contact_id}": _api(Role.LEAD, query={"version": "1"}),
    "POST /api/v1/residents/{resident_id}/services": _api(Role.LEAD, {"kind": "DT", "from_ms": "{soon_ms}"}),
    "PUT /api/v1/residents/{resident_id}/services/{service_id}": _api(
        Role.LEAD, {"from_ms": "{soon_ms}", "version": 1}
    ),
    "POST /api/v1/residents/{resident_id}/visits": _api(
        Role.LEAD, {"from_ms": "{soon_ms}", "to_ms": "{later_ms}", "team": "{team_id}"}
    ),
    "PUT /api/v1/residents/{resident_id}/visits/{visit_id}": _api(
        Role.LEAD, {"from_ms": "{soon_ms}", "to_ms": "{later_ms}", "version": 1}
    ),
    "POST /api/v1/residents/{resident_id}/visits/{visit_id}/state": _api(Role.LEAD, {"state": "done", "version": 1}),
    "POST /api/v1/residents/{resident_id}/erase": _api(
        Role.LEAD,
        {"confirm": "{resident_id}"},
        status=(303, 409),  # as long as an alarm of theirs is open
    ),
    # ── technical duty, over the API
    "POST /api/v1/incidents/{incident_id}/claim": _api(Role.TECHNICIAN),
    "POST /api/v1/incidents/{incident_id}/release": _api(Role.TECHNICIAN, first=CLAIM_CASE),
    "PUT /api/v1/incidents/{incident_id}/note": _api(
        Role.TECHNICIAN, {"note": "ringt", "version": 2}, first=CLAIM_CASE
    ),
    "POST /api/v1/incidents/{incident_id}/close": _api(
        Role.TECHNICIAN, {"outcome": "power_restored", "note": "i orden", "version": 2}, first=CLAIM_CASE
    ),
    "POST /api/v1/technical/close": _api(Role.TECHNICIAN, {"alarms": ["{technical_id}"], "outcome": "power_restored"}),
    "POST /api/v1/maintenance": _api(
        Role.TECHNICIAN, {"reach": "hub", "ref": "{hub_id}", "to_ms": "{later_ms}", "why": "bytter"}
    ),
    "POST /api/v1/maintenance/{period_id}/end": _api(Role.TECHNICIAN),
    # ── places and accounts
    "POST /places/units/{unit_id}/presence": _admin({"version": "1", "rule": "yes"}),
    "POST /api/v1/tenants": _api(Role.ADMINISTRATOR, {"name": "Nesset"}),
    "PUT /api/v1/tenants/{tenant_id}": _api(Role.ADMINISTRATOR, {"name": "Nytt navn", "version": 1}),
    "POST /api/v1/units": _api(Role.ADMINISTRATOR, {"tenant": "{tenant_id}", "name": "Sone sør", "kind": "zone"}),
    "PUT /api/v1/units/{unit_id}": _api(Role.ADMINISTRATOR, {"name": "Sone øst", "kind": "zone", "version": 1}),
    "POST /api/v1/teams": _api(
        Role.ADMINISTRATOR, {"name": "Natt", "kind": "patrol", "tenant": "{tenant_id}", "members": ["{account_id}"]}
    ),
    "PUT /api/v1/teams/{team_id}": _api(Role.ADMINISTRATOR, {"name": "Dag", "kind": "patrol", "version": 1}),
    "POST /api/v1/assignments": _api(
        Role.ADMINISTRATOR, {"account": "{account_id}", "role": "lead", "tenant": "{tenant_id}"}
    ),
    "DELETE /api/v1/assignments/{assignment_id}": _api(Role.ADMINISTRATOR),
    "PUT /api/v1/hubs/{hub_id}/place": _api(
        Role.ADMINISTRATOR, {"tenant": "{tenant_id}", "unit": "{unit_id}", "version": 2}
    ),
    "POST /places/accounts/part": _admin({"q": "vakt"}),
    "POST /places/sites/part": _admin({"q": "nord"}),
    "POST /places/tenants": _admin({"name": "Nesset", "zone": "Europe/Oslo"}),
    "POST /places/tenants/{tenant_id}": _admin({"version": "1", "name": "Nytt navn", "zone": "Europe/Oslo"}),
    "POST /places/units": _admin({"name": "Sone sør", "kind": "zone", "inside": "{tenant_id}:{unit_id}"}),
    "POST /places/units/{unit_id}": _admin({"version": "1", "name": "Sone øst", "kind": "zone", "parent": ""}),
    "POST /places/teams": _admin(
        {
            "name": "Nattpatrulje",
            "kind": "patrol",
            "tenant": "{tenant_id}",
            "phone": "+47 999 00 003",
            "email": "natt@example.org",
            "serves": ["{tenant_id}"],
        }
    ),
    "POST /places/teams/{team_id}": _admin(
        {
            "version": "1",
            "name": "Dagpatrulje",
            "kind": "patrol",
            "phone": "+47 999 00 003",
            "email": "dag@example.org",
            "serves": ["{tenant_id}"],
        }
    ),
    "POST /places/teams/{team_id}/members": _admin({"account": "{account_id}"}),
    "POST /places/teams/{team_id}/members/{account_id}/end": _admin(),
    "POST /places/assignments": _admin({"account": "{account_id}", "role": "lead", "where": "{tenant_id}:{unit_id}"}),
    "POST /places/assignments/{assignment_id}/end": _admin(),
    "POST /places/hubs/{hub_id}": _admin({"where": "{tenant_id}:{unit_id}", "version": "2"}),
    "POST /users": _admin({"name": "Per Vik", "role": "responder"}),
    "POST /users/{account_id}/link": _admin(),
    "POST /users/{account_id}/role": _admin({"role": "lead", "version": "1"}),
    "POST /users/{account_id}/disable": _admin({"version": "1"}),
    "POST /users/{account_id}/enable": _admin({"version": "1"}),
    "POST /log/verify": _admin(),
}


def named_routes(app: FastAPI) -> Iterator[tuple[str, APIRoute]]:
    """Every route of the application as METHOD PATH."""
    for route in api_routes(app.routes):
        if route.path not in UNGUARDED:
            for method in sorted(route.methods - {"HEAD"}):
                yield f"{method} {route.path}", route


def missing(app: FastAPI) -> list[str]:
    """The routes that change something and have no sound request here, and those here that are no routes."""
    changing = {name for name, _ in named_routes(app) if not name.startswith("GET ")}
    return sorted(changing ^ {name for name in SOUND if not name.startswith("GET ")})


def written(value: Any, place: Holdings) -> Any:
    """A value with what stands in its braces; a whole number becomes one."""
    if isinstance(value, str):
        found = value.format_map({"name": place.name, **place.ids}) if "{" in value else value
        return int(found) if value.endswith(("_ms}", "_version}")) else found
    if isinstance(value, Mapping):
        return {key: written(one, place) for key, one in value.items()}
    return [written(one, place) for one in value] if isinstance(value, list | tuple) else value


def sent_as(sound: Sound | None, place: Holdings) -> dict[str, Any]:
    """What a browser sends: its form or its JSON."""
    if sound is None:
        return {}
    if sound.form is not None:
        return {"form": written(sound.form, place)}
    return {} if sound.json is None else {"content": written(sound.json, place)}


def asked(sound: Sound | None, place: Holdings) -> str:
    """What stands behind the path."""
    return f"?{urlencode(written(sound.query, place))}" if sound is not None and sound.query else ""
