"""What an installation says about its panel: the line, the station, and what the panel's texts mean."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from drivers.contract import Alias, DriverSettings
from drivers.espa.charset import EIGHT_BIT, Charset
from drivers.espa.pattern import compile_pattern
from drivers.espa.ports import parse as parse_identity
from ground.models import BaseModel, BeforeValidator, ConfigDict, Field, IPvAnyAddress, field_validator, model_validator

Value = Literal["call", "emergency", "assistance", "presence", "reset", "ignore"]

TEMPLATE_FIELD = re.compile(r"\{(\w+)\}")


def _as_characters(value: Any) -> Any:
    """`3`, `"3"` and `[2, "3"]` are all written by people; one tuple of strings is what is compared."""
    if isinstance(value, list | tuple):
        return tuple(str(item) if isinstance(item, int) and not isinstance(item, bool) else item for item in value)
    if isinstance(value, int) and not isinstance(value, bool):
        return (str(value),)
    return (value,) if isinstance(value, str) else value


Code = Annotated[str, Field(min_length=1, max_length=8)]
Characters = Annotated[tuple[Code, ...], BeforeValidator(_as_characters), Field(min_length=1, max_length=16)]
Station = Annotated[str, Field(pattern=r"^[0-9]$")]
Pattern = Annotated[str, Field(min_length=1, max_length=256)]


class MappingRule(BaseModel):
    """One line of the mapping table: all conditions given must hold. The first rule that fits decides.

    `text` and `address` are regular expressions looked for anywhere in the display text and the call address (use ^ and
    $ to bind them). Their named groups become details of the event and may stand in `device` as {name}.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: Pattern | None = None
    address: Pattern | None = None
    call_type: Characters | None = None
    priority: Characters | None = None
    header: Characters | None = None
    value: Value
    device: Annotated[str, Field(min_length=1, max_length=64)] | None = None

    @field_validator("text", "address")
    @classmethod
    def _check_pattern(cls, value: str | None) -> str | None:
        if value is not None:
            compile_pattern(value)
        return value

    @model_validator(mode="after")
    def _check_whole(self) -> Self:
        names: list[str] = []
        for pattern in (self.text, self.address):
            if pattern is not None:
                names.extend(compile_pattern(pattern).groupindex)
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"text and address both name a group {doubled[0]!r}: give one of them another name")
        reserved = sorted(set(names) & RESERVED_DETAILS)
        if reserved:
            raise ValueError(f"a group cannot be named {reserved[0]!r}, which every event has: choose another name")
        if self.device is not None:
            known = ", ".join(f"{{{name}}}" for name in names) or "none"
            for name in TEMPLATE_FIELD.findall(self.device):
                if name not in names:
                    raise ValueError(
                        f"device {self.device!r} uses {{{name}}}, which text and address do not name"
                        f" (they name {known})"
                    )
            if set("{}") & set(TEMPLATE_FIELD.sub("", self.device)):
                raise ValueError(f"device {self.device!r} has a brace that belongs to no group: write room-{{room}}")
        if self.value == "ignore" and self.text is None and self.address is None:
            raise ValueError('a rule with value = "ignore" needs text or address: it would swallow real calls')
        return self


RESERVED_DETAILS = frozenset({"header", "call_address", "call_type", "priority", "text", "unmapped", "rule"})


class EspaSettings(DriverSettings):
    """[drivers.NAME] with type = "espa"."""

    type: Literal["espa"] = "espa"
    alias: Alias
    """The panel itself: the device of its link state, and of every call whose room is not known."""
    port: Annotated[str, Field(min_length=1, max_length=200)]
    """A device path, `usb:vendor:product[:serial]` (that converter under whatever name), `socket://host:port` (we
    connect) or `listen://host:port` (the panel's converter connects)."""
    role: Literal["slave", "control"] = "slave"
    """`slave`: the panel polls us (most do). `control`: the panel says nothing until it is polled, so the hub polls."""
    polls: Annotated[tuple[Station, ...], BeforeValidator(_as_characters), Field(min_length=1, max_length=9)] = ("2",)
    """The stations that the hub polls in turn. For `role = "control"`."""
    poll_interval_s: Annotated[float, Field(ge=0.05, le=10)] = 1.0
    """How often each of them is polled."""
    reply_timeout_s: Annotated[float, Field(ge=0.1, le=5)] = 1.0
    """How long a polled station may take to answer."""
    allow_from: Annotated[tuple[IPvAnyAddress, ...], Field(max_length=16)] = ()
    """Who may connect to a `listen://` port; empty means anybody who can reach it."""
    baudrate: Literal[300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200] = 9600
    bytesize: Literal[7, 8] = 8
    parity: Literal["none", "even", "odd"] = "none"
    stopbits: Literal[1, 2] = 1
    station: Station = "2"
    """Our address on the line. A control station is "1" unless given."""
    poll_timeout_s: Annotated[float, Field(ge=1, le=3600)] = 30.0
    """No poll for so long, or no answer to ours: the link is lost."""
    confirm_timeout_s: Annotated[float, Field(ge=0.1, le=10)] = 2.0
    """How long a block may wait to be made safe before it is answered NAK. Keep it below the panel's own time-out times
    its retries; a panel that goes on earlier loses nothing (its repeat joins the wait)."""
    redelivery_window_s: Annotated[float, Field(ge=0, le=120)] = 15.0
    """How long after its confirmation an unanswered block may be repeated without becoming a second event."""
    charset: Charset = "ascii"
    strip_high_bit: bool = False
    """For a panel that sends seven bits and parity through a converter set to eight bits."""
    mapping: Annotated[tuple[MappingRule, ...], Field(max_length=200)] = ()

    @model_validator(mode="before")
    @classmethod
    def _control_is_station_one(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("role") == "control" and "station" not in value:
            return value | {"station": "1"}
        return value

    @field_validator("station", mode="before")
    @classmethod
    def _station_as_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("port")
    @classmethod
    def _check_port(cls, value: str) -> str:
        if value.startswith("/") or parse_identity(value) is not None:
            return value
        if value.startswith(("socket://", "listen://")):
            network_address(value)
            return value
        raise ValueError(
            f'{value!r} is neither a device path such as "/dev/serial/by-id/..." nor "usb:vendor:product:serial" nor'
            ' "socket://host:port" nor "listen://host:port"'
        )

    @model_validator(mode="after")
    def _check_line(self) -> Self:
        if self.charset in EIGHT_BIT and (self.strip_high_bit or self.bytesize == 7):
            raise ValueError(
                f'charset {self.charset!r} needs eight data bits: use charset = "iso646-no" on a seven-bit line'
            )
        if self.role == "control" and self.station in self.polls:
            raise ValueError(f"polls names {self.station}, which is our own station: give the panel's, mostly 2")
        if self.role == "slave" and "polls" in self.model_fields_set:
            raise ValueError('polls belongs to role = "control": leave it out, or set the role')
        if self.allow_from and not self.port.startswith("listen://"):
            raise ValueError("allow_from belongs to a listen:// port: leave it out")
        return self


def network_address(port: str) -> tuple[str, int]:
    """Host and port of a socket:// or listen:// URL. Raises ValueError in words."""
    parts = urlsplit(port)
    try:
        number = parts.port
    except ValueError:
        number = None
    if parts.hostname is None or number is None or parts.path not in {"", "/"} or parts.query or parts.username:
        raise ValueError(f'{port!r} should look like "{parts.scheme}://192.0.2.10:4001"')
    return parts.hostname, number
