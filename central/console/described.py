"""The description of the JSON API (OpenAPI): what the routes say of themselves, and what holds for all of them.

Every error is a problem document, every operation says who may use it, and a route that changes something asks for the
token beside the session.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

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
        if not isinstance(route, APIRoute) or not route.include_in_schema or route.path not in made["paths"]:
            continue
        guard = next(guards(route.dependant))
        for method in route.methods & {one.upper() for one in made["paths"][route.path]}:
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


def _example(code: int) -> dict[str, Any]:
    title, reason, detail = _TITLES.get(code, ("Error", "error", ""))
    return {"type": "about:blank", "title": title, "status": code, "reason": reason, "detail": detail}
