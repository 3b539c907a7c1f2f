"""Which settings the hub starts with, and when a start has succeeded.

The settings file, if it can be used; otherwise the copy of the last one that ran healthily, which lies in the state
folder. When all that is wrong is that files are missing which the settings name, and no copy is without that fault, the
settings all the same: what needs those files does not work, and says so. After a crash loop, what `safe_mode` leaves of
the last good one.
"""

from __future__ import annotations

import asyncio
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from cloud_sync import sd_notify
from gateway import safe_mode
from gateway.safe_mode import FULL, Mode, Starts

if TYPE_CHECKING:
    from config import HubSettings
    from gateway.daemon import Hub

LAST_GOOD = "last-good.toml"
LOOK_S = 1.0
CLOSED = "closed"
_STATE_DIR = re.compile(r"""^\s*state_dir\s*=\s*["']([^"'\n]+)["']""", re.MULTILINE)

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """One start of the daemon. Made by `prepare`, which counts it."""

    settings: HubSettings
    mode: Mode
    starts: Starts
    content: bytes
    """The settings file as it was read."""

    async def watch_over(self, hub: Hub, stop: asyncio.Event) -> None:
        """Note when this run has succeeded, and when safe mode has served its time. Ends by itself."""
        service, boot_s = self.settings.service, hub.clock.boot_s
        await self._healthy_for(hub, service.healthy_after_s)
        self.starts.keep(safe_mode.lasted(self.starts.record))
        _log.info("start_succeeded", is_safe=self.mode.is_safe)
        await asyncio.to_thread(_keep_spare_identity, self.settings.state_dir)
        if not self.mode.is_safe:
            if self.mode.is_full:
                await asyncio.to_thread(self._keep_settings)
                if self.mode.was_safe:
                    hub.pipeline.report("safe_mode_over")
            return
        left_s = self.mode.trial_after_s - (boot_s() - hub.started_s)
        await asyncio.sleep(max(0.0, left_s))
        # Somebody may be waiting for an answer: not now. Two parts are asked, and neither has an event for it.
        while _is_somebody_waiting(hub):  # noqa: ASYNC110
            await asyncio.sleep(LOOK_S)
        self.starts.keep(safe_mode.served(self.starts.record))
        if sd_notify.is_supervised():
            _log.warning("safe_mode_served", next="the full set is tried")
            stop.set()

    def ended(self) -> None:
        """The daemon was asked to end, and did."""
        self.starts.keep(safe_mode.ended(self.starts.record))

    @staticmethod
    async def _healthy_for(hub: Hub, seconds: float) -> None:
        since_s = hub.clock.boot_s()
        while hub.clock.boot_s() - since_s < seconds:
            await asyncio.sleep(min(LOOK_S, seconds))
            if hub.watchdog.silent or hub.drivers.hung():
                since_s = hub.clock.boot_s()

    def _keep_settings(self) -> None:
        place = self.settings.state_dir / LAST_GOOD
        fresh = place.with_name(f".{place.name}-new")
        try:
            if place.exists() and place.read_bytes() == self.content:
                return
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(self.content)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(place)
        except OSError as error:
            _log.warning("last_good_not_kept", error=error.strerror)
            return
        _log.info("last_good_kept", config_hash=self.settings.config_hash)


def _keep_spare_identity(state_dir: Path) -> None:
    from gateway import identity_store  # who only reads settings has no use for it

    identity_store.keep_spare(state_dir)


def prepare(config: Path) -> Start:
    """Choose the settings and count the start. Raises SettingsError when there are none that can be used."""
    from config import SettingsError, check

    content = _read(config)
    checked = check(config)
    own, usual = checked.settings, FULL
    if own is None:
        errors = [each for each in checked.problems if each.severity == "error"]
        problem = f"{errors[0].key}: {errors[0].message}" if errors else "cannot be used"
        _log.error("settings_refused", problems=len(errors), first=problem)
        own, found, usual = _instead(config, content, problem)
        if found is None:
            raise SettingsError(checked.problems)
        settings = found
    else:
        settings = own
    starts = Starts(settings.state_dir)
    before = starts.record
    record = safe_mode.begin(before, safe_mode.digest(content), crashes=settings.service.crashes)
    starts.keep(record)
    mode = usual
    if record.is_safe:
        good = (_last_good(config, content) if own is not None else None) or settings
        settings, left_out = safe_mode.reduced(good, record.unfinished - 1)
        mode = replace(
            usual,
            is_safe=True,
            is_last_good=own is None or good.config_hash != own.config_hash,
            why="crash_loop",
            crashes=max(record.unfinished - 1, 0) if before.is_safe else before.unfinished,
            left_out=left_out,
            trial_after_s=safe_mode.trial_after_s(record, settings.service.safe_for_s),
        )
        _log.error("safe_mode", crashes=mode.crashes, left_out=list(left_out), trial_after_s=mode.trial_after_s)
    elif record.is_trial:
        mode = replace(usual, was_safe=True)
    settings = settings.model_copy(update={"hash_as_read": settings.config_hash})
    return Start(settings=settings, mode=mode, starts=starts, content=content)


def in_use(config: Path) -> HubSettings | None:
    """The settings that a daemon runs with which was started with this file. None: none that can be used."""
    from config import check

    found = check(config).settings
    return _instead(config, _read(config), "")[1] if found is None else found


def _instead(config: Path, content: bytes, problem: str) -> tuple[HubSettings | None, HubSettings | None, Mode]:
    """What can be used when the settings file cannot as it is: the file's own settings, what to use, and how.

    The last good settings; or, when all that is wrong is that files are missing, those without what needs them: a key
    that cannot be read must not silence all the others.
    """
    from config import check

    last_good = _last_good(config, content)
    if last_good is not None:
        return None, last_good, Mode(is_last_good=True, why="settings", problem=problem)
    own = check(config, needs_files=False).settings
    if own is not None:
        return own, own, Mode(is_lacking=True, why="files", problem=problem)
    last_good = _last_good(config, content, needs_files=False)
    return None, last_good, Mode(is_last_good=True, is_lacking=True, why="settings", problem=problem)


def _is_somebody_waiting(hub: Hub) -> bool:
    view = hub.home.view
    return hub.urgent.is_waiting or bool(view.unnamed) or any(one.word != CLOSED for one in view.alarms)


def _read(config: Path) -> bytes:
    try:
        return config.read_bytes()
    except OSError:
        return b""


def _last_good(config: Path, content: bytes, *, needs_files: bool = True) -> HubSettings | None:
    """The last settings that ran healthily, with paths as from the file's own folder. None: there are none to use."""
    from config import SettingsError, load

    for folder in _state_dirs(config, content):
        place = folder / LAST_GOOD
        try:
            if place.is_file():
                return load(place, base=config.parent, needs_files=needs_files)
        except SettingsError as error:
            _log.error("last_good_refused", problems=len(error.problems))
        except OSError as error:
            _log.error("last_good_unreadable", error=error.strerror)
    return None


def _state_dirs(config: Path, content: bytes) -> list[Path]:
    """Where the state folder may be, when the file that says so cannot be used."""
    named = _STATE_DIR.search(content.decode("utf-8", "replace"))
    found = [config.parent / named[1]] if named else []
    found += [Path(one) for one in os.environ.get("STATE_DIRECTORY", "").split(":") if one]
    return [*found, config.parent / "state"]
