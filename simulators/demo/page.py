"""The demo's page: serves it, streams what happens, and does what its buttons say."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

from aiohttp import web

from central.console.gate import LANGUAGE_COOKIE
from simulators.control import RefusedError
from simulators.demo import journal_view
from simulators.demo.program import ProgramError
from simulators.demo.stage import HOST
from simulators.demo.story import Story

STATIC = Path(str(files("simulators.demo"))) / "static"
CONSOLE_STATIC = Path(str(files("central.console"))) / "static"
_BORROWED = ("tokens.css", "base.css", "brand.svg")


def application(story: Story, console: str) -> web.Application:
    """The page's server; `console` is the address of central's console, which the page shows in a frame."""
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        f"frame-src 'self' {console}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )

    @web.middleware
    async def guard(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        # Another site must not press buttons here, nor reach this server under a name of its own.
        if request.host.rpartition(":")[0] not in {HOST, "localhost"}:
            raise web.HTTPMisdirectedRequest(text="open this page by the address that the demo printed")
        if request.method == "POST" and request.headers.get("X-Vaktpost-Demo") != "1":
            raise web.HTTPForbidden(text="only the page itself may do this")
        response = await handler(request)
        if not response.prepared:
            response.headers["Content-Security-Policy"] = policy
            response.headers["X-Content-Type-Options"] = "nosniff"
            response.headers["Referrer-Policy"] = "no-referrer"
        return response

    async def page(_request: web.Request) -> web.StreamResponse:
        return web.FileResponse(STATIC / "demo.html")

    async def borrowed(request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if name not in _BORROWED:
            raise web.HTTPNotFound
        return web.FileResponse(CONSOLE_STATIC / name)

    async def events(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            async for state in story.states():
                await response.write(b"data: " + json.dumps(state).encode() + b"\n\n")
        return response

    async def operator(request: web.Request) -> web.StreamResponse:
        # A cookie belongs to a host, whatever the port: central on this machine finds the session it made.
        name, token = await story.operator_session()
        language = "en" if request.query.get("lang") == "en" else "nb"
        response = web.HTTPFound(f"{console}/{'?compact=1' if 'compact' in request.query else ''}")
        response.set_cookie(name, token, path="/", httponly=True, samesite="Strict")
        response.set_cookie(LANGUAGE_COOKIE, language, path="/", samesite="Lax")
        return response

    async def do(request: web.Request) -> web.StreamResponse:
        try:
            body: dict[str, Any] = await request.json()
            answer = await _do(story, body)
        except (RefusedError, ProgramError) as error:
            answer = {"ok": False, "error": str(error)}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise web.HTTPBadRequest(text="not understood") from None
        return web.json_response({"ok": True, **answer})

    app = web.Application(middlewares=[guard], client_max_size=16 * 1024)
    app.add_routes(
        [
            web.get("/", page),
            web.get("/events", events),
            web.get("/operator", operator),
            web.post("/do", do),
            web.get("/console/{name}", borrowed),
            web.static("/static", STATIC),
        ]
    )
    return app


async def _do(story: Story, body: dict[str, Any]) -> dict[str, Any]:
    if "home" in body:
        return await story.stage.home_act(**body["home"])
    if "sabotage" in body:
        await story.sabotage(str(body["sabotage"]), is_on=bool(body.get("on")))
        return {}
    looks = {"card": journal_view.card, "verify": journal_view.verify, "flip": journal_view.flip}
    text, is_good = await looks[body["look"]](story.stage)
    return {"text": text, "good": is_good}


async def serve(story: Story, port: int, console: str, done: asyncio.Event) -> None:
    """Serve until `done` is set."""
    runner = web.AppRunner(application(story, console), shutdown_timeout=0.5, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, port).start()
        await done.wait()
    finally:
        await runner.cleanup()
