"""The simulated BlueZ behaves like bluetoothd where somebody who listens can tell."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from dbus_fast import Message, Variant
from dbus_fast.aio import MessageBus

from simulators.bluez import ADAPTER, FakeBlueZ
from simulators.bthome_device import BTHOME_UUID
from simulators.dbus import BusUnavailableError, PrivateBus

MAC = "A4:C1:38:00:00:01"
SAID = {BTHOME_UUID: b"\x44\x3a\x01"}


class Client:
    """A program on the bus that talks to org.bluez and keeps the signals it gets."""

    def __init__(self, bus: MessageBus) -> None:
        self.bus = bus
        self.signals: asyncio.Queue[Message] = asyncio.Queue()

    async def call(self, member: str, signature: str = "", body: list[Any] | None = None) -> Message:
        return await self.bus.call(
            Message(
                destination="org.bluez",
                path="/org/bluez/hci0",
                interface=ADAPTER,
                member=member,
                signature=signature,
                body=body or [],
            )
        )

    async def scan(self, *, duplicates: bool) -> None:
        await self.call("SetDiscoveryFilter", "a{sv}", [{"DuplicateData": Variant("b", duplicates)}])
        assert (await self.call("StartDiscovery")).error_name is None

    async def next_about_device(self) -> Message:
        async with asyncio.timeout(5):
            while True:
                signal = await self.signals.get()
                if MAC.replace(":", "_") in f"{signal.path}{signal.body}":
                    return signal


@pytest.fixture
async def bus() -> AsyncIterator[PrivateBus]:
    async with PrivateBus() as private:
        yield private


@pytest.fixture
async def bluez(bus: PrivateBus) -> AsyncIterator[FakeBlueZ]:
    async with FakeBlueZ(bus.address, temporary_timeout_s=0.2) as fake:
        yield fake


@pytest.fixture
async def client(bus: PrivateBus, bluez: FakeBlueZ) -> AsyncIterator[Client]:
    connection = await MessageBus(bus_address=bus.address).connect()
    client = Client(connection)
    connection.add_message_handler(
        lambda message: client.signals.put_nowait(message) if message.member != "NameOwnerChanged" else None
    )
    await connection.call(
        Message(
            destination="org.freedesktop.DBus",
            path="/org/freedesktop/DBus",
            interface="org.freedesktop.DBus",
            member="AddMatch",
            signature="s",
            body=["type='signal',sender='org.bluez'"],
        )
    )
    yield client
    connection.disconnect()


def test_where_dbus_is_missing_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(BusUnavailableError, match="sudo apt install dbus"):
        asyncio.run(PrivateBus().__aenter__())


async def test_a_bus_leaves_nothing_behind() -> None:
    async with PrivateBus() as bus:
        socket = Path(bus.address.removeprefix("unix:path="))
        assert socket.exists()
    assert not socket.parent.exists()


async def test_an_advertisement_is_heard_only_while_somebody_scans(bluez: FakeBlueZ, client: Client) -> None:
    assert not bluez.advertise(MAC, SAID)
    await client.scan(duplicates=False)
    assert bluez.advertise(MAC, SAID)
    bluez.is_deaf = True
    assert not bluez.advertise(MAC, SAID)
    bluez.is_deaf = False
    bluez.power(on=False)
    assert not bluez.advertise(MAC, SAID)
    bluez.power(on=True)
    assert not bluez.advertise(MAC, SAID), "switching the radio on again does not begin the search again"


async def test_an_identical_advertisement_is_announced_again_only_on_request(bluez: FakeBlueZ, client: Client) -> None:
    await client.scan(duplicates=False)
    bluez.advertise(MAC, SAID)
    assert (await client.next_about_device()).member == "InterfacesAdded"
    bluez.advertise(MAC, SAID)
    bluez.advertise(MAC, SAID, rssi=-50)
    changed = (await client.next_about_device()).body[1]
    assert set(changed) == {"RSSI"}
    await client.call("StopDiscovery")
    assert (await client.next_about_device()).body[2] == ["RSSI"], "with the search the signal strengths go"
    await client.scan(duplicates=True)
    bluez.advertise(MAC, SAID, rssi=-50)
    assert set((await client.next_about_device()).body[1]) == {"RSSI", "ServiceData"}


async def test_a_device_that_falls_silent_is_forgotten(bluez: FakeBlueZ, client: Client) -> None:
    await client.scan(duplicates=False)
    bluez.advertise(MAC, SAID)
    assert (await client.next_about_device()).member == "InterfacesAdded"
    assert (await client.next_about_device()).member == "InterfacesRemoved"


async def test_the_search_of_a_program_that_dies_ends_with_it(bluez: FakeBlueZ, client: Client) -> None:
    await client.scan(duplicates=False)
    await bluez.until_scanning()
    client.bus.disconnect()
    await bluez.until_idle()
    assert not bluez.advertise(MAC, SAID)


async def test_a_radio_that_is_off_refuses_to_search(bluez: FakeBlueZ, client: Client) -> None:
    bluez.power(on=False)
    assert (await client.call("StartDiscovery")).error_name == "org.bluez.Error.NotReady"
    assert (await client.call("StopDiscovery")).error_name == "org.bluez.Error.Failed"
    assert (await client.call("Teleport")).error_name == "org.freedesktop.DBus.Error.UnknownMethod"


async def test_one_bus_has_one_bluez(bus: PrivateBus, bluez: FakeBlueZ) -> None:
    with pytest.raises(RuntimeError, match="owned by somebody else"):
        await FakeBlueZ(bus.address).come_back()
