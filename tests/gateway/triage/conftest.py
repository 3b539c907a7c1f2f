"""A home with a clock that is turned by hand: devices tell facts, triage judges, what it remembers is kept."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cloud_sync.identity import Lane
from cloud_sync.vocabulary import Stamp
from config.devices import DeviceSettings
from config.settings import HubSection, HubSettings
from drivers.contract import Fact, Observation, Scalar
from gateway.triage import Judged, Triage, TriageRules, Verdict

OSLO = ZoneInfo("Europe/Oslo")
RADIO, PANEL = "radio", "panel"


class Home:
    """`devices` are [[devices]] tables. All are heard by the driver "radio", which is heard regularly."""

    def __init__(self, devices: list[dict[str, Any]], *, at: str = "2026-11-22 12:00", boot_s: float = 100.0) -> None:
        found = tuple(DeviceSettings.model_validate(each) for each in devices)
        for each in found:
            assert not list(each.objections())
        settings = HubSettings(
            hub=HubSection(),
            devices=found,
            driver_of={each.alias: RADIO for each in found if not each.is_family},
            driver_types={RADIO: "ble"},
            heard_regularly=frozenset({RADIO}),
        )
        self.rules = TriageRules.from_settings(settings)
        self.boot_s = boot_s
        self.wall_s = datetime.fromisoformat(at).replace(tzinfo=OSLO).timestamp()
        self.is_trusted = True
        self.boot = "boot1"
        self.files: dict[bool, dict[str, int | str]] = {True: {}, False: {}}
        self.writes = 0
        self.judged: list[Judged] = []
        self.last: Verdict = Verdict()
        self.start()

    @property
    def stamp(self) -> Stamp:
        return Stamp(
            boot_ms=round(self.boot_s * 1000), wall_ms=round(self.wall_s * 1000), is_wall_trusted=self.is_trusted
        )

    @property
    def memory(self) -> dict[str, int | str]:
        alarm, bulk = self.files[True], self.files[False]
        assert not alarm.keys() & bulk.keys(), "a key lies in one journal file only"
        return {**alarm, **bulk}

    def start(self) -> list[str]:
        """A fresh process that knows only what is in the files."""
        self.triage = Triage(self.rules, self.memory, boot_id=self.boot, stamp=self.stamp)
        return self.pass_time(0)

    restart = start

    def reboot(self, off_s: float, *, is_trusted: bool = True) -> list[str]:
        """The machine was off for so long."""
        self.wall_s += off_s
        self.boot_s = 20.0
        self.boot += "+"
        self.is_trusted = is_trusted
        return self.start()

    def tell(self, alias: str, fact: Fact, value: Scalar, *, driver: str = RADIO, **more: Any) -> list[str]:
        seen = Observation(device=alias, fact=fact, value=value, observed_boot_s=self.boot_s, **more)
        return self._take(self.triage.judge(seen, driver, self.stamp))

    def pass_time(self, seconds: float) -> list[str]:
        """Turn the clock; every timer runs at its time. Returns what was told."""
        until_s = self.boot_s + seconds
        told: list[str] = []
        while (due_s := self.triage.next_due()) is not None and due_s <= until_s:
            assert due_s >= self.boot_s - 0.001, "timers do not lie in the past"
            self._turn(max(0.0, due_s - self.boot_s))
            told += self._take(self.triage.due(self.boot_s, self.stamp))
        self._turn(until_s - self.boot_s)
        return told

    def until(self, clock: str) -> list[str]:
        """Let time pass until the clock on the wall shows this."""
        local = datetime.fromtimestamp(self.wall_s, OSLO)
        hour, minute = map(int, clock.split(":"))
        minutes = (hour * 60 + minute - local.hour * 60 - local.minute) % (24 * 60)
        return self.pass_time(minutes * 60 - local.second)

    def _turn(self, seconds: float) -> None:
        self.boot_s += seconds
        self.wall_s += seconds

    def _take(self, verdict: Verdict) -> list[str]:
        self.last = verdict
        lanes = [judged.lane for judged in verdict.events]
        assert lanes == sorted(lanes), "the most urgent comes first"
        for judged in verdict.events:
            self._remember(judged.lane, judged.remember)
            self.judged.append(judged)
        for lane, memory in verdict.remember.items():
            self._remember(lane, memory)
        return [judged.event.kind.word for judged in verdict.events]

    def _remember(self, lane: Lane, memory: Any) -> None:
        file = self.files[lane.is_urgent]
        for key, value in memory.items():
            self.writes += 1
            if value == "":
                file.pop(key, None)
            elif not key.startswith("driver/"):
                file[key] = value


@pytest.fixture
def make_home() -> Callable[..., Home]:
    def make(*devices: dict[str, Any], **more: Any) -> Home:
        return Home(list(devices), **more)

    return make


@pytest.fixture
def anna() -> str:
    return "r-7f3a90"
