"""What somebody gets who asked for something that cannot be done: a page with a way on, or problem+json."""

from __future__ import annotations

from http import HTTPStatus
from typing import get_args
from urllib.parse import quote

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.routing import Match

from central.access import ElsewhereError
from central.console.coming_back import too_late
from central.console.elsewhere import note_elsewhere, note_forbidden
from central.console.gate import (
    SAFE_METHODS,
    ForbiddenError,
    SignInNeededError,
    StalePageError,
    Visit,
    bare_visit,
    visit_of,
)
from central.console.pages import is_part
from central.console.queries import nearest, ways_on
from central.console.rendering import page
from central.console.routes import api_routes
from central.console.signin import ThrottledError
from central.errors import ActionError, Conflict, IncompleteError, NotStoredError

log = structlog.get_logger()

PAGE_CODES = frozenset({400, 401, 403, 404, 409, 413, 419, 422, 429, 500, 503})
FORGED = frozenset({"csrf", "cross_site"})
"""What came from somewhere else than our own pages, or looks like it."""
BEYOND = frozenset({"role", "everywhere_only"})
"""What nobody meets who goes by what our pages offer them: somebody tries."""
_TITLES = {419: "Page Expired"}
_RELOADED = "sec-fetch-site"


def install_problems(app: FastAPI) -> None:
    """Answers for everything that may go wrong in a route; what nobody foresaw is the Guard's."""
    app.add_exception_handler(ActionError, _action_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(NotStoredError, _not_stored)


def problem(request: Request, status: int, reason: str, detail: str = "", **more: object) -> Response:
    """For programs under /api, a page for people elsewhere."""
    if request.url.path.startswith("/api/"):
        body = {
            "type": "about:blank",
            "title": _title(status),
            "status": status,
            "reason": reason,
            "detail": detail,
            **{key: value for key, value in more.items() if value is not None},
        }
        return JSONResponse(body, status, media_type="application/problem+json")
    visit = _visit(request)
    code = status if status in PAGE_CODES else 500 if status >= 500 else 400
    template = "_error.html" if is_part(request) else "error.html"
    word = "forged" if code == 403 and reason in FORGED else f"e{code}"
    title, text = (visit.words(f"error.{word}_{part}") for part in ("title", "text"))
    field = more.get("field")
    if request.method == "GET" and isinstance(field, str) and any(field == name[:64] for name in request.query_params):
        return _not_asked_so(request, visit, status, reason, field, more.get("choices"))
    return page(visit, template, status, title=title, text=text, is_ours=code >= 500)


def _not_asked_so(request: Request, visit: Visit, status: int, reason: str, field: str, choices: object) -> Response:
    """The address asks in a way that is not understood: said with the nearest that is, and nothing is shown instead."""
    names = [str(one) for one in choices] if reason == "unknown_query" and isinstance(choices, list) else []
    meant, address = ways_on(request, field, names)
    if reason == "search_over":
        title, text, again = (visit.words(f"error.search_over_{part}") for part in ("title", "text", "again"))
        return page(visit, "error.html", status, title=title, text=text, is_ours=False, way=(address, again))
    known = reason != "unknown_query"
    text = visit.words("error.query_value" if known else "error.query_name", name=field)
    word = "error.query_meant" if meant else "error.query_without"
    return page(
        visit, "_error.html" if is_part(request) else "error.html", status, title=visit.words("error.query_title"),
        text=text, is_ours=False, way=(address, visit.words(word, name=meant or field)),
    )  # fmt: skip


def _title(status: int) -> str:
    if status in _TITLES:
        return _TITLES[status]
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def _visit(request: Request) -> Visit:
    known = getattr(request.state, "visit", None)
    return known if isinstance(known, Visit) else bare_visit(request.app.state.desk, request)


async def _action_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ActionError)  # noqa: S101  # registered for this class only
    if isinstance(error, ElsewhereError):
        note_elsewhere(_visit(request), error)
    elif isinstance(error, ForbiddenError) and error.reason in BEYOND:
        note_forbidden(_visit(request), f"{request.method} {request.scope['route'].path}: {error.reason}")
    is_api = request.url.path.startswith("/api/")
    if isinstance(error, SignInNeededError) and not is_api:
        return await _to_sign_in(request)
    if isinstance(error, StalePageError) and not is_api and not is_part(request):
        return await too_late(_visit(request), request) or problem(request, 419, error.reason)
    more: dict[str, object] = {}
    if isinstance(error, Conflict):
        more["state"] = error.state or None
        more["current"] = error.current
        more["yours"] = error.yours
        if error.holder is not None:
            more["holder"] = {"name": error.holder.name, "since_ms": error.holder.since_ms}
    if isinstance(error, IncompleteError):
        more["field"] = error.field
        more["choices"] = list(error.choices) or None
    response = problem(request, error.status, error.reason, error.detail, **more)
    if isinstance(error, ThrottledError):
        response.headers["Retry-After"] = str(max(1, round(error.wait_s)))
    return response


