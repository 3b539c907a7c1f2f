"""The pages of a responder: the queue, the alarm, the calm between."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse

from central.console.alarm_page import alarm_page
from central.console.day import day_of
from central.console.gate import Needs, Visit
from central.console.rendering import landing_path, page
from central.console.roles import Action
from central.console.rows import SHOWN, View, queue_list
from central.console.taking_duty import ticks

router = APIRouter(include_in_schema=False)
Seeing = Annotated[Visit, Depends(Needs(Action.SEE_QUEUE))]
SignedIn = Annotated[Visit, Depends(Needs(Action.SIGNED_IN))]
Limit = Annotated[int, Query(ge=1, le=100_000)]


def is_part(request: Request) -> bool:
    """Whether the page's script asks for a piece; going back in history asks for a whole page."""
    headers = request.headers
    return headers.get("hx-request") == "true" and headers.get("hx-history-restore-request") != "true"


def first_view(visit: Visit, wish: View | None) -> View:
    """The tab to open with."""
    return wish or (View.ALARMS if visit.may(Action.PERSONAL) else View.TECHNICAL)


@router.get("/")
async def start(visit: SignedIn, view: View | None = None, compact: bool = False, limit: Limit = SHOWN) -> Response:
    """The queue; for roles without one, their first page."""
    if not visit.may(Action.SEE_QUEUE):
        return RedirectResponse(landing_path(visit), 303)
    chosen = first_view(visit, view)
    shown = await queue_list(visit, chosen, limit)
    if compact:
        own = next(iter(shown.own), None) or next(iter(shown.waiting), None)
        opened = await alarm_page(visit, own.alarm.id) if own else None
        return page(visit, "queue.html", list=shown, compact=True, page=opened, calm=await day_of(visit))
    return page(visit, "queue.html", list=shown, compact=False, page=None, calm=await day_of(visit))


@router.get("/parts/queue")
async def queue_part(visit: Seeing, view: View | None = None, limit: Limit = SHOWN) -> Response:
    """The list alone, as scripts fetch it after a change."""
    return page(visit, "_queue.html", list=await queue_list(visit, first_view(visit, view), limit))


@router.get("/parts/gate")
async def gate_part(visit: Seeing) -> Response:
    """The teams that one may go on duty for, as the gate asks when it is opened."""
    return page(visit, "_gate_teams.html", ticks=await ticks(visit))


@router.get("/calm")
async def calm(request: Request, visit: Seeing) -> Response:
    """What stands beside the queue when no alarm is open."""
    if not is_part(request):
        return RedirectResponse("/", 303)
    return page(visit, "_calm_part.html", calm=await day_of(visit))


@router.get("/alarms/{alarm_id}")
async def alarm(request: Request, visit: Seeing, alarm_id: str, compact: bool = False) -> Response:
    """One alarm, beside the queue."""
    shown = await alarm_page(visit, alarm_id)
    if is_part(request):
        return page(visit, "_alarm_swap.html", page=shown)
    listed = await queue_list(visit, first_view(visit, None))
    return page(visit, "queue.html", list=listed, compact=compact, page=shown, calm=None)


@router.get("/alarms/{alarm_id}/part")
async def alarm_part(visit: Seeing, alarm_id: str) -> Response:
    """What changes on an open alarm; the form that somebody may be writing in stays."""
    return page(visit, "_alarm_part.html", page=await alarm_page(visit, alarm_id))
