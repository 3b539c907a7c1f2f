"""The pages of priority criteria: a municipality's short list, and writing it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import RedirectResponse

from central.console.card_pages import Asked, may_write, tenant_chosen, tenants_seen
from central.console.gate import Needs, Visit
from central.console.pages import is_part
from central.console.rendering import page
from central.console.roles import Action
from central.console.typed import Typed, pressed_row
from central.routines.criteria import (
    MAX_CRITERIA,
    MAX_TEXT,
    Criteria,
    CriteriaFault,
    CriteriaList,
    Criterion,
    Level,
    ListRow,
    StaleListError,
    faults_of,
)
from central.routing.services import SERVICES

router = APIRouter(include_in_schema=False)
Seeing = Annotated[Visit, Depends(Needs(Action.SEE_ROUTINES))]
Writing = Annotated[Visit, Depends(Needs(Action.KEEP_ROUTINES))]
Version = Annotated[int, Form(ge=0, le=2**31 - 2)]
_SAID = frozenset({"saved", "reset"})
_CODE = re.compile(r"[a-z][a-z0-9_]{0,31}")


@dataclass(slots=True, kw_only=True)
class DraftCriterion:
    """One row of the form, as typed."""

    code: str = ""
    nb: str = ""
    en: str = ""
    level: str = ""
    service: str = ""

    def text(self, language: str) -> str:
        """To call it by."""
        return (self.en or self.nb) if language == "en" else (self.nb or self.en)


@dataclass(slots=True, kw_only=True)
class Draft:
    """Everything in the form."""

    version: int = 0
    why: str = ""
    rows: list[DraftCriterion] = field(default_factory=list)
    focus: str = ""

    def do(self, order: str) -> None:
        """What a button of the form says, such as `up:2`. What makes no sense changes nothing."""
        verb, at = pressed_row(order)
        if verb == "add" and len(self.rows) < MAX_CRITERIA:
            self.rows.append(DraftCriterion(code=f"c{secrets.token_hex(4)}"))
            self.focus = f"c{len(self.rows) - 1}-nb"
        elif 0 <= at < len(self.rows) and verb in {"up", "down"}:
            to = max(0, min(len(self.rows) - 1, at + (-1 if verb == "up" else 1)))
            self.rows.insert(to, self.rows.pop(at))
            self.focus = f"c{to}-nb"
        elif 0 <= at < len(self.rows) and verb == "drop" and len(self.rows) > 1:
            del self.rows[at]
            self.focus = f"c{min(at, len(self.rows) - 1)}-nb"

    def faults(self) -> list[CriteriaFault]:
        """What keeps it from being a list."""
        found = []
        if not self.rows:
            found.append(CriteriaFault(where="criteria", reason="none"))
        if len(self.rows) > MAX_CRITERIA:
            found.append(CriteriaFault(where="criteria", reason="too_many"))
        for number, row in enumerate(self.rows):
            for language in ("nb", "en"):
                text = getattr(row, language)
                if not text or len(text) > MAX_TEXT:
                    reason = "too_long" if text else "missing"
                    found.append(CriteriaFault(where=f"criteria.{number}.{language}", reason=reason))
            if row.level not in set(Level):
                found.append(CriteriaFault(where=f"criteria.{number}.level", reason="level"))
            if row.service and row.service not in SERVICES:
                found.append(CriteriaFault(where=f"criteria.{number}.service", reason="unknown_service"))
        return found

    def made(self) -> tuple[CriteriaList | None, list[CriteriaFault]]:
        """The list, or what is wrong with it."""
        if found := self.faults():
            return None, found
        criteria = tuple(
            Criterion(code=row.code, nb=row.nb, en=row.en, level=Level(row.level), service=row.service)
            for row in self.rows
        )
        found = faults_of(criteria)
        return (None, found) if found else (CriteriaList(criteria=criteria), [])


def draft_of(row: ListRow) -> Draft:
    """A list as the form holds it."""
    return Draft(
        version=row.version,
        rows=[
            DraftCriterion(code=one.code, nb=one.nb, en=one.en, level=one.level.value, service=one.service)
            for one in row.content.criteria
        ],
    )


def draft_from(form: Any) -> Draft:
    """What was typed."""
    typed = Typed(form)
    draft = Draft(version=typed.version(), why=typed.text("why", 256))
    for number in range(MAX_CRITERIA + 1):
        at = f"c{number}"
        if f"{at}.nb" not in typed:
            break
        code = typed.text(f"{at}.code", 32)
        draft.rows.append(
            DraftCriterion(
                code=code if _CODE.fullmatch(code) else f"c{secrets.token_hex(4)}",
                nb=typed.text(f"{at}.nb", 2 * MAX_TEXT),
                en=typed.text(f"{at}.en", 2 * MAX_TEXT),
                level=typed.text(f"{at}.level", 16),
                service=typed.text(f"{at}.service", 16),
            )
        )
    return draft


def criteria_of(visit: Visit) -> Criteria:
    """The criteria of this central."""
    return Criteria(visit.desk.services.store, visit.desk.services.clock)


@router.get("/criteria")
async def criteria(visit: Seeing, tenant: Asked = "", said: str = "") -> Response:
    """A municipality's list, and its versions."""
    found = await tenants_seen(visit, Action.SEE_ROUTINES)
    chosen = await tenant_chosen(visit, found, tenant, Action.SEE_ROUTINES)
    scope = visit.scope_for(Action.SEE_ROUTINES)
    row = await criteria_of(visit).of(chosen.id, scope) if chosen else None
    return page(
        visit, "criteria.html", tenants=found, chosen=chosen, row=row, may_write=may_write(visit, chosen),
        versions=await criteria_of(visit).versions(chosen.id, scope) if chosen else (),
        names=await visit.desk.accounts.names(),
        said=visit.words(f"criteria.said_{said}") if said in _SAID else "",
    )  # fmt: skip


