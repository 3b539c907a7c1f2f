"""Signing in again after a session that was over, and what one had written then: it is shown, to be sent again."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import HTMLResponse

from central.console import bodies, kept
from central.console.catalogue import texts
from central.console.gate import Open, Visit
from central.console.rendering import page

router = APIRouter(include_in_schema=False)
Anybody = Annotated[Visit, Depends(Open())]
Sealed = Annotated[str, Form(alias="kept", max_length=kept.MAX_SEALED)]

_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_LABEL = "kept.f_"


def sign_in_page(
    visit: Visit, *, next_path: str = "/", name: str = "", fault: str = "", said: str = "", sealed: str = "",
    status: int = 200,
) -> HTMLResponse:  # fmt: skip
    """The form to sign in with; `sealed` comes along with it and back."""
    values = {"next_path": next_path, "name": name, "fault": fault, "said": said, "sealed": sealed}
    return page(visit, "signin.html", status, here="/sign-in", **values)


async def too_late(visit: Visit, request: Request) -> Response | None:
    """For a form from a page of a session that is over. None: this is no form of ours, so there is nothing to keep."""
    token = (await request.form()).get(kept.TOKEN) if _is_form(request) else None
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        return None
    origin = await visit.desk.sessions.origin(csrf=token)
    if origin is None:
        return None
    form = await kept.form_of(request)
    if visit.session is not None:
        if visit.session.account.id != origin.account:
            return lost_page(visit, "other")
        return lost_page(visit, "secret") if form is None else form_page(visit, form)
    sealed = kept.seal(form, origin, visit.now_ms()) if form else None
    said = "kept_form" if sealed else "long_form" if form else "secret_form"
    next_path = form.page if form else ""
    return sign_in_page(
        visit, next_path=next_path or "/", name=origin.name, said=said, sealed=sealed or "", status=419
    )  # fmt: skip


async def brought_back(visit: Visit, sealed: str) -> Response:
    """For who has signed in now: what they had written, or why it does not come."""
    try:
        origin = await visit.desk.sessions.origin(hashed=kept.session_in(sealed))
        return form_page(visit, kept.unseal(sealed, origin, visit.who.account.id, visit.now_ms()), status=200)
    except kept.LostError as error:
        return lost_page(visit, error.reason)


def form_page(visit: Visit, form: kept.Form, status: int = 419) -> Response:
    """What had been written, with one button that sends it."""
    labels = [key.removeprefix(_LABEL) for key in texts() if key.startswith(_LABEL)]
    said, others = kept.shown(form.fields, labels)
    return page(visit, "kept.html", status, form=form, said=said, others=others)


def lost_page(visit: Visit, reason: str) -> Response:
    """Why nothing comes back."""
    title, text = visit.words(f"kept.{reason}_title"), visit.words(f"kept.{reason}_text")
    return page(visit, "error.html", 419, title=title, text=text, is_ours=False)


def _is_form(request: Request) -> bool:
    return request.headers.get("content-type", "").startswith(bodies.FORM)


@router.post("/kept")
async def bring_back(visit: Anybody, sealed: Sealed) -> Response:
    """For who has signed in meanwhile, by a link or in another window."""
    if visit.session is None:
        return sign_in_page(visit, said="not_yet", sealed=sealed, status=401)
    return await brought_back(visit, sealed)
