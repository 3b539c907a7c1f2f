"""Changing what is kept of residents: who they are, where they belong, what is known, and that it is kept no longer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from central import event_log
from central.access import EVERYTHING, Scope
from central.errors import ActionError, Conflict, IncompleteError, NotFoundError
from central.people import facts, residents, services
from central.people.arranging import Arranging
from central.people.facts import FactKind
from central.people.recording import ADMINISTRATION, StaleFactError
from central.people.residents import Resident, resident_of
from central.people.tenants import tenants, units
from central.people.vault import ResidentKey, Vault
from central.sql import Sql
from central.store import Priority
from central.views import Actor
from cloud_sync.identity import new_id

__all__ = ["ADMINISTRATION", "AlarmOpenError", "Keeping", "add_resident"]

_HUB = Sql("SELECT tenant FROM hub WHERE id = :hub")
_OPEN = Sql("SELECT 1 FROM alarm WHERE resident = :resident AND closed_ms IS NULL AND queue = 'personal' LIMIT 1")

_OPEN_AT_HUB = Sql("SELECT 1 FROM alarm WHERE hub = :hub AND closed_ms IS NULL AND queue = 'personal' LIMIT 1")
_INCIDENT = Sql("SELECT 1 FROM incident WHERE id = :id")


class AlarmOpenError(ActionError):
    """Somebody waits for an answer: first the alarm, then the record."""


class Keeping(Arranging):
    """The records of residents, for who keeps them."""

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
                raise Conflict("stale", current={"version": own.version}, yours={"version": version})
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
        replaces: str | None = None,
        scope: Scope = EVERYTHING,
    ) -> bool:
        """Write a fact; an empty text ends the one there is. Returns whether anything has changed.

        `replaces`: the fact that whoever writes has seen there, empty for none; None is for who has not looked.
        Raises NotFoundError, IncompleteError, StaleFactError.
        """

        async def work(connection: AsyncConnection, now: int) -> tuple[bool, str]:
            await resident_of(connection, resident, scope)
            stated_ms = facts.check_as_of(as_of_ms, now)
            key = await self._vault.key_of(connection, resident, now)
            if replaces is not None:
                await _check_seen(connection, key, kind, replaces, facts.clean(kind, text))
            is_new = await facts.record(
                connection, key, kind, text, source=source, as_of_ms=stated_ms, by=actor.id, now=now
            )
            return is_new, "resident_fact" if is_new else ""

        return await self._change(actor, resident, work, {"fact": kind.value})

    async def erase(self, actor: Actor, resident: str, *, scope: Scope = EVERYTHING) -> None:
        """Destroy the key: all that names or describes them is gone for good, history keeps the pseudonym.

        With the last resident of a home goes what is known there of nobody in particular.
        Raises AlarmOpenError, HeldError, NotFoundError.
        """

        async def work(connection: AsyncConnection, now: int) -> tuple[None, str]:
            own = await resident_of(connection, resident, scope)
            if await _OPEN.one(connection, resident=resident):
                raise AlarmOpenError("alarm_open")
            await self._vault.erase(connection, resident, now)
            if own.hub is not None:
                await self._words.forget_home(connection, own.hub, now, with_=resident)
            await services.end_all(connection, resident, now=now)
            await residents.change(connection, own, unit=own.unit, hub=None, is_critical=False, state="erased")
            return None, "" if own.state == "erased" else "resident_erased"

        await self._change(actor, resident, work, {})

    async def forget(self, actor: Actor, ref: str) -> int:
        """Destroy what is known of nobody in particular in a home (by its hub), or was written about an incident.

        Returns how many keys there were. Raises AlarmOpenError, NotFoundError.
        """

        async def work(connection: AsyncConnection) -> int:
            now = self._clock.now_ms()
            is_hub = await _HUB.one(connection, hub=ref) is not None
            if not is_hub and await _INCIDENT.one(connection, id=ref) is None:
                raise NotFoundError("hub", ref[:32])
            if is_hub and await _OPEN_AT_HUB.one(connection, hub=ref):
                raise AlarmOpenError("alarm_open")
            forget = self._words.forget_home if is_hub else self._words.forget_incident
            count = await forget(connection, ref, now)
            content = {"keys": count} | ({} if is_hub else {"incident": ref})
            await event_log.append(connection, now, "words_erased", actor, hub=ref if is_hub else None, content=content)
            return count

        return await self._store.transact(Priority.PEOPLE, work)


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


async def _check_seen(connection: AsyncConnection, key: ResidentKey, kind: FactKind, replaces: str, text: str) -> None:
    """That what stands there is what they saw, or what they write. Raises StaleFactError."""
    known = await facts.current(connection, key, key.resident, opened=frozenset({kind}))
    theirs = next((one for one in known if one.kind is kind), None)
    if replaces == (theirs.id if theirs else "") or text == (theirs.text if theirs else ""):
        return
    raise StaleFactError(kind, replace(theirs, text=None) if theirs and theirs.is_secret else theirs, replaces)


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
