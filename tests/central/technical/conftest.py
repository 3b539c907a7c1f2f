"""Hubs in units, and faults of many of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from central.lifecycle import CENTRAL_KINDS, alarm_kind
from central.opening import Source
from central.raising import end_condition, raise_technical
from central.store import Priority
from central.technical.folding import Folding
from central.wakeup import Wakeup


class Area:
    """Rows of hubs that never speak: what is tried here begins with the alarm."""

    def __init__(self, bench: Any) -> None:
        self.bench = bench
        self.folding = Folding(bench.store, bench.clock, Wakeup())

    async def hubs(
        self, count: int, *, unit: str | None = "u1", tenant: str | None = "t1", first: int = 0, critical: int = 0,
        operator: str = "", software: str = "1.0",
    ) -> list[str]:  # fmt: skip
        names = [f"{number:016x}" for number in range(first + 1, first + count + 1)]
        columns = "id, label, public_key, suite, enrolled_ms, presence, is_critical, tenant, unit, operator, software"
        shown = [
            f"('{name}', 'Flat {number}', {self._empty}, 1, 0, 'present', {'true' if number < critical else 'false'},"
            f" {_text(tenant)}, {_text(unit)}, '{operator}', '{software}')"
            for number, name in enumerate(names)
        ]
        await self.bench.change(f"INSERT INTO hub ({columns}) VALUES {', '.join(shown)}")
        return names

    @property
    def _empty(self) -> str:
        return "x'00'" if self.bench.store.dialect.is_sqlite else "'\\x00'"

    async def unit(self, name: str = "u1", tenant: str = "t1", parent: str | None = None) -> None:
        await self.bench.change(
            "INSERT INTO tenant (id, name, created_ms) VALUES"
            f" ('{tenant}', 'Kommune {tenant}', 0) ON CONFLICT DO NOTHING"
        )
        await self.bench.change(
            f"INSERT INTO unit (id, tenant, parent, kind, name) VALUES ('{name}', '{tenant}', {_text(parent)}, 'zone',"
            f" 'Sone {name}')"
        )

    async def fail(self, hubs: list[str], word: str = "mains_lost", *, device: str = "") -> list[str]:
        """The same fault at each of them, now."""
        now = self.bench.clock.now_ms()
        kind = CENTRAL_KINDS.get(word) or alarm_kind(word)

        async def work(connection: Any) -> list[str]:
            return [
                await raise_technical(connection, kind, Source(hub=hub, device=device, happened_ms=now), now)
                for hub in hubs
            ]

        return await self.bench.store.transact(Priority.UPKEEP, work)

    async def mend(self, hubs: list[str], word: str = "mains_lost", *, device: str = "") -> None:
        now = self.bench.clock.now_ms()

        async def work(connection: Any) -> None:
            for hub in hubs:
                await end_condition(connection, hub, device, word, now)

        await self.bench.store.transact(Priority.UPKEEP, work)

    async def sweep(self, *, seconds: float = 6) -> int:
        """A round after so long; long enough that members are counted."""
        self.bench.clock.advance(seconds)
        return await self.folding.sweep()


def _text(value: str | None) -> str:
    return "NULL" if value is None else f"'{value}'"


@pytest.fixture
async def area(bench: Any) -> Area:
    return Area(bench)


Fail = Callable[[list[str]], Awaitable[list[str]]]
