"""The description of the JSON API (OpenAPI): what the routes say of themselves, and what holds for all of them.

Every error is a problem document, every operation says who may use it, and a route that changes something asks for the
token beside the session.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from central.console.gate import SAFE_METHODS, Needs, Open
from central.console.routes import api_routes, guards

PROBLEM = "application/problem+json"
_REF = {"$ref": "#/components/schemas/Problem"}
_TITLES = {
    400: ("Bad Request", "no_json", "line 1, column 2: Expecting property name enclosed in double quotes"),
    401: ("Unauthorized", "sign_in", ""),
    403: ("Forbidden", "role", "technician"),
    404: ("Not Found", "alarm", "5f0c2a9be1d34477"),
    409: ("Conflict", "taken", "Operator Two"),
    413: ("Request Entity Too Large", "too_long", "more than 65536 bytes"),
    415: ("Unsupported Media Type", "json_wanted", "send it as application/json"),
    419: ("Page Expired", "csrf", ""),
    422: ("Unprocessable Entity", "missing", "console: Field required"),
    429: ("Too Many Requests", "too_many_attempts", ""),
    503: ("Service Unavailable", "not_stored", ""),
}
_WITH_BODY = {"400": "What was sent is no JSON, or no UTF-8.", "415": "What was sent is not marked as JSON."}
_ALWAYS = {"503": "Central cannot store or read now. Nothing was changed; try again."}
_CHANGING = {"413": "What was sent is too long."}


_ID = "5f0c2a9be1d34477"
EXAMPLES: dict[str, Any] = {
    name: value
    for names, value in (
        ("id alarm dispatch_id offer_id shift_id override_id visit", _ID),
        ("account account_id to_account from_account instead_of", "0f1e2d3c4b5a6978"),
        ("team to_team team_id unit tenant tenant_id", "00aa11bb22cc33dd"),
        ("plan_id card_id", "7d0c2a9be1d34411"),
        ("alarm_id", _ID),
        ("hub hub_id", "a1b2c3d4e5f60718"),
        ("resident resident_id ref", "r-7f3a90"),
        ("kind", "key_code"),
        ("name owner_name from_name to_name actor_name account_name written_by", "Operator One"),
        ("team_name variant", "Night patrol"),
        ("label hub_label resident_label", "Solbakken 214"),
        ("role", "responder"),
        ("language", "nb"),
        ("csrf", "kq3Zr0b5wT8uXe1YdVt2mP9sHnLfJcAgKoQvRzWiByM"),
        ("may", "see_queue"),
        ("state", "sent"),
        ("presence", "present"),
        ("stage", "claimed"),
        ("software", "0.1.0"),
        ("config_hash", "9b1d"),
        ("outcome", "ok"),
        ("what", "claimed"),
        ("zone", "Europe/Oslo"),
        ("words", "Every day from 22:00 to 07:00: every response centre on the console, 60 s."),
        ("why note reason", "holiday"),
        ("teams on_duty services service result called", "TA"),
        ("serves", "00aa11bb22cc33dd"),
        ("members given_by", "0f1e2d3c4b5a6978"),
        ("email", "kari@example.org"),
        ("reference", "J-2026-114"),
        ("done", "added"),
        ("card", "Ring the resident."),
        ("place written_name", "Solbakken"),
        ("purpose", "alarm"),
        ("relation", "daughter"),
        ("phone", "+4799900001"),
        ("document", "J-2026-114"),
        ("source", "resident"),
        ("text nb en", "Ring the resident."),
        ("console", "1f2e3d4c5b6a7988"),
        ("from_day to_day", "2026-11-23"),
        ("title", "Conflict"),
        ("detail", "Operator Two"),
        ("code criterion", "fallen"),
        ("gone", "battery"),
    )
    for name in names.split()
}
"""By the name of a field or of a part of a path, where it does not say one itself."""


def describe(app: FastAPI) -> dict[str, Any]:
    """The document, made once."""
    if app.openapi_schema is None:
        made = get_openapi(
            title=app.title,
            version="1",
            description="What the pages' scripts and other programs of the municipality use. Times are ms since 1970.",
            routes=app.routes,
        )
        _add_schemes(made, app)
        _add_problems(made)
        _add_examples(made)
        app.openapi_schema = made
    return app.openapi_schema


def _add_schemes(made: dict[str, Any], app: FastAPI) -> None:
    made["components"]["securitySchemes"] = {
        "session": {"type": "apiKey", "in": "cookie", "name": app.state.desk.session_cookie},
        "token": {
            "type": "apiKey",
            "in": "header",
            "name": "X-CSRF-Token",
            "description": "The session's `csrf`, with every request that changes something.",
        },
    }
    for route in api_routes(app.routes):
        if not route.include_in_schema or route.path not in made["paths"]:
            continue
        guard = next(guards(route.dependant))
        for method in (route.methods or set()) & {one.upper() for one in made["paths"][route.path]}:
            operation = made["paths"][route.path][method.lower()]
            operation["security"] = _asked(guard, is_safe=method in SAFE_METHODS)
            if isinstance(guard, Needs):
                operation["x-action"] = guard.action.value


def _asked(guard: Needs | Open, *, is_safe: bool) -> list[dict[str, list[str]]]:
    if isinstance(guard, Open):
        return []
    return [{"session": []}] if is_safe else [{"session": [], "token": []}]


def _add_problems(made: dict[str, Any]) -> None:
    for path in made["paths"].values():
        for method, operation in path.items():
            responses = operation["responses"]
            more = dict(_ALWAYS)
            if method.upper() not in SAFE_METHODS:
                more |= _CHANGING
            if "requestBody" in operation:
                more |= _WITH_BODY
            for code, text in more.items():
                responses.setdefault(code, {"description": text})
            for code, response in responses.items():
                if int(code) >= 400:
                    response["content"] = {PROBLEM: {"schema": _REF, "example": _example(int(code))}}
            operation["responses"] = dict(sorted(responses.items()))


def _add_examples(made: dict[str, Any]) -> None:
    for path in made["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "path" and not {"example", "examples"} & set(parameter):
                    _give(parameter["schema"], parameter["name"])
    for schema in made["components"]["schemas"].values():
        for name, field in schema.get("properties", {}).items():
            _give(field, name)


def _give(schema: dict[str, Any], name: str) -> None:
    """An example to every string in it that has none."""
    if name not in EXAMPLES or {"example", "examples", "enum", "const", "$ref"} & set(schema):
        return
    if schema.get("type") == "string":
        schema["examples"] = [EXAMPLES[name]]
    for inner in schema.get("anyOf", ()):
        _give(inner, name)
    if "items" in schema:
        _give(schema["items"], name)


def _example(code: int) -> dict[str, Any]:
    title, reason, detail = _TITLES.get(code, ("Error", "error", ""))
    return {"type": "about:blank", "title": title, "status": code, "reason": reason, "detail": detail}
