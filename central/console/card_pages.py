"""The pages of routine cards: which stand on alarms, one of them, and writing one beside what responders will see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from central.console.catalogue import LANGUAGES
from central.console.gate import Needs, Visit
from central.console.rendering import page
from central.console.roles import Action
from central.console.routine_view import card_source, subject_text
from central.people.tenants import Tenant, check_tenant, tenants
from central.routines.cards import (
    MAX_LINES,
    CardRow,
    Cards,
    CardText,
    InvalidCardError,
    StaleCardError,
    Subject,
    card_kinds,
    lines_of,
    nearest,
    shipped,
    text_faults,
)
from central.routines.criteria import CriteriaList, current
from central.routing.services import SERVICES
from cloud_sync.vocabulary import AlarmClass

router = APIRouter(include_in_schema=False)
Seeing = Annotated[Visit, Depends(Needs(Action.SEE_ROUTINES))]
Writing = Annotated[Visit, Depends(Needs(Action.KEEP_ROUTINES))]
Asked = Annotated[str, Query(max_length=32)]
_SAID = frozenset({"saved", "ended"})


@dataclass(frozen=True, slots=True, kw_only=True)
class CardLine:
    """A card in a list. `row` None: the shipped one."""

    row: CardRow | None
    title: str
    kind: str
    rank: int | None
    lines: tuple[str, ...]
    source: str

    @property
    def first(self) -> str:
        """What it begins with."""
        return self.lines[0]


@dataclass(slots=True, kw_only=True)
class Draft:
    """Everything in the form, as typed."""

    tenant: str = ""
    kind: str = ""
    service: str = ""
    criterion: str = ""
    nb: str = ""
    en: str = ""
    why: str = ""
    version: int = 0
    faults: dict[str, str] = field(default_factory=dict)

    @property
    def subject(self) -> Subject:
        """What it is for."""
        return Subject(kind=self.kind, service=self.service, criterion=self.criterion)

    @property
    def lines(self) -> dict[str, tuple[str, ...]]:
        """By language."""
        return {"nb": lines_of(self.nb), "en": lines_of(self.en)}


def cards_of(visit: Visit) -> Cards:
    """The routine cards of this central."""
    return Cards(visit.desk.services.store, visit.desk.services.clock)


async def tenants_seen(visit: Visit, action: Action) -> Sequence[Tenant]:
    """The municipalities that somebody may see here."""
    scope = visit.scope_for(action)
    found = await visit.desk.services.store.fetch(lambda connection: tenants(connection, scope))
    return [one for one in found if one.is_active]


async def tenant_chosen(visit: Visit, found: Sequence[Tenant], wanted: str, action: Action) -> Tenant | None:
    """The one asked for, or the first. Raises NotFoundError, ElsewhereError for one that is not theirs."""
    if not wanted:
        return found[0] if found else None
    scope = visit.scope_for(action)
    return await visit.desk.services.store.fetch(
        lambda connection: check_tenant(connection, scope, wanted, is_reading=action is Action.SEE_ROUTINES)
    )


def may_write(visit: Visit, chosen: Tenant | None) -> bool:
    """Whether somebody keeps the routines of this municipality."""
    return chosen is not None and _covers(visit, chosen.id)


def _covers(visit: Visit, tenant: str) -> bool:
    return visit.may(Action.KEEP_ROUTINES) and visit.scope_for(Action.KEEP_ROUTINES).covers(tenant)


async def criteria_now(visit: Visit, tenant: str | None) -> CriteriaList:
    """The tenant's list as it is."""
    return (await visit.desk.services.store.fetch(lambda connection: current(connection, tenant))).content


# ── Looking ──────────────────────────────────────────────────────────────────────────────


