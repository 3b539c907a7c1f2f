"""Keeps one radio scanning through bleak, whatever becomes of the radio, of bluetoothd or of the bus."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable, Coroutine, MutableMapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn

from drivers.ble.adapter import Adapter, AdapterWatch, ResetRefusedError, watch_adapters
from drivers.ble.codec import SERVICE_UUID, SERVICE_UUID_BYTES
from drivers.ble.ladder import Ladder, Rung
from drivers.ble.settings import BleSettings
from drivers.contract import Scalar

if TYPE_CHECKING:
    from bleak import BleakScanner
    from bleak.backends.device import BLEDevice
    from bleak.backends.scanner import AdvertisementData

Mode = Literal["active", "passive"]
Heard = Callable[[str, bytes, int | None], None]
"""The address as BlueZ prints it, the BTHome service data, the signal strength in dBm where BlueZ gave one."""

RSSI_UNKNOWN: Final = -127
"""bleak's word for a signal strength that BlueZ did not give."""
ANNOUNCEMENTS_KEPT: Final = 512
ACCESS_DENIED: Final = "org.freedesktop.DBus.Error.AccessDenied"
FORBIDDING: Final = ("AccessDenied", "NotPermitted", "NotAuthorized")
RESET_COUNTERS: Final = {Rung.POWER: "power_cycles", Rung.SERVICE: "service_restarts"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkTimes:
    """How patient the link is; other than these only in tests."""

    call_s: float = 10.0
    """A call to BlueZ that takes longer has failed."""
    idle_s: float = 15.0
    """A search that BlueZ has ended is begun again after so long; BlueZ pauses one for moments by itself."""
    retry_s: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0, 5.0)
    """Waits between attempts. Short to the end, because while the link is down no press is heard."""
    off_s: float = 1.0
    """How long a radio that is reset stays switched off."""
    look_s: float = 5.0
    """At least so often the link gives a sign of life."""


class _ScanRefusedError(Exception):
    """Neither way of scanning was granted. `is_forbidden`: because we may not, which no reset changes."""

    def __init__(self, refusals: list[str]) -> None:
        super().__init__("; ".join(refusals))
        self.is_forbidden = any(word in each for each in refusals for word in FORBIDDING)


