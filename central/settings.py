"""The settings of central: `central.toml`, read once at start.

Unknown keys are refused with the nearest right one. Paths are relative to the file.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from central.errors import SettingsError

S = TypeVar("S", bound=BaseModel)


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
    receipts: Literal["auto", "always", "never"] = "auto"
    """Whether the provider confirms that texts have arrived. `auto`: from its first receipt on it is expected to."""
    receipt_within_s: float = Field(600.0, ge=30, le=86_400)
    """A text without a receipt is unconfirmed after this."""


LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class EmailSettings(_Section):
    """Letters to duty addresses and next of kin, through a mail server."""

    host: str = Field(min_length=1, max_length=253)
    port: int = Field(587, ge=1, le=65535)
    tls: Literal["starttls", "tls", "none"] = "starttls"
    ca_file: Path | None = None
    username: str = Field("", max_length=254)
    password_file: Path | None = None
    sender: str = Field(pattern=r"^[^@\s<>,;]+@[^@\s<>,;]+$", max_length=254)
    timeout_s: float = Field(10.0, gt=0, le=60)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.tls == "none" and self.host not in LOOPBACK:
            raise ValueError("a mail server on another machine is spoken to by TLS: set tls to starttls or tls")
        if bool(self.username) != (self.password_file is not None):
            raise ValueError("username and password_file are given together, or neither")
        return self


class NotifySettings(_Section):
    """How long it is tried to tell somebody of an alarm before it is given up, loudly."""

    give_up_after_s: float = Field(300.0, ge=15, le=3600)


class CallOutSettings(_Section):
    """When technicians are called for a fault that cannot wait, and how long each of them has to answer."""

    first_after_s: float = Field(300.0, ge=15, le=86_400)
    """Whoever is at a console has so long before a telephone rings."""
    answer_within_s: float = Field(300.0, ge=30, le=7200)
    """Then the next one is called."""
    again_after_s: float = Field(1800.0, ge=300, le=86_400)
    """When everybody was called in vain, they are called again so long after the first of them."""
    answer_holds_s: float = Field(3600.0, ge=600, le=86_400)
    """Whoever answered is called again when the fault still waits after this."""


class AuditSmsSettings(_Section):
    """The auditor's own way by SMS: another account with the provider than central's, at best another provider."""

    number: str = Field(pattern=r"^\+[1-9][0-9]{6,14}$")
    outbound_url: str = Field(pattern=r"^https?://[^/\s]+")
    outbound_token_file: Path
    timeout_s: float = Field(10.0, gt=0, le=60)
    to: tuple[Annotated[str, Field(pattern=r"^\+[1-9][0-9]{6,14}$")], ...] = Field(min_length=1, max_length=8)


class AuditEmailSettings(EmailSettings):
    """The auditor's own way by e-mail."""

    to: tuple[Annotated[str, Field(pattern=r"^[^@\s<>,;]+@[^@\s<>,;]+$", max_length=254)], ...] = Field(
        min_length=1, max_length=8
    )


class AuditSettings(_Section):
    """The auditor: a process of its own that looks whether what was due was done (`vaktpost central audit`)."""

    every_s: float = Field(10.0, ge=1, le=300)
    late_after_s: float = Field(20.0, ge=5, le=600)
    """A step, a notification or a lease that is overdue for so long was forgotten."""
    central_silent_after_s: float = Field(30.0, ge=10, le=600)
    nobody_on_duty_after_s: float = Field(300.0, ge=15, le=86_400)
    repeat_after_s: float = Field(900.0, ge=60, le=86_400)
    """What is still wrong is said again after this."""
    sms: AuditSmsSettings | None = None
    email: AuditEmailSettings | None = None


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
    email: EmailSettings | None = None
    channels: Mapping[str, Mapping[str, Any]] = {}
    """`[channels.NAME]`: what a channel that is installed beside Vaktpost wants to know (`channel_section`)."""
    notify: NotifySettings = NotifySettings()
    call_out: CallOutSettings = CallOutSettings()
    audit: AuditSettings = AuditSettings()

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
    email = settings.email and _beside(base, settings.email, "ca_file", "password_file")
    audit = settings.audit.model_copy(
        update={
            "sms": settings.audit.sms and _beside(base, settings.audit.sms, "outbound_token_file"),
            "email": settings.audit.email and _beside(base, settings.audit.email, "ca_file", "password_file"),
        }
    )
    data_dir = base / settings.data_dir
    master_key = settings.master_key.model_copy(update={"file": data_dir / settings.master_key.file})
    return settings.model_copy(
        update={
            "source": path,
            "data_dir": data_dir,
            "mqtt": mqtt,
            "sms": sms,
            "email": email,
            "audit": audit,
            "master_key": master_key,
        }
    )


def channel_section(settings: CentralSettings, name: str, model: type[S]) -> S | None:
    """What stands under `[channels.NAME]`, as this model; None when nothing does. Raises SettingsError."""
    given = settings.channels.get(name)
    if given is None:
        return None
    try:
        return model.model_validate(given)
    except ValidationError as error:
        known, where = list(model.model_fields), f"channels.{name}"
        raise SettingsError([_sentence(settings.source, problem, known, where) for problem in error.errors()]) from None


def _beside(base: Path, section: S, *keys: str) -> S:
    """With its files relative to the settings' folder."""
    given = {key: value for key in keys if (value := getattr(section, key)) is not None}
    return section.model_copy(update={key: base / value for key, value in given.items()})


def _sentence(path: Path, problem: Any, keys: Sequence[str] | None = None, where: str = "") -> str:
    """`keys`: what could stand there, where that is not for the settings of central to say."""
    key = ".".join(part for part in (where, *problem["loc"]) if part and isinstance(part, str))
    if problem["type"] == "extra_forbidden":
        known = _keys(problem["loc"][:-1]) if keys is None else keys
        near = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1)
        hint = f" Did you mean `{near[0]}`?" if near else f" Known here: {', '.join(known)}."
        return f"{path}: {key}: there is no such setting.{hint}"
    return f"{path}: {key}: {_said(problem)}."


def _said(problem: Any) -> str:
    text = str(problem["msg"]).removeprefix("Value error, ")
    return text[0].lower() + text[1:]


def _keys(parents: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = CentralSettings
    sections: dict[str, type[BaseModel]] = {
        "database": DatabaseSettings,
        "hubs": HubListenerSettings,
        "console": ConsoleSettings,
        "mqtt": MqttSettings,
        "sms": SmsSettings,
        "master_key": MasterKeySettings,
        "email": EmailSettings,
        "notify": NotifySettings,
        "audit": AuditSettings,
    }
    for parent in parents:
        if model is AuditSettings:
            model = AuditSmsSettings if parent == "sms" else AuditEmailSettings
        else:
            model = sections.get(str(parent), model)
    return [name for name in model.model_fields if name != "source"]
