"""The pages about residents: searching, one resident, who has looked; for who keeps records also the changes."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from central.console.gate import Needs, Visit
from central.console.hidden_search import Sealed, search_in
from central.console.pages import is_part
from central.console.rendering import page
from central.console.resident_view import (
    alarms_of,
    fact_line,
    keeps_where,
    reason_text,
    resident_view,
)
from central.console.roles import Action
from central.console.seeking import (
    Choice,
    Seek,
    UnclearError,
    Words,
    clear,
    hits_part,
    hubs_named,
    not_found_text,
    sites,
    units_in,
)
from central.console.typed import Typed
from central.errors import ActionError, Conflict, IncompleteError
from central.people.facts import SOURCES, Fact, FactKind
from central.people.looking import REASONS, AccessEntry
from central.people.people import MAX_HITS, Card, NoBasisError
from central.people.recording import StaleFactError
from central.people.residents import resident_of
from central.people.vault import ErasedError
from central.views import Legible

router = APIRouter(include_in_schema=False)
Seeing = Annotated[Visit, Depends(Needs(Action.SEE_RESIDENTS))]
Keeping = Annotated[Visit, Depends(Needs(Action.KEEP_RESIDENTS))]
Reviewing = Annotated[Visit, Depends(Needs(Action.READ_ACCESS))]
Text = Annotated[str, Form(max_length=2000)]
Short = Annotated[str, Form(max_length=128)]
Version = Annotated[int, Form(ge=0, le=2**31 - 1)]


def fault_text(visit: Visit, error: ActionError) -> str:
    """What was wrong, for who typed it."""
    if isinstance(error, UnclearError):
        return not_found_text(visit, error.seek, visit.words("resident.fault_missing"))
    named = error.state if isinstance(error, Conflict) else ""
    return visit.words.either(f"resident.fault_{error.reason}", visit.words("resident.fault"), named=named)


@router.get("/residents")
async def residents(
    visit: Seeing,
    sealed: Sealed = "",
) -> Response:
    """Find somebody. Who does not keep records says why. What was typed stands in the address for nobody to read."""
    search = search_in(visit, "/residents", sealed)
    q, why = search.words, search.why
    people, keeps = visit.desk.services.people, visit.may(Action.KEEP_RESIDENTS)
    hits, total, fault = [], 0, ""
    scope = visit.scope_for(Action.KEEP_RESIDENTS if keeps else Action.SEE_RESIDENTS)
    is_asked = keeps or bool(q.strip())
    if is_asked and (keeps or why in REASONS):
        found, total = await people.search(visit.actor, scope, q, reason=why, keeps=keeps)
        hits = list(found)
    elif is_asked:
        fault = visit.words("residents.reason_missing")
    return page(
        visit, "residents.html", 422 if fault else 200, hits=hits, total=total, sought=q, why=why, reasons=REASONS,
        fault=fault, keeps=keeps, limit=MAX_HITS, is_asked=is_asked and not fault,
    )  # fmt: skip


@router.get("/residents/new")
async def new_resident(visit: Keeping) -> Response:
    """The form to register somebody."""
    return await _new_page(visit)


async def _new_page(visit: Visit, status: int = 200, fault: str = "", **typed: str) -> Response:
    pool = await sites(visit, visit.scope_for(Action.KEEP_RESIDENTS))
    place = Seek(pool=pool, where="/residents/sites/part", typed=typed.get("place", ""))
    hub = await _hub_field(visit, typed.get("hub", ""))
    return page(visit, "resident_new.html", status, fault=fault, typed=typed, place=place, hub=hub)


@router.post("/residents")
async def register(
    visit: Keeping,
    place: Short = "",
    first_name: Short = "",
    last_name: Short = "",
    address: Text = "",
    reference: Short = "",
    pseudonym: Short = "",
    hub: Short = "",
    is_critical: Annotated[bool, Form()] = False,
) -> Response:
    """Register somebody."""
    scope = visit.scope_for(Action.KEEP_RESIDENTS)
    named = {FactKind.FIRST_NAME: first_name, FactKind.LAST_NAME: last_name, FactKind.ADDRESS: address}
    if not first_name.strip() or not place.strip():
        named.clear()
    try:
        _all_there(named)
        tenant, _, unit = clear(await sites(visit, scope), place, "place").partition(":")
        chosen_hub = await _hub_chosen(visit, hub)
        made = await visit.desk.services.people.keeping.register(
            visit.actor, tenant=tenant, unit=unit or None, reference=reference, pseudonym=pseudonym.strip(),
            hub=chosen_hub, is_critical=is_critical, named=named, source="resident", scope=scope,
        )  # fmt: skip
    except (IncompleteError, Conflict) as error:
        return await _new_page(
            visit, error.status, fault_text(visit, error), place=place, first_name=first_name, last_name=last_name,
            address=address, reference=reference, pseudonym=pseudonym, hub=hub,
        )  # fmt: skip
    return RedirectResponse(f"/residents/{made}", 303)


@router.get("/residents/{resident_id}")
async def resident(visit: Seeing, resident_id: str) -> Response:
    """One resident: opened for who has a reason, the way to give one for who has not."""
    return await resident_page(visit, resident_id)


async def resident_page(
    visit: Visit, resident_id: str, status: int = 200, *, shown: Fact | None = None, fault: str = "",
    typed: Mapping[str, str] | None = None, theirs: str = "",
) -> Response:  # fmt: skip
    """The page; `theirs`: what somebody else has written where something was typed."""
    people, where = visit.desk.services.people, keeps_where(visit)
    scope = visit.scope_for(Action.SEE_RESIDENTS)
    card: Card | None = None
    is_erased = False
    try:
        card = await people.card(visit.actor, scope, resident_id, keeps=where)
    except NoBasisError:
        pass
    except ErasedError:
        is_erased = True
    own = card.resident if card else await visit.desk.services.store.fetch(
        lambda connection: resident_of(connection, resident_id, scope)
    )  # fmt: skip
    keeps = where if isinstance(where, bool) else where.covers(own.tenant, own.unit)
    units_there: Sequence[Choice] = await _units_of(visit, own.tenant) if keeps else ()
    typed = dict(typed or {})
    unit = Seek(pool=units_there, where=f"/residents/{resident_id}/units/part", typed=typed.get("unit", own.unit or ""))
    return page(
        visit, "resident.html", status, own=own, card=card, is_erased=is_erased,
        view=resident_view(visit, card, shown) if card else None,
        alarms=await alarms_of(visit, own.pseudonym) if card else (),
        reasons=REASONS, keeps=keeps, fault=fault, typed=typed, theirs=theirs, kinds=list(FactKind), sources=SOURCES,
        today=_today(visit).isoformat(), unit=unit,
        hub=await _hub_field(visit, typed.get("hub", own.hub or "")) if keeps else None,
    )  # fmt: skip


async def _hubs(visit: Visit) -> list[Choice]:
    return hubs_named(await visit.desk.services.hubs.listed(visit.scope_for(Action.KEEP_RESIDENTS)))


async def _hub_field(visit: Visit, typed: str) -> Seek:
    return Seek(pool=await _hubs(visit), where="/residents/hubs/part", typed=typed)


async def _hub_chosen(visit: Visit, typed: str) -> str | None:
    """The hub that was chosen or typed. Raises UnclearError."""
    return clear(await _hubs(visit), typed, "hub") if typed.strip() else None


@router.post("/residents/sites/part")
async def sites_part(visit: Keeping, q: Words = "") -> Response:
    """Municipalities and units whose names have these words, for a field."""
    return hits_part(visit, await sites(visit, visit.scope_for(Action.KEEP_RESIDENTS)), q)


@router.post("/residents/hubs/part")
async def hubs_part(visit: Keeping, q: Words = "") -> Response:
    """Hubs whose labels have these words, for a field."""
    return hits_part(visit, await _hubs(visit), q)


@router.post("/residents/{resident_id}/units/part")
async def units_part(visit: Keeping, resident_id: str, q: Words = "") -> Response:
    """Units of the resident's municipality whose names have these words, for a field."""
    return hits_part(visit, await _units_of(visit, await _tenant_of(visit, resident_id)), q)


