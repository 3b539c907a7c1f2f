"""Ten days of hubs as they may have been heard: for whoever looks at their pages."""

from __future__ import annotations

from collections.abc import Iterator

from central.availability import CENTRAL, SLOT_MS, SLOTS, Availability
from central.services import Services
from central.sql import Sql

DAYS = 10
_HUBS = Sql("SELECT id FROM hub ORDER BY id LIMIT 30")
_OLDER = Sql("UPDATE hub SET enrolled_ms = :since WHERE id = :hub")


def _missed(first: int) -> Iterator[int]:
    """A power cut, a router that starts anew every night, a weak signal one afternoon."""
    yield from range(first + 6 * SLOTS + 40, first + 6 * SLOTS + 125)
    for day in range(DAYS):
        yield from range(first + day * SLOTS + 26, first + day * SLOTS + 28)
    yield from range(first + 8 * SLOTS + 150, first + 8 * SLOTS + 190, 5)


async def heard_for_days(services: Services) -> None:
    """Every hub is ten days old, and central was down for most of one of them."""
    slot = services.clock.now_ms() // SLOT_MS
    first = slot - DAYS * SLOTS
    missed, down = set(_missed(first)), range(first + 4 * SLOTS + 60, first + 4 * SLOTS + 250)
    kept = Availability(services.store, services.clock)
    hubs = [str(row[0]) for row in await services.store.fetch(_HUBS.rows)]
    for at in range(first, slot):
        if at not in down:
            for hub in (CENTRAL, *(hubs if at not in missed else ())):
                kept.hear(hub, at * SLOT_MS)
    await kept.write()
    async with services.store.write() as connection:
        for hub in hubs:
            await _OLDER.rows(connection, hub=hub, since=first * SLOT_MS)
