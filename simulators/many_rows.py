"""Fills a central's database with rows enough to find out which page was made for ten of them."""

from __future__ import annotations

import random
from typing import Any

from sqlalchemy import Table, insert, select

from central import event_log
from central.lifecycle import Queue, alarm_kind
from central.services import Services
from central.store import Priority
from central.tables import alarm, hub, resident, user_account
from central.tables_people import tenant
from central.views import SYSTEM

STREETS = ("Solbakken", "Fjellveien", "Elvebakken", "Strandvegen", "Kvernvegen", "Kirkegata", "Skolevegen", "Øvre Lia")
PERSONAL = ("pendant_pressed", "cord_pulled", "bed_absent", "door_opened", "inactivity", "medication_missed")
TECHNICAL = ("battery_low", "hub_silent", "mains_lost", "device_missing")
FIRST = ("Anne", "Bjørn", "Cecilie", "Dag", "Eva", "Finn", "Grete", "Håkon", "Ingrid", "Jon", "Kari", "Lars")
LAST = ("Hansen", "Johansen", "Olsen", "Larsen", "Andersen", "Pedersen", "Nilsen", "Kristiansen", "Ødegård", "Åsen")
_CHUNK = 500


def _id(kind: str, number: int) -> str:
    return f"{kind}{number:015x}"


async def fill(services: Services, count: int) -> None:
    """As many hubs, residents, accounts and log entries as `count`, half as many alarms in each queue."""
    now = services.clock.now_ms()
    async with services.store.read() as connection:
        municipality = (await connection.execute(select(tenant.c.id).order_by(tenant.c.id).limit(1))).scalar()
    dice = random.Random(7)  # the same rows every time
    hubs = [
        {
            "id": _id("a", n),
            "label": f"{STREETS[n % len(STREETS)]} {1000 + n}",
            "public_key": n.to_bytes(32, "big"),
            "suite": 1,
            "enrolled_ms": now,
            "presence": "present",
            "presence_ms": now,
        }
        for n in range(count)
    ]
    people = [
        {
            "pseudonym": f"r-{n:06x}",
            "label": f"{FIRST[n % len(FIRST)]} {LAST[n // 7 % len(LAST)]}",
            "hub": _id("a", n),
            "tenant": municipality,
            "created_ms": now,
        }
        for n in range(count)
    ]
    accounts = [
        {
            "id": _id("b", n) * 2,
            "name": f"{FIRST[n % len(FIRST)]} {LAST[n // 7 % len(LAST)]} {n}",
            "role": "responder",
            "created_ms": now,
        }
        for n in range(count)
    ]
    alarms = []
    for n in range(count):
        kind = alarm_kind((TECHNICAL if n % 2 else PERSONAL)[n // 2 % (len(TECHNICAL) if n % 2 else len(PERSONAL))])
        at_ms = now - dice.randrange(20_000, 3_600_000)
        alarms.append(
            {
                "id": _id("c", n),
                "queue": (Queue.TECHNICAL if n % 2 else Queue.PERSONAL).value,
                "kind": kind.word,
                "alarm_class": int(kind.alarm_class),
                "rank": max(2, kind.rank),  # what a test raises itself comes first
                "first_rank": kind.rank,
                "hub": _id("a", n),
                "device": f"device-{n}",
                "fold_key": f"many:{n}",
                "happened_ms": at_ms,
                "raised_ms": at_ms,
                "last_event_ms": at_ms,
            }
        )
    await insert_rows(services, hub, hubs)
    await insert_rows(services, resident, people)
    await insert_rows(services, user_account, accounts)
    await insert_rows(services, alarm, alarms)
    for first in range(0, count, _CHUNK):

        async def work(connection: Any, first: int = first) -> None:
            for n in range(first, min(count, first + _CHUNK)):
                await event_log.append(connection, now, "raised", SYSTEM, alarm=_id("c", n), hub=_id("a", n))

        await services.store.transact(Priority.PEOPLE, work)


async def insert_rows(services: Services, table: Table, rows: list[dict[str, Any]]) -> None:
    """In pieces, so that others get their turn."""
    for first in range(0, len(rows), _CHUNK):

        async def work(connection: Any, first: int = first) -> None:
            await connection.execute(insert(table), rows[first : first + _CHUNK])

        await services.store.transact(Priority.PEOPLE, work)
