"""The pages on which contacts, services and visits of a resident are written and changed, each with its faults."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy.ext.asyncio import AsyncConnection

from central.console.gate import Needs, Visit
from central.console.pages import is_part
from central.console.record_drafts import MAX_HOURS, ContactDraft, FieldFaults, ServiceDraft, VisitDraft, day_of
from central.console.rendering import page
from central.console.resident_pages import resident_page
from central.console.resident_view import contact_text, service_text, source_text, visit_text
from central.console.roles import Action
from central.console.typed import Typed
from central.errors import IncompleteError, NotFoundError
from central.people.contacts import Contact
from central.people.facts import SOURCES
from central.people.people import Card
from central.people.recording import StaleRecordError
from central.people.services import Service
from central.people.visits import PlannedVisit, VisitState
from central.people.visits import visit as visit_by_id
from central.routines.cards import card_kinds
from central.routing.plans import Plans
from central.routing.services import SERVICES
from central.routing.teams import teams_for
from cloud_sync.vocabulary import AlarmClass

router = APIRouter(include_in_schema=False)
Keeping = Annotated[Visit, Depends(Needs(Action.KEEP_RESIDENTS))]
Word = Annotated[str, Form(max_length=16)]
Version = Annotated[int, Form(ge=0, le=2**31 - 1)]


async def _card(visit: Visit, resident_id: str) -> Card:
    """The record, opened for who keeps it: a look like any other. Raises NotFoundError, ErasedError."""
    scope = visit.scope_for(Action.KEEP_RESIDENTS)
    return await visit.desk.services.people.card(visit.actor, scope, resident_id, keeps=True)


def _zone(visit: Visit) -> ZoneInfo:
    return ZoneInfo(visit.desk.services.settings.time_zone)


def _today(visit: Visit) -> str:
    return day_of(visit.now_ms(), _zone(visit))


def _told(visit: Visit, error: IncompleteError, renamed: dict[str, str] | None = None) -> dict[str, str]:
    """Faults in words, by the field of the form."""
    faults = error.faults if isinstance(error, FieldFaults) else {error.field: error.reason}
    values = error.values if isinstance(error, FieldFaults) else {}
    t, renamed = visit.words, renamed or {}
    return {
        renamed.get(where, where): t(f"recordfault.{reason}", **values)
        if t.has(f"recordfault.{reason}")
        else t("recordfault.other")
        for where, reason in faults.items()
    }


async def _save(
    visit: Visit,
    resident_id: str,
    work: Callable[[], Awaitable[Any]],
    again: Callable[..., Awaitable[Response]],
    renamed: dict[str, str] | None = None,
) -> Response:
    try:
        await work()
    except IncompleteError as error:
        return await again(told=_told(visit, error, renamed), status=422)
    except StaleRecordError as error:
        return await again(theirs=error.theirs, status=409)
    return RedirectResponse(f"/residents/{resident_id}", 303)


# ── Contacts ─────────────────────────────────────────────────────────────────────────


@router.get("/residents/{resident_id}/contacts/new")
async def new_contact(visit: Keeping, resident_id: str) -> Response:
    """The form for somebody to call."""
    return await _contact(visit, resident_id, ContactDraft())


@router.post("/residents/{resident_id}/contacts")
async def add_contact(request: Request, visit: Keeping, resident_id: str) -> Response:
    """Somebody to call, last in the order."""
    draft, order = await _typed_contact(request)
    if order:
        return await _contact(visit, resident_id, draft, is_swap=is_part(request))

    async def work() -> None:
        await visit.desk.services.people.keeping.add_contact(
            visit.actor, resident_id, draft.made(), source=_source(draft), scope=visit.scope_for(Action.KEEP_RESIDENTS)
        )

    async def again(**said: Any) -> Response:
        return await _contact(visit, resident_id, draft, **said)

    return await _save(visit, resident_id, work, again)


@router.get("/residents/{resident_id}/contacts/{contact_id}")
async def edit_contact(visit: Keeping, resident_id: str, contact_id: str) -> Response:
    """The same form for a contact there is."""
    card = await _card(visit, resident_id)
    known = next((one for one in card.contacts if one.id == contact_id), None)
    if known is None:
        raise NotFoundError("contact", contact_id[:32])
    return await _contact(visit, resident_id, ContactDraft.of(known), contact_id=contact_id, card=card)


@router.post("/residents/{resident_id}/contacts/{contact_id}")
async def change_contact(request: Request, visit: Keeping, resident_id: str, contact_id: str) -> Response:
    """Another telephone, another agreement."""
    draft, order = await _typed_contact(request)
    if order:
        return await _contact(visit, resident_id, draft, contact_id=contact_id, is_swap=is_part(request))

    async def work() -> None:
        await visit.desk.services.people.keeping.change_contact(
            visit.actor, resident_id, contact_id, draft.version, draft.made(), source=_source(draft),
            scope=visit.scope_for(Action.KEEP_RESIDENTS),
        )  # fmt: skip

    async def again(**said: Any) -> Response:
        return await _contact(visit, resident_id, draft, contact_id=contact_id, **said)

    return await _save(visit, resident_id, work, again)


async def _typed_contact(request: Request) -> tuple[ContactDraft, str]:
    form = Typed(await request.form())
    draft, order = ContactDraft.typed(form), form.text("do", 16)
    if order == "more_hours":
        draft.more_hours()
    return draft, "" if order in {"", "save"} else order


def _source(draft: ContactDraft | ServiceDraft | VisitDraft) -> str:
    if draft.source not in SOURCES:
        raise FieldFaults({"source": "unknown_source"})
    return draft.source


async def _contact(
    visit: Visit,
    resident_id: str,
    draft: ContactDraft,
    *,
    contact_id: str = "",
    card: Card | None = None,
    told: dict[str, str] | None = None,
    theirs: Contact | None = None,
    status: int = 200,
    is_swap: bool = False,
) -> Response:
    card = card or await _card(visit, resident_id)
    if theirs is not None:
        draft.version = theirs.version
    kinds = [one.word for one in card_kinds() if one.alarm_class is not AlarmClass.TECHNICAL]
    return page(
        visit, "_contact_form.html" if is_swap else "contact_editor.html", status, card=card, draft=draft,
        told=told or {}, contact_id=contact_id, services=SERVICES, kinds=kinds, sources=SOURCES,
        is_full=len(draft.hours) >= MAX_HOURS, theirs=None if theirs is None else contact_text(visit, theirs),
    )  # fmt: skip


@router.post("/residents/{resident_id}/contacts/{contact_id}/end")
async def end_contact(visit: Keeping, resident_id: str, contact_id: str, version: Version = 0) -> Response:
    """Not to be called any more."""
    keeping, scope = visit.desk.services.people.keeping, visit.scope_for(Action.KEEP_RESIDENTS)
    return await _end(
        visit, resident_id, keeping.end_contact(visit.actor, resident_id, contact_id, version, scope=scope)
    )


async def _end(visit: Visit, resident_id: str, work: Awaitable[None]) -> Response:
    """End something, or say what it has become meanwhile."""
    try:
        await work
    except StaleRecordError as error:
        text = visit.words("record.not_ended", theirs=_their_text(visit, error.theirs))
        return await resident_page(visit, resident_id, error.status, fault=text)
    return RedirectResponse(f"/residents/{resident_id}", 303)


def _their_text(visit: Visit, theirs: Contact | Service | PlannedVisit | None) -> str:
    if isinstance(theirs, Contact):
        return contact_text(visit, theirs)
    return service_text(visit, theirs) if isinstance(theirs, Service) else ""


@router.post("/residents/{resident_id}/contacts/{contact_id}/up")
async def call_earlier(visit: Keeping, resident_id: str, contact_id: str) -> Response:
    """One place up in the order."""
    keeping, scope = visit.desk.services.people.keeping, visit.scope_for(Action.KEEP_RESIDENTS)
    await keeping.call_earlier(visit.actor, resident_id, contact_id, scope=scope)
    return RedirectResponse(f"/residents/{resident_id}", 303)


# ── Services ─────────────────────────────────────────────────────────────────────────

_SERVICE_FIELDS = {"from": "from_day", "to": "to_day"}


@router.get("/residents/{resident_id}/services/new")
async def new_service(visit: Keeping, resident_id: str) -> Response:
    """The form to grant one."""
    return await _service(visit, resident_id, ServiceDraft(as_of=_today(visit)))


@router.post("/residents/{resident_id}/services")
async def grant(request: Request, visit: Keeping, resident_id: str) -> Response:
    """Grant a service."""
    draft = ServiceDraft.typed(Typed(await request.form()))

    async def work() -> None:
        from_ms, to_ms = draft.span(_zone(visit), visit.now_ms())
        await visit.desk.services.people.keeping.grant(
            visit.actor, resident_id, draft.service, from_ms=from_ms, to_ms=to_ms, plan=draft.plan or None,
            source=_source(draft), as_of_ms=draft.stated_ms(_zone(visit), visit.now_ms()),
            scope=visit.scope_for(Action.KEEP_RESIDENTS),
        )  # fmt: skip

    async def again(**said: Any) -> Response:
        return await _service(visit, resident_id, draft, **said)

    return await _save(visit, resident_id, work, again, _SERVICE_FIELDS)


@router.get("/residents/{resident_id}/services/{service_id}")
async def edit_service(visit: Keeping, resident_id: str, service_id: str) -> Response:
    """The same form for one that was granted."""
    card = await _card(visit, resident_id)
    known = _service_in(card, service_id)
    draft = ServiceDraft.of(known, _zone(visit), visit.now_ms())
    return await _service(visit, resident_id, draft, service_id=service_id, card=card)


@router.post("/residents/{resident_id}/services/{service_id}")
async def change_service(request: Request, visit: Keeping, resident_id: str, service_id: str) -> Response:
    """Other dates, another plan."""
    draft = ServiceDraft.typed(Typed(await request.form()))
    card = await _card(visit, resident_id)
    known = _service_in(card, service_id)
    draft.service = known.kind

    async def work() -> None:
        from_ms, to_ms = draft.span(_zone(visit), visit.now_ms(), known)
        await visit.desk.services.people.keeping.change_service(
            visit.actor, resident_id, service_id, draft.version, from_ms=from_ms, to_ms=to_ms, plan=draft.plan or None,
            source=_source(draft), as_of_ms=draft.stated_ms(_zone(visit), visit.now_ms()),
            scope=visit.scope_for(Action.KEEP_RESIDENTS),
        )  # fmt: skip

    async def again(**said: Any) -> Response:
        return await _service(visit, resident_id, draft, service_id=service_id, card=card, **said)

    return await _save(visit, resident_id, work, again, _SERVICE_FIELDS)


def _service_in(card: Card, service_id: str) -> Service:
    known = next((one for one in card.services if one.id == service_id), None)
    if known is None:
        raise NotFoundError("service", service_id[:32])
    return known


async def _service(
    visit: Visit,
    resident_id: str,
    draft: ServiceDraft,
    *,
    service_id: str = "",
    card: Card | None = None,
    told: dict[str, str] | None = None,
    theirs: Service | None = None,
    status: int = 200,
) -> Response:
    card = card or await _card(visit, resident_id)
    if theirs is not None:
        draft.version = theirs.version
    desk = visit.desk.services
    rows = await Plans(desk.store, desk.clock).all(visit.scope_for(Action.KEEP_RESIDENTS))
    plans = [(row.id, row.plan.name) for row in rows if row.id and row.tenant in {None, card.resident.tenant}]
    return page(
        visit, "service_editor.html", status, card=card, draft=draft, told=told or {}, service_id=service_id,
        services=SERVICES, plans=plans, sources=SOURCES, today=_today(visit),
        theirs=None if theirs is None else service_text(visit, theirs),
    )  # fmt: skip


@router.post("/residents/{resident_id}/services/{service_id}/end")
async def end_service(visit: Keeping, resident_id: str, service_id: str, version: Version = 0) -> Response:
    """It ends now."""
    keeping, scope = visit.desk.services.people.keeping, visit.scope_for(Action.KEEP_RESIDENTS)
    return await _end(
        visit, resident_id, keeping.end_service(visit.actor, resident_id, service_id, version, scope=scope)
    )


# ── Visits ───────────────────────────────────────────────────────────────────────────


@router.get("/residents/{resident_id}/visits/new")
async def new_visit(visit: Keeping, resident_id: str) -> Response:
    """The form to plan one."""
    return await _visit(visit, resident_id, VisitDraft())


@router.post("/residents/{resident_id}/visits")
async def plan_visit(request: Request, visit: Keeping, resident_id: str) -> Response:
    """A visit on a team's list: an alarm may wait for it."""
    draft = VisitDraft.typed(Typed(await request.form()))

    async def work() -> None:
        from_ms, to_ms = draft.times(_zone(visit), visit.now_ms())
        await visit.desk.services.people.keeping.plan_visit(
            visit.actor, resident_id, from_ms=from_ms, to_ms=to_ms, team=draft.team or None, source=_source(draft),
            scope=visit.scope_for(Action.KEEP_RESIDENTS),
        )  # fmt: skip

    async def again(**said: Any) -> Response:
        return await _visit(visit, resident_id, draft, **said)

    return await _save(visit, resident_id, work, again, {"to": "end"})


