"""A simulated home as a process of its own: radio, pins and panel stay when the hub is killed.

Speaks the devices' real protocols to the hub (BTHome over D-Bus, GPIO levels, ESPA 4.4.4 on a pseudo terminal) and
JSON lines to whoever plays with it (`simulators.control`).
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, cast

from simulators import control, plans
from simulators.bluez import FakeBlueZ
from simulators.bthome_device import (
    BTHomeDevice,
    Press,
    SimulatedBedMat,
    SimulatedDoor,
    SimulatedMotion,
    SimulatedPendant,
    SimulatedSmokeDetector,
    SimulatedThermometer,
    SimulatedWaterSensor,
)
from simulators.control import RefusedError
from simulators.dbus import PrivateBus
from simulators.espa_panel import KINDS, EspaPanel, PtyWire
from simulators.gpio_pins import OutputChange, PinBoard
from simulators.lamp import LampWatch
from simulators.plans import Plan

SOCKET = "home.sock"
PINS_SOCKET = "pins.sock"
PANEL_LINK = "panel.tty"
MAX_READINGS_PER_S = 1000
_KINDS: dict[str, type[BTHomeDevice]] = {
    "pendant": SimulatedPendant,
    "door": SimulatedDoor,
    "motion": SimulatedMotion,
    "smoke": SimulatedSmokeDetector,
    "water": SimulatedWaterSensor,
    "mat": SimulatedBedMat,
    "thermometer": SimulatedThermometer,
}


def has_dbus() -> bool:
    """Whether a private bus for the simulated radio can be started here."""
    return shutil.which("dbus-daemon") is not None


class Home:
    """The devices of a plan. Enter with `Home.open`."""

    def __init__(self, plan: Plan, folder: Path, *, has_bluetooth: bool) -> None:
        self.plan = plan
        self.folder = folder
        self.has_bluetooth = has_bluetooth and bool(plan.ble)
        self.readings_per_s = 0.0
        self.readings_sent = 0
        self.pressed = 0
        self.calls: dict[str, str] = {}
        """What the light above each room's door says: the last call that the panel has had an answer for."""
        self.unheard = 0
        """Presses while no hub listened: an advertisement that nobody hears is gone."""
        self.lamp = LampWatch()
        self.environment: dict[str, str] = {}
        self._levels: dict[str, Any] = {}
        self._devices: dict[str, BTHomeDevice] = {}
        self._said: set[asyncio.Task[Any]] = set()
        self._changed = asyncio.Condition()
        self._bus: PrivateBus | None = None
        self._bluez: FakeBlueZ | None = None
        self._panel: EspaPanel | None = None
        self._board: PinBoard

    @classmethod
    @asynccontextmanager
    async def open(cls, plan: Plan, folder: Path, *, has_bluetooth: bool = True) -> AsyncIterator[Home]:
        """Everything switched on and at rest; control socket open. Keys are read from `folder`/keys."""
        home = cls(plan, folder, has_bluetooth=has_bluetooth)
        async with AsyncExitStack() as stack:
            home._board = await stack.enter_async_context(PinBoard(folder / PINS_SOCKET))
            home.environment["VAKTPOST_SIM_GPIO"] = str(folder / PINS_SOCKET)
            for loop in plans.loops_of(plan, has_bluetooth=home.has_bluetooth):
                home._set_loop(loop.pin, is_closed=loop.at_rest_closed)
                home._levels[f"{loop.alias}/{loop.kind}"] = False
            if home.has_bluetooth:
                home._bus = await stack.enter_async_context(PrivateBus())
                home._bluez = await stack.enter_async_context(FakeBlueZ(home._bus.address))
                home.environment["DBUS_SYSTEM_BUS_ADDRESS"] = home._bus.address
                for device in plans.ble_devices(plan):
                    key = bytes.fromhex((folder / "keys" / f"{device.alias}.key").read_text().strip())
                    repeats = 1 if device.kind == "thermometer" else 6
                    # Counters go on where the last run left them, as in a device that kept its battery.
                    home._devices[device.alias] = _KINDS[device.kind](
                        device.address, key, repeats=repeats, counter=int(time.time())
                    )
            if plan.rooms:
                wire = PtyWire(folder / PANEL_LINK)
                home._panel = await stack.enter_async_context(EspaPanel(wire))
            tasks = [asyncio.create_task(home._watch_lamp()), asyncio.create_task(home._measure())]
            try:
                async with control.serve(folder / SOCKET, home.act, home.states):
                    yield home
            finally:
                tasks += home._said
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    # What can be done to it

    async def act(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do one thing. Raises RefusedError with the nearest right word."""
        verb, device = str(request.get("do", "")), str(request.get("device", ""))
        actions = {
            "press": self._press,
            "pull": self._pull,
            "open": self._open,
            "close": self._open,
            "leave": self._mat,
            "return": self._mat,
            "smoke": self._smoke,
            "clear": self._smoke,
            "drain": self._battery,
            "battery": self._battery,
            "call": self._call,
            "mains": self._mains,
            "move": self._move,
            "cut": self._cut,
            "mend": self._cut,
            "bluetooth": self._bluetooth,
            "serial": self._serial,
            "readings": self._readings,
            "state": self._tell,
        }
        if verb not in actions:
            raise RefusedError(f"a home cannot {verb!r}; it knows: {', '.join(sorted(actions))}")
        answer = await actions[verb](verb, device, request)
        await self._touch()
        return {"at_boot_s": time.clock_gettime(time.CLOCK_BOOTTIME), **(answer or {})}

    async def states(self) -> AsyncIterator[dict[str, Any]]:
        """The state now, and again on each change (at least once a second)."""
        while True:
            yield self.state()
            async with self._changed:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(1.0):
                        await self._changed.wait()

    def state(self) -> dict[str, Any]:
        """What somebody in the room could tell."""
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        outputs = self._board.outputs
        return {
            "home": self.plan.name,
            "has_bluetooth": self.has_bluetooth,
            "lamp": {
                "word": self.lamp.word(now),
                "colour": self.lamp.colour(now),
                "is_lit": self.lamp.is_lit(),
                "since_boot_s": self.lamp.since(),
                "lit": [colour for colour, pin in plans.LAMP_PINS.items() if outputs.get(pin)],
            },
            "buzzer": bool(outputs.get(plans.BUZZER_PIN)),
            "call": bool(outputs.get(plans.CALL_PIN)),
            "healthy": bool(outputs.get(plans.HEALTHY_PIN)),
            "hub_connected": self._board.hub_count > 0,
            "levels": dict(self._levels),
            "batteries": {alias: device.battery_pct for alias, device in self._devices.items()},
            "rooms": list(self.plan.rooms),
            "calls": dict(self.calls),
            "pressed": self.pressed,
            "unheard": self.unheard,
            "readings_sent": self.readings_sent,
            "at_boot_s": now,
        }

    async def _press(self, _verb: str, alias: str, request: dict[str, Any]) -> None:
        alias = alias or plans.BLE_PENDANT
        device = self._devices.get(alias)
        self.pressed += 1
        if isinstance(device, SimulatedPendant):
            self._say(self._be_heard(device, str(request.get("kind", "press"))))
            return None
        if any(loop.alias == alias for loop in plans.loops_of(self.plan, has_bluetooth=self.has_bluetooth)):
            self.pressed -= alias != plans.BLE_PENDANT
            return await self._pull("pull", alias, request)
        self.pressed -= 1
        raise RefusedError(f"{alias!r} is nothing to press; there is: {', '.join(self._pressable())}")

    async def _be_heard(self, device: SimulatedPendant, kind: str) -> None:
        presses = {"press", "double", "triple", "long", "hold"}
        if not await device.press(self._air(), cast("Press", kind if kind in presses else "press")):
            self.unheard += 1
        await self._touch()

    async def _pull(self, _verb: str, alias: str, request: dict[str, Any]) -> None:
        """A cord opens its loop and stays open until somebody resets it; here that is `for_s` later."""
        loop = self._loop(alias or plans.CORD, "cord")
        if _verb == "pull" and alias != plans.BLE_PENDANT:
            self.pressed += 1
        self._set_loop(loop.pin, is_closed=False)
        self._levels[f"{loop.alias}/cord"] = True
        for_s = float(request.get("for_s", 1.0))

        async def reset() -> None:
            await asyncio.sleep(for_s)
            self._set_loop(loop.pin, is_closed=True)
            self._levels[f"{loop.alias}/cord"] = False
            await self._touch()

        if for_s > 0:
            self._say(reset())

    async def _open(self, verb: str, alias: str, _request: dict[str, Any]) -> None:
        device = self._devices.get(alias or "door-1")
        if not isinstance(device, SimulatedDoor):
            raise RefusedError(f"{alias!r} is no door")
        self._levels[f"{alias or 'door-1'}/door"] = verb == "open"
        self._say(device.report(self._air(), verb == "open"))

    async def _move(self, _verb: str, alias: str, _request: dict[str, Any]) -> None:
        device = self._devices.get(alias or "motion-1")
        if not isinstance(device, SimulatedMotion):
            raise RefusedError(f"{alias!r} is no motion sensor")
        self._say(device.report(self._air(), state=True))

    async def _mat(self, verb: str, alias: str, _request: dict[str, Any]) -> None:
        loop = self._loop(alias or "bed-1", "mat")
        self._set_loop(loop.pin, is_closed=verb == "return")
        self._levels[f"{loop.alias}/mat"] = verb == "leave"

    async def _smoke(self, verb: str, alias: str, _request: dict[str, Any]) -> None:
        loop = self._loop(alias or "smoke-1", "smoke")
        self._set_loop(loop.pin, is_closed=verb == "smoke")
        self._levels[f"{loop.alias}/smoke"] = verb == "smoke"
        self.pressed += verb == "smoke"

    async def _mains(self, _verb: str, _alias: str, request: dict[str, Any]) -> None:
        loop = self._loop("mains", "mains")
        is_on = bool(request.get("on", True))
        self._set_loop(loop.pin, is_closed=is_on)
        self._levels["mains/mains"] = not is_on

    async def _battery(self, _verb: str, alias: str, request: dict[str, Any]) -> None:
        device = self._devices.get(alias or plans.BLE_PENDANT)
        if device is None:
            raise RefusedError(f"{alias!r} has no battery that can be drained")
        device.battery_pct = max(0, min(100, int(request.get("percent", 8))))
        self._say(device.beat(self._air()))

    async def _call(self, _verb: str, _alias: str, request: dict[str, Any]) -> dict[str, Any]:
        if self._panel is None:
            raise RefusedError("there is no nurse-call panel in this home; start the ward")
        kind, room = str(request.get("kind", "call")), str(request.get("room", "12"))
        if kind not in KINDS:
            raise RefusedError(f"a room cannot {kind!r}; it knows: {', '.join(KINDS)}")
        if room not in self.plan.rooms:
            raise RefusedError(f"there is no room {room!r}; rooms are {self.plan.rooms[0]} to {self.plan.rooms[-1]}")
        self.pressed += kind in {"call", "emergency", "assistance"}
        delivery = await self._panel.press(kind, room=room)
        if kind == "reset":
            self.calls.pop(room, None)
        elif kind != "presence" or room in self.calls:
            self.calls[room] = kind
        return {"outcome": str(delivery.outcome)}

    async def _cut(self, verb: str, alias: str, request: dict[str, Any]) -> None:
        """Cut the wire of a loop (an open circuit), or mend it."""
        wanted = str(request.get("kind", ""))
        for loop in plans.loops_of(self.plan, has_bluetooth=self.has_bluetooth):
            if loop.alias == alias and (not wanted or loop.kind == wanted):
                self._set_loop(loop.pin, is_closed=verb == "mend" and loop.at_rest_closed)
                return
        raise RefusedError(f"{alias!r} is not wired")

    async def _bluetooth(self, _verb: str, _alias: str, request: dict[str, Any]) -> None:
        if self._bluez is None or self._bus is None:
            raise RefusedError("there is no Bluetooth here: dbus-daemon is not installed")
        what = str(request.get("what", "on"))
        if what == "on":
            if self._bus._daemon is None:  # noqa: SLF001  # a bus that was killed is started under its old address
                await self._bus.start()
            await self._bluez.come_back()
            self._bluez.power(on=True)
        elif what == "off":
            self._bluez.power(on=False)
        elif what == "gone":
            await self._bluez.vanish()
        elif what == "kill":
            await self._bus.kill()
        elif what == "stuck":
            self._bluez.get_stuck("power")
        else:
            raise RefusedError(f"bluetooth can be on, off, gone, kill or stuck, not {what!r}")

    async def _serial(self, _verb: str, _alias: str, request: dict[str, Any]) -> None:
        if self._panel is None:
            raise RefusedError("there is no serial line in this home; start the ward")
        await (self._panel.plug_in() if request.get("on", True) else self._panel.hang_up())

    async def _readings(self, _verb: str, _alias: str, request: dict[str, Any]) -> None:
        self.readings_per_s = max(0.0, min(MAX_READINGS_PER_S, float(request.get("per_s", 0))))

    async def _tell(self, _verb: str, _alias: str, _request: dict[str, Any]) -> dict[str, Any]:
        return self.state()

    # How it works inside

    def _pressable(self) -> list[str]:
        loops = [
            loop.alias for loop in plans.loops_of(self.plan, has_bluetooth=self.has_bluetooth) if loop.kind == "cord"
        ]
        return [alias for alias, device in self._devices.items() if isinstance(device, SimulatedPendant)] + loops

    def _loop(self, alias: str, kind: str) -> plans.Loop:
        for loop in plans.loops_of(self.plan, has_bluetooth=self.has_bluetooth):
            if loop.alias == alias and loop.kind == kind:
                return loop
        raise RefusedError(f"there is no {kind} called {alias!r} here")

    def _set_loop(self, pin: int, *, is_closed: bool) -> None:
        if is_closed:
            self._board.close_contact(pin)
        else:
            self._board.open_contact(pin)

    def _air(self) -> FakeBlueZ:
        if self._bluez is None:
            raise RefusedError("there is no Bluetooth here: dbus-daemon is not installed")
        return self._bluez

    def _say(self, what: Any) -> None:
        task = asyncio.ensure_future(what)
        self._said.add(task)
        task.add_done_callback(self._said.discard)

    async def _touch(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _watch_lamp(self) -> None:
        colours = {pin: colour for colour, pin in plans.LAMP_PINS.items()}
        async with self._board.changes() as changes:
            async for change in changes:
                self._note(change, colours)
                await self._touch()

    def _note(self, change: OutputChange, colours: dict[int, str]) -> None:
        if change.pin in colours:
            self.lamp.switch(colours[change.pin], is_on=change.is_high, at_s=change.at_boot_s)

    async def _measure(self) -> None:
        """Readings from all thermometers in turn, at the rate asked for."""
        sensors = [device for device in self._devices.values() if isinstance(device, SimulatedThermometer)]
        if not sensors or self._bluez is None:
            return
        n, owed, before = 0, 0.0, time.monotonic()
        while True:
            await asyncio.sleep(0.02 if self.readings_per_s else 0.2)
            now = time.monotonic()
            owed, before = min(owed + (now - before) * self.readings_per_s, 50.0), now
            while owed >= 1:
                owed -= 1
                n += 1
                sensor = sensors[n % len(sensors)]
                celsius = 21 + (n * 37 % 400) / 100
                if await sensor.measure(self._bluez, celsius, 40 + n % 20):
                    self.readings_sent += 1
