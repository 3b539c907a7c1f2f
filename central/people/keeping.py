"""Changing what is kept of residents: each change one transaction, with its entry in the event log (ids only)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from central import event_log, feed
from central.access import EVERYTHING, Scope
from central.clock import Clock
from central.errors import ActionError, Conflict, IncompleteError, NotFoundError
from central.people import contacts, facts, looking, residents, services, visits
from central.people.contacts import Entry
from central.people.facts import FactKind
from central.people.looking import Basis, Purpose
from central.people.residents import Resident, resident_of
from central.people.tenants import tenants, units
from central.people.vault import Vault
from central.people.visits import VisitState
from central.sql import Sql
from central.store import Priority, Store
from central.views import Actor
from central.wakeup import Wakeup
from cloud_sync.identity import new_id

T = TypeVar("T")
ADMINISTRATION = Basis(purpose=Purpose.ADMINISTRATION)

_HUB = Sql("SELECT tenant FROM hub WHERE id = :hub")
_TEAM = Sql("SELECT 1 FROM team WHERE id = :team AND state = 'active'")
_OPEN = Sql("SELECT 1 FROM alarm WHERE resident = :resident AND closed_ms IS NULL AND queue = 'personal' LIMIT 1")


class AlarmOpenError(ActionError):
    """Somebody waits for an answer: first the alarm, then the record."""


class Keeping:
    """The records of residents, for who keeps them."""

    def __init__(self, store: Store, clock: Clock, vault: Vault, wakeup: Wakeup) -> None:
        self._store = store
        self._clock = clock
        self._vault = vault
        self._wakeup = wakeup

    async def register(
        self,
        actor: Actor,
        *,
        tenant: str,
        unit: str | None = None,
        reference: str = "",
        pseudonym: str = "",
        hub: str | None = None,
        is_critical: bool = False,
        named: Mapping[FactKind, str] | None = None,
        source: str = "other",
        scope: Scope = EVERYTHING,
    ) -> str:
        """A new resident. Returns the pseudonym. Raises NotFoundError, IncompleteError, Conflict."""
        wanted = residents.clean_pseudonym(pseudonym) if pseudonym else new_id().hex()

        async def work(connection: AsyncConnection, now: int) -> tuple[str, str]:
            await add_resident(
                connection, self._vault, wanted, tenant=tenant, unit=unit, hub=hub, is_critical=is_critical,
                reference=reference, now=now, scope=scope,
            )  # fmt: skip
            key = await self._vault.key_of(connection, wanted, now)
            for kind, text in (named or {}).items():
                await facts.record(connection, key, kind, text, source=source, as_of_ms=now, by=actor.id, now=now)
            return wanted, "resident_registered"

        return await self._change(actor, wanted, work, {"tenant": tenant})

    async def move(
        self,
        actor: Actor,
        resident: str,
        version: int,
        *,
        unit: str | None,
        hub: str | None,
        is_critical: bool,
        scope: Scope = EVERYTHING,
    ) -> None:
        """Another unit or hub, or depending on the equipment. Raises Conflict for a stale version."""

        async def work(connection: AsyncConnection, _: int) -> tuple[None, str]:
            own = await resident_of(connection, resident, scope)
            await _check_place(connection, own.tenant or "", unit, hub, scope)
            if own.version != version or not await residents.change(
                connection, own, unit=unit, hub=hub, is_critical=is_critical
            ):
                raise Conflict("stale")
            return None, "resident_changed"

        await self._change(actor, resident, work, {})

    async def record(
        self,
        actor: Actor,
        resident: str,
        kind: FactKind,
        text: str,
        *,
        source: str,
        as_of_ms: int | None = None,
        scope: Scope = EVERYTHING,
    ) -> bool:
        """Write a fact; an empty text ends the one there is. Returns whether anything has changed."""

        async def work(connection: AsyncConnection, now: int) -> tuple[bool, str]:
            await resident_of(connection, resident, scope)
            if as_of_ms is not None and as_of_ms > now + facts.DAY_MS:
                raise IncompleteError("in_the_future", "as_of")
            key = await self._vault.key_of(connection, resident, now)
            is_new = await facts.record(
                connection, key, kind, text, source=source, as_of_ms=now if as_of_ms is None else as_of_ms,
                by=actor.id, now=now,
            )  # fmt: skip
            return is_new, "resident_fact" if is_new else ""

        return await self._change(actor, resident, work, {"fact": kind.value})

    async def add_contact(
        self, actor: Actor, resident: str, entry: Entry, *, source: str, scope: Scope = EVERYTHING
    ) -> str:
        """Somebody to call, last in the order."""

        async def work(connection: AsyncConnection, now: int) -> tuple[str, str]:
            await resident_of(connection, resident, scope)
            key = await self._vault.key_of(connection, resident, now)
            added = await contacts.add(connection, key, entry, source=source, as_of_ms=now, by=actor.id, now=now)
            return added, "contact_added"

        return await self._change(actor, resident, work, {})

    async def end_contact(self, actor: Actor, resident: str, contact: str, *, scope: Scope = EVERYTHING) -> None:
        """Not to be called any more. Raises NotFoundError."""

        async def work(connection: AsyncConnection, now: int) -> tuple[None, str]:
            await resident_of(connection, resident, scope)
            if not await contacts.end(connection, resident, contact, by=actor.id, now=now):
                raise NotFoundError("contact", contact)
            return None, "contact_ended"

        await self._change(actor, resident, work, {"contact": contact})

    async def call_earlier(self, actor: Actor, resident: str, contact: str, *, scope: Scope = EVERYTHING) -> None:
        """One place up in the order; the first one stays where it is."""

        async def work(connection: AsyncConnection, _: int) -> tuple[None, str]:
            await resident_of(connection, resident, scope)
            if await contacts.whose(connection, contact) != resident:
                raise NotFoundError("contact", contact)
            return None, "contact_moved" if await contacts.earlier(connection, resident, contact) else ""

        await self._change(actor, resident, work, {"contact": contact})

    async def grant(
        self, actor: Actor, resident: str, kind: str, *, from_ms: int, to_ms: int | None, scope: Scope = EVERYTHING
    ) -> bool:
        """A service from then on. Returns whether it is news."""

        async def work(connection: AsyncConnection, _: int) -> tuple[bool, str]:
            await resident_of(connection, resident, scope)
            is_new = await services.grant(connection, resident, kind, from_ms=from_ms, to_ms=to_ms, by=actor.id)
            return is_new, "service_granted" if is_new else ""

        return await self._change(actor, resident, work, {"service": kind})

    async def end_service(self, actor: Actor, resident: str, service: str, *, scope: Scope = EVERYTHING) -> None:
        """No longer, from now on. Raises NotFoundError."""

        async def work(connection: AsyncConnection, now: int) -> tuple[None, str]:
            await resident_of(connection, resident, scope)
            if not await services.end(connection, resident, service, to_ms=now):
                raise NotFoundError("service", service)
            return None, "service_ended"

        await self._change(actor, resident, work, {"service": service})

    async def plan_visit(
        self,
        actor: Actor,
        resident: str,
        *,
        from_ms: int,
        to_ms: int,
        team: str | None = None,
        source: str = "other",
        reference: str = "",
        scope: Scope = EVERYTHING,
    ) -> str:
        """A visit on somebody's list; the same source and reference again changes it."""

        async def work(connection: AsyncConnection, now: int) -> tuple[str, str]:
            await resident_of(connection, resident, scope)
            if team is not None and not await _TEAM.one(connection, team=team):
                raise NotFoundError("team", team)
            done = await visits.put(
                connection, resident, team=team, from_ms=from_ms, to_ms=to_ms, source=source, reference=reference,
                by=actor.id, now=now,
            )  # fmt: skip
            return done, "" if done == "same" else f"visit_{done}"

        return await self._change(actor, resident, work, {})

    async def set_visit(
        self, actor: Actor, resident: str, visit: str, state: VisitState, *, scope: Scope = EVERYTHING
    ) -> None:
        """What became of a visit. Raises NotFoundError."""

        async def work(connection: AsyncConnection, now: int) -> tuple[None, str]:
            await resident_of(connection, resident, scope)
            known = await visits.visit(connection, visit)
            if known is None or known.resident != resident:
                raise NotFoundError("visit", visit)
            changed = await visits.set_state(connection, visit, state, by=actor.id, now=now)
            return None, f"visit_{state.value}" if changed else ""

        await self._change(actor, resident, work, {"visit": visit})

    async def erase(self, actor: Actor, resident: str, *, scope: Scope = EVERYTHING) -> None:
        """Destroy the key: names, facts and contacts are gone for good, history keeps the pseudonym.

        Raises AlarmOpenError, HeldError, NotFoundError.
        """

        async def work(connection: AsyncConnection, now: int) -> tuple[None, str]:
            own = await resident_of(connection, resident, scope)
            if await _OPEN.one(connection, resident=resident):
                raise AlarmOpenError("alarm_open")
            await self._vault.erase(connection, resident, now)
            await services.end_all(connection, resident, now=now)
            await residents.change(connection, own, unit=own.unit, hub=None, is_critical=False, state="erased")
            return None, "" if own.state == "erased" else "resident_erased"

        await self._change(actor, resident, work, {})

    async def _change(
        self,
        actor: Actor,
        resident: str,
        work: Callable[[AsyncConnection, int], Awaitable[tuple[T, str]]],
        content: Mapping[str, Any],
    ) -> T:
        async def change(connection: AsyncConnection) -> T:
            now = self._clock.now_ms()
            found, what = await work(connection, now)
            if what:
                await residents.touch(connection, resident)
                await looking.note(connection, actor, resident, what, ADMINISTRATION, now)
                told = {"resident": resident, **content}
                await event_log.append(connection, now, what, actor, content=told)
                await feed.publish(connection, now, "resident", resident, what)
            return found

        found = await self._store.transact(Priority.PEOPLE, change)
        self._wakeup.wake()
        return found


