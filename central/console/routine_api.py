"""The JSON API of routine cards and priority criteria, and of what stands on an alarm because of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from pydantic import ConfigDict, Field

from central.console.alarm_page import check_may_see
from central.console.api import PROBLEMS, AlarmId
from central.console.api_base import In, Out
from central.console.card_pages import cards_of
from central.console.criteria_pages import criteria_of
from central.console.gate import Needs, Visit
from central.console.pieces import LIMIT, After, Limit, piece
from central.console.roles import Action
from central.console.routine_view import routine_of
from central.routines.cards import MAX_LINES, CardRow, CardText, InvalidCardError, Subject, lines_of, text_faults
from central.routines.criteria import MAX_CRITERIA, CriteriaList, Criterion, ListRow

router = APIRouter(prefix="/api/v1", responses=dict(PROBLEMS), tags=["routines"])
Seeing = Annotated[Visit, Depends(Needs(Action.SEE_ROUTINES))]
Watching = Annotated[Visit, Depends(Needs(Action.SEE_QUEUE))]
Writing = Annotated[Visit, Depends(Needs(Action.KEEP_ROUTINES))]
Ref = Annotated[str, Path(pattern="^[0-9a-f]{16}$", examples=["00aa11bb22cc33dd"])]
Version = Annotated[int, Field(ge=0, le=2**31 - 2)]

_LINES: list[Any] = ["Ring tjenestemottakeren.", "Ikke svar innen ett minutt: send utrykning."]
_CRITERION: dict[str, Any] = {
    "code": "fallen",
    "nb": "Har falt og kommer seg ikke opp alene",
    "en": "Has fallen and cannot get up alone",
    "level": "urgent",
    "service": "",
}


class CardBody(In):
    """A card. `version` is the one it was made from; a new card says what it is for and whose it is instead."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"tenant": "00aa11bb22cc33dd", "kind": "fall", "nb": _LINES, "en": []}},
    )

    tenant: Annotated[str, Field(pattern="^([0-9a-f]{16})?$")] = ""
    kind: Annotated[str, Field(max_length=32)] = ""
    service: Annotated[str, Field(max_length=16)] = ""
    criterion: Annotated[str, Field(max_length=32)] = ""
    nb: Annotated[tuple[Annotated[str, Field(max_length=240)], ...], Field(max_length=MAX_LINES)] = ()
    en: Annotated[tuple[Annotated[str, Field(max_length=240)], ...], Field(max_length=MAX_LINES)] = ()
    why: Annotated[str, Field(max_length=256)] = ""
    version: Version = 0

    @property
    def text(self) -> CardText:
        """Its lines, cleaned as those of a form: one that is broken in itself is several. Raises InvalidCardError."""
        nb, en = (lines_of("\n".join(lines)) for lines in (self.nb, self.en))
        faults = text_faults(nb, en)
        if faults:
            raise InvalidCardError(faults)
        return CardText(nb=nb, en=en)


class CardOut(Out):
    """A version of a municipality's own card."""

    id: str
    version: int
    tenant: str
    kind: str
    service: str
    criterion: str
    nb: list[str]
    en: list[str]
    state: str
    written_ms: int
    written_by: str
    why: str

    @classmethod
    def of(cls, row: CardRow) -> CardOut:
        """As kept."""
        return cls(
            id=row.id,
            version=row.version,
            tenant=row.tenant,
            kind=row.subject.kind,
            service=row.subject.service,
            criterion=row.subject.criterion,
            nb=list(row.text.nb),
            en=list(row.text.en),
            state=row.state,
            written_ms=row.written_ms,
            written_by=row.written_by,
            why=row.why,
        )


class CardsOut(Out):
    """A piece of the cards. Ask on with `next` as `after`."""

    cards: list[CardOut]
    next: str | None


class CriterionOut(Out):
    """A criterion in the reader's language."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"code": "fallen", "text": _CRITERION["en"], "level": "urgent"}}
    )

    code: str
    text: str
    level: str


class OutcomeChoiceOut(Out):
    """An outcome in the reader's language. With `help_only` no other kind of help can be told with it."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "code": "anxiety",
                "text": "Worry, anxiety",
                "dispositions": ["cleared_by_phone", "visit_now"],
                "help": "health",
                "help_only": False,
            }
        }
    )

    code: str
    text: str
    dispositions: list[str]
    help: str
    help_only: bool


class AlarmRoutineOut(Out):
    """What stands on an alarm: the card's lines, where it comes from, by which criteria it is or may be judged.

    `outcomes` is what it may be closed with; `outcome` is what it was closed with, as that was called then.
    """

    card: list[str]
    source: str
    criterion: CriterionOut | None
    criteria: list[CriterionOut]
    outcomes: list[OutcomeChoiceOut]
    outcome: str | None = Field(examples=["Worry, anxiety"])


