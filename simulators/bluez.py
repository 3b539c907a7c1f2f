"""BlueZ as a hub meets it on D-Bus: one adapter that hears advertisements, and every way it can fail.

It behaves like bluetoothd where a program that listens can tell the difference: an advertisement is heard only while
somebody scans, an identical one is announced again only to who asked for duplicates, a device object outlives its last
advertisement by 30 seconds, and what was announced once stays readable in its properties.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self

from dbus_fast import Message, MessageFlag, MessageType, RequestNameReply, Variant
from dbus_fast.aio import MessageBus

SERVICE = "org.bluez"
ADAPTER = "org.bluez.Adapter1"
DEVICE = "org.bluez.Device1"
MONITOR = "org.bluez.AdvertisementMonitor1"
MONITORS = "org.bluez.AdvertisementMonitorManager1"
OBJECTS = "org.freedesktop.DBus.ObjectManager"
PROPERTIES = "org.freedesktop.DBus.Properties"
DAEMON = "org.freedesktop.DBus"

TEMPORARY_TIMEOUT_S = 30.0
"""bluetoothd's default `TemporaryTimeout`: a device that is neither paired nor heard is forgotten after it."""

AD_SERVICE_DATA_16 = 0x16

Properties = dict[str, Variant]
Pattern = tuple[int, int, bytes]
Mend = Literal["scan", "power", "service"]


@dataclass(slots=True)
class _Listener:
    """What one D-Bus client has asked for."""

    wants_duplicates: bool = False
    is_discovering: bool = False
    monitors: dict[str, tuple[Pattern, ...]] = field(default_factory=dict)


