"""The other end of every driver, behind one small Protocol, so that one list of statements can be held against all."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest

from simulators.bluez import FakeBlueZ
from simulators.bthome_device import BTHOME_UUID, SimulatedPendant
from simulators.dbus import PrivateBus
from simulators.espa_panel import EspaPanel, PtyWire, settings_of
from simulators.gpio_pins import ADDRESS_VARIABLE, PinBoard

PENDANT = "A4:C1:38:00:00:01"
CORD_PIN = 17


class OtherEnd(Protocol):
    """What a driver is connected to. It is there as soon as it is entered, until `cut`."""

    type_name: str
    alarm_device: str
    """The device that `press` alarms from."""
    base: Path
    """The folder that relative paths in the settings start from."""
    library: str
    """The package that reaches the hardware, too heavy to be imported before it is needed."""
    junk: tuple[bytes, ...]
    """Beginnings that get far into the decoder before they turn out to be nothing."""

    @property
    def settings(self) -> dict[str, Any]:
        """The driver's section of a hub's settings file."""

    async def ready(self) -> None:
        """Wait until the driver listens."""

    async def press(self) -> None:
        """Somebody needs help, once more. Returns when it is on its way."""

    async def babble(self, octets: bytes) -> None:
        """Say something that means nothing, as far as this hardware can."""

    async def cut(self) -> None:
        """The line, bus or chip is gone."""

    async def restore(self) -> None:
        """And is back."""


class EspaEnd:
    """A nurse-call panel on a pseudo-terminal."""

    type_name = "espa"
    alarm_device = "room-101"
    library = "serial"
    junk: tuple[bytes, ...] = (
        b"\x04",
        b"\x041\x052\x05\x01",
        b"\x011\x021\x1f550\x1e2\x1fANROP",
        b"\x011\x021\x1f1\x03\x00",
        b"2\x05",
    )

    def __init__(self, base: Path) -> None:
        self.base = base
        wire = PtyWire(base / "ward.tty")
        self._panel = EspaPanel(wire, poll_interval_s=0.05, reply_timeout_s=0.2, retry_s=0.05)
        self._calls: set[asyncio.Task[Any]] = set()

    @property
    def settings(self) -> dict[str, Any]:
        return {"type": "espa", **settings_of(self._panel)}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[OtherEnd]:
        async with self._panel:
            yield self
        if self._calls:
            await asyncio.wait(self._calls)

    async def ready(self) -> None:
        answered = self._panel.polls_answered
        await self._panel.until(lambda: self._panel.polls_answered > answered)

    async def press(self) -> None:
        # The panel keeps the call until it is acknowledged, which is for the test to do.
        call = asyncio.create_task(self._panel.press("emergency", room="101"), name=f"{OTHER_END} press")
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        await asyncio.sleep(0)

    async def babble(self, octets: bytes) -> None:
        await self._panel.babble(octets)

    async def cut(self) -> None:
        await self._panel.hang_up()

    async def restore(self) -> None:
        await self._panel.plug_in()


OTHER_END = "other end:"


class GpioEnd:
    """A pull cord on a simulated header."""

    type_name = "gpio"
    alarm_device = "cord-bath"
    library = "gpiozero"
    junk: tuple[bytes, ...] = (b"\x55" * 8,)
    settle_s = 0.3  # many times the debounce: on a busy machine both processes must have had their turn

    def __init__(self, base: Path) -> None:
        self.base = base
        self._stack = AsyncExitStack()
        # A Unix socket's path may have 107 bytes, more than a test's folder leaves.
        self._path = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="vp-"))) / "gpio.sock"
        self._board: PinBoard | None = None
        self._hold: AsyncExitStack | None = None

    @property
    def settings(self) -> dict[str, Any]:
        cord = {"alias": self.alarm_device, "pin": CORD_PIN, "kind": "cord", "debounce_ms": 5}
        return {"type": "gpio", "pin_factory": "vaktpost-sim", "reread_s": 0.1, "inputs": [cord]}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[OtherEnd]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(ADDRESS_VARIABLE, str(self._path))
            async with self._stack:
                await self.restore()
                self._stack.push_async_callback(self.cut)
                yield self

    @property
    def board(self) -> PinBoard:
        assert self._board is not None
        return self._board

    async def ready(self) -> None:
        await self.board.wait_until(lambda board: CORD_PIN in board.pulls and board.hub_count > 0)
        await asyncio.sleep(self.settle_s)

    async def press(self) -> None:
        # A hand lets go of the cord and pulls again: each for longer than a contact bounces.
        self.board.close_contact(CORD_PIN)
        await asyncio.sleep(self.settle_s)
        self.board.open_contact(CORD_PIN)

    async def babble(self, octets: bytes) -> None:
        """A chattering contact."""
        for octet in octets:
            self.board.set_level(CORD_PIN, (None, False, True)[octet % 3], is_edge_lost=octet % 5 == 0)

    async def cut(self) -> None:
        if self._hold is not None:
            await self._hold.aclose()
            self._board = self._hold = None

    async def restore(self) -> None:
        self._hold = AsyncExitStack()
        self._board = await self._hold.enter_async_context(PinBoard(self._path))
        self._board.close_contact(CORD_PIN)


class BleEnd:
    """A pendant in the air around a simulated BlueZ."""

    type_name = "ble"
    alarm_device = "pendant"
    library = "bleak"
    junk: tuple[bytes, ...] = (
        b"\x40\x00\x01\x3a",
        b"\x45\x00\x01",
        b"\x44\x00\x02\x54\xff",
        b"\x40\x53\xff",
        b"\x60",
        b"",
    )

    def __init__(self, base: Path) -> None:
        self.base = base
        self._pendant = SimulatedPendant(PENDANT, repeats=2, interval_s=0.01)
        self._bluez: FakeBlueZ | None = None

    @property
    def settings(self) -> dict[str, Any]:
        return {"type": "ble", "devices": [{"alias": self.alarm_device, "address": PENDANT}]}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[OtherEnd]:
        async with PrivateBus() as bus, FakeBlueZ(bus.address) as bluez:
            self._bluez = bluez
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.address)
                yield self

    @property
    def bluez(self) -> FakeBlueZ:
        assert self._bluez is not None
        return self._bluez

    async def ready(self) -> None:
        await self.bluez.until_scanning()

    async def press(self) -> None:
        assert await self._pendant.press(self.bluez), "nobody listens"

    async def babble(self, octets: bytes) -> None:
        self.bluez.advertise(PENDANT, {BTHOME_UUID: octets[:200]})
        await asyncio.sleep(0)

    async def cut(self) -> None:
        await self.bluez.vanish()

    async def restore(self) -> None:
        await self.bluez.come_back()


Ends: dict[str, Callable[[Path], Any]] = {"ble": BleEnd, "espa": EspaEnd, "gpio": GpioEnd}
"""A new driver adds its other end here, and nothing else."""


@pytest.fixture(params=sorted(Ends))
def type_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def held_type_names() -> set[str]:
    return set(Ends)


@pytest.fixture
async def end(type_name: str, tmp_path: Path) -> AsyncIterator[OtherEnd]:
    running: AbstractAsyncContextManager[OtherEnd] = Ends[type_name](tmp_path).running()
    async with running as end:
        yield end


@pytest.fixture
def leaves_nothing_behind() -> Callable[[], AbstractAsyncContextManager[None]]:
    """`async with leaves_nothing_behind():` tasks, threads and files are what they were, soon after its end."""
    return _leaving_nothing


@asynccontextmanager
async def _leaving_nothing() -> AsyncIterator[None]:
    before = _held()
    yield
    # The other end and a thread that was told to stop need a moment to notice.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(3):
            while _held() - before:
                await asyncio.sleep(0.01)
    assert _held() - before == set()


def _held() -> set[str]:
    """What this process holds that a driver could have left: tasks, threads, open files."""
    tasks = {f"task {task.get_name()}" for task in asyncio.all_tasks() if not task.done()}
    tasks = {name for name in tasks if OTHER_END not in name}  # a panel goes on calling when the hub has gone
    # The event loop keeps the threads of its own executor until it is closed.
    threads = {f"thread {each.name}" for each in threading.enumerate() if not each.name.startswith("asyncio_")}
    files = set()
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            files.add(f"file {entry.name} {entry.readlink()}")
    return tasks | threads | {name for name in files if "/proc/" not in name}