@router.get("/cards")
async def cards(visit: Seeing, tenant: Asked = "", said: str = "") -> Response:
    """What stands on alarms of a municipality: its own cards, and for every kind the one that holds."""
    found = await tenants_seen(visit, Action.SEE_ROUTINES)
    chosen = await tenant_chosen(visit, found, tenant, Action.SEE_ROUTINES)
    rows = [row for row in await cards_of(visit).all(visit.scope_for(Action.SEE_ROUTINES))
            if chosen is not None and row.tenant == chosen.id]  # fmt: skip
    listed = await criteria_now(visit, chosen.id if chosen else None)
    kinds = {kind.word: kind.rank for kind in card_kinds()}
    own = [_own_line(visit, row, listed, kinds) for row in rows]
    own.sort(key=lambda line: (line.rank is None, line.rank or 0, line.title))
    groups: dict[str, list[CardLine]] = {"people": [], "technical": []}
    for kind in card_kinds():
        group = "technical" if kind.alarm_class is AlarmClass.TECHNICAL else "people"
        groups[group].append(_kind_line(visit, kind.word, kind.rank, nearest(rows, kind.word)))
    return page(
        visit, "cards.html", tenants=found, chosen=chosen, own=own, groups=groups,
        said=visit.words(f"routine.said_{said}") if said in _SAID else "",
        may_write=may_write(visit, chosen),
    )  # fmt: skip


def _own_line(visit: Visit, row: CardRow, listed: CriteriaList, kinds: Mapping[str, int]) -> CardLine:
    lines = row.text.lines(visit.words.language)
    return CardLine(
        row=row,
        title=subject_text(visit, row.subject, listed),
        kind=row.subject.kind,
        rank=kinds.get(row.subject.kind),
        lines=lines,
        source=card_source(visit, row),
    )


def _kind_line(visit: Visit, kind: str, rank: int, row: CardRow | None) -> CardLine:
    lines = shipped(kind, visit.words.language) if row is None else row.text.lines(visit.words.language)
    return CardLine(
        row=row,
        title=visit.words(f"kind.{kind}"),
        kind=kind,
        rank=rank,
        lines=lines,
        source=card_source(visit, row),
    )


@router.get("/cards/{card_id}")
async def card(visit: Seeing, card_id: str, said: str = "") -> Response:
    """One card as the responder sees it, and its versions."""
    versions = await cards_of(visit).versions(card_id, visit.scope_for(Action.SEE_ROUTINES))
    newest = versions[0]
    names = await visit.desk.accounts.names()
    places = {one.id: one.name for one in await tenants_seen(visit, Action.SEE_ROUTINES)}
    return page(
        visit, "card.html", row=newest, versions=versions, names=names, place=places.get(newest.tenant, ""),
        title=subject_text(visit, newest.subject, await criteria_now(visit, newest.tenant)),
        shown=_shown({language: getattr(newest.text, language) for language in LANGUAGES}),
        source=card_source(visit, newest), may_write=newest.is_active and _covers(visit, newest.tenant),
        said=visit.words(f"routine.said_{said}") if said in _SAID else "",
    )  # fmt: skip


def _shown(lines: Mapping[str, Sequence[str]]) -> list[tuple[str, Sequence[str], bool]]:
    """By language, what stands on the alarm, and whether it is borrowed from the other one."""
    other = dict(zip(LANGUAGES, reversed(LANGUAGES), strict=True))
    return [(language, lines[language] or lines[other[language]], not lines[language]) for language in LANGUAGES]


# ── Writing ──────────────────────────────────────────────────────────────────────────────


@router.get("/card-editor")
async def new_card(
    visit: Writing, tenant: Asked = "", kind: Asked = "", service: Asked = "", criterion: Asked = ""
) -> Response:
    """The form, with the shipped card of the kind to begin with."""
    found = await tenants_seen(visit, Action.KEEP_ROUTINES)
    chosen = await tenant_chosen(visit, found, tenant, Action.KEEP_ROUTINES)
    known = {one.word for one in card_kinds()}
    draft = Draft(tenant=chosen.id if chosen else "", kind=kind if kind in known else "")
    draft.service, draft.criterion = service if service in SERVICES else "", criterion
    if draft.kind:
        draft.nb, draft.en = ("\n".join(shipped(draft.kind, language)) for language in LANGUAGES)
    return await _editor(visit, draft)


@router.get("/cards/{card_id}/edit")
async def edit_card(visit: Writing, card_id: str) -> Response:
    """The form with the newest version."""
    row = await cards_of(visit).one(card_id, visit.scope_for(Action.KEEP_ROUTINES))
    return await _editor(visit, _draft_of(row), card_id=card_id)


def _draft_of(row: CardRow) -> Draft:
    return Draft(
        tenant=row.tenant, kind=row.subject.kind, service=row.subject.service, criterion=row.subject.criterion,
        nb="\n".join(row.text.nb), en="\n".join(row.text.en), version=row.version,
    )  # fmt: skip


