"""Taking in residents from a CSV or JSON file: checked whole before anything is written; the same file twice is once.

Each resident is a transaction of its own, and after each the others get their turn: a municipality's residents at once
would keep every alarm out for as long as that takes. All are tried first, and nothing is kept when one does not go.

A resident is known again by its pseudonym, or by the municipality's own reference.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from central import event_log
from central.clock import Clock
from central.errors import ActionError, IncompleteError
from central.people import contacts, facts, looking, residents, services, visits
from central.people.import_check import Known
from central.people.import_file import FileRefusedError, Record, read
from central.people.keeping import ADMINISTRATION, add_resident
from central.people.vault import ErasedError, Vault
from central.store import Priority, Store
from central.views import Actor
from cloud_sync.identity import new_id

LONGEST_PAUSE_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What came of it."""

    residents: int
    added: int
    changed: int
    same: int


async def take_in(store: Store, clock: Clock, vault: Vault, path: Path, actor: Actor, zone: str) -> Imported:
    """Import a file. Raises FileRefusedError; nothing is kept then, unless somebody has changed things meanwhile."""
    records, faults = read(path)
    now = clock.now_ms()
    async with store.read() as connection:
        known = await Known.load(connection, ZoneInfo(zone), now)
    faults += known.check_all(records)
    if faults:
        raise FileRefusedError(path, faults)
    done, is_rehearsal = {"added": 0, "changed": 0, "same": 0}, True
    for is_rehearsal in (True, False):
        done = dict.fromkeys(done, 0)
        for record in records:
            try:
                put = partial(_put, vault=vault, record=record, actor=actor, now=now)
                done[await _alone(store, put, is_rehearsal=is_rehearsal)] += 1
            except ErasedError:
                faults.append(f"{record.where}: this resident was erased; register them under another pseudonym.")
            except ActionError as error:
                what = error.field if isinstance(error, IncompleteError) else ""
                faults.append(f"{record.where}: {what or error.reason}: {error.reason.replace('_', ' ')}.")
        if faults and is_rehearsal:
            raise FileRefusedError(path, faults)
    if done["added"] or done["changed"]:
        await store.transact(
            Priority.BULK,
            lambda connection: event_log.append(connection, now, "residents_imported", actor, content=done),
        )
    if faults:
        raise FileRefusedError(path, faults, done=done["added"] + done["changed"] + done["same"])
    return Imported(residents=len(records), **done)


class _RehearsedError(Exception):
    """It went well, and is not to be kept."""


async def _alone(store: Store, put: Callable[[AsyncConnection], Awaitable[str]], *, is_rehearsal: bool) -> str:
    """One resident in a transaction of its own; then others may write, also those of another process."""
    said = ""

    async def work(connection: AsyncConnection) -> str:
        nonlocal said
        said = await put(connection)
        if is_rehearsal:
            raise _RehearsedError
        return said

    started_s = time.monotonic()
    try:
        await store.transact(Priority.BULK, work)
    except _RehearsedError:
        pass
    finally:
        await asyncio.sleep(min(LONGEST_PAUSE_S, time.monotonic() - started_s))
    return said


async def _put(connection: AsyncConnection, vault: Vault, record: Record, actor: Actor, now: int) -> str:
    assert record.tenant is not None  # noqa: S101  # checked before
    tenant = record.tenant.id
    known = await residents.known(connection, record.pseudonym) if record.pseudonym else None
    if known is None and record.reference:
        hashed = await vault.reference_hash(connection, tenant, record.reference)
        known = await residents.by_reference(connection, tenant, hashed)
    unit = record.unit.id if record.unit else None
    is_new = known is None or known.tenant is None
    if known is None or known.tenant is None:
        known = await add_resident(
            connection,
            vault,
            record.pseudonym or new_id().hex(),
            tenant=tenant,
            unit=unit,
            hub=record.hub,
            is_critical=record.is_critical,
            reference=record.reference,
            now=now,
        )
    elif known.tenant != tenant:
        raise IncompleteError("belongs_to_another_municipality", "pseudonym")
    resident = known.pseudonym
    wanted = (
        unit if "unit" in record.raw else known.unit,
        record.hub if "hub" in record.raw else known.hub,
        record.is_critical if "critical" in record.raw else known.is_critical,
    )
    changed = wanted != (known.unit, known.hub, known.is_critical)
    if changed:
        await residents.change(connection, known, unit=wanted[0], hub=wanted[1], is_critical=wanted[2])
    changed |= await _fill(connection, vault, record, resident, actor, now)
    if is_new or changed:
        await looking.note(connection, actor, resident, "import", ADMINISTRATION, now)
        await residents.touch(connection, resident)
    return "added" if is_new else "changed" if changed else "same"


async def _fill(
    connection: AsyncConnection, vault: Vault, record: Record, resident: str, actor: Actor, now: int
) -> bool:
    key = await vault.key_of(connection, resident, now)
    changed = False
    stated: dict[str, Any] = {"source": record.source, "by": actor.id, "now": now}
    before = await facts.current(connection, key, resident, opened=frozenset(record.named))
    for kind, text in record.named.items():
        # Without a date of its own the file says nothing newer about what stands there already.
        if record.as_of_ms is None and any(one.kind is kind and one.text == text for one in before):
            continue
        as_of = now if record.as_of_ms is None else record.as_of_ms
        changed |= await facts.record(connection, key, kind, text, as_of_ms=as_of, **stated)
    if record.entries is not None:
        changed |= await contacts.replace(connection, key, record.entries, as_of_ms=record.as_of_ms or now, **stated)
    held = {one.kind: one for one in await services.services_of(connection, resident) if one.holds(now)}
    for kind_word, from_ms, to_ms in record.granted:
        if from_ms is None and (own := held.get(kind_word)) is not None:
            if record.as_of_ms is not None:  # it goes on, as of that day
                changed |= bool(await services.change(
                    connection, resident, own.id, own.version, from_ms=own.from_ms, to_ms=own.to_ms, plan=own.plan,
                    as_of_ms=record.as_of_ms, **stated,
                ))  # fmt: skip
            continue
        changed |= await services.grant(
            connection, resident, kind_word, from_ms=now if from_ms is None else from_ms, to_ms=to_ms,
            source=record.source, as_of_ms=record.as_of_ms or now, by=actor.id,
        )  # fmt: skip
    for planned in record.visits:
        done = await visits.put(connection, resident, source="import", by=actor.id, now=now, **planned)
        changed |= done != "same"
    return changed
