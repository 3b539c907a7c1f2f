"""The pins themselves, through gpiozero: one factory at a time, touched by one thread.

Inputs and outputs share a factory, because closing one gpiozero factory resets the pins of another. Whoever comes
first opens it, whoever leaves last closes it, and when it dies it is closed at once for both, so that opening again
finds no claimed pins.
"""

from __future__ import annotations

import asyncio
import difflib
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, TypeVar

import structlog

from drivers.errors import DriverError, PermanentDriverError, TransientDriverError
from drivers.gpio.settings import Pull

T = TypeVar("T")

PERSIST_SWITCHES = (
    Path("/sys/module/pinctrl_bcm2835/parameters/persist_gpio_outputs"),
    Path("/sys/module/pinctrl_rp1/parameters/persist_gpio_outputs"),
)
"""Where Raspberry Pi kernels say whether an output keeps its level after the process that drove it is gone."""

log = structlog.get_logger()


class PinsLostError(TransientDriverError):
    """The pin factory stopped working; everything claimed from it is gone."""


def do_outputs_persist(switches: Iterable[Path] = PERSIST_SWITCHES) -> bool | None:
    """Whether the kernel keeps outputs as they are when this process dies. None where it does not say."""
    for switch in switches:
        try:
            return switch.read_text(encoding="ascii").strip() in {"Y", "1"}
        except OSError:
            continue
    return None


class Line:
    """One claimed pin. Made and used by OpenPins only."""

    __slots__ = ("__weakref__", "_device", "_on_level", "number")

    def __init__(self, device: Any, number: int, on_level: Callable[[bool], None] | None = None) -> None:
        self._device = device
        self.number = number
        self._on_level = on_level

    def changed(self, _ticks: float, state: float) -> None:
        """Called by gpiozero on an edge, in a thread of its own, which keeps only a weak reference to the method."""
        if self._on_level is not None:
            self._on_level(bool(state))

    def watch(self) -> None:
        pin = self._device.pin
        pin.bounce = None  # the debounce is ours: not every factory has one
        pin.edges = "both"
        pin.when_changed = self.changed

    def read(self) -> bool:
        return bool(self._device.pin.state)

    def write(self, is_on: bool) -> None:
        self._device.value = is_on

    def close(self) -> None:
        """Release the pin; an output falls back to an input. Safe to call twice."""
        if self._device.closed:
            return
        try:
            if self._on_level is not None:
                self._device.pin.when_changed = None
        finally:
            self._device.close()