@router.get("/residents/{resident_id}/visits/{visit_id}")
async def edit_visit(visit: Keeping, resident_id: str, visit_id: str) -> Response:
    """The same form for one that is planned."""
    card = await _card(visit, resident_id)
    known = await _known_visit(visit, card, visit_id)
    return await _visit(visit, resident_id, VisitDraft.of(known, _zone(visit)), visit_id=visit_id, card=card)


@router.post("/residents/{resident_id}/visits/{visit_id}")
async def move_visit(request: Request, visit: Keeping, resident_id: str, visit_id: str) -> Response:
    """Another time, another team. An alarm that waits for it goes on waiting."""
    draft = VisitDraft.typed(Typed(await request.form()))

    async def work() -> None:
        from_ms, to_ms = draft.times(_zone(visit), visit.now_ms())
        await visit.desk.services.people.keeping.move_visit(
            visit.actor, resident_id, visit_id, draft.version, from_ms=from_ms, to_ms=to_ms, team=draft.team or None,
            scope=visit.scope_for(Action.KEEP_RESIDENTS),
        )  # fmt: skip

    async def again(**said: Any) -> Response:
        return await _visit(visit, resident_id, draft, visit_id=visit_id, **said)

    return await _save(visit, resident_id, work, again, {"to": "end"})


