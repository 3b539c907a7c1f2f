"""The JSON API that writes residents' records: registering, moving, contacts, services, visits, erasing."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from pydantic import ConfigDict, Field

from central.console.api import PROBLEMS
from central.console.api_base import In, Out
from central.console.gate import Needs, Visit
from central.console.resident_api import ChangedOut, ResidentId, Source
from central.console.roles import Action
from central.errors import IncompleteError
from central.people.contacts import Agreement, Entry, Person
from central.people.facts import FactKind
from central.people.residents import resident_of
from central.people.visits import VisitState

router = APIRouter(prefix="/api/v1", responses=dict(PROBLEMS), tags=["residents"])
Keeping = Annotated[Visit, Depends(Needs(Action.KEEP_RESIDENTS))]
Ref = Annotated[str, Path(pattern="^[0-9a-f]{16}$", examples=["7788990011223344"])]
Id = Annotated[str, Field(pattern="^[0-9a-f]{16}$", examples=["00aa11bb22cc33dd"])]
Version = Annotated[int, Field(ge=1, le=2**31 - 1)]
Instant = Annotated[int, Field(ge=0, le=4_102_444_800_000, examples=[1795226400000])]

_PERSON: dict[str, Any] = {"name": "Sunniva Myklebust", "relation": "datter", "phone": "+47 900 00 001"}
_HOURS: dict[str, Any] = {"days": [5, 6], "begin": 1320, "to": 420}


class RegisterBody(In):
    """A new resident. Without a pseudonym one is made; of the municipality's reference only a keyed hash is kept."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "tenant": "00aa11bb22cc33dd",
                "pseudonym": "r-7f3a90",
                "facts": {"first_name": "Ragnhild", "address": "Solbakken 214"},
                "source": "population_register",
            }
        },
    )

    tenant: Id
    unit: Id | None = None
    hub: Annotated[str, Field(max_length=16)] | None = None
    pseudonym: Annotated[str, Field(max_length=32)] = ""
    reference: Annotated[str, Field(max_length=64)] = ""
    is_critical: bool = False
    facts: dict[FactKind, Annotated[str, Field(min_length=1, max_length=2000)]]
    source: Source = "other"


class RegisteredOut(Out):
    """The pseudonym."""

    resident: str


class MoveBody(In):
    """Where they belong now. `version` is the record's."""

    unit: Id | None = None
    hub: Annotated[str, Field(max_length=16)] | None = None
    is_critical: bool = False
    version: Version


class ContactBody(In):
    """Somebody to call. Only an agreement with services lets central tell them by itself."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "person": _PERSON,
                "agreement": {"services": ["TA"], "hours": [_HOURS], "document": "2026/118"},
                "source": "resident",
            }
        },
    )

    person: Person
    agreement: Agreement = Agreement()
    source: Source = "resident"
    version: Version | None = None
    """The one it was made from; left out for a new contact."""

    @property
    def entry(self) -> Entry:
        """As a value."""
        return Entry(person=self.person, agreement=self.agreement)


class ServiceBody(In):
    """A service from an instant on. `plan`: its own response plan; null is the municipality's for the service."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "kind": "TA", "from_ms": 1795226400000, "to_ms": None, "source": "epj", "as_of_ms": 1795100000000,
            }
        },
    )  # fmt: skip

    kind: Annotated[str, Field(max_length=16, examples=["TA"])] = ""
    from_ms: Instant
    to_ms: Instant | None = None
    plan: Id | None = None
    source: Source | None = None
    """Null: another for a new one, as it was for one that is changed."""
    as_of_ms: Instant | None = None
    """Null: now, of what changes."""
    version: Version | None = None


