"""Where somebody is reached while on technical duty: given by themselves on their own page, and taken back there."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Response
from fastapi.responses import RedirectResponse

from central.console.gate import Needs, Visit
from central.console.rendering import page
from central.console.resident_pages import fault_text
from central.console.roles import Action
from central.errors import IncompleteError
from central.people.duty_address import DutyAddress, address_of, keep_address

router = APIRouter(include_in_schema=False)
SignedIn = Annotated[Visit, Depends(Needs(Action.SIGNED_IN))]
Short = Annotated[str, Form(max_length=254)]
_SAID = {"password": "password.saved", "saved": "me.saved", "reach": "me.reach_saved"}


@router.get("/me")
async def me_page(visit: SignedIn, said: str = "") -> Response:
    """Own settings."""
    told = _SAID.get(said)
    own = await visit.desk.services.store.fetch(lambda connection: address_of(connection, visit.who.account.id))
    return page(visit, "me.html", said=visit.words(told) if told else "", reach=own, fault="")


@router.post("/me/reach")
async def reach(visit: SignedIn, phone: Short = "", email: Short = "") -> Response:
    """By which telephone and address one is called while on duty; empty ones are taken back."""
    services = visit.desk.services
    try:
        await keep_address(services.store, services.clock, visit.actor, phone=phone, email=email)
    except IncompleteError as error:
        typed = DutyAddress(phone=phone, email=email)
        return page(visit, "me.html", error.status, said="", reach=typed, fault=fault_text(visit, error))
    return RedirectResponse("/me?said=reach", 303)
