"""Settings of the paths from hub to central, and of the modem that one may go through. Unknown keys are refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from ground.models import AfterValidator, BaseModel, ConfigDict, Field, field_validator


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HttpsSettings(_Settings):
    """HTTPS to central. The certificate is checked against the CA that enrolment certified, and nothing else."""

    type: Literal["https"] = "https"
    url: str = Field(description="address of central's hub listener, e.g. https://central.example.org:8443")
    connect_timeout_s: float = Field(default=5.0, gt=0, le=60)
    idle_timeout_s: float = Field(default=35.0, ge=15, le=300, description="no sign of life for so long: path is down")

    @field_validator("url")
    @classmethod
    def _is_https(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.port == 0:  # and a port that is none raises here
            raise ValueError("the port is not between 1 and 65535")
        if parts.scheme != "https" or not parts.hostname:
            raise ValueError("an https:// address with a host name is expected")
        if parts.path not in {"", "/"} or parts.query or parts.fragment:
            raise ValueError("only scheme, host and port are expected, no path")
        return value.rstrip("/")


class MqttSettings(_Settings):
    """MQTT 5 to a broker that central listens to. The broker sees sealed bytes only."""

    type: Literal["mqtt"]
    host: str = Field(min_length=1)
    port: int = Field(default=8883, ge=1, le=65535)
    tls: bool = Field(default=True, description="false is meant for a broker on this machine")
    ca_file: Path | None = Field(default=None, description="CA of the broker's certificate; default: central's own CA")
    username: str | None = None
    password_file: Path | None = None
    connect_timeout_s: float = Field(default=5.0, gt=0, le=60)
    keepalive_s: int = Field(default=15, ge=5, le=300)


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


class ModemSettings(_Settings):
    """A modem for SMS that speaks AT commands (3GPP TS 27.005 and 27.007) on a serial port of its own."""

    port: str = Field(
        min_length=1,
        description="serial port, best by its lasting name (/dev/serial/by-id/…), or socket://host:port",
    )
    baudrate: int = Field(default=115200, ge=1200, le=921_600, description="of no importance on USB")
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


class SmsSettings(_Settings):
    """SMS through the modem of `[modem]`: carries a stub of each alarm when nothing else reaches central."""

    type: Literal["sms"]
    number: PhoneNumber = Field(description='central\'s number for SMS, as in "+4759000000"')
    answers_from: tuple[PhoneNumber, ...] = Field(
        default=(), max_length=8, description="further numbers that central's answers may come from"
    )
    probe_s: float = Field(
        default=86_400.0, ge=600, le=604_800, description="how often a probe tells whether the way is good"
    )
    stubs_per_hour: int = Field(
        default=60,
        ge=1,
        le=600,
        description="so many alarms at most leave by SMS within an hour; the first two of each device always do",
    )


UplinkSettings = Annotated[HttpsSettings | MqttSettings | SmsSettings, Field(discriminator="type")]
