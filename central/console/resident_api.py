"""The JSON API about residents: finding, opening with a basis, revealing, writing, and who has looked."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query
from pydantic import ConfigDict, Field

from central.console.api import PROBLEMS
from central.console.api_base import In, Out
from central.console.gate import Needs, Visit
from central.console.resident_view import keeps_where
from central.console.roles import Action
from central.people.contacts import Agreement
from central.people.facts import Fact, FactKind
from central.people.people import Card
from central.views import Legible

router = APIRouter(prefix="/api/v1", responses=dict(PROBLEMS), tags=["residents"])

Seeing = Annotated[Visit, Depends(Needs(Action.SEE_RESIDENTS))]
Keeping = Annotated[Visit, Depends(Needs(Action.KEEP_RESIDENTS))]
Reviewing = Annotated[Visit, Depends(Needs(Action.READ_ACCESS))]
ResidentId = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$", examples=["r-7f3a90"])]


Source = Literal["resident", "next_of_kin", "home_care", "epj", "population_register", "installer", "import", "other"]
"""Who says so."""


class HitOut(Out):
    """A resident in a list."""

    resident: str
    name: str
    unit: str
    is_critical: bool
    state: str


class HitsOut(Out):
    """The first that were found, and how many there are."""

    total: int
    residents: list[HitOut]


class FactOut(Out):
    """A fact with who says so and when it was true. `text` is null for a secret: reveal it to read it."""

    id: str = Field(examples=["1f2e3d4c5b6a7988"])
    kind: FactKind
    text: str | None = Field(examples=["Solbakken 214"])
    source: str = Field(examples=["resident"])
    as_of_ms: int
    is_stale: bool
    is_secret: bool

    @classmethod
    def of(cls, fact: Fact, now: int) -> FactOut:
        """As kept."""
        return cls(
            id=fact.id,
            kind=fact.kind,
            text=fact.text,
            source=fact.source,
            as_of_ms=fact.as_of_ms,
            is_stale=fact.is_stale(now),
            is_secret=fact.is_secret,
        )


class ContactOut(Out):
    """Somebody to call, in order. Only of what the agreement covers are they told by central itself."""

    id: str
    version: int
    name: str
    relation: str
    phone: str
    email: str
    services: list[str]
    document: str
    agreement: Agreement
    source: str
    as_of_ms: int


class ServiceOut(Out):
    """A service that was granted, by whose word and as of when."""

    id: str
    version: int
    kind: str
    plan: str | None
    from_ms: int
    to_ms: int | None
    source: str = Field(examples=["epj"])
    as_of_ms: int


class VisitOut(Out):
    """A planned visit. `changed_ms`: when its source last said anything new of it."""

    id: str
    version: int
    team: str | None
    team_name: str
    reference: str
    from_ms: int
    to_ms: int
    state: str
    source: str = Field(examples=["home_care"])
    changed_ms: int


class ResidentOut(Out):
    """One resident, opened. `purpose` says why it may be; each look is in the access log."""

    resident: str
    version: int
    tenant: str | None
    unit: str | None
    is_critical: bool
    state: str
    purpose: str
    name: str
    facts: list[FactOut]
    contacts: list[ContactOut]
    services: list[ServiceOut]
    visits: list[VisitOut]

    @classmethod
    def of(cls, card: Card, now: int) -> ResidentOut:
        """As opened."""
        own = card.resident
        return cls(
            resident=own.pseudonym,
            version=own.version,
            tenant=own.tenant,
            unit=own.unit,
            is_critical=own.is_critical,
            state=own.state,
            purpose=card.basis.purpose.value,
            name=card.name,
            facts=[FactOut.of(fact, now) for fact in card.facts],
            contacts=[
                ContactOut(
                    id=contact.id,
                    name=contact.person.name if contact.person else "",
                    relation=contact.person.relation if contact.person else "",
                    phone=contact.person.phone if contact.person else "",
                    services=list(contact.agreement.services),
                    document=contact.agreement.document,
                    agreement=contact.agreement,
                    source=contact.source,
                    as_of_ms=contact.as_of_ms,
                    version=contact.version,
                    email=contact.person.email if contact.person else "",
                )
                for contact in card.contacts
            ],
            services=[
                ServiceOut(**{name: getattr(service, name) for name in ServiceOut.model_fields})
                for service in card.services
            ],
            visits=[
                VisitOut(
                    id=v.id,
                    version=v.version,
                    team=v.team,
                    team_name=v.team_name or "",
                    reference=v.reference,
                    from_ms=v.from_ms,
                    to_ms=v.to_ms,
                    state=v.state.value,
                    source=v.source,
                    changed_ms=v.changed_ms,
                )
                for v in card.visits
            ],
        )


class LookOut(Out):
    """Somebody has looked."""

    at_ms: int
    actor_name: str
    what: list[str]
    purpose: str
    ref: str | None
    reason: str
    words: Legible
    """What became of the reason."""


class LooksOut(Out):
    """Who has looked, newest first. Ask on with `before`."""

    looks: list[LookOut]
    before: int | None


class ReasonBody(In):
    """Why somebody looks without an alarm or a visit."""

    reason: str = Field(min_length=3, max_length=200, examples=["resident_called"])


class FactBody(In):
    """What is to be known from now on. An empty text ends what stands there. `replaces`: the fact that stands there."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "kind": "address", "text": "Solbakken 214", "source": "resident", "replaces": "1f2e3d4c5b6a7988",
            }
        },
    )  # fmt: skip

    kind: FactKind
    text: str = Field(max_length=2000, examples=["Solbakken 214"])
    source: Source
    as_of_ms: int | None = Field(None, ge=0, le=2**53)
    replaces: str = Field("", pattern="^([0-9a-f]{16})?$")
    """Empty: there was none."""


