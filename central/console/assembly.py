"""Putting the console together: routers, files, headers; and a refusal to start with an unguarded route."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from central.console import (
    act_api,
    api,
    availability_api,
    bodies,
    card_pages,
    coming_back,
    criteria_pages,
    door,
    hidden_search,
    hub_routes,
    me_pages,
    office,
    outcome_api,
    outcome_pages,
    pages,
    place_api,
    place_pages,
    plan_pages,
    plan_writing,
    record_api,
    record_pages,
    resident_api,
    resident_pages,
    rota_pages,
    routine_api,
    routing_api,
    stream,
    team_pages,
    technical_api,
    technical_pages,
    tenant_pages,
)
from central.console.accounts import Accounts
from central.console.described import describe
from central.console.door import address_of
from central.console.elsewhere import note_named
from central.console.gate import SAFE_METHODS, Desk, is_from_elsewhere
from central.console.onlookers import Onlookers
from central.console.problems import install_problems, problem
from central.console.routes import UNGUARDED, api_routes, guards
from central.console.sessions import Sessions
from central.console.signin import SignIn
from central.errors import NotStoredError
from central.services import Services

log = structlog.get_logger()

STATIC = Path(__file__).parent / "static"
MAX_BODY = 64 * 1024
NOT_TAKEN = 422


def install(app: FastAPI, services: Services) -> None:
    """Add the console to an application. Raises RuntimeError for a route that does not say who may use it."""
    accounts = Accounts(services.store, services.clock)
    app.state.desk = Desk(
        services=services,
        accounts=accounts,
        sessions=Sessions(services.store, services.clock, services.settings.console.session_hours),
        signin=SignIn(services.security, services.clock, accounts),
        onlookers=Onlookers(),
    )
    for part in (
        pages,
        door,
        coming_back,
        hidden_search,
        hub_routes,
        office,
        technical_pages,
        plan_pages,
        plan_writing,
        rota_pages,
        routing_api,
        api,
        availability_api,
        act_api,
        stream,
        me_pages,
    ):
        app.include_router(part.router)
    for part in (
        resident_pages,
        record_pages,
        resident_api,
        record_api,
        place_pages,
        team_pages,
        tenant_pages,
        place_api,
        card_pages,
        criteria_pages,
        outcome_pages,
        routine_api,
        outcome_api,
        technical_api,
    ):
        app.include_router(part.router)
    app.add_api_route("/api/openapi.json", _openapi, include_in_schema=False, dependencies=[])
    app.mount("/static", Files(directory=STATIC), name="static")
    app.openapi = partial(describe, app)  # type: ignore[method-assign]  # FastAPI's own way to say more
    install_problems(app)
    app.add_middleware(Guard, services=services)
    check_guarded(app)


async def _openapi(request: Request) -> Response:
    return JSONResponse(request.app.openapi())


def check_guarded(app: FastAPI) -> None:
    """Deny by default: every route names its guard. Raises RuntimeError for one that does not."""
    for route in api_routes(app.routes):
        if route.path not in UNGUARDED and not list(guards(route.dependant)):
            raise RuntimeError(f"{route.path} does not say who may use it: give it Needs(...) or Open()")


class Files(StaticFiles):
    """Our own files: asked for again each time, answered with 304 when unchanged."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """With a header that makes browsers ask."""
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response


class Guard:
    """Around everything: refuses what another site wrote or what is too long, and sets the headers of every answer."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app = app
        self._public_url = services.settings.public_url
        self._security = services.security
        ancestors = " ".join(services.settings.console.frame_ancestors) or "'none'"
        self._headers = {
            "content-security-policy": (
                "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
                f"font-src 'self'; media-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors {ancestors}"
            ),
            "x-content-type-options": "nosniff",
            "referrer-policy": "same-origin",
            "cross-origin-opener-policy": "same-origin",
            "cross-origin-resource-policy": "same-origin",
            "permissions-policy": "camera=(), microphone=(), geolocation=(), usb=(), payment=()",
        }
        if not services.settings.console.frame_ancestors:
            self._headers["x-frame-options"] = "DENY"
        if self._public_url.startswith("https:"):
            self._headers["strict-transport-security"] = "max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        has_started = False
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal has_started, status
            if message["type"] == "http.response.start":
                has_started, status = True, message["status"]
                known = {name for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *(
                        (name.encode(), value.encode())
                        for name, value in self._headers.items()
                        if name.encode() not in known
                    ),
                ]
            await send(message)

        request = Request(scope, receive)
        if is_from_elsewhere(request.method, request.headers, self._public_url):
            self._security.note("cross_site", hub=None, path="console", detail=address_of(request))
            await problem(request, 403, "cross_site")(scope, receive, send_with_headers)
            return
        if "%00" in request.url.path + request.url.query or "\x00" in request.url.path:
            await problem(request, 404, "not_found")(scope, receive, send_with_headers)
            return
        try:
            receive, body = await _looked_at(request, receive)
        except bodies.GoneError:
            return
        except bodies.BodyError as error:
            answer = problem(request, error.status, error.reason, error.detail)
            if error.status == 413:
                answer.headers["Connection"] = "close"  # what is left of the body is not read
            await answer(scope, receive, send_with_headers)
            return
        try:
            await self._app(scope, receive, send_with_headers)
        except Exception as error:  # whatever it is: a page with a way on, headers and all, and a line in the log
            log.exception("console_request_failed", path=request.url.path)
            if has_started:
                raise
            code = 503 if isinstance(error, NotStoredError) else 500
            await problem(request, code, "internal")(scope, receive, send_with_headers)
        visit = getattr(request.state, "visit", None)
        if status == NOT_TAKEN and body and visit is not None:
            try:
                await note_named(visit, body)
            except NotStoredError as error:  # the answer has gone out
                log.warning("attempt_not_looked_at", reason=type(error).__name__)


async def _looked_at(request: Request, receive: Receive) -> tuple[Receive, bytes]:
    """The request as others read it, and its body. Raises BodyError for one that nobody can, GoneError."""
    bodies.check_address(request.scope.get("raw_path") or request.url.path.encode(), request.scope["query_string"])
    length = request.headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()) or int(length) > MAX_BODY:
        raise bodies.BodyError(413, "too_long", f"more than {MAX_BODY} bytes")
    if request.method in SAFE_METHODS:
        return receive, b""
    body = await bodies.whole(receive, MAX_BODY)
    bodies.check(body, request.headers.get("content-type", ""), is_api=request.url.path.startswith("/api/"))
    return bodies.again(body, receive), body
