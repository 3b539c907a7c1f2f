"""What an installation says about its Bluetooth devices: which radio, which devices, and their keys."""

from __future__ import annotations

import re
import stat
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from drivers.contract import Alias, DriverSettings
from drivers.errors import PermanentDriverError
from ground.models import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

KEY_LENGTH = 16
KEY_FILE_LIMIT = 256
_ADAPTER = re.compile(r"^hci[0-9]{1,2}$")
_HEX_PAIRS = re.compile(r"^[0-9A-F]{2}(?P<between>[:-]?)[0-9A-F]{2}(?:(?P=between)[0-9A-F]{2}){4}$")


def _address(value: Any) -> Any:
    """The address as BlueZ prints it; `a4-c1-38-00-00-01` and `a4c138000001` are the same one."""
    if not isinstance(value, str):
        return value
    written = value.strip().upper()
    if not _HEX_PAIRS.match(written):
        raise ValueError(
            f"{value!r} is not a Bluetooth address: write six pairs of hexadecimal digits, such as A4:C1:38:00:00:01"
        )
    digits = written.replace(":", "").replace("-", "")
    return ":".join(digits[at : at + 2] for at in range(0, 12, 2))


def _adapter(value: Any) -> Any:
    """`hci0`, or the address of the radio itself."""
    if not isinstance(value, str) or _ADAPTER.match(value.strip()):
        return value.strip() if isinstance(value, str) else value
    try:
        return _address(value)
    except ValueError:
        raise ValueError(
            f"{value!r} is neither a radio such as hci0 nor the address of one such as 02:00:00:00:00:01"
        ) from None


Address = Annotated[str, BeforeValidator(_address)]
FileName = Annotated[str, Field(min_length=1, max_length=4096)]


class BleDevice(BaseModel):
    """One device that advertises in BTHome format."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    alias: Alias
    address: Address
    key_file: FileName | None = None
    """A file with the device's encryption key: 32 hexadecimal digits, or the 16 bytes themselves. With a key only what
    authenticates is believed; without one anybody near enough can press this button."""


class BleSettings(DriverSettings):
    """`[drivers.NAME]` with type = "ble"."""

    type: Literal["ble"] = "ble"
    alias: Alias | None = None
    """The radio itself: the device of its link state. The driver's name unless given."""
    adapter: Annotated[str, BeforeValidator(_adapter)] | None = None
    """Which radio, by name (hci0) or by its own address; the first one that is powered unless given. A name may become
    another one when a stick is unplugged, an address does not."""
    restart_service: bool = False
    """Whether a radio that stays stuck may cost a restart of the Bluetooth service. The hub's user must be allowed to
    (docs/drivers/ble.md)."""
    scan_mode: Literal["active", "passive"] = "active"
    """What to try first; where BlueZ refuses it the other one is used. Active listens all the time and hears an
    identical advertisement again; passive listens about half of the time and does not. Prefer active for buttons."""
    silence_s: Annotated[float, Field(ge=5, le=86_400)] = 180.0
    """The longest time in which nothing at all, of no device, may be heard before the radio is reset. Where more is
    heard, the driver learns a shorter one."""
    refresh_s: Annotated[float, Field(ge=10, le=86_400)] = 300.0
    """A state that did not change is told again after so long, when the device is heard. Keep it well below the
    shortest time after which a device counts as missing."""
    measurement_s: Annotated[float, Field(ge=0, le=86_400)] = 60.0
    """A measurement that changed is told at most this often."""
    devices: Annotated[tuple[BleDevice, ...], Field(min_length=1, max_length=200)]

    @model_validator(mode="before")
    @classmethod
    def _devices_are_a_list(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("devices"), dict):
            raise ValueError(  # noqa: TRY004 - pydantic turns only ValueError into an error about this field
                "devices is a list: write [[drivers.NAME.devices]] with two brackets, once for each device"
            )
        return value

    @model_validator(mode="after")
    def _names_each_device_once(self) -> Self:
        taken: dict[str, str] = {}
        for device in self.devices:
            if device.address in taken:
                raise ValueError(
                    f"the address {device.address} is given to {taken[device.address]} and to {device.alias}; "
                    "one device has one alias"
                )
            taken[device.address] = device.alias
        twice = [alias for alias, count in Counter(device.alias for device in self.devices).items() if count > 1]
        if twice:
            raise ValueError(f"the alias {twice[0]} is given to two addresses; every device has an alias of its own")
        if self.alias in taken.values():
            raise ValueError(f"{self.alias} is a device; give the radio an alias of its own, or none")
        return self


def aliases(settings: BleSettings) -> tuple[str, ...]:
    """The devices, in order, and the radio where it was given an alias."""
    radio = () if settings.alias is None else (settings.alias,)
    return tuple(device.alias for device in settings.devices) + radio


def files(settings: BleSettings) -> tuple[tuple[str, str], ...]:
    """Every key file by the key that names it."""
    return tuple(
        (f"devices[{at}].key_file", device.key_file)
        for at, device in enumerate(settings.devices)
        if device.key_file is not None
    )


def read_key(path: Path, alias: str) -> bytes:
    """The 16 bytes in a key file, or a PermanentDriverError that names the file and what to do about it."""
    try:
        with path.open("rb") as opened:
            content = opened.read(KEY_FILE_LIMIT)
    except OSError as error:
        raise PermanentDriverError(
            f"the key file of {alias}, {path}, cannot be read: {error.strerror or error}"
        ) from error
    text = content.decode("ascii", errors="replace").strip()
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = content  # what reads as digits is never taken for 16 raw bytes: it would be half a key
    if len(key) != KEY_LENGTH:
        # Never the content: a key that is wrong by one digit is still nearly a key.
        raise PermanentDriverError(
            f"the key file of {alias}, {path}, does not hold a key: expected 32 hexadecimal digits (or 16 bytes), "
            f"found {len(text)} characters"
        )
    return key


def is_readable_by_others(path: Path) -> bool:
    """Whether other users of the machine can read this file."""
    return bool(path.stat().st_mode & stat.S_IROTH)