@router.get("/criteria/{tenant_id}/edit")
async def edit(visit: Writing, tenant_id: str) -> Response:
    """The form with the list as it is."""
    row = await criteria_of(visit).of(tenant_id, visit.scope_for(Action.KEEP_ROUTINES))
    return await _editor(visit, tenant_id, draft_of(row))


@router.post("/criteria/{tenant_id}/edit")
async def write(request: Request, visit: Writing, tenant_id: str) -> Response:
    """A button of the form: an edit of the draft, or saving it."""
    scope = visit.scope_for(Action.KEEP_ROUTINES)
    await criteria_of(visit).of(tenant_id, scope)
    form = await request.form()
    draft = draft_from(form)
    order = form.get("do", "")
    if order != "save":
        draft.do(order if isinstance(order, str) else "")
        return await _editor(visit, tenant_id, draft, is_swap=is_part(request))
    made, faults = draft.made()
    if made is None:
        told = {one.where: visit.words(f"criteriafault.{one.reason}") for one in reversed(faults)}
        return await _editor(visit, tenant_id, draft, told=told, status=422)
    try:
        await criteria_of(visit).write(visit.actor, scope, tenant_id, made, replaces=draft.version, why=draft.why)
    except StaleListError as error:
        draft.version = error.theirs.version
        return await _editor(visit, tenant_id, draft, theirs=error.theirs, status=409)
    return RedirectResponse(f"/criteria?tenant={tenant_id}&said=saved", 303)


@router.post("/criteria/{tenant_id}/reset")
async def reset(visit: Writing, tenant_id: str, version: Version = 0) -> Response:
    """The shipped list again."""
    scope = visit.scope_for(Action.KEEP_ROUTINES)
    try:
        await criteria_of(visit).write(visit.actor, scope, tenant_id, None, replaces=version)
    except StaleListError as error:
        draft = draft_of(error.theirs)
        return await _editor(visit, tenant_id, draft, theirs=error.theirs, status=409)
    return RedirectResponse(f"/criteria?tenant={tenant_id}&said=reset", 303)


async def _editor(
    visit: Visit,
    tenant_id: str,
    draft: Draft,
    *,
    told: Mapping[str, str] | None = None,
    theirs: ListRow | None = None,
    status: int = 200,
    is_swap: bool = False,
) -> Response:
    places = {one.id: one.name for one in await tenants_seen(visit, Action.KEEP_ROUTINES)}
    accounts = await visit.desk.accounts.names() if theirs else {}
    return page(
        visit, "_criteria_editor.html" if is_swap else "criteria_editor.html", status, tenant=tenant_id, draft=draft,
        place=places.get(tenant_id, ""), told=told or {}, theirs=theirs, levels=list(Level), services=SERVICES,
        their_name=accounts.get(theirs.written_by, "") if theirs else "", is_full=len(draft.rows) >= MAX_CRITERIA,
        max_text=MAX_TEXT,
    )  # fmt: skip
