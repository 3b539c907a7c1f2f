"""Templates: Jinja with escaping on, undefined names as errors, and nothing in them but the catalogue's words."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from central.console.catalogue import LANGUAGES
from central.console.gate import Visit
from central.console.roles import Action

TEMPLATES = Path(__file__).parent / "templates"

NAVIGATION = (
    ("alarms", "/", Action.SEE_QUEUE),
    ("technical", "/technical", Action.SEE_QUEUE),
    ("hubs", "/hubs", Action.SEE_HUBS),
    ("plans", "/plans", Action.SEE_PLANS),
    ("rota", "/rota", Action.SEE_ROTAS),
    ("cards", "/cards", Action.SEE_ROUTINES),
    ("residents", "/residents", Action.SEE_RESIDENTS),
    ("log", "/log", Action.READ_LOG),
    ("codes", "/codes", Action.MAKE_CODES),
    ("users", "/users", Action.CHANGE_USERS),
    ("places", "/places", Action.KEEP_PLACES),
)

WITHIN = {"rota": Action.SEE_PLANS}
"""What stands on another page for who may do this: it needs no place of its own in the menu."""


@cache
def environment() -> Environment:
    """The one environment of templates."""
    found = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    found.globals["LANGUAGES"] = LANGUAGES
    found.globals["Action"] = Action
    return found


def render(visit: Visit, template: str, **values: Any) -> str:
    """A page or a part of one."""
    navigation = [
        (key, path)
        for key, path, action in NAVIGATION
        if visit.may(action) and not (key in WITHIN and visit.may(WITHIN[key]))
    ]
    return (
        environment()
        .get_template(template)
        .render(
            visit=visit,
            t=visit.words,
            f=visit.figures,
            settings=visit.desk.services.settings,
            me=visit.session.account if visit.session else None,
            navigation=navigation,
            now_ms=visit.now_ms(),
            **values,
        )
    )


def page(visit: Visit, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """An answer with a page. Never kept by a browser: it may show who lives where."""
    return HTMLResponse(render(visit, template, **values), status, headers={"Cache-Control": "no-store"})


def landing_path(visit: Visit) -> str:
    """Where somebody begins: the first page their role has."""
    return next((path for _, path, action in NAVIGATION if visit.may(action)), "/me")
