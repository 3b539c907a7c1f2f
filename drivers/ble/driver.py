"""Bluetooth devices as a driver: listens for BTHome advertisements and tells the hub what is new in them.

A radio that is lost while the driver runs is taken up again from inside, more eagerly than a restart with back-off
would, and with everything still known that tells a new press from a copy of an old one. So the driver ends only by
being closed, by a key that cannot be used (PermanentDriverError), or by a fault of its own (TransientDriverError).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from drivers.ble.backlog import Backlog
from drivers.ble.codec import included_address
from drivers.ble.device import Device, Tally
from drivers.ble.link import BluetoothLink, LinkTimes
from drivers.ble.settings import BleSettings, is_readable_by_others, read_key
from drivers.boot import read_boot_id
from drivers.contract import DriverContext, Fact, Observation
from drivers.errors import TransientDriverError


class BleDriver:
    """One radio and the devices that are listened for."""

    def __init__(self, name: str, settings: BleSettings, base: Path, *, times: LinkTimes | None = None) -> None:
        self.name = name
        self._settings = settings
        self._base = base
        self._times = times
        self._told: bool | None = None
        """What was last said of the link. Outlives a restart of the driver, so that nothing is said twice."""

    @asynccontextmanager
    async def open(self, context: DriverContext, /) -> AsyncIterator[AsyncIterator[Observation]]:
        keys = await asyncio.to_thread(self._read_keys, context)
        tally = Tally(context.diagnostics)
        backlog = Backlog(tally, taken=self._note_told)
        queued = self._told
        boot_id = read_boot_id()
        devices = {
            device.address: Device(
                device,
                self._settings,
                key=keys.get(device.alias),
                boot_id=boot_id,
                started_boot_s=context.boot_s(),
                remembered=context.remembered,
                tally=tally,
                log=context.log,
            )
            for device in self._settings.devices
        }

        def heard(address: str, service_data: bytes, rssi_dbm: int | None) -> None:
            inside = included_address(service_data)
            device = devices.get(address if inside is None else inside.hex(":").upper())
            if device is not None:
                for observation in device.hear(service_data, rssi_dbm, context.boot_s()):
                    backlog.put(observation)

        def turned(is_up: bool, reason: str) -> None:
            nonlocal queued
            context.log.log(20 if is_up else 30, "ble_link_up" if is_up else "ble_link_down", reason=reason)
            if queued is is_up:
                return
            queued = is_up
            backlog.put(
                Observation(
                    device=self._settings.alias or self.name,
                    fact=Fact.LINK,
                    value=is_up,
                    observed_boot_s=context.boot_s(),
                    details={"reason": reason, "adapter": context.diagnostics.get("adapter")},
                )
            )

        def crashed(error: Exception) -> None:
            failure = TransientDriverError(f"the Bluetooth driver failed: {type(error).__name__}")
            failure.__cause__ = error
            backlog.fail(failure)

        link = BluetoothLink(
            self._settings,
            boot_s=context.boot_s,
            heard=heard,
            turned=turned,
            crashed=crashed,
            diagnostics=context.diagnostics,
            log=context.log,
            alive=context.alive,
            times=self._times,
        )
        listening = asyncio.create_task(_run(link, crashed), name=f"ble-{self.name}")
        try:
            yield backlog
        finally:
            listening.cancel()
            await asyncio.wait({listening})

    def _note_told(self, observation: Observation) -> None:
        if observation.fact is Fact.LINK:
            self._told = bool(observation.value)

    def _read_keys(self, context: DriverContext) -> dict[str, bytes]:
        keys: dict[str, bytes] = {}
        for device in self._settings.devices:
            if device.key_file is not None:
                path = self._base / device.key_file
                keys[device.alias] = read_key(path, device.alias)
                if is_readable_by_others(path):
                    context.log.warning("key_file_readable_by_others", device=device.alias, path=str(path))
        return keys


async def _run(link: BluetoothLink, crashed: Callable[[Exception], None]) -> None:
    try:
        await link.run()
    except Exception as error:  # noqa: BLE001 - the crash barrier of this task: it becomes the iterator's end
        crashed(error)