async def _typed(request: Request) -> Draft:
    form = await request.form()

    def text(name: str, longest: int) -> str:
        value = form.get(name, "")
        return value.replace("\x00", "")[:longest] if isinstance(value, str) else ""

    version = text("version", 9)
    return Draft(
        tenant=text("tenant", 32),
        kind=text("kind", 32),
        service=text("service", 32),
        criterion=text("criterion", 32),
        nb=text("nb", 8000),
        en=text("en", 8000),
        why=text("why", 256),
        version=int(version) if version.isascii() and version.isdecimal() else 0,
    )


@router.post("/card-editor")
async def write_new(request: Request, visit: Writing) -> Response:
    """Save a new card."""
    return await _save(visit, await _typed(request), "")


@router.post("/cards/{card_id}/edit")
async def write_edit(request: Request, visit: Writing, card_id: str) -> Response:
    """Save a new version."""
    row = await cards_of(visit).one(card_id, visit.scope_for(Action.KEEP_ROUTINES))
    draft = await _typed(request)
    draft.tenant = row.tenant
    draft.kind, draft.service, draft.criterion = row.subject.kind, row.subject.service, row.subject.criterion
    return await _save(visit, draft, card_id)


async def _save(visit: Visit, draft: Draft, card_id: str) -> Response:
    lines = draft.lines
    draft.faults = text_faults(lines["nb"], lines["en"]) | ({} if draft.tenant else {"tenant": "no_tenant"})
    if draft.faults:
        return await _editor(visit, draft, card_id=card_id, status=422)
    try:
        row = await cards_of(visit).write(
            visit.actor,
            visit.scope_for(Action.KEEP_ROUTINES),
            CardText(nb=lines["nb"], en=lines["en"]),
            tenant=draft.tenant,
            subject=draft.subject,
            why=draft.why,
            replaces=(card_id, draft.version) if card_id else None,
        )
    except InvalidCardError as error:
        draft.faults = error.faults
        return await _editor(visit, draft, card_id=card_id, status=422)
    except StaleCardError as error:
        if not error.theirs.is_active:
            return RedirectResponse(f"/cards/{card_id}", 303)
        draft.version = error.theirs.version
        return await _editor(visit, draft, card_id=card_id, status=409, theirs=error.theirs)
    return RedirectResponse(f"/cards/{row.id}?said=saved", 303)


@router.post("/card-editor/preview")
async def preview(request: Request, visit: Writing) -> Response:
    """What stands in the form, as responders will see it."""
    draft = await _typed(request)
    return page(visit, "_card_preview.html", **await _preview(visit, draft))


async def _preview(visit: Visit, draft: Draft) -> dict[str, Any]:
    lines = draft.lines
    return {
        "shown": _shown(lines) if any(lines.values()) else [],
        "title": subject_text(visit, draft.subject, await criteria_now(visit, draft.tenant or None)),
        "is_draft": True,
    }


@router.post("/cards/{card_id}/end")
async def end_card(visit: Writing, card_id: str, version: Annotated[int, Form(ge=1, le=2**31 - 1)]) -> Response:
    """The shipped card, or the next nearest, stands on alarms again."""
    row = await cards_of(visit).end(visit.actor, visit.scope_for(Action.KEEP_ROUTINES), (card_id, version))
    return RedirectResponse(f"/cards?tenant={row.tenant}&said=ended", 303)


async def _editor(
    visit: Visit, draft: Draft, *, card_id: str = "", status: int = 200, theirs: CardRow | None = None
) -> Response:
    found = await tenants_seen(visit, Action.KEEP_ROUTINES)
    if draft.tenant:
        await tenant_chosen(visit, found, draft.tenant, Action.KEEP_ROUTINES)
    listed = await criteria_now(visit, draft.tenant or None)
    accounts = await visit.desk.accounts.names() if theirs else {}
    t = visit.words
    return page(
        visit, "card_editor.html", status, draft=draft, card_id=card_id, tenants=found, theirs=theirs,
        told={where: t(f"cardfault.{reason}") for where, reason in draft.faults.items()},
        their_name=accounts.get(theirs.written_by, "") if theirs else "",
        kinds=sorted(((one.word, t(f"kind.{one.word}")) for one in card_kinds()), key=lambda pair: pair[1].casefold()),
        services=SERVICES, criteria=[(one.code, one.text(t.language)) for one in listed.criteria],
        max_lines=MAX_LINES, **await _preview(visit, draft),
    )  # fmt: skip
