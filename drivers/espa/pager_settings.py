"""What an installation says about the paging system that the hub calls staff through."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from drivers.contract import DriverSettings
from drivers.espa.charset import Charset
from drivers.espa.settings import EspaSettings
from ground.models import Field, IPvAnyAddress, field_validator, model_validator

Station = Annotated[str, Field(pattern=r"^[0-9]$")]
Code = Annotated[str, Field(pattern=r"^[0-9]{1,2}$")]


class PagerSettings(DriverSettings):
    """The line to a paging system that speaks ESPA 4.4.4."""

    port: Annotated[str, Field(min_length=1, max_length=200)]
    """A device path, `socket://host:port` (we connect) or `listen://host:port` (the converter connects)."""
    allow_from: Annotated[tuple[IPvAnyAddress, ...], Field(max_length=16)] = ()
    """Who may connect to a `listen://` port; empty means anybody who can reach it."""
    baudrate: Literal[300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200] = 9600
    bytesize: Literal[7, 8] = 8
    parity: Literal["none", "even", "odd"] = "none"
    stopbits: Literal[1, 2] = 1
    charset: Charset = "iso646-no"
    role: Literal["control", "polled"] = "control"
    """`control`: the hub is the control station and selects the paging system. `polled`: a control station asks the hub
    whether it has something to send."""
    own_station: Station = "1"
    """The hub's number on the line: "1" for a control station, another one that the control station polls otherwise."""
    pager_station: Station = "2"
    """The paging system's number on the line."""
    poll_interval_s: Annotated[float, Field(ge=0.2, le=600)] = 10.0
    """How often a hub that is the control station asks the paging system whether it is there."""
    poll_timeout_s: Annotated[float, Field(ge=1, le=3600)] = 30.0
    """The line counts as down when the paging system (or the control station) has been silent for so long."""
    reply_timeout_s: Annotated[float, Field(ge=0.1, le=30)] = 2.0
    """How long each answer on the line is waited for."""
    tries: Annotated[int, Field(ge=1, le=10)] = 3
    """How often a block is sent before the line is given up for a while."""
    address: Annotated[str, Field(pattern=r"^[0-9A-Za-z*#]{1,16}$")]
    """The pager or group that is called."""
    beep: Code = "3"
    """Beep coding, as the paging system understands it."""
    call_type: Code = "3"
    """Call type of a call; 3 is the standard's own."""
    cancel_call_type: Code = "1"
    """Call type that takes a call back; 1 is the standard's own."""
    transmissions: Code = "1"
    """How often the paging system is to send each call."""
    priority: Code = "1"
    """Priority of a call: 1 alarm, 2 high, 3 normal."""

    @field_validator("own_station", "pager_station", "address", "beep", "call_type", "cancel_call_type", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("transmissions", "priority", mode="before")
    @classmethod
    def _number_as_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @model_validator(mode="after")
    def _check_line(self) -> Self:
        if self.own_station == self.pager_station:
            raise ValueError(
                f"own_station and pager_station are both {self.own_station!r}: every station on the line has a number "
                "of its own"
            )
        self.line()
        return self

    def line(self) -> EspaSettings:
        """The line alone, as everything that opens one wants it. Raises ValueError."""
        return EspaSettings(
            alias="pager",
            port=self.port,
            allow_from=self.allow_from,
            baudrate=self.baudrate,
            bytesize=self.bytesize,
            parity=self.parity,
            stopbits=self.stopbits,
            charset=self.charset,
        )
