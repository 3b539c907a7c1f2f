"""When the hub starts with less than it was set up with: after a crash loop, or when its settings cannot be used.

Pure but for `Starts`, which keeps a few words between starts. There are no times of day in it: what counts is how many
starts in a row neither lasted nor were asked to end. Each start is counted before anything can go wrong.

    full ──so many crashes──▶ safe ──lasted long enough, or ended on request──▶ trial of the full set
      ▲                        ▲ └──new settings──▶ full                              │        │
      │                        └──────────────── one crash: safe, for twice as long ──┘        │
      └────────────────────────────────── it lasted ───────────────────────────────────────────┘
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

import structlog

if TYPE_CHECKING:
    from config import HubSettings

CRASHES = 5
MAX_DOUBLINGS = 5
TURN_AFTER = 3
"""So many crashes in safe mode, and the next path is the one that is used."""
STARTS_FILE = "starts.json"

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """How this run was started. The default is the whole set with its own settings."""

    is_safe: bool = False
    is_last_good: bool = False
    """The settings file cannot be used: this is the last one that could."""
    is_lacking: bool = False
    """A file that the settings name cannot be read: what needs it does not work, everything else does."""
    why: str = ""
    """`crash_loop`, `settings` or `files`."""
    crashes: int = 0
    problem: str = ""
    """What is wrong with the settings file, the first of it."""
    left_out: tuple[str, ...] = ()
    """Drivers and paths that are not there."""
    trial_after_s: float = 0.0
    """In safe mode: the full set is tried after so long."""
    was_safe: bool = False
    """The full set is being tried after safe mode."""

    def details(self) -> dict[str, str | int]:
        """For the event that tells central."""
        found: dict[str, str | int] = {"reason": self.why}
        if self.is_safe:
            found |= {"crashes": self.crashes, "left_out": len(self.left_out)}
        if self.problem:
            found["problem"] = self.problem[:120]
        return found

    @property
    def is_full(self) -> bool:
        """Nothing is missing, and the settings are those of the file."""
        return not self.is_safe and not self.is_last_good and not self.is_lacking


FULL = Mode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is kept between starts."""

    unfinished: int = 0
    """Starts in a row that neither lasted nor were asked to end, this one included while it runs."""
    is_safe: bool = False
    """The last start was one in safe mode."""
    is_trial: bool = False
    """The next start, or the one that runs, tries the full set after safe mode."""
    trials: int = 0
    """How often that has failed."""
    settings: str = ""
    """Digest of the settings file at the last start."""

    @classmethod
    def read(cls, content: bytes) -> Self:
        """As it was kept; what a newer version kept besides is passed over. Raises ValueError."""
        found = json.loads(content)
        if not isinstance(found, dict):
            raise ValueError("no record of starts")  # noqa: TRY004  # it is the file's content that is wrong
        values = {each.name: found[each.name] for each in fields(cls) if each.name in found}
        for name, value in values.items():
            wanted = type(getattr(_NONE_YET, name))
            if type(value) is not wanted or (wanted is int and value < 0):
                raise ValueError(f"no record of starts: {name}")
        return cls(**values)


_NONE_YET = Record()


def begin(before: Record, settings: str, *, crashes: int = CRASHES) -> Record:
    """What this start is to be: `is_safe` says how."""
    if before.settings and before.settings != settings:
        return Record(unfinished=1, settings=settings, is_trial=before.is_safe or before.is_trial)
    count = before.unfinished + 1
    if before.is_safe and not before.is_trial:
        return replace(before, unfinished=count, settings=settings)
    if before.is_trial and before.trials and before.unfinished and not before.is_safe:
        # The full set was tried once more and did not last: no second crash is needed to know.
        return Record(unfinished=1, is_safe=True, trials=before.trials + 1, settings=settings)
    if before.unfinished >= crashes:
        return Record(unfinished=1, is_safe=True, trials=before.trials + 1, settings=settings)
    unfinished = 1 if before.is_safe else count
    return replace(before, unfinished=unfinished, is_safe=False, settings=settings)


def lasted(record: Record) -> Record:
    """This run has been healthy for a while."""
    if record.is_safe:
        return replace(record, unfinished=0)
    return Record(settings=record.settings)


def served(record: Record) -> Record:
    """Safe mode has lasted long enough: the next start tries the full set."""
    return replace(record, unfinished=0, is_trial=record.is_safe or record.is_trial)


def ended(record: Record) -> Record:
    """This run was asked to end. Whoever asks wants to see whether it goes now."""
    return served(record)


def trial_after_s(record: Record, safe_for_s: float) -> float:
    """How long safe mode lasts this time: twice as long with every trial that failed."""
    return safe_for_s * 2.0 ** min(MAX_DOUBLINGS, max(0, record.trials - 1))


def reduced(settings: HubSettings, crashes_in_safe_mode: int = 0) -> tuple[HubSettings, tuple[str, ...]]:
    """The settings without optional drivers and with one path, and what was left out.

    Which path: the most preferred that carries whole records. Should the hub crash on with it, it is the next one's
    turn, and so on.
    """
    drivers = {name: one for name, one in settings.drivers.items() if not one.optional}
    whole = [name for name, one in settings.uplinks.items() if getattr(one, "type", "") != "sms"]
    names = whole or list(settings.uplinks)
    kept = {names[crashes_in_safe_mode // TURN_AFTER % len(names)]} if names else set()
    left_out = [f"driver {name}" for name in settings.drivers if name not in drivers]
    left_out += [f"path {name}" for name in settings.uplinks if name not in kept]
    indicators = settings.indicators
    return (
        settings.model_copy(
            update={
                "drivers": drivers,
                "uplinks": {name: one for name, one in settings.uplinks.items() if name in kept},
                "devices": tuple(
                    device
                    for device in settings.devices
                    if settings.driver_of.get(device.alias) is None or settings.driver_of[device.alias] in drivers
                ),
                "driver_of": {alias: name for alias, name in settings.driver_of.items() if name in drivers},
                "driver_types": {name: kind for name, kind in settings.driver_types.items() if name in drivers},
                "heard_regularly": settings.heard_regularly & drivers.keys(),
                "indicators": indicators if indicators is not None and indicators.driver in drivers else None,
                "hash_as_read": "",
            }
        ),
        tuple(left_out),
    )


class Starts:
    """Keeps the record. In memory-backed /run where systemd gives a place there: a broken card must not hide a loop."""

    def __init__(self, state_dir: Path) -> None:
        runtime = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
        self._path = (Path(runtime) if runtime else state_dir) / STARTS_FILE
        self.record = self._read()

    def _read(self) -> Record:
        try:
            return Record.read(self._path.read_bytes())
        except FileNotFoundError:
            return Record()
        except (OSError, ValueError) as error:
            _log.warning("starts_unreadable", error=type(error).__name__)
            return Record()

    def keep(self, record: Record) -> None:
        """Note it. When that cannot be written the hub starts all the same; it only cannot count."""
        self.record = record
        fresh = self._path.with_name(f".{self._path.name}-new")
        try:
            with fresh.open("wb") as file:
                file.write(json.dumps(asdict(record)).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._path)
        except OSError as error:
            _log.warning("starts_not_kept", error=error.strerror)
            with contextlib.suppress(OSError):
                fresh.unlink()


def digest(content: bytes) -> str:
    """Of a settings file, as it lies there."""
    return hashlib.sha256(content).hexdigest()[:16]