async def _units_of(visit: Visit, tenant: str | None) -> list[Choice]:
    scope = visit.scope_for(Action.KEEP_RESIDENTS)
    found = await visit.desk.services.store.fetch(lambda connection: units_in(connection, scope, tenant or ""))
    return [unit for _, unit in found]


async def _tenant_of(visit: Visit, resident_id: str) -> str | None:
    scope = visit.scope_for(Action.KEEP_RESIDENTS)
    return (await visit.desk.services.store.fetch(lambda c: resident_of(c, resident_id, scope))).tenant


@router.post("/residents/{resident_id}/open")
async def open_record(visit: Seeing, resident_id: str, reason: Annotated[str, Form(max_length=200)] = "") -> Response:
    """Break-glass: a reason opens the record for half an hour."""
    if reason not in REASONS:
        return await resident_page(visit, resident_id, 422, fault=visit.words("residents.reason_missing"))
    scope = visit.scope_for(Action.SEE_RESIDENTS)
    await visit.desk.services.people.break_glass(visit.actor, scope, resident_id, reason)
    return RedirectResponse(f"/residents/{resident_id}", 303)


@router.post("/residents/{resident_id}/reveal")
async def reveal(
    request: Request, visit: Seeing, resident_id: str, kind: Annotated[str, Form(max_length=32)] = ""
) -> Response:
    """Unfold one secret: an event of its own."""
    fact = await visit.desk.services.people.reveal(
        visit.actor, visit.scope_for(Action.SEE_RESIDENTS), resident_id, _kind(kind),
        keeps=keeps_where(visit),
    )  # fmt: skip
    if is_part(request):
        return page(visit, "_secret.html", fact=fact_line(visit, fact), resident=resident_id)
    return await resident_page(visit, resident_id, shown=fact)