class OpenPins:
    """An open factory. Every call may raise PinsLostError, and after the first one all do."""

    def __init__(self, factory: Any, thread: ThreadPoolExecutor) -> None:
        self._factory = factory
        self._thread = thread
        self._lines: list[Line] = []
        self._is_open = True
        self._reason = "it was closed"
        self._event_loop = asyncio.get_running_loop()
        self._on_gone: list[Callable[[], None]] = []
        self.users = 0

    @property
    def is_open(self) -> bool:
        return self._is_open

    def check(self) -> None:
        """Raise PinsLostError when the pins are gone."""
        if not self._is_open:
            raise PinsLostError(f"the pins are gone: {self._reason}")

    def when_gone(self, wake: Callable[[], None]) -> None:
        """Have `wake` called in the event loop when the pins are gone, whoever noticed it."""
        self._on_gone.append(wake)

    async def claim_input(self, number: int, pull: Pull, on_level: Callable[[bool], None]) -> Line:
        """Claim a pin as input. `on_level` gets every new level, in a thread of the factory's."""
        from gpiozero import InputDevice

        def claim() -> Line:
            is_floating = pull == "none"
            device = InputDevice(
                number,
                pull_up=None if is_floating else pull == "up",
                active_state=True if is_floating else None,
                pin_factory=self._factory,
            )
            line = Line(device, number, on_level)
            self._lines.append(line)
            line.watch()
            return line

        return await self._claim(claim, number)

    async def claim_output(self, number: int, *, is_active_low: bool) -> Line:
        """Claim a pin as output. It is off from the first moment."""
        from gpiozero import OutputDevice

        def claim() -> Line:
            device = OutputDevice(number, active_high=not is_active_low, initial_value=False, pin_factory=self._factory)
            line = Line(device, number)
            self._lines.append(line)
            return line

        return await self._claim(claim, number)

    async def read(self, lines: Sequence[Line]) -> list[bool]:
        """The levels of these lines: True is high."""
        return await self._do(lambda: [line.read() for line in lines])

    async def write(self, line: Line, is_on: bool) -> None:
        await self._do(lambda: line.write(is_on))

    async def release(self, lines: Iterable[Line]) -> None:
        """Give these lines back; outputs become inputs. Never raises, waits to the end even when cancelled."""
        await to_the_end(self._thread, lambda: self._release(tuple(lines)))

    def close(self, reason: str = "it was closed") -> None:
        """Release every line and the factory. For the pin thread; never raises, may be called twice."""
        if not self._is_open:
            return
        self._is_open, self._reason = False, reason
        self._release(tuple(self._lines))
        for _attempt in range(2):
            try:
                self._factory.close()
            except Exception as failure:  # noqa: BLE001 - each backend raises its own kinds; closing goes on
                log.debug("pin_factory_close_failed", reason=_words(failure))
                self._factory.pins.clear()  # without pins, the second round only lets go of the chip
            else:
                break
        self._release(tuple(self._lines))
        for wake in self._on_gone:
            with suppress(RuntimeError):  # the event loop is closed: nobody is left to be told
                self._event_loop.call_soon_threadsafe(wake)

    def _release(self, lines: Iterable[Line]) -> None:
        for line in lines:
            try:
                line.close()
            except Exception as failure:  # noqa: BLE001 - each backend raises its own kinds; the other lines must go
                log.debug("pin_release_failed", pin=line.number, reason=_words(failure))
            else:
                if line in self._lines:
                    self._lines.remove(line)

    async def _claim(self, claim: Callable[[], Line], number: int) -> Line:
        self.check()
        claimed: list[Line] = []

        def work() -> Line:
            self.check()
            claimed.append(claim())
            return claimed[0]

        try:
            return await to_the_end(self._thread, work)
        except asyncio.CancelledError:
            await self.release(claimed)
            raise
        except DriverError:
            raise
        except Exception as failure:  # each backend raises its own kinds
            raise _claim_error(failure, number) from failure

    async def _do(self, work: Callable[[], T]) -> T:
        self.check()

        def checked() -> T:
            self.check()
            try:
                return work()
            except Exception as failure:  # each backend raises its own kinds
                self.close(_words(failure))
                raise PinsLostError(f"the pins stopped answering: {_words(failure)}") from failure

        return await asyncio.get_running_loop().run_in_executor(self._thread, checked)


class PinHouse:
    """Where a driver's inputs and outputs get their pins from."""

    def __init__(self, factory_name: str) -> None:
        self._factory_name = factory_name
        self._turn = asyncio.Lock()
        self._open: OpenPins | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._guests = 0

    @asynccontextmanager
    async def use(self) -> AsyncIterator[OpenPins]:
        """Open pins, shared with whoever else is inside.

        Raises PermanentDriverError when only a person can make this factory work, else TransientDriverError.
        """
        pins = await self._enter()
        try:
            yield pins
        finally:
            await self._leave(pins)

    async def _enter(self) -> OpenPins:
        async with self._turn:
            thread = self._thread
            if thread is None:
                thread = self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="gpio")
            self._guests += 1
            try:
                if self._open is None or not self._open.is_open:
                    self._open = await self._open_pins(thread)
            except BaseException:
                self._check_out()
                raise
            self._open.users += 1
            return self._open

    async def _open_pins(self, thread: ThreadPoolExecutor) -> OpenPins:
        opened: list[Any] = []
        try:
            await to_the_end(thread, lambda: opened.append(open_factory(self._factory_name)))
        except asyncio.CancelledError:
            for factory in opened:
                await to_the_end(thread, OpenPins(factory, thread).close)
            raise
        return OpenPins(opened[0], thread)

    async def _leave(self, pins: OpenPins) -> None:
        pins.users -= 1
        try:
            if pins.users == 0:
                if self._open is pins:
                    self._open = None
                if self._thread is not None:
                    await to_the_end(self._thread, pins.close)
        finally:
            self._check_out()

    def _check_out(self) -> None:
        self._guests -= 1
        if self._guests == 0 and self._thread is not None:
            self._thread.shutdown(wait=False)  # whatever was begun has been waited for
            self._thread = None


