"""What the lists of a tenant have in common that are kept in every version: who may read them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from central.access import Scope
from central.clock import Clock
from central.people.tenants import check_tenant
from central.store import Store

T = TypeVar("T")


class Lists:
    """The lists of one kind of one central."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def _read(self, tenant: str, scope: Scope, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """What `work` reads of a tenant that somebody may look at. Raises NotFoundError."""

        async def checked(connection: AsyncConnection) -> T:
            await check_tenant(connection, scope, tenant, is_reading=True)
            return await work(connection)

        return await self._store.fetch(checked)
