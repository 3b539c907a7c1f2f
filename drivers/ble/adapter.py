"""What BlueZ says of its radios: there or not, powered or not, searching or not. A D-Bus connection of our own.

bleak tells nobody when the radio it scans with is switched off, when bluetoothd ends, or when the bus does; here that
is seen within milliseconds.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dbus_fast import Message
    from dbus_fast.aio import MessageBus

BLUEZ = "org.bluez"
ADAPTER = "org.bluez.Adapter1"
_BUS = "org.freedesktop.DBus"
_OBJECTS = "org.freedesktop.DBus.ObjectManager"
_PROPERTIES = "org.freedesktop.DBus.Properties"
_RULES = (
    f"type='signal',sender='{_BUS}',interface='{_BUS}',member='NameOwnerChanged',arg0='{BLUEZ}'",
    f"type='signal',interface='{_PROPERTIES}',member='PropertiesChanged',path_namespace='/org/bluez',arg0='{ADAPTER}'",
    f"type='signal',interface='{_OBJECTS}',member='InterfacesAdded',arg0path='/org/bluez/'",
    f"type='signal',interface='{_OBJECTS}',member='InterfacesRemoved',arg0path='/org/bluez/'",
)


SYSTEMD = "org.freedesktop.systemd1"
SERVICE_UNIT = "bluetooth.service"


class ResetRefusedError(Exception):
    """BlueZ or systemd would not do it; the message is the D-Bus error's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    name: str
    address: str
    is_powered: bool
    is_discovering: bool


class AdapterWatch:
    """The radios as BlueZ has them, kept up to date. `changed` is called after every change, and when the bus ends."""

    def __init__(self, bus: MessageBus, changed: Callable[[], None]) -> None:
        self._bus = bus
        self._changed = changed
        self._adapters: dict[str, dict[str, Any]] = {}
        self._owner_changes = 0
        self._read_changes = -1
        self.is_connected = True
        self.refusal: str | None = None
        """How BlueZ last refused to answer, as a D-Bus error name; empty when it answered, None before it was asked."""

    def pick(self, wanted: str | None) -> Adapter | None:
        """The radio of that name or address, or the first that is powered, or the first; None when there is none."""
        adapters = [
            Adapter(
                name=path.rpartition("/")[2],
                address=str(properties.get("Address", "")).upper(),
                is_powered=bool(properties.get("Powered", False)),
                is_discovering=bool(properties.get("Discovering", False)),
            )
            for path, properties in sorted(self._adapters.items())
        ]
        if wanted is not None:
            return next((each for each in adapters if wanted in {each.name, each.address}), None)
        return next((each for each in adapters if each.is_powered), adapters[0] if adapters else None)

    async def refresh(self) -> None:
        """Ask BlueZ, unless it has answered since it last came or went.

        The first question starts a bluetoothd that is started on demand; one that was stopped later is left alone.
        """
        from dbus_fast import Message, MessageFlag, MessageType
        from dbus_fast.unpack import unpack_variants

        while self._read_changes != self._owner_changes:
            reading = self._owner_changes
            question = Message(destination=BLUEZ, path="/", interface=_OBJECTS, member="GetManagedObjects")
            if self.refusal is not None:
                question.flags = MessageFlag.NO_AUTOSTART
            reply = await self._bus.call(question)
            if reading == self._owner_changes:
                has_answered = reply.message_type is MessageType.METHOD_RETURN
                self.refusal = "" if has_answered else str(reply.error_name)
                if not has_answered:
                    return
                self._read_changes = reading
                objects = reply.body[0]
                self._adapters = {
                    path: unpack_variants(interfaces[ADAPTER])
                    for path, interfaces in objects.items()
                    if ADAPTER in interfaces
                }

    async def set_power(self, name: str, *, on: bool) -> None:
        """Switch a radio. Raises ResetRefusedError."""
        from dbus_fast import Variant

        path = f"/org/bluez/{name}"
        await self._do(BLUEZ, path, _PROPERTIES, "Set", "ssv", [ADAPTER, "Powered", Variant("b", on)])

    async def restart_service(self) -> None:
        """Have systemd restart bluetoothd. Raises ResetRefusedError, mostly because polkit does not allow it."""
        manager = f"{SYSTEMD}.Manager"
        await self._do(SYSTEMD, "/org/freedesktop/systemd1", manager, "RestartUnit", "ss", [SERVICE_UNIT, "replace"])

    async def _do(
        self, destination: str, path: str, interface: str, member: str, signature: str, body: list[Any]
    ) -> None:
        from dbus_fast import Message, MessageType

        reply = await self._bus.call(
            Message(
                destination=destination, path=path, interface=interface, member=member, signature=signature, body=body
            )
        )
        if reply.message_type is not MessageType.METHOD_RETURN:
            raise ResetRefusedError(str(reply.error_name))

    def lost(self) -> None:
        self.is_connected = False
        self._adapters.clear()
        self._changed()

    def notice(self, message: Message) -> None:
        """Take in one signal. Any may come at any time; what is not about a radio is left alone."""
        from dbus_fast import MessageType
        from dbus_fast.unpack import unpack_variants

        if message.message_type is not MessageType.SIGNAL:
            return
        match message.member, message.body:
            case "NameOwnerChanged", [name, _before, _now] if name == BLUEZ:
                self._owner_changes += 1
                self._adapters.clear()
            case "PropertiesChanged", [interface, changed, _gone] if (
                interface == ADAPTER and message.path in self._adapters
            ):
                self._adapters[message.path].update(unpack_variants(changed))
            case "InterfacesAdded", [path, interfaces] if ADAPTER in interfaces:
                self._adapters[path] = unpack_variants(interfaces[ADAPTER])
            case "InterfacesRemoved", [path, interfaces] if ADAPTER in interfaces:
                self._adapters.pop(path, None)
            case _:
                return
        self._changed()


@contextlib.asynccontextmanager
async def watch_adapters(changed: Callable[[], None]) -> AsyncIterator[AdapterWatch]:
    """Connect to the system bus (or `DBUS_SYSTEM_BUS_ADDRESS`) and watch until left.

    Raises OSError or an error of dbus-fast when there is no bus.
    """
    from dbus_fast import BusType, Message
    from dbus_fast.aio import MessageBus

    bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
    watch = AdapterWatch(bus, changed)
    ending = asyncio.create_task(_until_lost(bus, watch), name="ble-bus")
    try:
        bus.add_message_handler(watch.notice)
        for rule in _RULES:
            await bus.call(
                Message(
                    destination=_BUS,
                    path="/org/freedesktop/DBus",
                    interface=_BUS,
                    member="AddMatch",
                    signature="s",
                    body=[rule],
                )
            )
        await watch.refresh()
        yield watch
    finally:
        bus.remove_message_handler(watch.notice)
        bus.disconnect()
        await ending


async def _until_lost(bus: MessageBus, watch: AdapterWatch) -> None:
    with contextlib.suppress(Exception):  # whatever the reason, a bus that has ended is all there is to know
        await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]  # dbus-fast leaves this one unannotated
    watch.lost()
