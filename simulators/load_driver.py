"""A driver without devices: it hands the hub as many Observations as asked, for measuring what comes after a driver.

A plug-in like any other (`type = "load"`), spoken to over a Unix socket: `{"readings": 1000, "per_s": 0}` (0: as fast
as the hub takes them) and `{"press": true}`. A press answers with the boot-time clock at which it was made; with
`"wait_s"` it waits so long to be confirmed, as a panel does, and tells when it was (`confirmed_at_boot_s`, or null).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

from drivers.contract import Alias, Driver, DriverContext, DriverPlugin, DriverSettings, Fact, Observation
from simulators import control

BURST = 200


class LoadSettings(DriverSettings):
    """`[drivers.NAME]` with type = "load"."""

    type: Literal["load"] = "load"
    socket: str
    sensor: Alias = "sensor-1"
    button: Alias = "button-1"


class LoadDriver:
    """See `drivers.contract.Driver`."""

    def __init__(self, name: str, settings: LoadSettings, base: Path) -> None:
        self.name = name
        self._settings = settings
        self._path = base / settings.socket

    @asynccontextmanager
    async def open(self, context: DriverContext, /) -> AsyncIterator[AsyncIterator[Observation]]:
        """Listen on the socket and yield what is asked for."""
        urgent: asyncio.Queue[Observation] = asyncio.Queue()
        orders: asyncio.Queue[tuple[int, float]] = asyncio.Queue()
        made = 0

        async def act(request: dict[str, Any]) -> dict[str, Any]:
            now = context.boot_s()
            confirmed_at: float | None = None
            if request.get("press"):
                confirmation: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
                urgent.put_nowait(
                    Observation(
                        device=self._settings.button,
                        fact=Fact.BUTTON,
                        value="press",
                        observed_boot_s=now,
                        may_alarm=True,
                        confirmation=confirmation,
                    )
                )
                order.set()
                if await _came_true(confirmation, float(request.get("wait_s", 0))):
                    confirmed_at = context.boot_s()
            if request.get("readings"):
                orders.put_nowait((int(request["readings"]), float(request.get("per_s", 0))))
                order.set()
            return {"at_boot_s": now, "made": made, "confirmed_at_boot_s": confirmed_at}

        order = asyncio.Event()

        async def observations() -> AsyncGenerator[Observation, None]:
            nonlocal made
            left, per_s, owed, before = 0, 0.0, 0.0, context.boot_s()
            while True:
                while not urgent.empty():
                    yield urgent.get_nowait()
                if not left:
                    if orders.empty():
                        order.clear()
                        await order.wait()
                        continue
                    left, per_s = orders.get_nowait()
                    before, owed = context.boot_s(), 0.0
                now = context.boot_s()
                owed, before = (owed + (now - before) * per_s, now) if per_s else (float(BURST), now)
                count = min(left, int(owed), BURST)
                for _ in range(count):
                    made += 1
                    yield Observation(
                        device=self._settings.sensor,
                        fact=Fact.TEMPERATURE,
                        value=15 + made % 1000 / 100,
                        observed_boot_s=context.boot_s(),
                    )
                left -= count
                owed -= count
                await asyncio.sleep(0.005 if per_s else 0)

        async with control.serve(self._path, act, _nothing):
            stream = observations()
            try:
                yield stream
            finally:
                await stream.aclose()


async def _came_true(confirmation: asyncio.Future[bool], wait_s: float) -> bool:
    done, _ = await asyncio.wait({confirmation}, timeout=wait_s)
    return bool(done) and confirmation.result()


async def _nothing() -> AsyncIterator[dict[str, Any]]:
    return
    yield {}


def _build(name: str, settings: LoadSettings, base: Path) -> Driver:
    return LoadDriver(name, settings, base)


PLUGIN = DriverPlugin(
    type_name="load",
    settings=LoadSettings,
    build=_build,
    aliases=lambda settings: (settings.sensor, settings.button),
)