def _reason(visit: Visit, entry: AccessEntry) -> str:
    is_lost = entry.words in {Legible.ERASED, Legible.DAMAGED}
    return visit.words(f"words.{entry.words}") if is_lost else reason_text(visit, entry.reason)


@router.get("/residents/{resident_id}/access")
async def access(
    visit: Reviewing, resident_id: str, before: Annotated[int | None, Query(ge=1, le=2**53)] = None
) -> Response:
    """Who has looked at what."""
    own, found, older = await visit.desk.services.people.access_log(
        visit.actor, visit.scope_for(Action.READ_ACCESS), resident_id, before=before
    )
    t, lines = visit.words, []
    for entry in found:
        what = ", ".join(
            t(f"looked.{word}") if t.has(f"looked.{word}") else t.either(f"fact.{word}", t.either(f"what.{word}", word,
              name=entry.actor_name)) for word in entry.what
        )  # fmt: skip
        lines.append((entry, visit.figures.when(entry.at_ms, visit.now_ms()), what, _reason(visit, entry)))
    return page(visit, "resident_access.html", own=own, lines=lines, older=older)


async def _changed(
    visit: Visit, resident_id: str, work: Awaitable[Any], typed: Mapping[str, str] | None = None
) -> Response:
    try:
        await work
    except StaleFactError as error:
        theirs = _their_fact(visit, error)
        return await resident_page(
            visit, resident_id, error.status, fault=fault_text(visit, error), typed=typed, theirs=theirs
        )
    except (IncompleteError, Conflict) as error:
        return await resident_page(visit, resident_id, error.status, fault=fault_text(visit, error), typed=typed)
    except ActionError as error:
        if not visit.words.has(f"resident.fault_{error.reason}"):
            raise
        return await resident_page(visit, resident_id, error.status, fault=fault_text(visit, error))
    return RedirectResponse(f"/residents/{resident_id}", 303)


