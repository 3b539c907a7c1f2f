"""The pages of outcomes: what a municipality's alarms may be closed with, and writing it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import RedirectResponse

from central.console.card_pages import Asked, may_write, tenant_chosen, tenants_seen
from central.console.gate import Needs, Visit
from central.console.outcome_draft import Draft, draft_from, draft_of
from central.console.pages import is_part
from central.console.rendering import page
from central.console.roles import Action
from central.lifecycle import PERSONAL_DISPOSITIONS, KindOfHelp
from central.outcomes import MAX_TEXT, OutcomeFault
from central.routines.outcomes import InvalidOutcomesError, ListRow, Outcomes, StaleOutcomesError

router = APIRouter(include_in_schema=False)
Seeing = Annotated[Visit, Depends(Needs(Action.SEE_ROUTINES))]
Writing = Annotated[Visit, Depends(Needs(Action.KEEP_ROUTINES))]
Version = Annotated[int, Form(ge=0, le=2**31 - 2)]
_SAID = frozenset({"saved", "reset"})
_FIELDS = frozenset({"nb", "en", "help", "dispositions"})


def outcomes_of(visit: Visit) -> Outcomes:
    """The outcomes of this central."""
    return Outcomes(visit.desk.services.store, visit.desk.services.clock)


@router.get("/outcomes")
async def outcomes(visit: Seeing, tenant: Asked = "", said: str = "") -> Response:
    """A municipality's list, and its versions."""
    found = await tenants_seen(visit, Action.SEE_ROUTINES)
    chosen = await tenant_chosen(visit, found, tenant, Action.SEE_ROUTINES)
    scope = visit.scope_for(Action.SEE_ROUTINES)
    row = await outcomes_of(visit).of(chosen.id, scope) if chosen else None
    return page(
        visit, "outcomes.html", tenants=found, chosen=chosen, row=row, may_write=may_write(visit, chosen),
        retired=[one for one in row.content.outcomes if one.retired] if row else [],
        versions=await outcomes_of(visit).versions(chosen.id, scope) if chosen else (),
        names=await visit.desk.accounts.names(),
        said=visit.words(f"outcomes.said_{said}") if said in _SAID else "",
    )  # fmt: skip


@router.get("/outcomes/{tenant_id}/edit")
async def edit(visit: Writing, tenant_id: str) -> Response:
    """The form with the list as it is."""
    row = await outcomes_of(visit).of(tenant_id, visit.scope_for(Action.KEEP_ROUTINES))
    return await _editor(visit, tenant_id, draft_of(row), await _used(visit, tenant_id, row))


@router.post("/outcomes/{tenant_id}/edit")
async def write(request: Request, visit: Writing, tenant_id: str) -> Response:
    """A button of the form: an edit of the draft, or saving it."""
    scope = visit.scope_for(Action.KEEP_ROUTINES)
    used = await _used(visit, tenant_id, await outcomes_of(visit).of(tenant_id, scope))
    form = await request.form()
    draft = draft_from(form)
    order = form.get("do", "")
    if order != "save":
        draft.do(order if isinstance(order, str) else "", used)
        return await _editor(visit, tenant_id, draft, used, is_swap=is_part(request))
    made, faults = draft.made(used)
    if made is None:
        return await _editor(visit, tenant_id, draft, used, told=_told(visit, faults), status=422)
    try:
        await outcomes_of(visit).write(visit.actor, scope, tenant_id, made, replaces=draft.version, why=draft.why)
    except StaleOutcomesError as error:
        draft.version = error.theirs.version
        return await _editor(visit, tenant_id, draft, used, theirs=error.theirs, status=409)
    except InvalidOutcomesError as error:  # an alarm was closed with one of them meanwhile
        return await _editor(visit, tenant_id, draft, used, told=_told(visit, error.faults), status=422)
    return RedirectResponse(f"/outcomes?tenant={tenant_id}&said=saved", 303)


@router.post("/outcomes/{tenant_id}/reset")
async def reset(visit: Writing, tenant_id: str, version: Version = 0) -> Response:
    """The shipped list again."""
    scope = visit.scope_for(Action.KEEP_ROUTINES)
    try:
        await outcomes_of(visit).write(visit.actor, scope, tenant_id, None, replaces=version)
    except StaleOutcomesError as error:
        used = await _used(visit, tenant_id, error.theirs)
        return await _editor(visit, tenant_id, draft_of(error.theirs), used, theirs=error.theirs, status=409)
    return RedirectResponse(f"/outcomes?tenant={tenant_id}&said=reset", 303)


async def _used(visit: Visit, tenant: str, row: ListRow) -> frozenset[str]:
    return await outcomes_of(visit).used(tenant, [one.code for one in row.content.outcomes])


def _told(visit: Visit, faults: Collection[OutcomeFault]) -> Mapping[str, str]:
    """What is wrong, by where it stands in the form. What belongs to no field stands above it, each kind once."""
    told: dict[str, str] = {}
    above: list[str] = []
    for one in faults:
        text = visit.words(f"outcomefault.{one.reason}")
        if one.where.rpartition(".")[2] in _FIELDS:
            told.setdefault(one.where, text)
        elif text not in above:
            above.append(text)
    return told | ({"outcomes": " ".join(above)} if above else {})


async def _editor(
    visit: Visit,
    tenant_id: str,
    draft: Draft,
    used: Collection[str],
    *,
    told: Mapping[str, str] | None = None,
    theirs: ListRow | None = None,
    status: int = 200,
    is_swap: bool = False,
) -> Response:
    places = {one.id: one.name for one in await tenants_seen(visit, Action.KEEP_ROUTINES)}
    accounts = await visit.desk.accounts.names() if theirs else {}
    return page(
        visit, "_outcome_editor.html" if is_swap else "outcome_editor.html", status, tenant=tenant_id, draft=draft,
        place=places.get(tenant_id, ""), told=told or {}, theirs=theirs, used=used, helps=tuple(KindOfHelp),
        dispositions=[word.value for word in PERSONAL_DISPOSITIONS],
        their_name=accounts.get(theirs.written_by, "") if theirs else "", max_text=MAX_TEXT,
    )  # fmt: skip