class BluetoothLink:
    """`run` scans until cancelled, hands on what it hears, and tells once when it cannot and once when it can again."""

    def __init__(
        self,
        settings: BleSettings,
        *,
        boot_s: Callable[[], float],
        heard: Heard,
        turned: Callable[[bool, str], None],
        crashed: Callable[[Exception], None],
        diagnostics: MutableMapping[str, Scalar],
        log: Any,
        alive: Callable[[], None] = lambda: None,
        times: LinkTimes | None = None,
    ) -> None:
        self._settings = settings
        self._alive = alive
        self._boot_s = boot_s
        self._heard = heard
        self._turned = turned
        self._crashed = crashed
        self._diagnostics = diagnostics
        self._log = log
        self._times = times or LinkTimes()
        self._changed = asyncio.Event()
        self._is_up: bool | None = None
        self._mode: Mode = settings.scan_mode
        self._scan_number = 0
        self._ladder = Ladder(
            silence_s=settings.silence_s, may_restart_service=settings.restart_service, now_s=boot_s()
        )
        self._owes_power: str | None = None
        """The radio that we switched off and have not got on again."""
        self._last_reset: Rung | None = None
        self._announced: OrderedDict[str, object] = OrderedDict()
        diagnostics.update(adapter=settings.adapter, scanning=False, scan_mode=None, silent_restarts_in_a_row=0)
        diagnostics.setdefault("last_advert_boot_s", None)
        for name in ("scan_restarts", "resets_refused", *RESET_COUNTERS.values()):
            diagnostics.setdefault(name, 0)

    async def run(self) -> NoReturn:
        from dbus_fast.errors import DBusFastError

        failures = 0
        while True:
            self._alive()
            try:
                async with contextlib.AsyncExitStack() as stack:
                    async with asyncio.timeout(self._times.call_s):
                        watch = await stack.enter_async_context(watch_adapters(self._changed.set))
                    failures = 0
                    await self._serve(watch)
            except (DBusFastError, OSError, EOFError) as error:  # TimeoutError is an OSError
                self._log.debug("ble_bus_lost", error=type(error).__name__, detail=str(error))
            self._turn(is_up=False, reason="no_bus")
            await self._wait_to_retry(failures)
            failures += 1

    async def _serve(self, watch: AdapterWatch) -> None:
        """Scan whenever there is a radio that can; ends when the bus does."""
        failures = 0
        while (adapter := await self._until_ready(watch)) is not None:
            rung: Rung | None
            try:
                rung = await self._scan(watch, adapter)
                failures = 0
            except _ScanRefusedError as refused:
                self._turn(is_up=False, reason="scan_refused")
                self._log.debug("ble_scan_refused", detail=str(refused))
                rung = None if refused.is_forbidden else self._ladder.refused()
                await self._wait_to_retry(failures)
                failures += 1
            if rung in RESET_COUNTERS:
                await self._reset(watch, adapter.name, rung)

    async def _until_ready(self, watch: AdapterWatch) -> Adapter | None:
        """A radio that is powered, as soon as there is one; None when the bus is lost."""
        while True:
            self._alive()
            self._changed.clear()
            if not watch.is_connected:
                return None
            async with asyncio.timeout(self._times.call_s):
                await watch.refresh()
            adapter = watch.pick(self._settings.adapter)
            if adapter is not None and adapter.is_powered:
                self._owes_power = None
                self._diagnostics["adapter"] = adapter.name
                return adapter
            if adapter is not None:
                self._turn(is_up=False, reason="powered_off")
                if self._owes_power == adapter.name:
                    with contextlib.suppress(ResetRefusedError):
                        await self._call(watch.set_power(adapter.name, on=True))
            else:
                reason = "access_denied" if watch.refusal == ACCESS_DENIED else "no_bluez"
                self._turn(is_up=False, reason=reason if watch.refusal else "no_adapter")
            # News come by themselves, except that BlueZ would answer now what it refused before.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._times.retry_s[-1]):
                    await self._changed.wait()

    async def _scan(self, watch: AdapterWatch, adapter: Adapter) -> Rung | None:
        """Scan until something is wrong with it. Returns what to do about it before the next scan.

        What else is wrong `_until_ready` or the next scan will find out.
        """
        scanner = await self._start(adapter.name)
        try:
            self._ladder.scanning(self._boot_s())
            self._diagnostics.update(scanning=True, scan_mode=self._mode)
            if not self._ladder.is_told:
                self._turn(is_up=True, reason="scanning")
            return await self._until_troubled(watch, adapter.name)
        finally:
            self._diagnostics["scanning"] = False
            self._scan_number += 1
            if watch.is_connected:
                await self._stop(scanner)
            # Otherwise there is nobody to tell. bleak keeps the callback and may call it once it has a bus again.

    async def _until_troubled(self, watch: AdapterWatch, name: str) -> Rung | None:
        began_s = self._boot_s()
        idle_since_s: float | None = None
        while True:
            self._alive()
            self._changed.clear()
            adapter = watch.pick(name)
            if not watch.is_connected or adapter is None or not adapter.is_powered:
                return None
            now_s = self._boot_s()
            is_scanning = self._mode == "passive" or adapter.is_discovering
            self._diagnostics["scanning"] = is_scanning
            idle_since_s = None if is_scanning else (now_s if idle_since_s is None else idle_since_s)
            idle_due_s = float("inf") if idle_since_s is None else idle_since_s + self._times.idle_s
            silent_due_s = self._ladder.due_s
            self._diagnostics["silence_limit_s"] = round(self._ladder.patience_s)
            if now_s >= idle_due_s:
                self._count_restart("search_ended")
                return self._ladder.refused()
            if now_s >= silent_due_s:
                rung = self._ladder.climb(now_s)
                self._diagnostics["silent_restarts_in_a_row"] = self._ladder.climbed
                if self._ladder.is_told:
                    self._turn(is_up=False, reason="deaf")
                self._count_restart("silence")
                return rung
            if now_s - began_s > 4 * self._times.idle_s:
                self._ladder.granted()
            with contextlib.suppress(TimeoutError):
                # At least a hundredth: the loop's clock and CLOCK_BOOTTIME need not agree to the microsecond.
                async with asyncio.timeout(
                    max(0.01, min(self._times.look_s, idle_due_s - now_s, silent_due_s - now_s))
                ):
                    await self._changed.wait()

    async def _reset(self, watch: AdapterWatch, name: str, rung: Rung) -> None:
        """Take a rung. One that is refused is counted; the next one will be another."""
        self._alive()
        if not watch.is_connected:
            return
        self._log.warning("ble_radio_reset", rung=rung.value, adapter=name)
        self._last_reset = rung
        self._diagnostics["last_reset"] = rung.value
        try:
            if rung is Rung.POWER:
                self._owes_power = name
                await self._call(watch.set_power(name, on=False))
                await asyncio.sleep(self._times.off_s)
                await self._call(watch.set_power(name, on=True))
            else:
                await self._call(watch.restart_service())
        except ResetRefusedError as refused:
            if rung is Rung.POWER and str(refused) == ACCESS_DENIED:
                self._owes_power = None
            self._count("resets_refused")
            self._diagnostics["last_reset"] = f"{rung.value} refused: {refused}"
            self._log.warning("ble_reset_refused", rung=rung.value, error=str(refused))
        else:
            self._count(RESET_COUNTERS[rung])

    async def _call(self, call: Coroutine[Any, Any, None]) -> None:
        async with asyncio.timeout(self._times.call_s):
            await call

    async def _start(self, adapter: str) -> BleakScanner:
        from bleak import BleakScanner
        from bleak.assigned_numbers import AdvertisementDataType
        from bleak.exc import BleakError

        other: Mode = "passive" if self._settings.scan_mode == "active" else "active"
        refusals: list[str] = []
        for mode in (self._settings.scan_mode, other):
            scanner = BleakScanner(
                partial(self._on_advertisement, self._scan_number),
                scanning_mode=mode,
                bluez={
                    "adapter": adapter,
                    # Every advertisement, not only those that differ: a second press may look like the first.
                    "filters": {"DuplicateData": True},
                    "or_patterns": [(0, AdvertisementDataType.SERVICE_DATA_UUID16, SERVICE_UUID_BYTES)],
                },
            )
            try:
                async with asyncio.timeout(self._times.call_s):
                    await scanner.start()
            except BleakError as refusal:
                refusals.append(f"{mode}: {refusal}")
                continue
            except BaseException:
                await self._stop(scanner)
                raise
            if mode != self._mode:
                self._log.warning("ble_scan_mode_changed", wanted=self._settings.scan_mode, used=mode)
            self._mode = mode
            return scanner
        raise _ScanRefusedError(refusals)

    async def _stop(self, scanner: BleakScanner) -> None:
        from bleak.exc import BleakError
        from dbus_fast.errors import DBusFastError

        # Whatever BlueZ answers, or whether it still can, this scan is over.
        with contextlib.suppress(BleakError, DBusFastError, OSError, EOFError):
            async with asyncio.timeout(self._times.call_s):
                await scanner.stop()

    def _on_advertisement(self, scan_number: int, device: BLEDevice, advertisement: AdvertisementData) -> None:
        if scan_number != self._scan_number:
            return
        now_s = self._diagnostics["last_advert_boot_s"] = self._boot_s()
        self._diagnostics["silent_restarts_in_a_row"] = 0
        if self._ladder.heard(now_s):
            self._turn(is_up=True, reason=f"heard_after_{self._last_reset or 'silence'}")
        service_data = advertisement.service_data.get(SERVICE_UUID)
        if service_data is None or not self._is_announced_now(device.address, advertisement):
            return
        rssi = advertisement.rssi
        try:
            self._heard(device.address, service_data, None if rssi == RSSI_UNKNOWN else rssi)
        except Exception as error:  # noqa: BLE001 - bleak would only log it; it is the driver's end
            self._crashed(error)

    def _is_announced_now(self, address: str, advertisement: AdvertisementData) -> bool:
        """Whether BlueZ has announced this service data, or bleak repeats what it has kept.

        bleak calls for every property of a device that changes, its signal strength above all, and always with the
        service data that it heard last, be it minutes old: an old press would be a new one. What BlueZ announced is a
        fresh object each time. bleak does not promise this; where it does not hold, everything counts as announced.
        """
        try:
            announced = advertisement.platform_data[1]["ServiceData"]
        except (LookupError, TypeError):
            return True
        if self._announced.get(address) is announced:
            return False
        self._announced[address] = announced
        self._announced.move_to_end(address)
        if len(self._announced) > ANNOUNCEMENTS_KEPT:
            self._announced.popitem(last=False)
        return True

    def _turn(self, *, is_up: bool, reason: str) -> None:
        if self._is_up is is_up:
            return
        self._is_up = is_up
        self._turned(is_up, reason)

    def _count_restart(self, reason: str) -> None:
        self._count("scan_restarts")
        self._log.warning("ble_scan_restarted", reason=reason)

    def _count(self, name: str) -> None:
        seen = self._diagnostics.get(name)
        self._diagnostics[name] = (seen if isinstance(seen, int) else 0) + 1

    async def _wait_to_retry(self, failures: int) -> None:
        waits = self._times.retry_s
        await asyncio.sleep(waits[min(failures, len(waits) - 1)])