class ChangedOut(Out):
    """Whether anything has changed."""

    changed: bool


class SearchBody(In):
    """Words of a name, a pseudonym or a unit, and why one looks. In the body: addresses are written into logs."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"q": "Solveig", "reason": "resident_called"}}
    )

    q: Annotated[str, Field(max_length=64)] = ""
    reason: Annotated[str, Field(max_length=200)] = ""


@router.post("/residents/search")
async def residents(visit: Seeing, body: SearchBody) -> HitsOut:
    """Find somebody. Who does not keep records gives a reason, which is logged."""
    keeps = visit.may(Action.KEEP_RESIDENTS)
    scope = visit.scope_for(Action.KEEP_RESIDENTS if keeps else Action.SEE_RESIDENTS)
    hits, total = await visit.desk.services.people.search(visit.actor, scope, body.q, reason=body.reason, keeps=keeps)
    return HitsOut(
        total=total,
        residents=[
            HitOut(
                resident=hit.resident.pseudonym,
                name=hit.name,
                unit=hit.unit_name,
                is_critical=hit.resident.is_critical,
                state=hit.resident.state,
            )
            for hit in hits
        ],
    )


@router.get("/residents/{resident_id}", responses={410: {"description": "The resident's key was destroyed."}})
async def resident(visit: Seeing, resident_id: ResidentId) -> ResidentOut:
    """One resident, for who has their alarm or visit, has given a reason, or keeps records."""
    card = await visit.desk.services.people.card(
        visit.actor, visit.scope_for(Action.SEE_RESIDENTS), resident_id, keeps=keeps_where(visit)
    )
    return ResidentOut.of(card, visit.now_ms())


@router.post("/residents/{resident_id}/break-glass", status_code=204)
async def break_glass(visit: Seeing, resident_id: ResidentId, body: ReasonBody) -> None:
    """Open the record for half an hour; it is in the access log and in the event log."""
    scope = visit.scope_for(Action.SEE_RESIDENTS)
    await visit.desk.services.people.break_glass(visit.actor, scope, resident_id, body.reason)


@router.post("/residents/{resident_id}/facts/{kind}/reveal")
async def reveal(visit: Seeing, resident_id: ResidentId, kind: FactKind) -> FactOut:
    """Read one secret: an event of its own, with the alarm it was for."""
    scope = visit.scope_for(Action.SEE_RESIDENTS)
    fact = await visit.desk.services.people.reveal(visit.actor, scope, resident_id, kind, keeps=keeps_where(visit))
    return FactOut.of(fact, visit.now_ms())


@router.post("/residents/{resident_id}/facts")
async def record(visit: Keeping, resident_id: ResidentId, body: FactBody) -> ChangedOut:
    """Write, correct or end a fact; the older one stays in the history.

    409 with what stands there when that is not what it was to replace.
    """
    changed = await visit.desk.services.people.keeping.record(
        visit.actor,
        resident_id,
        body.kind,
        body.text,
        source=body.source,
        as_of_ms=body.as_of_ms,
        replaces=body.replaces,
        scope=visit.scope_for(Action.KEEP_RESIDENTS),
    )
    return ChangedOut(changed=changed)


@router.get("/residents/{resident_id}/access")
async def access(
    visit: Reviewing, resident_id: ResidentId, before: Annotated[int | None, Query(ge=1, le=2**53)] = None
) -> LooksOut:
    """Who has looked at what about them, and why."""
    scope = visit.scope_for(Action.READ_ACCESS)
    _, found, older = await visit.desk.services.people.access_log(visit.actor, scope, resident_id, before=before)
    return LooksOut(
        before=older,
        looks=[
            LookOut(
                at_ms=entry.at_ms,
                actor_name=entry.actor_name,
                what=list(entry.what),
                purpose=entry.purpose.value,
                ref=entry.ref,
                reason=entry.reason,
                words=entry.words,
            )
            for entry in found
        ],
    )
