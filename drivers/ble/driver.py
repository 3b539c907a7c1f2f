"""Bluetooth devices as a driver: listens for BTHome advertisements and tells the hub what is new in them.

A radio that is lost while the driver runs is taken up again from inside, more eagerly than a restart with back-off
would, and with everything still known that tells a new press from a copy of an old one. A key that cannot be used is a
fault of its device, told as `Fact.FAULT`, and is read again every minute. So the driver ends only by being closed, when
not one device can be understood for want of keys (PermanentDriverError), or by a fault of its own
(TransientDriverError).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from drivers.ble.backlog import Backlog
from drivers.ble.codec import included_address
from drivers.ble.device import Device, Tally
from drivers.ble.keys import Keys
from drivers.ble.link import BluetoothLink, LinkTimes
from drivers.ble.settings import BleSettings
from drivers.boot import read_boot_id
from drivers.contract import DriverContext, Fact, Observation
from drivers.errors import PermanentDriverError, TransientDriverError

KEYS_AGAIN_S: Final = 60.0
KEY_FAULT: Final = "key_fault"


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
        keys = Keys(self._settings.devices, self._base, context.log)
        await asyncio.to_thread(keys.read)
        if len(keys.missing) == len(self._settings.devices):
            raise PermanentDriverError(next(iter(keys.missing.values())))
        tally = Tally(context.diagnostics)
        backlog = Backlog(tally, taken=self._note_told)
        queued = self._told
        boot_id = read_boot_id()
        devices: dict[str, Device] = {}

        def take_in() -> None:
            """The devices that can be understood, and what has become of those that could not, or cannot any more."""
            for device in self._settings.devices:
                alias = device.alias
                is_faulty = alias in keys.missing
                if not is_faulty and device.address not in devices:
                    devices[device.address] = Device(
                        device,
                        self._settings,
                        key=keys.found.get(alias),
                        boot_id=boot_id,
                        started_boot_s=context.boot_s(),
                        remembered=context.remembered,
                        tally=tally,
                        log=context.log,
                    )
                if is_faulty is not told_faulty.get(alias, bool(context.remembered(f"{KEY_FAULT}/{alias}"))):
                    backlog.put(_key_fault(alias, keys.missing.get(alias), context.boot_s()))
                told_faulty[alias] = is_faulty
            context.diagnostics["keys_unusable"] = ", ".join(sorted(keys.missing))

        async def read_keys_again() -> None:
            while keys.missing:
                await asyncio.sleep(KEYS_AGAIN_S)
                if await asyncio.to_thread(keys.read):
                    take_in()

        told_faulty: dict[str, bool] = {}
        take_in()

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
        tasks = {
            asyncio.create_task(_run(link.run, crashed), name=f"ble-{self.name}"),
            asyncio.create_task(_run(read_keys_again, crashed), name=f"ble-{self.name}-keys"),
        }
        try:
            yield backlog
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    def _note_told(self, observation: Observation) -> None:
        if observation.fact is Fact.LINK:
            self._told = bool(observation.value)


def _key_fault(alias: str, reason: str | None, now_s: float) -> Observation:
    """That a device's key cannot be used, and why; or (None) that it can again."""
    return Observation(
        device=alias,
        fact=Fact.FAULT,
        value=reason is not None,
        observed_boot_s=now_s,
        details={"cause": "key"} if reason is None else {"cause": "key", "reason": reason[:160]},
        remember={f"{KEY_FAULT}/{alias}": int(reason is not None)},
    )


async def _run(work: Callable[[], Coroutine[Any, Any, object]], crashed: Callable[[Exception], None]) -> None:
    try:
        await work()
    except Exception as error:  # noqa: BLE001 - the crash barrier of this task: it becomes the iterator's end
        crashed(error)
