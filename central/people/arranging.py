"""Whom to call about a resident, what they were granted, and when somebody comes: written, changed, ended."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from central.access import EVERYTHING, Scope
from central.errors import IncompleteError, NotFoundError
from central.people import contacts, services, visits
from central.people.contacts import Entry
from central.people.facts import check_as_of
from central.people.recording import Recording, StaleRecordError
from central.people.residents import Resident, resident_of
from central.people.visits import PlannedVisit, VisitState
from central.routing.teams import teams_for
from central.views import Actor


class Arranging(Recording):
    """Contacts, services and visits of residents."""

    async def add_contact(
        self, actor: Actor, resident: str, entry: Entry, *, source: str, scope: Scope = EVERYTHING
    ) -> str:
        """Somebody to call, last in the order."""

        async def work(connection: AsyncConnection, now: int) -> tuple[str, str]:
            await resident_of(connection, resident, scope)
            key = await self._vault.key_of(connection, resident, now)
            contacts.check_reachable(entry)
            added = await contacts.add(connection, key, entry, source=source, as_of_ms=now, by=actor.id, now=now)
            return added, "contact_added"

        return await self._change(actor, resident, work, {})

    async def change_contact(
        self,
        actor: Actor,
        resident: str,
        contact: str,
        version: int,
        entry: Entry,
        *,
        source: str,
        scope: Scope = EVERYTHING,
    ) -> bool:
        """Another telephone or agreement. Raises NotFoundError, StaleRecordError."""

        async def work(connection: AsyncConnection, now: int) -> tuple[bool, str]:
            await resident_of(connection, resident, scope)
            key = await self._vault.key_of(connection, resident, now)
            if await contacts.whose(connection, contact) != resident:
                raise NotFoundError("contact", contact[:32])
            contacts.check_reachable(entry)
            is_new = await contacts.change(
                connection, key, contact, version, entry, source=source, as_of_ms=now, by=actor.id, now=now
            )
            if is_new is None:
                raise StaleRecordError(await contacts.one(connection, key, contact), version)
            return is_new, "contact_changed" if is_new else ""

        return await self._change(actor, resident, work, {"contact": contact})

    async def end_contact(
        self, actor: Actor, resident: str, contact: str, version: int, *, scope: Scope = EVERYTHING
    ) -> None:
        """Not to be called any more. Raises NotFoundError, StaleRecordError."""

        async def work(connection: AsyncConnection, now: int) -> tuple[None, str]:
            await resident_of(connection, resident, scope)
            sealed = await contacts.contacts_of(connection, None, resident)  # also one that does not open can be ended
            known = next((one for one in sealed if one.id == contact), None)
            if known is None:
                raise NotFoundError("contact", contact[:32])
            if known.version != version:
                key = await self._vault.key_of(connection, resident, now)
                raise StaleRecordError(await contacts.one(connection, key, contact), version)
            await contacts.end(connection, resident, contact, by=actor.id, now=now)
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
        self,
        actor: Actor,
        resident: str,
        kind: str,
        *,
        from_ms: int,
        to_ms: int | None,
        plan: str | None = None,
        source: str = "other",
        as_of_ms: int | None = None,
        scope: Scope = EVERYTHING,
    ) -> bool:
        """A service from then on, perhaps with a plan of its own. Returns whether it is news."""

        async def work(connection: AsyncConnection, now: int) -> tuple[bool, str]:
            await resident_of(connection, resident, scope)
            is_new = await services.grant(
                connection, resident, kind, from_ms=from_ms, to_ms=to_ms, plan=plan, source=source,
                as_of_ms=check_as_of(as_of_ms, now), by=actor.id,
            )  # fmt: skip
            return is_new, "service_granted" if is_new else ""

        return await self._change(actor, resident, work, {"service": kind})

    async def change_service(
        self,
        actor: Actor,
        resident: str,
        service: str,
        version: int,
        *,
        from_ms: int,
        to_ms: int | None,
        plan: str | None,
        source: str | None = None,
        as_of_ms: int | None = None,
        scope: Scope = EVERYTHING,
    ) -> bool:
        """Other dates, or another plan. Without a source it is the one there was.

        Raises NotFoundError, IncompleteError, StaleRecordError.
        """

        async def work(connection: AsyncConnection, now: int) -> tuple[bool, str]:
            await resident_of(connection, resident, scope)
            known = {one.id: one for one in await services.services_of(connection, resident)}
            if service not in known:
                raise NotFoundError("service", service[:32])
            is_new = await services.change(
                connection, resident, service, version, from_ms=from_ms, to_ms=to_ms, plan=plan,
                source=known[service].source if source is None else source,
                as_of_ms=None if as_of_ms is None else check_as_of(as_of_ms, now), by=actor.id, now=now,
            )  # fmt: skip
            if is_new is None:
                raise StaleRecordError(known[service], version)
            return is_new, "service_changed" if is_new else ""

        return await self._change(actor, resident, work, {"service": service})

    async def end_service(
        self, actor: Actor, resident: str, service: str, version: int, *, scope: Scope = EVERYTHING
    ) -> None:
        """No longer, from now on. Raises NotFoundError, StaleRecordError."""

        async def work(connection: AsyncConnection, now: int) -> tuple[None, str]:
            await resident_of(connection, resident, scope)
            known = {one.id: one for one in await services.services_of(connection, resident)}
            if service not in known:
                raise NotFoundError("service", service[:32])
            if known[service].version != version:
                raise StaleRecordError(known[service], version)
            if not await services.end(connection, resident, service, to_ms=now, by=actor.id):
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
            own = await resident_of(connection, resident, scope)
            await _check_team(connection, own, team)
            done = await visits.put(
                connection, resident, team=team, from_ms=from_ms, to_ms=to_ms, source=source, reference=reference,
                by=actor.id, now=now,
            )  # fmt: skip
            return done, "" if done == "same" else f"visit_{done}"

        return await self._change(actor, resident, work, {})

    async def move_visit(
        self,
        actor: Actor,
        resident: str,
        visit: str,
        version: int,
        *,
        from_ms: int,
        to_ms: int,
        team: str | None,
        scope: Scope = EVERYTHING,
    ) -> bool:
        """Another time or team for a planned visit. Raises NotFoundError, IncompleteError, StaleRecordError."""

        async def work(connection: AsyncConnection, now: int) -> tuple[bool, str]:
            own = await resident_of(connection, resident, scope)
            known = await _visit(connection, resident, visit, version)
            if known.state is not VisitState.PLANNED:
                raise StaleRecordError(known, version)
            if team != known.team:
                await _check_team(connection, own, team)
            if to_ms <= now:
                raise IncompleteError("in_the_past", "to")
            is_new = await visits.move(connection, known, team=team, from_ms=from_ms, to_ms=to_ms, by=actor.id, now=now)
            return is_new, "visit_changed" if is_new else ""

        return await self._change(actor, resident, work, {"visit": visit})

    async def set_visit(
        self,
        actor: Actor,
        resident: str,
        visit: str,
        state: VisitState,
        *,
        version: int | None = None,
        scope: Scope = EVERYTHING,
    ) -> None:
        """What became of a visit. Raises NotFoundError, StaleRecordError."""

        async def work(connection: AsyncConnection, now: int) -> tuple[None, str]:
            await resident_of(connection, resident, scope)
            known = await _visit(connection, resident, visit, version)
            if state is VisitState.PLANNED and known.to_ms <= now:
                raise IncompleteError("in_the_past", "state")
            changed = await visits.set_state(connection, visit, state, by=actor.id, now=now)
            return None, f"visit_{state.value}" if changed else ""

        await self._change(actor, resident, work, {"visit": visit})


async def _visit(connection: AsyncConnection, resident: str, visit: str, version: int | None) -> PlannedVisit:
    known = await visits.visit(connection, visit)
    if known is None or known.resident != resident:
        raise NotFoundError("visit", visit[:32])
    if version is not None and known.version != version:
        raise StaleRecordError(known, version)
    return known


async def _check_team(connection: AsyncConnection, own: Resident, team: str | None) -> None:
    """A visit is on the list of a team that serves their municipality."""
    if team is not None and team not in await teams_for(connection, own.tenant):
        raise IncompleteError("bad_team", "team")
