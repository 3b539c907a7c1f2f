"""Devices that advertise in BTHome version 2, written from the format and from nothing of the hub's.

They behave like things that run on a coin cell: nobody acknowledges an advertisement, so each one is repeated; packet
id and encryption counter rise with each thing said, not with each repeat, and both start anew with a new battery.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Mapping
from typing import Literal, Protocol

from cryptography.hazmat.primitives.ciphers.aead import AESCCM

BTHOME_UUID = "0000fcd2-0000-1000-8000-00805f9b34fb"

# Device information: version 2 in the upper three bits, then trigger based, address included, encrypted.
_VERSION_2 = 2 << 5
_TRIGGER_BASED = 1 << 2
_ENCRYPTED = 1 << 0

Press = Literal["press", "double", "triple", "long", "hold"]
_PRESS_CODES: Mapping[Press, int] = {"press": 0x01, "double": 0x02, "triple": 0x03, "long": 0x04, "hold": 0x80}


class Air(Protocol):
    """Whoever hears advertisements. Returns whether this one was heard."""

    def advertise(self, mac: str, service_data: Mapping[str, bytes], /, *, rssi: int = -60) -> bool: ...


class BTHomeDevice:
    """What all of them share: an address, perhaps a key, a packet id, a counter and a battery.

    `repeats` is how often each thing is advertised and `interval_s` how far apart. A device without packet ids
    (`has_packet_id=False`) is legal too, and harder on whoever listens.
    """

    is_trigger_based = True

    def __init__(
        self,
        mac: str,
        key: bytes | None = None,
        *,
        battery_pct: int = 100,
        has_packet_id: bool = True,
        packet_id: int = 0,
        counter: int = 0,
        repeats: int = 6,
        interval_s: float = 0.1,
        rssi_dbm: int = -60,
    ) -> None:
        self.mac = mac
        self.battery_pct = battery_pct
        self.repeats = repeats
        self.interval_s = interval_s
        self.rssi_dbm = rssi_dbm
        self.counter = counter
        self._key = key
        self._has_packet_id = has_packet_id
        self._packet_id = packet_id

    def change_battery(self) -> None:
        """A fresh cell: all that the device had counted is gone."""
        self.battery_pct = 100
        self.counter = 0
        self._packet_id = 0

    def service_data(self, *objects: bytes) -> bytes:
        """One new thing said: the bytes of it, with the next packet id and the next counter."""
        said = sorted([bytes((0x01, self.battery_pct)), *objects], key=lambda each: each[0])
        if self._has_packet_id:
            self._packet_id = (self._packet_id + 1) % 256
            said.insert(0, bytes((0x00, self._packet_id)))
        clear = b"".join(said)
        information = _VERSION_2 | (_TRIGGER_BASED if self.is_trigger_based else 0)
        if self._key is None:
            return bytes((information,)) + clear
        information |= _ENCRYPTED
        self.counter = (self.counter + 1) % 2**32
        counter = struct.pack("<I", self.counter)
        nonce = bytes.fromhex(self.mac.replace(":", "")) + b"\xd2\xfc" + bytes((information,)) + counter
        sealed = AESCCM(self._key, tag_length=4).encrypt(nonce, clear, None)
        return bytes((information,)) + sealed[:-4] + counter + sealed[-4:]

    async def say(self, air: Air, *objects: bytes) -> bool:
        """Advertise one new thing, repeats and all. True when at least one repeat was heard."""
        return await self.send(air, self.service_data(*objects))

    async def send(self, air: Air, service_data: bytes) -> bool:
        """Advertise these bytes, as often as this device does."""
        heard = False
        for repeat in range(self.repeats):
            if repeat:
                await asyncio.sleep(self.interval_s)
            heard |= air.advertise(self.mac, {BTHOME_UUID: service_data}, rssi=self.rssi_dbm)
        return heard

    async def beat(self, air: Air) -> bool:
        """The sign of life that says nothing but how the battery is."""
        return await self.say(air)


class SimulatedPendant(BTHomeDevice):
    """A button worn by a resident."""

    def press_data(self, kind: Press = "press") -> bytes:
        return self.service_data(bytes((0x3A, _PRESS_CODES[kind])))

    async def press(self, air: Air, kind: Press = "press") -> bool:
        return await self.send(air, self.press_data(kind))

    async def beat(self, air: Air) -> bool:
        return await self.say(air, bytes((0x3A, 0x00)))


class _TwoStates(BTHomeDevice):
    """A device with one thing that is so or is not."""

    object_id: int

    async def report(self, air: Air, state: bool) -> bool:
        return await self.say(air, bytes((self.object_id, state)))


class SimulatedDoor(_TwoStates):
    """A magnet contact: True is open."""

    object_id = 0x1A


class SimulatedMotion(_TwoStates):
    object_id = 0x21


class SimulatedSmokeDetector(_TwoStates):
    object_id = 0x29


class SimulatedWaterSensor(_TwoStates):
    object_id = 0x20


class SimulatedBedMat(_TwoStates):
    """True is somebody in bed."""

    object_id = 0x23


class SimulatedThermometer(BTHomeDevice):
    """Temperature and humidity, at its own pace rather than when something happens."""

    is_trigger_based = False

    async def measure(self, air: Air, celsius: float, humidity_pct: float) -> bool:
        return await self.say(
            air,
            b"\x02" + struct.pack("<h", round(celsius * 100)),
            b"\x03" + struct.pack("<H", round(humidity_pct * 100)),
        )
