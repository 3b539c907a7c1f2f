"""The header of a simulated Pi: the wires of a home on one side, a gpiozero pin factory on the other.

The home is one process, the hub another. `PinBoard` lives in the home, holds what the wires do (a pulled cord stays
pulled while the hub is dead) and sees what the hub drives. `SimulatedFactory` is loaded by the hub as pin factory
"vaktpost-sim" and connects to the board over the Unix socket named by VAKTPOST_SIM_GPIO.

Lines of JSON, one object each:

| who | line | meaning |
| --- | --- | --- |
| hub | {"hello": 1, "pid": 4711} | first line |
| board | {"hello": 1, "wires": {"17": false}} | first line: every wire that is driven from outside, now |
| board | {"pin": 17, "wire": true} | driven high (true), low (false) or by nothing (null): the pull decides |
| board | {"pin": 17, "wire": true, "is_edge_lost": true} | the same, but the chip misses the edge |
| hub | {"pin": 17, "pull": "up"} | claimed as input |
| hub | {"pin": 5, "drives": true, "at_boot_s": 12.5} | claimed as output and set; null: let go |

A hub that goes away lets go of everything it drove, as the kernel does for a process that ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import struct
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from gpiozero.exc import BadPinFactory, PinSetInput
from gpiozero.pins.mock import MockFactory, MockPin

from simulators.boot_clock import boot_s

ADDRESS_VARIABLE = "VAKTPOST_SIM_GPIO"
ANSWER_TIMEOUT_S = 3.0
LONGEST_LINE = 65_536
PINS = range(2, 28)


class BoardGoneError(OSError):
    """The simulated board has gone away: as if the GPIO chip no longer answered."""


class SimulatedPin(MockPin):  # type: ignore[misc] # gpiozero carries no types
    """A pin whose level comes from the board, or goes to it."""

    _function: str

    def close(self) -> None:
        """Let go; never raises, the board may be gone."""
        self.when_changed = None
        if self._function == "output":
            self._function = "input"
            self._factory.tell({"pin": self._number, "drives": None, "at_boot_s": boot_s()}, must_arrive=False)

    def follow(self, wire: bool | None, *, is_edge_lost: bool = False) -> None:
        """Take the level of the wire. For the reader thread; tells of the edge unless it is lost."""
        with self._factory.levels:
            if self._function != "input":
                return
            level = self._pull == "up" if wire is None else wire
            is_edge = self._change_state(level) and self._when_changed is not None and not is_edge_lost
        if is_edge:
            self._call_when_changed()

    def _get_state(self) -> bool:
        self._factory.check()
        return bool(self._state)

    def _set_function(self, value: str) -> None:
        was_output = self._function == "output"
        super()._set_function(value)
        if was_output and value == "input":
            self._factory.tell({"pin": self._number, "drives": None, "at_boot_s": boot_s()})

    def _set_pull(self, value: str) -> None:
        with self._factory.levels:
            super()._set_pull(value)
            wire = self._factory.wires.get(self._number)
            if wire is not None:
                self._change_state(wire)
        self._factory.tell({"pin": self._number, "pull": value})

    def _set_state(self, value: float) -> None:
        if self._function == "input":
            raise PinSetInput(f"cannot set state of pin {self!r}")
        with self._factory.levels:
            self._change_state(bool(value))
        self._factory.tell({"pin": self._number, "drives": bool(value), "at_boot_s": boot_s()})


class SimulatedFactory(MockFactory):  # type: ignore[misc] # gpiozero carries no types
    """A pin factory on a board in another process. Knows every wire before its constructor returns."""

    def __init__(self) -> None:
        address = os.environ.get(ADDRESS_VARIABLE)
        if not address:
            raise BadPinFactory(f"set {ADDRESS_VARIABLE} to the socket of a simulated home (vaktpost sim home)")
        super().__init__(pin_class=SimulatedPin)
        self.levels = threading.RLock()
        """Held while a level changes, never while an edge is told."""
        self._sending = threading.Lock()
        self._is_gone = False
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(ANSWER_TIMEOUT_S)
            self._socket.connect(address)
            self._lines = self._socket.makefile("rb")
            self.tell({"hello": 1, "pid": os.getpid()})
            self.wires = _wires(self._lines.readline(LONGEST_LINE))
        except BaseException:
            self._socket.close()
            raise
        self._socket.settimeout(None)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(ANSWER_TIMEOUT_S), 0))
        self._reader = threading.Thread(target=self._follow_wires, name="gpio-sim-wires", daemon=True)
        self._reader.start()

    def pin(self, name: Any, pin_class: Any = None, **details: Any) -> Any:
        """A pin by its number, the same object every time."""
        with self.levels:
            return super().pin(name, pin_class, **details)

    def check(self) -> None:
        """Raise when the board is gone."""
        if self._is_gone:
            raise BoardGoneError("the simulated board has gone away")

    def tell(self, line: dict[str, Any], *, must_arrive: bool = True) -> None:
        """Send one line to the board."""
        if must_arrive:
            self.check()
        try:
            with self._sending:
                self._socket.sendall(json.dumps(line).encode() + b"\n")
        except OSError as failure:
            self._is_gone = True
            if must_arrive:
                raise BoardGoneError(f"the simulated board has gone away: {failure}") from failure

    def close(self) -> None:
        """Let go of all pins and hang up; the board then drops what was driven."""
        with self.levels:
            super().close()
        self._is_gone = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        if self._reader is not threading.current_thread():
            self._reader.join(ANSWER_TIMEOUT_S)
        self._lines.close()
        self._socket.close()

    def _follow_wires(self) -> None:
        try:
            while line := self._lines.readline(LONGEST_LINE):
                told = json.loads(line)
                number, wire = int(told["pin"]), told["wire"]
                with self.levels:
                    self.wires[number] = wire
                    pin = next((pin for info, pin in self.pins.items() if info.name == f"GPIO{number}"), None)
                if pin is not None:
                    pin.follow(wire, is_edge_lost=bool(told.get("is_edge_lost")))
        except (OSError, ValueError):
            pass  # the board hung up, or speaks something else: either way it is gone
        finally:
            self._is_gone = True


def _wires(hello: bytes) -> dict[int, bool | None]:
    """The wires that the board tells of in its first line."""
    told = json.loads(hello or b"{}")
    if told.get("hello") != 1:
        raise BoardGoneError("what listens there does not answer like a simulated board")
    return {int(pin): wire for pin, wire in told["wires"].items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputChange:
    """The hub switched an output, or let go of it."""

    pin: int
    is_high: bool
    at_boot_s: float
    is_let_go: bool = False
    """Nobody drives the pin any more: what hangs on it is off."""


class PinBoard:
    """The home's end. Use as async context manager; methods belong to its event loop."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.wires: dict[int, bool] = {}
        """Pins driven from outside and their level; a pin that is not here follows the hub's pull."""
        self.pulls: dict[int, str] = {}
        """Pins the hub has claimed as inputs."""
        self.outputs: dict[int, bool] = {}
        """Pins the hub has driven and their level; False after it let go."""
        self._drivers: dict[int, asyncio.StreamWriter] = {}
        self._hubs: set[asyncio.StreamWriter] = set()
        self._calls: dict[asyncio.Task[Any], asyncio.StreamWriter] = {}
        self._listeners: set[asyncio.Queue[OutputChange]] = set()
        self._moved = asyncio.Condition()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()
        self._server = await asyncio.start_unix_server(self._serve, self.path, limit=LONGEST_LINE)
        self.path.chmod(0o600)
        return self

    async def __aexit__(self, *_exception: object) -> None:
        if self._server is not None:
            self._server.close()
            await self.hang_up()
            await self._server.wait_closed()
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()

    @property
    def hub_count(self) -> int:
        """Connections from hubs (one per open factory)."""
        return len(self._hubs)

    def set_level(self, pin: int, is_high: bool | None, *, is_edge_lost: bool = False) -> None:
        """Drive a pin from outside; None lets it float to the hub's pull. `is_edge_lost`: the chip misses it."""
        if pin not in PINS:
            raise ValueError(f"there is no GPIO{pin} on the header; pins are BCM numbers from 2 to 27")
        if is_high is None:
            self.wires.pop(pin, None)
        else:
            self.wires[pin] = is_high
        line: dict[str, Any] = {"pin": pin, "wire": is_high}
        if is_edge_lost:
            line["is_edge_lost"] = True
        for hub in self._hubs:
            _send(hub, line)

    def close_contact(self, pin: int, *, to: str = "ground") -> None:
        """Close a loop, to "ground" or to "3v3"."""
        self.set_level(pin, {"ground": False, "3v3": True}[to])

    def open_contact(self, pin: int) -> None:
        """Open a loop, or cut its wire: electrically the same."""
        self.set_level(pin, None)

    def level(self, pin: int) -> bool | None:
        """The level on a pin; None while it floats and nobody pulls it."""
        if pin in self._drivers:
            return self.outputs[pin]
        if pin in self.wires:
            return self.wires[pin]
        return {"up": True, "down": False}.get(self.pulls.get(pin, ""))

    @asynccontextmanager
    async def changes(self, limit: int = 1000) -> AsyncIterator[AsyncIterator[OutputChange]]:
        """Every output change from now on, in order. The oldest is dropped if nobody takes `limit` of them."""
        queue: asyncio.Queue[OutputChange] = asyncio.Queue(limit)
        self._listeners.add(queue)
        stream = _drain(queue)
        try:
            yield stream
        finally:
            self._listeners.discard(queue)
            await stream.aclose()

    async def wait_until(self, is_so: Callable[[PinBoard], bool]) -> None:
        """Return as soon as this holds of the board. Give it a timeout."""
        async with self._moved:
            await self._moved.wait_for(lambda: is_so(self))

    async def hang_up(self) -> None:
        """Go away from under every hub, as a chip does that stops answering."""
        calls = dict(self._calls)
        for hub in calls.values():
            hub.close()
        if calls:
            await asyncio.wait(calls)

    async def _serve(self, reader: asyncio.StreamReader, hub: asyncio.StreamWriter) -> None:
        if (call := asyncio.current_task()) is not None:
            self._calls[call] = hub
            call.add_done_callback(self._calls.pop)
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                hello = json.loads(await reader.readline() or b"{}")
            if hello.get("hello") != 1:
                return
            _send(hub, {"hello": 1, "wires": {str(pin): level for pin, level in self.wires.items()}})
            self._hubs.add(hub)
            await self._announce()
            while line := await reader.readline():
                self._take(hub, json.loads(line))
                await self._announce()
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass  # killed in the middle of a line, or no hub at all
        finally:
            self._hubs.discard(hub)
            for pin in [pin for pin, driver in self._drivers.items() if driver is hub]:
                self._let_go(pin, boot_s())
            hub.close()
            await self._announce()

    def _take(self, hub: asyncio.StreamWriter, told: dict[str, Any]) -> None:
        pin = int(told["pin"])
        if "pull" in told:
            self.pulls[pin] = str(told["pull"])
        elif told["drives"] is None:
            if self._drivers.get(pin) is hub:
                self._let_go(pin, float(told["at_boot_s"]))
        else:
            self._drivers[pin] = hub
            self._switch(OutputChange(pin=pin, is_high=bool(told["drives"]), at_boot_s=float(told["at_boot_s"])))

    def _let_go(self, pin: int, at_boot_s: float) -> None:
        del self._drivers[pin]
        self._switch(OutputChange(pin=pin, is_high=False, at_boot_s=at_boot_s, is_let_go=True))

    def _switch(self, change: OutputChange) -> None:
        self.outputs[change.pin] = change.is_high
        for queue in self._listeners:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(change)

    async def _announce(self) -> None:
        async with self._moved:
            self._moved.notify_all()


def _send(hub: asyncio.StreamWriter, line: dict[str, Any]) -> None:
    if not hub.is_closing():
        hub.write(json.dumps(line).encode() + b"\n")


async def _drain(queue: asyncio.Queue[OutputChange]) -> AsyncGenerator[OutputChange, None]:
    while True:
        yield await queue.get()