@router.post("/residents/{resident_id}/facts")
async def write_fact(
    request: Request, visit: Keeping, resident_id: str, kind: Short = "", text: Text = "", source: Short = "",
    as_of: Short = "",
) -> Response:  # fmt: skip
    """Write, correct or end a fact. The form says which one it saw of each kind."""
    was = Typed(await request.form()).text(f"was.{kind}", 16)

    async def work() -> None:
        await visit.desk.services.people.keeping.record(
            visit.actor, resident_id, _kind(kind), text, source=source, as_of_ms=_day_ms(visit, as_of), replaces=was,
            scope=visit.scope_for(Action.KEEP_RESIDENTS),
        )  # fmt: skip

    return await _changed(visit, resident_id, work(), {"kind": kind, "text": text, "source": source, "as_of": as_of})


def _their_fact(visit: Visit, error: StaleFactError) -> str:
    """What somebody else has written, or that they ended it."""
    title = visit.words(f"fact.{error.kind}")
    if error.theirs is None:
        return visit.words("resident.fact_ended", kind=title)
    line = fact_line(visit, error.theirs)
    text = visit.words("resident.fact_folded") if line.text is None else line.text
    return visit.words("resident.fact_now", kind=title, text=text, source=line.caption)


@router.post("/residents/{resident_id}/place")
async def move(
    visit: Keeping, resident_id: str, version: Version = 0, unit: Short = "", hub: Short = "",
    is_critical: Annotated[bool, Form()] = False,
) -> Response:  # fmt: skip
    """Another unit or hub, or depending on the equipment."""

    async def work() -> None:
        inside = (
            clear(await _units_of(visit, await _tenant_of(visit, resident_id)), unit, "unit") if unit.strip() else None
        )
        await visit.desk.services.people.keeping.move(
            visit.actor, resident_id, version, unit=inside, hub=await _hub_chosen(visit, hub), is_critical=is_critical,
            scope=visit.scope_for(Action.KEEP_RESIDENTS),
        )  # fmt: skip

    return await _changed(visit, resident_id, work(), {"unit": unit, "hub": hub})


@router.post("/residents/{resident_id}/erase")
async def erase(visit: Keeping, resident_id: str, confirm: Short = "") -> Response:
    """Destroy the key."""

    async def work() -> None:
        if confirm.strip() != resident_id:
            raise IncompleteError("not_confirmed", "confirm")
        await visit.desk.services.people.keeping.erase(
            visit.actor, resident_id, scope=visit.scope_for(Action.KEEP_RESIDENTS)
        )

    return await _changed(visit, resident_id, work())


def _all_there(named: dict[FactKind, str]) -> None:
    if not named:
        raise IncompleteError("missing", "first_name")


def _kind(word: str) -> FactKind:
    try:
        return FactKind(word)
    except ValueError:
        raise IncompleteError("unknown_kind", "kind", tuple(FactKind)) from None


def _today(visit: Visit) -> Any:
    zone = ZoneInfo(visit.desk.services.settings.time_zone)
    return datetime.fromtimestamp(visit.now_ms() / 1000, UTC).astimezone(zone).date()


def _day_ms(visit: Visit, text: str) -> int:
    """The beginning of a local day, but now for today. Raises IncompleteError."""
    now = visit.now_ms()
    if not text.strip():
        return now
    zone = ZoneInfo(visit.desk.services.settings.time_zone)
    try:
        day = datetime.fromisoformat(text.strip()).replace(tzinfo=zone)
    except ValueError:
        raise IncompleteError("bad_date", "as_of") from None
    if day.year < 1900 or day > datetime.fromtimestamp(now / 1000, UTC) + timedelta(days=1):
        raise IncompleteError("bad_date", "as_of")
    return min(now, int(day.timestamp() * 1000))