class VisitBody(In):
    """A visit on a work list. The same `reference` again changes it, as a work list's own export does."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"from_ms": 1795226400000, "to_ms": 1795230000000, "reference": "liste-12/4"}},
    )

    from_ms: Instant
    to_ms: Instant
    team: Id | None = None
    reference: Annotated[str, Field(max_length=64)] = ""
    version: Version | None = None


class VisitStateBody(In):
    """What became of a visit. An alarm that waits for it comes back when it did not settle it."""

    state: VisitState
    version: Version | None = None


class EraseBody(In):
    """The pseudonym once more, so that nobody erases by mistake."""

    confirm: Annotated[str, Field(max_length=32, examples=["r-7f3a90"])]


class MadeOut(Out):
    """The id of what was made."""

    id: str


class PutOut(Out):
    """`added`, `changed` or `same`."""

    done: str


@router.post("/residents", status_code=201)
async def register(visit: Keeping, body: RegisterBody) -> RegisteredOut:
    """Register somebody."""
    if not body.facts.get(FactKind.FIRST_NAME, "").strip():
        raise IncompleteError("missing", "facts.first_name")
    made = await visit.desk.services.people.keeping.register(
        visit.actor, tenant=body.tenant, unit=body.unit, reference=body.reference, pseudonym=body.pseudonym.strip(),
        hub=body.hub, is_critical=body.is_critical, named=body.facts, source=body.source,
        scope=visit.scope_for(Action.KEEP_RESIDENTS),
    )  # fmt: skip
    return RegisteredOut(resident=made)


@router.put("/residents/{resident_id}/place", status_code=204)
async def move(visit: Keeping, resident_id: ResidentId, body: MoveBody) -> None:
    """Another unit or hub, or depending on the equipment."""
    await visit.desk.services.people.keeping.move(
        visit.actor, resident_id, body.version, unit=body.unit, hub=body.hub, is_critical=body.is_critical,
        scope=visit.scope_for(Action.KEEP_RESIDENTS),
    )  # fmt: skip


@router.post("/residents/{resident_id}/contacts", status_code=201)
async def add_contact(visit: Keeping, resident_id: ResidentId, body: ContactBody) -> MadeOut:
    """Somebody to call, last in the order."""
    scope = visit.scope_for(Action.KEEP_RESIDENTS)
    made = await visit.desk.services.people.keeping.add_contact(
        visit.actor, resident_id, body.entry, source=body.source, scope=scope
    )
    return MadeOut(id=made)


@router.put("/residents/{resident_id}/contacts/{contact_id}")
async def change_contact(visit: Keeping, resident_id: ResidentId, contact_id: Ref, body: ContactBody) -> ChangedOut:
    """Another telephone or agreement; 409 when somebody has changed it since `version`."""
    changed = await visit.desk.services.people.keeping.change_contact(
        visit.actor, resident_id, contact_id, body.version or 0, body.entry, source=body.source,
        scope=visit.scope_for(Action.KEEP_RESIDENTS),
    )  # fmt: skip
    return ChangedOut(changed=changed)


@router.post("/residents/{resident_id}/contacts/{contact_id}/earlier", status_code=204)
async def call_earlier(visit: Keeping, resident_id: ResidentId, contact_id: Ref) -> None:
    """One place up in the order."""
    scope = visit.scope_for(Action.KEEP_RESIDENTS)
    await visit.desk.services.people.keeping.call_earlier(visit.actor, resident_id, contact_id, scope=scope)


@router.delete("/residents/{resident_id}/contacts/{contact_id}", status_code=204)
async def end_contact(
    visit: Keeping, resident_id: ResidentId, contact_id: Ref, version: Annotated[int, Query(ge=1, le=2**31 - 1)]
) -> None:
    """Not to be called any more; 409 when somebody has changed it since `version`."""
    scope = visit.scope_for(Action.KEEP_RESIDENTS)
    await visit.desk.services.people.keeping.end_contact(visit.actor, resident_id, contact_id, version, scope=scope)


@router.post("/residents/{resident_id}/services")
async def grant(visit: Keeping, resident_id: ResidentId, body: ServiceBody) -> ChangedOut:
    """Grant a service. What is granted over that time already is no news."""
    changed = await visit.desk.services.people.keeping.grant(
        visit.actor, resident_id, body.kind, from_ms=body.from_ms, to_ms=body.to_ms, plan=body.plan,
        source=body.source or "other", as_of_ms=body.as_of_ms, scope=visit.scope_for(Action.KEEP_RESIDENTS),
    )  # fmt: skip
    return ChangedOut(changed=changed)


@router.put("/residents/{resident_id}/services/{service_id}")
async def change_service(visit: Keeping, resident_id: ResidentId, service_id: Ref, body: ServiceBody) -> ChangedOut:
    """Other dates or another plan; what kind of service it is stays."""
    changed = await visit.desk.services.people.keeping.change_service(
        visit.actor, resident_id, service_id, body.version or 0, from_ms=body.from_ms, to_ms=body.to_ms,
        plan=body.plan, source=body.source, as_of_ms=body.as_of_ms, scope=visit.scope_for(Action.KEEP_RESIDENTS),
    )  # fmt: skip
    return ChangedOut(changed=changed)


@router.post("/residents/{resident_id}/visits")
async def plan_visit(visit: Keeping, resident_id: ResidentId, body: VisitBody) -> PutOut:
    """A visit as a work list has it."""
    done = await visit.desk.services.people.keeping.plan_visit(
        visit.actor, resident_id, from_ms=body.from_ms, to_ms=body.to_ms, team=body.team, source="api",
        reference=body.reference, scope=visit.scope_for(Action.KEEP_RESIDENTS),
    )  # fmt: skip
    return PutOut(done=done)


@router.put("/residents/{resident_id}/visits/{visit_id}")
async def move_visit(visit: Keeping, resident_id: ResidentId, visit_id: Ref, body: VisitBody) -> ChangedOut:
    """Another time or team for a planned visit. An alarm that waits for it goes on waiting."""
    changed = await visit.desk.services.people.keeping.move_visit(
        visit.actor, resident_id, visit_id, body.version or 0, from_ms=body.from_ms, to_ms=body.to_ms, team=body.team,
        scope=visit.scope_for(Action.KEEP_RESIDENTS),
    )  # fmt: skip
    return ChangedOut(changed=changed)


@router.post("/residents/{resident_id}/visits/{visit_id}/state", status_code=204)
async def set_visit(visit: Keeping, resident_id: ResidentId, visit_id: Ref, body: VisitStateBody) -> None:
    """What became of it."""
    await visit.desk.services.people.keeping.set_visit(
        visit.actor, resident_id, visit_id, body.state, version=body.version,
        scope=visit.scope_for(Action.KEEP_RESIDENTS),
    )  # fmt: skip


@router.post("/residents/{resident_id}/erase", status_code=204)
async def erase(visit: Keeping, resident_id: ResidentId, body: EraseBody) -> None:
    """Destroy the key: names, facts and contacts are gone for good. Refused while an alarm is open or it is held."""
    scope = visit.scope_for(Action.KEEP_RESIDENTS)
    await visit.desk.services.store.fetch(lambda connection: resident_of(connection, resident_id, scope))
    if body.confirm.strip() != resident_id:
        raise IncompleteError("not_confirmed", "confirm")
    await visit.desk.services.people.keeping.erase(visit.actor, resident_id, scope=scope)
