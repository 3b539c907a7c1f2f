"""What the health check gets to judge: plain values, and the places that they come from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cloud_sync.vocabulary import Scalar
from gateway.safe_mode import FULL, Mode

if TYPE_CHECKING:
    from cloud_sync.modem import ModemState


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalFacts:
    """One honest write to the card and back. `error` is None when it worked."""

    write_ms: float | None
    read_ms: float | None
    free_bytes: int
    total_bytes: int
    reserve_bytes: int
    reserve_wanted_bytes: int = 0
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverFacts:
    """A driver and its line. `is_link_up` None: it has not said yet. Ages are seconds, None when never."""

    name: str
    type_name: str
    state: str
    """starting, running, backing_off, parked or hung."""
    is_link_up: bool | None
    link_reason: str = ""
    last_error: str = ""
    retry_s: float | None = None
    """Until it is tried again."""
    heard_s_ago: float | None = None
    diagnostics: Mapping[str, Scalar] = field(default_factory=dict)

    @property
    def is_alive(self) -> bool:
        """Whether its devices can be heard at all."""
        return self.state == "running" and self.is_link_up is True


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFacts:
    """A device as triage and its driver know it. What it never told is None."""

    alias: str
    driver: str | None
    """The driver that it is heard by; None for one that the settings do not place."""
    heard_s_ago: float | None
    watched_s: float
    """How long it has been waited for, without a break."""
    missing_after_s: float | None
    """None: its silence says nothing."""
    is_told_missing: bool = False
    rssi_dbm: int | None = None
    battery_pct: int | None = None
    battery_low_pct: int = 20
    is_battery_low: bool | None = None
    """What the device says of itself, where it tells no level."""
    level: str | None = None
    """A wired input: at_rest, active or unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureFacts:
    """One way in which the hub calls for help on the spot. `is_ready` None: it was not tried yet."""

    name: str
    is_ready: bool | None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UplinkFacts:
    """A path and one round trip over it, made now. `round_trip_ms` None: nothing came back in time."""

    name: str
    is_up: bool
    round_trip_ms: float | None
    answered_s_ago: float | None
    last_error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbedFacts:
    """A path that is probed on a schedule, because a round trip costs a text message. Times of day are the hub's."""

    name: str
    is_up: bool
    is_lost: bool
    answered_at: str | None
    """When something sent this way was last answered."""
    answered_s_ago: float | None
    awaited_s: float | None
    """How long nothing has come back; None: nothing is awaited."""
    is_overdue: bool
    is_stale: bool = False
    """The last answer is older than the plan of the probes allows."""
    last_error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockFacts:
    """`offset_ms` is central's clock minus the system's, None before central has told it."""

    is_trusted: bool
    offset_ms: float | None
    wall_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardFacts:
    """What the board tells; an empty value where it has no such sensor."""

    temperature_c: float | None = None
    throttled: int | None = None
    """The firmware's bits of a Raspberry Pi: low half now, high half since the start."""
    is_under_voltage: bool | None = None
    is_mains_on: bool | None = None
    ups_pct: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFacts:
    """A key or certificate by its name in the texts: identity, sign, seal, tls_ca. Times are ms since 1970, UTC."""

    name: str
    created_ms: int | None
    ends_ms: int | None = None
    damage: str = ""
    """Why the file of it cannot be read; a spare one is in use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsFacts:
    """What runs here and how it is set up."""

    software: str
    config_hash: str
    system: Mapping[str, str] = field(default_factory=dict)
    """Versions of what lies below: python, kernel."""
    running_s: float | None = None
    """How long the daemon has been running; None when it does not."""
    mode: Mode = FULL
    """Whether all of it runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingFacts:
    """Alarms and care events without a receipt. `oldest_s` None: nothing waits."""

    records: int
    oldest_s: float | None
    in_memory_only: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TestFacts:
    """A test alarm that was sent through everything. A time is None when that did not happen in time."""

    __test__ = False  # a value, not a class of tests

    durable_ms: float | None = None
    receipt_ms: float | None = None
    answered_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What whoever asks believes to be running here. Empty: no belief."""

    software: str = ""
    config_hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthSources:
    """Where facts come from. None: cannot be told here (no running daemon), and the line says so.

    Everything is called in the event loop. What is awaited may hang or raise; what is called returns at once.
    """

    journal: Callable[[], Awaitable[JournalFacts]] | None = None
    drivers: Callable[[], Sequence[DriverFacts]] | None = None
    devices: Callable[[], Sequence[DeviceFacts]] | None = None
    uplinks: Mapping[str, Callable[[], Awaitable[UplinkFacts | ProbedFacts]]] | None = None
    clock: Callable[[], ClockFacts] | None = None
    waiting: Callable[[], WaitingFacts] | None = None
    keys: Callable[[], Sequence[KeyFacts]] | None = None
    settings: Callable[[], SettingsFacts] | None = None
    measures: Callable[[], Sequence[MeasureFacts]] | None = None
    modem: Callable[[], ModemState] | None = None
    """None: the settings have none, and nothing is said of it."""
    test_event: Callable[[], Awaitable[TestFacts]] | None = None
    board: Path = Path("/sys")
    """Root of the kernel's tree of devices, of which tests make their own."""
