"""The settings of central: `central.toml`, read once at start.

Unknown keys are refused with the nearest right one. Paths are relative to the file.
"""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from central.errors import SettingsError


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DatabaseSettings(_Section):
    """Where rows live. Empty: SQLite in the data directory."""

    url: str = ""


class HubListenerSettings(_Section):
    """Where hubs come in: always TLS, with central's own authority."""

    host: str = "127.0.0.1"
    port: int = Field(8443, ge=0, le=65535)
    names: tuple[str, ...] = ("localhost", "127.0.0.1")


class ConsoleSettings(_Section):
    """Where people come in. Plain HTTP is for loopback and for a reverse proxy that does the TLS."""

    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535)
    public_url: str = ""
    frame_ancestors: tuple[str, ...] = ()
    session_hours: float = Field(12, gt=0, le=24 * 30)
    login_link_minutes: float = Field(15, gt=0, le=24 * 60)


class MqttSettings(_Section):
    """A broker that hubs and central share (MQTT 5)."""

    host: str
    port: int = Field(8883, ge=1, le=65535)
    username: str | None = None
    password_file: Path | None = None
    tls: bool = True
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None


class SmsSettings(_Section):
    """Texts from and to hubs that nothing else reaches, through a provider (docs/administrators)."""

    provider: Literal["http"] = "http"
    number: str = Field(pattern=r"^\+[1-9][0-9]{6,14}$")
    host: str = "127.0.0.1"
    port: int = Field(8090, ge=0, le=65535)
    inbound_secret_file: Path
    outbound_url: str = Field(pattern=r"^https?://[^/\s]+")
    outbound_token_file: Path
    timeout_s: float = Field(10.0, gt=0, le=60)


class MasterKeySettings(_Section):
    """The key that the keys of residents are wrapped under: a file (mode 0600), or a credential of systemd."""

    file: Path = Path("keys/master.key")
    credential: str = Field("", pattern=r"^[A-Za-z0-9._-]{0,64}$")


class CentralSettings(_Section):
    """All of it. `source` is the file it came from."""

    source: Path = Field(default=Path("central.toml"), exclude=True)
    data_dir: Path = Path()
    language: Literal["nb", "en"] = "nb"
    place: str = ""  # whose response centre this is, for the page head
    time_zone: str = "Europe/Oslo"
    database: DatabaseSettings = DatabaseSettings()
    hubs: HubListenerSettings = HubListenerSettings()
    console: ConsoleSettings = ConsoleSettings()
    master_key: MasterKeySettings = MasterKeySettings()
    mqtt: tuple[MqttSettings, ...] = ()
    """One `[mqtt]` table, or several `[[mqtt]]` for brokers of which hubs use one when another is dead."""
    sms: SmsSettings | None = None

    @field_validator("mqtt", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return (value,) if isinstance(value, dict | MqttSettings) else () if value is None else value

    @property
    def database_url(self) -> str:
        """The SQLAlchemy URL."""
        return self.database.url or f"sqlite+aiosqlite:///{self.data_dir / 'central.db'}"

    @property
    def public_url(self) -> str:
        """Where people reach the console, without a slash at the end."""
        return (self.console.public_url or f"http://{self.console.host}:{self.console.port}").rstrip("/")

    @property
    def admin_socket(self) -> Path:
        """The socket (mode 0600) by which the command line asks a running central."""
        return self.data_dir / "admin.sock"


def load(path: Path) -> CentralSettings:
    """Read and check a file. Raises SettingsError with every problem at once."""
    try:
        with path.open("rb") as file:
            raw = tomllib.load(file)
    except FileNotFoundError:
        raise SettingsError(
            [f"{path}: there is no such file. `vaktpost central init --data {path.parent}` makes one."]
        ) from None
    except OSError as error:
        raise SettingsError([f"{path}: cannot be read: {error.strerror}."]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError([f"{path}: not valid TOML: {error}."]) from None
    try:
        settings = CentralSettings.model_validate(raw)
    except ValidationError as error:
        raise SettingsError([_sentence(path, problem) for problem in error.errors()]) from None
    base = path.resolve().parent
    mqtt = tuple(
        broker.model_copy(
            update={
                key: base / value
                for key in ("password_file", "ca_file", "cert_file", "key_file")
                if (value := getattr(broker, key)) is not None
            }
        )
        for broker in settings.mqtt
    )
    sms = settings.sms and settings.sms.model_copy(
        update={key: base / getattr(settings.sms, key) for key in ("inbound_secret_file", "outbound_token_file")}
    )
    data_dir = base / settings.data_dir
    master_key = settings.master_key.model_copy(update={"file": data_dir / settings.master_key.file})
    return settings.model_copy(
        update={"source": path, "data_dir": data_dir, "mqtt": mqtt, "sms": sms, "master_key": master_key}
    )


def _sentence(path: Path, problem: Any) -> str:
    key = ".".join(part for part in problem["loc"] if isinstance(part, str))
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(problem["loc"][-1]), _keys(problem["loc"][:-1]), n=1)
        hint = f" Did you mean `{near[0]}`?" if near else f" Known here: {', '.join(_keys(problem['loc'][:-1]))}."
        return f"{path}: {key}: there is no such setting.{hint}"
    return f"{path}: {key}: {problem['msg'][0].lower()}{problem['msg'][1:]}."


def _keys(parents: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = CentralSettings
    sections: dict[str, type[BaseModel]] = {
        "database": DatabaseSettings,
        "hubs": HubListenerSettings,
        "console": ConsoleSettings,
        "mqtt": MqttSettings,
        "sms": SmsSettings,
        "master_key": MasterKeySettings,
    }
    for parent in parents:
        model = sections.get(str(parent), model)
    return [name for name in model.model_fields if name != "source"]
