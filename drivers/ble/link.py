"""Keeps one radio scanning through bleak, whatever becomes of the radio, of bluetoothd or of the bus."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn

from drivers.ble.adapter import Adapter, AdapterWatch, watch_adapters
from drivers.ble.codec import SERVICE_UUID, SERVICE_UUID_BYTES
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
AD_SERVICE_DATA_16: Final = 0x16
ANNOUNCEMENTS_KEPT: Final = 512
ACCESS_DENIED: Final = "org.freedesktop.DBus.Error.AccessDenied"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkTimes:
    """How patient the link is; other than these only in tests."""

    call_s: float = 10.0
    """A call to BlueZ that takes longer has failed."""
    idle_s: float = 15.0
    """A search that BlueZ has ended is begun again after so long; BlueZ pauses one for moments by itself."""
    retry_s: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0, 5.0)
    """Waits between attempts. Short to the end, because while the link is down no press is heard."""


class _ScanRefusedError(Exception):
    """Neither way of scanning was granted."""


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
        times: LinkTimes | None = None,
    ) -> None:
        self._settings = settings
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
        self._heard_at_s = 0.0
        self._announced: OrderedDict[str, object] = OrderedDict()
        diagnostics.update(adapter=settings.adapter, scanning=False, scan_mode=None, silent_restarts_in_a_row=0)
        diagnostics.setdefault("last_advert_boot_s", None)
        diagnostics.setdefault("scan_restarts", 0)

    async def run(self) -> NoReturn:
        from dbus_fast.errors import DBusFastError

        failures = 0
        while True:
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
            try:
                await self._scan(watch, adapter)
                failures = 0
            except _ScanRefusedError as refused:
                self._turn(is_up=False, reason="scan_refused")
                self._log.debug("ble_scan_refused", detail=str(refused))
                await self._wait_to_retry(failures)
                failures += 1

    async def _until_ready(self, watch: AdapterWatch) -> Adapter | None:
        """A radio that is powered, as soon as there is one; None when the bus is lost."""
        while True:
            self._changed.clear()
            if not watch.is_connected:
                return None
            async with asyncio.timeout(self._times.call_s):
                await watch.refresh()
            adapter = watch.pick(self._settings.adapter)
            if adapter is not None and adapter.is_powered:
                self._diagnostics["adapter"] = adapter.name
                return adapter
            if adapter is not None:
                self._turn(is_up=False, reason="powered_off")
            else:
                reason = "access_denied" if watch.refusal == ACCESS_DENIED else "no_bluez"
                self._turn(is_up=False, reason=reason if watch.refusal else "no_adapter")
            # News come by themselves, except that BlueZ would answer now what it refused before.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._times.retry_s[-1]):
                    await self._changed.wait()

    async def _scan(self, watch: AdapterWatch, adapter: Adapter) -> None:
        """Scan until something is wrong with it; what is, `_until_ready` or the next scan will find out."""
        scanner = await self._start(adapter.name)
        try:
            self._heard_at_s = self._boot_s()
            self._diagnostics.update(scanning=True, scan_mode=self._mode)
            self._turn(is_up=True, reason="scanning")
            await self._until_troubled(watch, adapter.name)
        finally:
            self._diagnostics["scanning"] = False
            self._scan_number += 1
            if watch.is_connected:
                await self._stop(scanner)
            # Otherwise there is nobody to tell. bleak keeps the callback and may call it once it has a bus again.

    async def _until_troubled(self, watch: AdapterWatch, name: str) -> None:
        idle_since_s: float | None = None
        while True:
            self._changed.clear()
            adapter = watch.pick(name)
            if not watch.is_connected or adapter is None or not adapter.is_powered:
                return
            now_s = self._boot_s()
            is_scanning = self._mode == "passive" or adapter.is_discovering
            self._diagnostics["scanning"] = is_scanning
            idle_since_s = None if is_scanning else (now_s if idle_since_s is None else idle_since_s)
            idle_due_s = float("inf") if idle_since_s is None else idle_since_s + self._times.idle_s
            silent_due_s = self._heard_at_s + self._settings.silence_s
            if now_s >= idle_due_s:
                self._count_restart("search_ended")
                return
            if now_s >= silent_due_s:
                # A radio that never hears again after this needs more than a new scan; the count says when.
                self._count("silent_restarts_in_a_row")
                self._count_restart("silence")
                return
            with contextlib.suppress(TimeoutError):
                # At least a hundredth: the loop's clock and CLOCK_BOOTTIME need not agree to the microsecond.
                async with asyncio.timeout(max(0.01, min(idle_due_s, silent_due_s) - now_s)):
                    await self._changed.wait()

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
        raise _ScanRefusedError("; ".join(refusals))

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
        self._heard_at_s = self._diagnostics["last_advert_boot_s"] = self._boot_s()
        self._diagnostics["silent_restarts_in_a_row"] = 0
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
