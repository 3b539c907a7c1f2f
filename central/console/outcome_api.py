"""The JSON API of a municipality's outcomes: what alarms may be closed with, and all lists that ever held."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from pydantic import ConfigDict, Field

from central.console.api import PROBLEMS
from central.console.api_base import In, Out
from central.console.gate import Needs, Visit
from central.console.outcome_pages import outcomes_of
from central.console.pieces import LIMIT, After, Limit, piece
from central.console.roles import Action
from central.errors import IncompleteError
from central.outcomes import MAX_OUTCOMES, Outcome, OutcomeList
from central.routines.outcomes import MAX_WHY, ListRow

router = APIRouter(prefix="/api/v1", responses=dict(PROBLEMS), tags=["routines"])
Seeing = Annotated[Visit, Depends(Needs(Action.SEE_ROUTINES))]
Writing = Annotated[Visit, Depends(Needs(Action.KEEP_ROUTINES))]
Ref = Annotated[str, Path(pattern="^[0-9a-f]{16}$", examples=["00aa11bb22cc33dd"])]
Version = Annotated[int, Field(ge=0, le=2**31 - 2)]

_OUTCOMES: Any = [
    {"code": "fall", "nb": "Fall", "en": "Fall", "dispositions": ["visit_now", "emergency_services"]},
    {"code": "no_contact", "nb": "Ikke kontakt", "en": "No contact", "help": "none"},
    {"code": "mis_press", "nb": "Feiltrykk", "en": "Pressed by mistake", "help": "none"},
    {"code": "lost_keys", "nb": "Mistet nøkkel", "en": "Lost keys", "help": "practical", "help_only": True},
    {"code": "other", "nb": "Annet", "en": "Other"},
]


class OutcomesBody(In):
    """A municipality's whole list; without one it goes back to the shipped list. `version`: the one it replaces.

    An outcome that alarms were closed with cannot be left out, only `retired`. `mis_press`, `no_contact` and `other`
    are always offered, and `other` for every disposition.
    """

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"outcomes": _OUTCOMES, "version": 0}})

    outcomes: Annotated[list[Outcome], Field(min_length=1, max_length=MAX_OUTCOMES)] | None = None
    why: Annotated[str, Field(max_length=MAX_WHY)] = ""
    version: Version


class OutcomesOut(Out):
    """The list that holds. Version 0 is the shipped one where nobody has written any."""

    tenant: str | None
    version: int
    is_shipped: bool
    outcomes: list[Outcome]
    written_ms: int
    written_by: str
    why: str
    next: str | None = None
    """More outcomes follow this one: ask for them with `after`."""

    @classmethod
    def of(cls, row: ListRow, after: str = "", limit: int = MAX_OUTCOMES) -> OutcomesOut:
        """As kept. Raises IncompleteError for an outcome to go on from that is not there."""
        found, more = piece(row.content.outcomes, after, limit, key=lambda one: one.code)
        return cls(
            tenant=row.tenant,
            version=row.version,
            is_shipped=row.is_shipped,
            outcomes=list(found),
            written_ms=row.written_ms,
            written_by=row.written_by,
            why=row.why,
            next=more,
        )


class OutcomeVersionsOut(Out):
    """Lists that were written, the newest first."""

    versions: list[OutcomesOut]
    next: str | None
    """More versions follow this one: ask for them with `after`."""


@router.get("/tenants/{tenant_id}/outcomes")
async def outcomes(visit: Seeing, tenant_id: Ref, after: After = "", limit: Limit = LIMIT) -> OutcomesOut:
    """The list that holds now, in both languages, with those that are retired."""
    return OutcomesOut.of(await outcomes_of(visit).of(tenant_id, visit.scope_for(Action.SEE_ROUTINES)), after, limit)


@router.get("/tenants/{tenant_id}/outcomes/versions")
async def outcome_versions(
    visit: Seeing,
    tenant_id: Ref,
    after: Annotated[str, Query(max_length=64, examples=["3"])] = "",
    limit: Annotated[int, Query(ge=1, le=50)] = 50,
) -> OutcomeVersionsOut:
    """All lists that were written, the newest first."""
    is_number = after.isascii() and after.isdecimal() and len(after) <= 10
    if after and not (is_number and 0 < int(after) < 2**31):
        raise IncompleteError("unknown_cursor", "after")
    before = int(after) if after else 2**31 - 1
    scope = visit.scope_for(Action.SEE_ROUTINES)
    found = await outcomes_of(visit).versions(tenant_id, scope, before=before, limit=limit + 1)
    return OutcomeVersionsOut(
        versions=[OutcomesOut.of(row) for row in found[:limit]],
        next=str(found[limit - 1].version) if len(found) > limit else None,
    )


@router.put("/tenants/{tenant_id}/outcomes")
async def write_outcomes(visit: Writing, tenant_id: Ref, body: OutcomesBody) -> OutcomesOut:
    """A new version of the list; 409 with both when somebody has written one meanwhile."""
    content = None if body.outcomes is None else OutcomeList(outcomes=tuple(body.outcomes))
    written = await outcomes_of(visit).write(
        visit.actor, visit.scope_for(Action.KEEP_ROUTINES), tenant_id, content, replaces=body.version, why=body.why
    )
    return OutcomesOut.of(written)