class FakeBlueZ:
    """`async with FakeBlueZ(bus.address) as bluez:` owns org.bluez on that bus.

    `has_monitors` and `accepts_discovery` say which of the two ways of scanning this bluetoothd offers. While
    `is_deaf` is set the adapter claims to scan and hears nothing, as in a place where nothing advertises. `get_stuck`
    makes it deaf until something is done about it; `is_in_progress` makes it refuse every search, likewise.
    """

    def __init__(
        self,
        bus_address: str,
        *,
        adapter: str = "hci0",
        is_powered: bool = True,
        has_monitors: bool = True,
        accepts_discovery: bool = True,
        temporary_timeout_s: float = TEMPORARY_TIMEOUT_S,
    ) -> None:
        self.accepts_discovery = accepts_discovery
        self.is_deaf = False
        self.stuck_until: Mend | None = None
        """It hears nothing until a new scan, until its power was off, or until bluetoothd was started anew."""
        self.is_in_progress = False
        """StartDiscovery is answered "in progress" until the adapter's power was off."""
        self.denies_power = False
        self.power_cycles = 0
        """How often a client switched the adapter off and on again."""
        self.denies_access = False
        """While set nobody may ask anything, as when the hub's user is not in the group `bluetooth`."""
        self.scan_starts = 0
        """How often a scan was begun, of either kind."""
        self._address = bus_address
        self._path = f"/org/bluez/{adapter}"
        self._has_adapter = True
        self._is_powered = is_powered
        self._has_monitors = has_monitors
        self._temporary_timeout_s = temporary_timeout_s
        self._bus: MessageBus | None = None
        self._listeners: dict[str, _Listener] = {}
        self._devices: dict[str, Properties] = {}
        self._forget: dict[str, asyncio.TimerHandle] = {}
        self._is_announced_discovering = False
        self._is_scanning = asyncio.Event()
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    async def __aenter__(self) -> Self:
        await self.come_back()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.vanish()

    # What a test or a simulated home does to it

    def advertise(
        self, mac: str, service_data: Mapping[str, bytes], *, rssi: int = -60, name: str | None = None
    ) -> bool:
        """One advertisement on the air. True when the adapter heard it (scanning, powered, not deaf)."""
        if self._bus is None or not self._bus.connected or not self._hears(service_data):
            return False
        path = f"{self._path}/dev_{mac.upper().replace(':', '_')}"
        seen: Properties = {"RSSI": Variant("n", rssi)}
        if service_data:
            seen["ServiceData"] = Variant("a{sv}", {uuid: Variant("ay", said) for uuid, said in service_data.items()})
        if name is not None:
            seen |= {"Name": Variant("s", name), "Alias": Variant("s", name)}
        known = self._devices.get(path)
        if known is None:
            self._devices[path] = self._new_device(mac.upper()) | seen
            self._signal("/", OBJECTS, "InterfacesAdded", "oa{sa{sv}}", [path, {DEVICE: self._devices[path]}])
        else:
            wants_all = any(each.is_discovering and each.wants_duplicates for each in self._listeners.values())
            changed = {key: value for key, value in seen.items() if wants_all or known.get(key) != value}
            known.update(seen)
            if changed:
                self._signal(path, PROPERTIES, "PropertiesChanged", "sa{sv}as", [DEVICE, changed, []])
        self._forget_later(path)
        return True

    def power(self, *, on: bool) -> None:
        """Switch the adapter off (rfkill, a cold USB stick) or on again. Off ends every scan, as in bluetoothd."""
        if on == self._is_powered:
            return
        self._is_powered = on
        if not on:
            self._end_discovery(self._listeners.values())
        self._adapter_changed({"Powered": Variant("b", on)})

    def get_stuck(self, until: Mend) -> None:
        """From now on the adapter says that it scans and hears nothing."""
        self.stuck_until = until

    def unplug(self) -> None:
        """The stick is pulled: its adapter and all its devices are gone."""
        self._end_discovery(self._listeners.values())
        for each in self._listeners.values():
            each.monitors.clear()
        self._note_scanning()
        for path in tuple(self._devices):
            self._drop(path)
        self._has_adapter = False
        self._signal("/", OBJECTS, "InterfacesRemoved", "oas", [self._path, [ADAPTER, MONITORS]])

    def plug_in(self, adapter: str, *, is_powered: bool = True) -> None:
        """The stick is back, under this name, as after a reset of the bus it sits on."""
        self._path = f"/org/bluez/{adapter}"
        self._has_adapter, self._is_powered = True, is_powered
        self._signal("/", OBJECTS, "InterfacesAdded", "oa{sa{sv}}", [self._path, self._adapter_interfaces()])

    def end_discovery(self) -> None:
        """Discovery stops without anybody having asked for it."""
        self._end_discovery(self._listeners.values())

    def forget(self, mac: str) -> None:
        """Drop the device object, as bluetoothd does with one that has long been silent."""
        self._drop(f"{self._path}/dev_{mac.upper().replace(':', '_')}")

    async def vanish(self) -> None:
        """The bluetoothd is gone: its name is free, nobody answers, all it knew is lost."""
        bus, self._bus = self._bus, None
        for timer in self._forget.values():
            timer.cancel()
        self._forget.clear()
        self._devices.clear()
        self._listeners.clear()
        self._is_announced_discovering = False
        self._note_scanning()
        if bus is not None:
            await _close(bus)

    async def come_back(self) -> None:
        """The bluetoothd starts: also after `vanish`, and after the bus was killed and started again."""
        if self._bus is not None:
            if self._bus.connected:
                return
            await self.vanish()
        if self.stuck_until is not None:
            self.stuck_until = None  # a new bluetoothd sets the adapter up anew
        self.is_in_progress = False
        bus = await MessageBus(bus_address=self._address).connect()
        self._bus = bus
        bus.add_message_handler(self._receive)
        for rule in (
            f"type='signal',sender='{DAEMON}',member='NameOwnerChanged'",
            f"type='signal',interface='{OBJECTS}',member='InterfacesAdded'",
        ):
            await bus.call(
                Message(
                    destination=DAEMON,
                    path="/org/freedesktop/DBus",
                    interface=DAEMON,
                    member="AddMatch",
                    signature="s",
                    body=[rule],
                )
            )
        reply = await bus.request_name(SERVICE)
        if reply is not RequestNameReply.PRIMARY_OWNER:
            await _close(bus)
            self._bus = None
            msg = f"{SERVICE} is owned by somebody else on {self._address}"
            raise RuntimeError(msg)
        self._signal("/", OBJECTS, "InterfacesAdded", "oa{sa{sv}}", [self._path, self._adapter_interfaces()])

    async def until_scanning(self, timeout_s: float = 10.0) -> None:
        async with asyncio.timeout(timeout_s):
            await self._is_scanning.wait()

    async def until_idle(self, timeout_s: float = 10.0) -> None:
        async with asyncio.timeout(timeout_s):
            await self._is_idle.wait()

    # The adapter and its devices

    def _hears(self, service_data: Mapping[str, bytes]) -> bool:
        if self.is_deaf or self.stuck_until is not None or not self._is_powered or not self._has_adapter:
            return False
        return any(
            each.is_discovering
            or any(_matches(pattern, service_data) for patterns in each.monitors.values() for pattern in patterns)
            for each in self._listeners.values()
        )

    def _new_device(self, mac: str) -> Properties:
        return {
            "Address": Variant("s", mac),
            "AddressType": Variant("s", "random"),
            "Alias": Variant("s", mac.replace(":", "-")),
            "Adapter": Variant("o", self._path),
            "Paired": Variant("b", False),
            "Trusted": Variant("b", False),
            "Blocked": Variant("b", False),
            "LegacyPairing": Variant("b", False),
            "Connected": Variant("b", False),
            "ServicesResolved": Variant("b", False),
            "UUIDs": Variant("as", []),
        }

    def _adapter_interfaces(self) -> dict[str, Properties]:
        interfaces = {
            ADAPTER: {
                "Address": Variant("s", "02:00:00:00:00:01"),
                "Name": Variant("s", "simulated"),
                "Alias": Variant("s", "simulated"),
                "Powered": Variant("b", self._is_powered),
                "Discovering": Variant("b", self._is_announced_discovering),
                "Roles": Variant("as", ["central", "peripheral"]),
                "UUIDs": Variant("as", []),
            }
        }
        if self._has_monitors:
            interfaces[MONITORS] = {
                "SupportedMonitorTypes": Variant("as", ["or_patterns"]),
                "SupportedFeatures": Variant("as", []),
            }
        return interfaces

    def _adapter_changed(self, changed: Properties) -> None:
        self._signal(self._path, PROPERTIES, "PropertiesChanged", "sa{sv}as", [ADAPTER, changed, []])

    def _end_discovery(self, listeners: Iterable[_Listener]) -> None:
        for each in listeners:
            each.is_discovering = False
        self._announce_discovering()

    def _announce_discovering(self) -> None:
        is_discovering = any(each.is_discovering for each in self._listeners.values())
        if is_discovering != self._is_announced_discovering:
            self._is_announced_discovering = is_discovering
            self._adapter_changed({"Discovering": Variant("b", is_discovering)})
            if not is_discovering:
                # When a discovery ends bluetoothd takes back every signal strength; service data stays as it was.
                for path, known in self._devices.items():
                    if known.pop("RSSI", None) is not None:
                        self._signal(path, PROPERTIES, "PropertiesChanged", "sa{sv}as", [DEVICE, {}, ["RSSI"]])
        self._note_scanning()

    def _note_scanning(self) -> None:
        if any(each.is_discovering or each.monitors for each in self._listeners.values()):
            self._is_idle.clear()
            self._is_scanning.set()
        else:
            self._is_scanning.clear()
            self._is_idle.set()

    def _forget_later(self, path: str) -> None:
        if (timer := self._forget.pop(path, None)) is not None:
            timer.cancel()
        loop = asyncio.get_running_loop()
        self._forget[path] = loop.call_later(self._temporary_timeout_s, self._drop, path)

    def _drop(self, path: str) -> None:
        if (timer := self._forget.pop(path, None)) is not None:
            timer.cancel()
        if self._devices.pop(path, None) is not None:
            self._signal("/", OBJECTS, "InterfacesRemoved", "oas", [path, [DEVICE]])

    # D-Bus

    def _signal(self, path: str, interface: str, member: str, signature: str, body: list[Any]) -> None:
        if self._bus is not None and self._bus.connected:
            self._bus.send(Message.new_signal(path, interface, member, signature, body))

    def _receive(self, message: Message) -> Message | bool:
        if message.message_type is MessageType.SIGNAL:
            self._notice(message)
            return False
        if message.message_type is MessageType.METHOD_CALL:
            return self._answer(message)
        return False

    def _notice(self, message: Message) -> None:
        if message.member == "NameOwnerChanged":
            name, _before, now = message.body
            if not now and self._listeners.pop(name, None) is not None:
                self._announce_discovering()
        elif message.member == "InterfacesAdded" and MONITOR in message.body[1]:
            path, interfaces = message.body
            listener = self._listeners.get(message.sender or "")
            if listener is None or path not in listener.monitors:
                return
            patterns = interfaces[MONITOR]["Patterns"].value
            listener.monitors[path] = tuple((start, kind, bytes(content)) for start, kind, content in patterns)
            activate = Message(
                destination=message.sender,
                path=path,
                interface=MONITOR,
                member="Activate",
                flags=MessageFlag.NO_REPLY_EXPECTED,
            )
            if self._bus is not None:
                self._bus.send(activate)
            if self.stuck_until == "scan":
                self.stuck_until = None
            self.scan_starts += 1
            self._note_scanning()

    def _answer(self, message: Message) -> Message:
        if self.denies_access:
            return Message.new_error(message, "org.freedesktop.DBus.Error.AccessDenied", "not in the group bluetooth")
        if message.member == "GetManagedObjects":
            objects: dict[str, dict[str, Properties]] = (
                {self._path: self._adapter_interfaces()} if self._has_adapter else {}
            )
            objects |= {path: {DEVICE: known} for path, known in self._devices.items()}
            return Message.new_method_return(message, "a{oa{sa{sv}}}", [objects])
        if message.member == "Ping":
            return Message.new_method_return(message)
        if message.path != self._path or not self._has_adapter:
            return Message.new_error(message, "org.freedesktop.DBus.Error.UnknownObject", f"no {message.path}")
        listener = self._listeners.setdefault(message.sender or "", _Listener())
        match message.member:
            case "SetDiscoveryFilter":
                asked = message.body[0].get("DuplicateData")
                listener.wants_duplicates = bool(asked.value) if asked is not None else False
                return Message.new_method_return(message)
            case "Set" if message.body[:2] == [ADAPTER, "Powered"]:
                return self._set_power(message)
            case "StartDiscovery":
                return self._start_discovery(message, listener)
            case "StopDiscovery":
                if not listener.is_discovering:
                    return Message.new_error(message, "org.bluez.Error.Failed", "No discovery started")
                self._end_discovery([listener])
                return Message.new_method_return(message)
            case "RegisterMonitor" if self._has_monitors and not self.is_in_progress:
                listener.monitors[message.body[0]] = ()
                return Message.new_method_return(message)
            case "UnregisterMonitor" if self._has_monitors:
                listener.monitors.pop(message.body[0], None)
                self._note_scanning()
                return Message.new_method_return(message)
            case _:
                return Message.new_error(
                    message, "org.freedesktop.DBus.Error.UnknownMethod", f"{message.interface}.{message.member}"
                )

    def _set_power(self, message: Message) -> Message:
        if self.denies_power:
            return Message.new_error(message, "org.freedesktop.DBus.Error.AccessDenied", "not allowed")
        is_on = bool(message.body[2].value)
        if is_on and not self._is_powered:
            self.power_cycles += 1
            self.is_in_progress = False
            if self.stuck_until != "service":
                self.stuck_until = None
        self.power(on=is_on)
        return Message.new_method_return(message)

    def _start_discovery(self, message: Message, listener: _Listener) -> Message:
        if not self._is_powered:
            return Message.new_error(message, "org.bluez.Error.NotReady", "Resource Not Ready")
        if not self.accepts_discovery:
            return Message.new_error(message, "org.bluez.Error.NotPermitted", "discovery is not allowed here")
        if listener.is_discovering or self.is_in_progress:
            return Message.new_error(message, "org.bluez.Error.InProgress", "Operation already in progress")
        listener.is_discovering = True
        if self.stuck_until == "scan":
            self.stuck_until = None
        self.scan_starts += 1
        self._announce_discovering()
        return Message.new_method_return(message)


async def _close(bus: MessageBus) -> None:
    bus.disconnect()
    with contextlib.suppress(EOFError, OSError):  # how a killed bus had ended the connection before
        await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]  # dbus-fast leaves this one unannotated


def _matches(pattern: Pattern, service_data: Mapping[str, bytes]) -> bool:
    """Whether an advertisement with this service data has `content` at `start` of an AD structure of that kind."""
    start, kind, content = pattern
    if kind != AD_SERVICE_DATA_16:
        return False
    structures = (int(uuid[4:8], 16).to_bytes(2, "little") + said for uuid, said in service_data.items())
    return any(each[start : start + len(content)] == content for each in structures)
