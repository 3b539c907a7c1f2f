"""systemd on the bus, as far as a hub meets it that restarts the Bluetooth service: one method, polkit before it."""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Self

from dbus_fast import Message, MessageType, RequestNameReply
from dbus_fast.aio import MessageBus

from simulators.bluez import FakeBlueZ

SERVICE = "org.freedesktop.systemd1"
UNIT = "bluetooth.service"


class FakeSystemd:
    """`async with FakeSystemd(bus.address, bluez) as systemd:` restarts that bluetoothd when asked and allowed."""

    def __init__(self, bus_address: str, bluez: FakeBlueZ, *, is_allowed: bool = True) -> None:
        self.is_allowed = is_allowed
        self.restarts = 0
        self.asked = 0
        self._address = bus_address
        self._bluez = bluez
        self._bus: MessageBus | None = None
        self._jobs: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._bus = await MessageBus(bus_address=self._address).connect()
        self._bus.add_message_handler(self._receive)
        if await self._bus.request_name(SERVICE) is not RequestNameReply.PRIMARY_OWNER:
            msg = f"{SERVICE} is owned by somebody else on {self._address}"
            raise RuntimeError(msg)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for job in self._jobs:
            job.cancel()
        if self._jobs:
            await asyncio.wait(self._jobs)
        bus, self._bus = self._bus, None
        if bus is not None:
            bus.disconnect()
            with contextlib.suppress(EOFError, OSError):
                await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]  # dbus-fast leaves it unannotated

    def _receive(self, message: Message) -> Message | bool:
        if message.message_type is not MessageType.METHOD_CALL or message.member != "RestartUnit":
            return False
        self.asked += 1
        if not self.is_allowed:
            return Message.new_error(
                message, "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", "not authorised"
            )
        if message.body != [UNIT, "replace"]:
            return Message.new_error(message, f"{SERVICE}.NoSuchUnit", f"Unit {message.body[0]} not found.")
        self.restarts += 1
        job = asyncio.create_task(self._restart())
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)
        return Message.new_method_return(message, "o", [f"/org/freedesktop/systemd1/job/{self.restarts}"])

    async def _restart(self) -> None:
        await self._bluez.vanish()
        await self._bluez.come_back()
