"""What every change of a resident's record has in common: one transaction with its entries in both logs (ids only)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from central import event_log, feed
from central.clock import Clock
from central.errors import Conflict
from central.people import looking, residents
from central.people.contacts import Contact
from central.people.facts import Fact, FactKind
from central.people.looking import Basis, Purpose
from central.people.services import Service
from central.people.vault import Vault
from central.people.visits import PlannedVisit
from central.people.words import Words
from central.store import Priority, Store
from central.views import Actor
from central.wakeup import Wakeup

T = TypeVar("T")
ADMINISTRATION = Basis(purpose=Purpose.ADMINISTRATION)


class StaleRecordError(Conflict):
    """Somebody else has changed this part of a record meanwhile. `theirs` is what it is now; None: it is over."""

    def __init__(self, theirs: Contact | Service | PlannedVisit | None, yours: int) -> None:
        current = {"version": theirs.version} if theirs is not None else None
        super().__init__("stale", current=current, yours={"version": yours})
        self.theirs = theirs


class StaleFactError(Conflict):
    """Somebody else has written this fact, or ended it, meanwhile. `theirs` is what stands there; a secret folded."""

    def __init__(self, kind: FactKind, theirs: Fact | None, yours: str) -> None:
        current = {"id": theirs.id, "source": theirs.source, "as_of_ms": theirs.as_of_ms} if theirs else {"id": ""}
        super().__init__("stale", current=current, yours={"replaces": yours})
        self.kind = kind
        self.theirs = theirs


class Recording:
    """The base of all changes."""

    def __init__(self, store: Store, clock: Clock, vault: Vault, wakeup: Wakeup) -> None:
        self._store = store
        self._clock = clock
        self._vault = vault
        self._words = Words(vault)
        self._wakeup = wakeup

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