async def add_resident(
    connection: AsyncConnection,
    vault: Vault,
    pseudonym: str,
    *,
    tenant: str,
    unit: str | None,
    hub: str | None,
    is_critical: bool,
    reference: str,
    now: int,
    scope: Scope = EVERYTHING,
) -> Resident:
    """A new row, checked. Raises NotFoundError, IncompleteError, Conflict."""
    await _check_place(connection, tenant, unit, hub, scope)
    hashed = await vault.reference_hash(connection, tenant, reference) if reference.strip() else None
    if not await residents.add(
        connection,
        pseudonym,
        tenant=tenant,
        unit=unit,
        hub=hub,
        is_critical=is_critical,
        reference_hash=hashed,
        now=now,
    ):
        raise Conflict("resident_known")
    return await resident_of(connection, pseudonym, EVERYTHING)


async def _check_place(
    connection: AsyncConnection, tenant: str, unit: str | None, hub: str | None, scope: Scope
) -> None:
    if tenant not in {one.id for one in await tenants(connection)}:
        raise NotFoundError("tenant", tenant[:32])
    scope.check(tenant, unit, "tenant", tenant)
    if unit is not None and unit not in {one.id for one in await units(connection) if one.tenant == tenant}:
        raise IncompleteError("bad_unit", "unit")
    if hub is not None:
        row = await _HUB.one(connection, hub=hub)
        if row is None or row[0] not in {None, tenant}:
            raise IncompleteError("bad_hub", "hub")