@router.post("/residents/{resident_id}/visits/{visit_id}/state")
async def set_visit(
    visit: Keeping, resident_id: str, visit_id: str, state: Word = "", version: Version = 0
) -> Response:
    """What became of it. An alarm that waited for it comes back, unless it has an outcome."""

    async def work() -> None:
        if state not in set(VisitState):
            raise IncompleteError("unknown_state", "state", tuple(VisitState))
        await visit.desk.services.people.keeping.set_visit(
            visit.actor, resident_id, visit_id, VisitState(state), version=version or None,
            scope=visit.scope_for(Action.KEEP_RESIDENTS),
        )  # fmt: skip

    async def again(**said: Any) -> Response:
        card = await _card(visit, resident_id)
        known = await _known_visit(visit, card, visit_id)
        return await _visit(
            visit, resident_id, VisitDraft.of(known, _zone(visit)), visit_id=visit_id, card=card, **said
        )

    return await _save(visit, resident_id, work, again)


async def _known_visit(visit: Visit, card: Card, visit_id: str) -> PlannedVisit:
    known = await visit.desk.services.store.fetch(lambda connection: visit_by_id(connection, visit_id))
    if known is None or known.resident != card.resident.pseudonym:
        raise NotFoundError("visit", visit_id[:32])
    return known


async def _visit(
    visit: Visit,
    resident_id: str,
    draft: VisitDraft,
    *,
    visit_id: str = "",
    card: Card | None = None,
    told: dict[str, str] | None = None,
    theirs: PlannedVisit | None = None,
    status: int = 200,
) -> Response:
    card = card or await _card(visit, resident_id)
    if theirs is not None:
        draft.version = theirs.version
    tenant = card.resident.tenant

    async def look(connection: AsyncConnection) -> list[tuple[str, str]]:
        return [(one.id, one.name) for one in (await teams_for(connection, tenant)).values()]

    known = await _known_visit(visit, card, visit_id) if visit_id else None
    return page(
        visit, "visit_editor.html", status, card=card, draft=draft, told=told or {}, visit_id=visit_id, known=known,
        teams=await visit.desk.services.store.fetch(look), states=list(VisitState), sources=SOURCES,
        said_by="" if known is None else source_text(visit, known.source, known.changed_ms),
        theirs=None if theirs is None else visit_text(visit, theirs),
    )  # fmt: skip