async def _to_sign_in(request: Request) -> Response:
    if is_part(request):
        # The script asks for the password on the page as it stands, so that nothing written there is lost.
        return Response(status_code=401, headers={"HX-Reswap": "none"})
    if request.url.path == "/sign-out":
        return RedirectResponse("/sign-in?said=signed_out", 303)
    if request.method not in SAFE_METHODS:
        return await too_late(_visit(request), request) or problem(request, 419, "sign_in")
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if request.headers.get(_RELOADED) == "cross-site":
        # A strict cookie does not come along from a link in a mail. Asked again from here, it does.
        here = quote(target, safe="/?=&%")
        return Response(
            f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url={here}">',
            media_type="text/html",
            headers={"Cache-Control": "no-store"},
        )
    return RedirectResponse(f"/sign-in?next={quote(target, safe='')}", 303)


async def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101  # registered for this class only
    first = error.errors()[0]
    where = [str(part) for part in first["loc"]]
    status = 404 if where[:1] == ["path"] else 422
    path, methods = methods_at(request)
    if status == 404 and path != request.scope["route"].path:
        # What stands there has a name that is no id: it is there, for other methods.
        response = problem(request, 405, "method_not_allowed")
        response.headers["Allow"] = ", ".join(methods)
        return response
    field = ".".join(where[1:]) or ".".join(where)
    choices = _meant(request, where) if first["type"] == "extra_forbidden" else None
    return problem(request, status, str(first["type"]), f"{field}: {first['msg']}"[:500], field=field, choices=choices)


def _meant(request: Request, where: list[str]) -> list[str] | None:
    """The name of a body's own that is nearest to one that it has not."""
    route = request.scope.get("route")
    if len(where) != 2 or not isinstance(route, APIRoute) or not route.dependant.body_params:
        return None
    annotation = route.dependant.body_params[0].field_info.annotation
    fields = [name for one in (annotation, *get_args(annotation)) for name in getattr(one, "model_fields", ())]
    return list(nearest(where[1], dict.fromkeys(fields, False))) if fields else None


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  # registered for this class only
    await visit_of(request)  # an address that nothing stands at has asked no guard: whoever is signed in keeps the menu
    response = problem(request, error.status_code, _title(error.status_code).lower().replace(" ", "_"))
    response.headers.update(error.headers or {})
    if error.status_code == 405:
        response.headers["Allow"] = ", ".join(methods_at(request)[1])
    return response


def methods_at(request: Request) -> tuple[str, list[str]]:
    """The route that stands at this address most literally, and what it takes."""
    found: dict[str, set[str]] = {}
    for route in api_routes(request.app.routes):
        if route.matches(request.scope)[0] is not Match.NONE:
            found.setdefault(route.path, set()).update(route.methods or ())
    path = min(found, key=lambda one: one.count("{"), default="")
    return path, sorted(found.get(path, ()))


async def _not_stored(request: Request, error: Exception) -> Response:
    log.error("console_could_not_store", reason=str(error), path=request.url.path)
    return problem(request, 503, "not_stored")