class CriteriaBody(In):
    """A municipality's whole list; without one it goes back to the shipped list. `version`: the one it replaces."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"criteria": [_CRITERION], "version": 0}})

    criteria: Annotated[list[Criterion], Field(min_length=1, max_length=MAX_CRITERIA)] | None = None
    why: Annotated[str, Field(max_length=256)] = ""
    version: Version


class CriteriaOut(Out):
    """A version of a list. Version 0 is the shipped one where nobody has written any."""

    tenant: str | None
    version: int
    is_shipped: bool
    criteria: list[Criterion]
    written_ms: int
    written_by: str
    why: str

    @classmethod
    def of(cls, row: ListRow) -> CriteriaOut:
        """As kept."""
        return cls(
            tenant=row.tenant,
            version=row.version,
            is_shipped=row.is_shipped,
            criteria=list(row.content.criteria),
            written_ms=row.written_ms,
            written_by=row.written_by,
            why=row.why,
        )


@router.get("/cards")
async def cards(
    visit: Seeing, tenant: Annotated[str, Query(max_length=16)] = "", after: After = "", limit: Limit = LIMIT
) -> CardsOut:
    """The municipalities' own cards that hold now. Every other kind of alarm has the shipped one."""
    rows: Sequence[CardRow] = await cards_of(visit).all(visit.scope_for(Action.SEE_ROUTINES))
    found, more = piece([row for row in rows if not tenant or row.tenant == tenant], after, limit)
    return CardsOut(cards=[CardOut.of(row) for row in found], next=more)


@router.get("/cards/{card_id}")
async def card(visit: Seeing, card_id: Ref) -> list[CardOut]:
    """All versions of a card, the newest first."""
    return [CardOut.of(row) for row in await cards_of(visit).versions(card_id, visit.scope_for(Action.SEE_ROUTINES))]


@router.post("/cards", status_code=201)
async def write_card(visit: Writing, body: CardBody) -> CardOut:
    """A new card, for a kind, a service, a criterion, or a criterion in one of them."""
    subject = Subject(kind=body.kind, service=body.service, criterion=body.criterion)
    scope = visit.scope_for(Action.KEEP_ROUTINES)
    written = await cards_of(visit).write(
        visit.actor, scope, body.text, tenant=body.tenant, subject=subject, why=body.why
    )
    return CardOut.of(written)


@router.put("/cards/{card_id}")
async def change_card(visit: Writing, card_id: Ref, body: CardBody) -> CardOut:
    """A new version; 409 with both when somebody has written one meanwhile. What it is for stays."""
    scope = visit.scope_for(Action.KEEP_ROUTINES)
    written = await cards_of(visit).write(
        visit.actor, scope, body.text, tenant="", subject=Subject(), why=body.why, replaces=(card_id, body.version)
    )
    return CardOut.of(written)


@router.delete("/cards/{card_id}", status_code=204)
async def end_card(visit: Writing, card_id: Ref, version: Annotated[int, Query(ge=1, le=2**31 - 1)]) -> None:
    """Not used any more: the next nearest card stands on alarms."""
    await cards_of(visit).end(visit.actor, visit.scope_for(Action.KEEP_ROUTINES), (card_id, version))


@router.get("/alarms/{alarm_id}/routine")
async def routine(visit: Watching, alarm_id: AlarmId) -> AlarmRoutineOut:
    """What to do about an alarm, and by what it is judged, in the reader's language."""
    detail = await visit.desk.services.alarms.alarm(alarm_id)
    check_may_see(visit, detail.alarm)
    found = await routine_of(visit, detail)
    return AlarmRoutineOut(
        card=list(found.card),
        source=found.source,
        criterion=None
        if found.criterion is None
        else CriterionOut(code=found.criterion.code, text=found.criterion.text, level=found.criterion.level),
        criteria=[CriterionOut(code=one.code, text=one.text, level=one.level) for one in found.choices],
        outcomes=[
            OutcomeChoiceOut(
                code=one.code,
                text=one.text,
                dispositions=list(one.dispositions),
                help=one.help,
                help_only=one.help_only,
            )
            for one in found.outcomes
        ],
        outcome=found.outcome_text(detail.alarm.outcome_list, detail.alarm.outcome) or None,
    )


@router.get("/tenants/{tenant_id}/criteria")
async def criteria(visit: Seeing, tenant_id: Ref) -> CriteriaOut:
    """The list that holds now."""
    return CriteriaOut.of(await criteria_of(visit).of(tenant_id, visit.scope_for(Action.SEE_ROUTINES)))


@router.get("/tenants/{tenant_id}/criteria/versions")
async def criteria_versions(visit: Seeing, tenant_id: Ref) -> list[CriteriaOut]:
    """All lists that were written, the newest first."""
    found = await criteria_of(visit).versions(tenant_id, visit.scope_for(Action.SEE_ROUTINES))
    return [CriteriaOut.of(row) for row in found]


@router.put("/tenants/{tenant_id}/criteria")
async def write_criteria(visit: Writing, tenant_id: Ref, body: CriteriaBody) -> CriteriaOut:
    """A new version of the list; 409 with both when somebody has written one meanwhile."""
    content = None if body.criteria is None else CriteriaList(criteria=tuple(body.criteria))
    written = await criteria_of(visit).write(
        visit.actor, visit.scope_for(Action.KEEP_ROUTINES), tenant_id, content, replaces=body.version, why=body.why
    )
    return CriteriaOut.of(written)
