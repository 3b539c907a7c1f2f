"""A driver without devices: it hands the hub as many Observations as asked, for measuring what comes after a driver.

A plug-in like any other (`type = "load"`), spoken to over a Unix socket: `{"readings": 1000, "per_s": 0}`,
`{"press": true}` (with `"device": ALIAS` another button than the first) and `{"stop": true}`. With `per_s` 0 the
readings come as fast as the hub makes them durable: some ask to be confirmed, and only so many may be out, so that its
intake never overflows. A press answers with the boot-time
clock at which it was made; with `"wait_s"` it waits so long to be confirmed, as a panel does, and tells when it was
(`confirmed_at_boot_s`, or null).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from drivers.contract import Alias, Driver, DriverContext, DriverPlugin, DriverSettings, Fact, Observation
from ground.models import Field
from simulators import control

LOAD_SOCKET = "load.sock"
LOAD_SETTINGS = f"""
[drivers.load]
type = "load"
socket = "{LOAD_SOCKET}"

[[devices]]
alias = "sensor-1"
profile = "thermometer"

[[devices]]
alias = "button-1"
profile = "pendant"
resident = "r-7f3a90"
"""
"""What a hub's settings say of this driver, where everything is on one machine."""
BURST = 200
BURST_S = 0.005
ASKS_EVERY = 250
ASKING_LIMIT = 12
"""Unconfirmed questions; with `ASKS_EVERY` readings to each that is less than an intake holds (4,096)."""


class LoadSettings(DriverSettings):
    """`[drivers.NAME]` with type = "load"."""

    type: Literal["load"] = "load"
    socket: str
    sensor: Alias = "sensor-1"
    button: Alias = "button-1"
    more_buttons: Annotated[tuple[Alias, ...], Field(strict=False)] = ()


class LoadDriver:
    """See `drivers.contract.Driver`."""

    def __init__(self, name: str, settings: LoadSettings, base: Path) -> None:
        self.name = name
        self._settings = settings
        self._path = base / settings.socket

    def _button(self, wanted: object) -> Alias:
        if wanted not in {None, self._settings.button, *self._settings.more_buttons}:
            raise control.RefusedError(f"there is no button called {wanted!r} here")
        return self._settings.button if wanted is None else str(wanted)

    @asynccontextmanager
    async def open(self, context: DriverContext, /) -> AsyncIterator[AsyncIterator[Observation]]:
        """Listen on the socket and yield what is asked for."""
        urgent: asyncio.Queue[Observation] = asyncio.Queue()
        orders: asyncio.Queue[tuple[int, float]] = asyncio.Queue()
        made = left = 0

        async def act(request: dict[str, Any]) -> dict[str, Any]:
            nonlocal left
            now = context.boot_s()
            confirmed_at: float | None = None
            if request.get("press"):
                confirmation: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
                urgent.put_nowait(
                    Observation(
                        device=self._button(request.get("device")),
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
            if request.get("stop"):
                left = 0
                while not orders.empty():
                    orders.get_nowait()
            if request.get("readings"):
                orders.put_nowait((int(request["readings"]), float(request.get("per_s", 0))))
                order.set()
            return {"at_boot_s": now, "made": made, "confirmed_at_boot_s": confirmed_at}

        order = asyncio.Event()

        async def observations() -> AsyncGenerator[Observation, None]:
            nonlocal made, left
            per_s, owed, before = 0.0, 0.0, context.boot_s()
            asking: deque[asyncio.Future[bool]] = deque()
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
                if not per_s and len(asking) >= ASKING_LIMIT:
                    asking[0].add_done_callback(lambda _: order.set())
                    await order.wait()
                    order.clear()
                    while asking and asking[0].done():
                        asking.popleft()
                    continue
                count = min(left, int(owed), BURST)
                for _ in range(count):
                    made += 1
                    question = None
                    if not per_s and made % ASKS_EVERY == 0:
                        question = asyncio.get_running_loop().create_future()
                        asking.append(question)
                    yield Observation(
                        device=self._settings.sensor,
                        fact=Fact.TEMPERATURE,
                        value=15 + made % 1000 / 100,
                        observed_boot_s=context.boot_s(),
                        confirmation=question,
                    )
                left = max(0, left - count)
                owed -= count
                if per_s:
                    await _pause(order, BURST_S)  # a press does not wait for the next burst
                else:
                    await asyncio.sleep(0)

        async with control.serve(self._path, act, _nothing):
            stream = observations()
            try:
                yield stream
            finally:
                await stream.aclose()


async def _came_true(confirmation: asyncio.Future[bool], wait_s: float) -> bool:
    done, _ = await asyncio.wait({confirmation}, timeout=wait_s)
    return bool(done) and confirmation.result()


async def _pause(order: asyncio.Event, seconds: float) -> None:
    order.clear()
    try:
        async with asyncio.timeout(seconds):
            await order.wait()
    except TimeoutError:
        return


async def _nothing() -> AsyncIterator[dict[str, Any]]:
    return
    yield {}


def _build(name: str, settings: LoadSettings, base: Path) -> Driver:
    return LoadDriver(name, settings, base)


PLUGIN = DriverPlugin(
    type_name="load",
    settings=LoadSettings,
    build=_build,
    aliases=lambda settings: (settings.sensor, settings.button, *settings.more_buttons),
)
