"""Settings of the modem. Unknown keys are refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

_NUMBER = re.compile(r"^\+[1-9][0-9]{6,14}$")


def phone_number(value: str) -> str:
    """A number in international form, spaces taken out. Raises ValueError."""
    plain = re.sub(r"[ \-().]", "", value)
    if plain.startswith("00"):
        plain = "+" + plain[2:]
    if not _NUMBER.match(plain):
        raise ValueError('a phone number in international form is expected; write it as in "+4790000000"')
    return plain


PhoneNumber = Annotated[str, AfterValidator(phone_number)]


class ModemSettings(BaseModel):
    """A modem for SMS that speaks AT commands (3GPP TS 27.005 and 27.007) on a serial port of its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    port: str = Field(
        min_length=1,
        description="serial port, best by its lasting name (/dev/serial/by-id/…), or socket://host:port",
    )
    baudrate: int = Field(default=115200, ge=1200, le=4_000_000, description="of no importance on USB")
    pin_file: Path | None = Field(
        default=None, description="file with the PIN of the SIM card; a wrong one is tried once, never again"
    )
    send_timeout_s: float = Field(default=60.0, ge=5, le=180, description="how long the network may take for one SMS")
    poll_s: float = Field(default=30.0, ge=5, le=3600, description="how often registration and signal are asked for")

    @field_validator("port")
    @classmethod
    def _is_a_port(cls, value: str) -> str:
        if "://" not in value:
            return value
        try:
            parts = urlsplit(value)
            is_whole = parts.scheme == "socket" and parts.hostname and parts.port
        except ValueError:
            is_whole = False
        if not is_whole:
            raise ValueError(f"{value} cannot be a port; write it as in /dev/ttyUSB2 or socket://192.0.2.10:5000")
        return value