async def to_the_end(thread: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    """Run `work` in the thread and wait for its end even when cancelled, so that nothing is left half claimed."""
    job = asyncio.get_running_loop().run_in_executor(thread, work)
    try:
        return await asyncio.shield(job)
    except asyncio.CancelledError:
        if not job.cancelled():
            await asyncio.wait([job])
            job.exception()  # seen: the cancellation is what counts now
        raise


_OPENING = threading.Lock()
"""gpiozero factories for real pins share tables at class level while they are built."""


def open_factory(name: str) -> Any:
    """A new pin factory, made from the entry point of this name. For the pin thread."""
    point = _factory_point(name)
    try:
        with _OPENING:
            factory = point.load()()
            if factory.pins is getattr(type(factory), "pins", None):
                factory.pins = {}  # a table of its own: closing this factory must not reset the pins of another
    except Exception as failure:  # each backend raises its own kinds
        raise _open_error(failure, name) from failure
    return factory


def _factory_point(name: str) -> EntryPoint:
    points = {point.name: point for point in entry_points(group="gpiozero_pin_factories")}
    if name in points:
        return points[name]
    known = sorted(points)
    if not known:
        raise PermanentDriverError("the Python package gpiozero is not installed: pip install 'vaktpost[hub]'")
    near = difflib.get_close_matches(name.lower(), known, n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    raise PermanentDriverError(f"there is no pin factory {name!r}. {hint}Known here: {', '.join(known)}.")


def _open_error(failure: Exception, name: str) -> DriverError:
    from gpiozero.exc import BadPinFactory, PinUnknownPi

    match failure:
        case PinUnknownPi():
            return PermanentDriverError(
                f"pin factory {name!r} works on a Raspberry Pi only, and this machine does not say that it is one. "
                "Choose another pin_factory, or take the driver out of the configuration."
            )
        case BadPinFactory():
            return PermanentDriverError(f"pin factory {name!r}: {_words(failure)}")
        case ModuleNotFoundError():
            return PermanentDriverError(
                f"pin factory {name!r} needs the Python package {failure.name!r}, which is not installed"
            )
        case FileNotFoundError() if ".lgd-nfy" in str(failure):
            return TransientDriverError(
                f"pin factory {name!r} keeps a pipe in the working directory, and {Path.cwd()} cannot be written to; "
                "start the hub in a directory of its own (WorkingDirectory= in the unit)"
            )
        case _:
            return TransientDriverError(f"pin factory {name!r} cannot be opened: {_words(failure)}")


def _claim_error(failure: Exception, number: int) -> DriverError:
    from gpiozero.exc import GPIOPinInUse, PinFixedPull, PinInvalidPin

    match failure:
        case PinInvalidPin() | PinFixedPull():
            return PermanentDriverError(f"GPIO{number} cannot be used like this on this board: {_words(failure)}")
        case GPIOPinInUse():
            return TransientDriverError(f"GPIO{number} is in use already in this program; another driver has it")
        case _:
            return TransientDriverError(f"GPIO{number} cannot be claimed: {_words(failure)}")


def _words(failure: Exception) -> str:
    return str(failure) or type(failure).__name__
