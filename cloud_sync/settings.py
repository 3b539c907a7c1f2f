"""Settings of the paths from hub to central. Unknown keys are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator


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


UplinkSettings = Annotated[HttpsSettings | MqttSettings, Field(discriminator="type")]
