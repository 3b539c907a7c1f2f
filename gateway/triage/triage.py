"""The rules at work: Observations and timers in, verdicts out. No clock, no I/O, the same answer to the same input."""

from __future__ import annotations

from collections.abc import Mapping

from cloud_sync.vocabulary import Stamp
from config.profiles import UNKNOWN
from drivers.contract import ALIAS, Fact, Observation
from gateway.triage.device import Device, DeviceState
from gateway.triage.draft import Draft, Watch
from gateway.triage.judged import Memory, Verdict
from gateway.triage.moments import Now
from gateway.triage.rules import DeviceRules, TriageRules
from gateway.triage.supervision import Activity
from gateway.triage.timers import Timers

MAX_DEVICES = 1000
"""More aliases than this get no memory of their own: they raise, and nothing about them is latched or folded."""


class Triage:
    """What device facts mean for residents.

    `memory` is what the journal held; only keys under "triage/" are looked at. `stamp` is now and `boot_id` names
    this boot of the machine. Every call takes the present as a value: `judge` may get the stamp of now or that of
    the observation. Call `due` no later than `next_due` says, also after the wall clock became trusted.
    """

    def __init__(self, rules: TriageRules, memory: Memory, *, boot_id: str, stamp: Stamp) -> None:
        self._rules = rules
        self._boot_id = boot_id[:12]
        self._devices: dict[str, Device] = {}
        self._timers = Timers()
        self._stored: dict[str, str] = {}
        self._down: dict[str, set[str]] = {}
        self._active: dict[str, list[Activity]] = {}
        self._stale: tuple[str, ...] = ()
        now = self._now(stamp)
        self._starting: Draft | None = Draft(now)
        for known in rules.devices.values():
            self._add(known, now)
        self._restore(memory, now)
        for device in self._devices.values():
            self._track_line(device)
            for watch in device.watches.values():
                self._starting.touch(watch)
                self._timers.arm(watch, watch.due_ms(now))

    def judge(self, observation: Observation, driver: str, stamp: Stamp) -> Verdict:
        """What this Observation means. Timers that ran out before it go first."""
        boot_ms = min(round(observation.observed_boot_s * 1000), stamp.boot_ms)
        now = self._now(stamp, boot_ms)
        draft = self._begin(now)
        self._run_timers(draft)
        draft.observation = observation
        device = self._device(observation.device, driver, now)
        if device.judge(observation, now, draft):
            for activity in self._active.get(_group(device.rules), ()):
                activity.note(now, draft)
        if observation.fact is Fact.LINK:
            self._judge_line(device, draft)
        if device.rules.alias not in self._devices:
            for watch in device.watches.values():
                draft.touched.pop(watch.key, None)
        return self._finish(draft, driver)

    def due(self, boot_s: float, stamp: Stamp) -> Verdict:
        """What has become true by the passing of time."""
        draft = self._begin(self._now(stamp, round(boot_s * 1000)))
        self._run_timers(draft)
        return self._finish(draft, None)

    def next_due(self) -> float | None:
        """Boot time (s) of the next timer, None when nothing runs."""
        if self._starting is not None:
            return self._starting.now.boot_ms / 1000
        due_ms = self._timers.next_ms()
        return None if due_ms is None else due_ms / 1000

    def devices(self) -> Mapping[str, DeviceState]:
        """Every device that is described or was heard, by alias."""
        return {alias: device.state() for alias, device in self._devices.items()}

    def _now(self, stamp: Stamp, boot_ms: int | None = None) -> Now:
        if boot_ms is None:
            boot_ms = stamp.boot_ms
        wall_ms = max(0, stamp.wall_ms - (stamp.boot_ms - boot_ms))
        return Now(boot_ms, wall_ms, stamp.is_wall_trusted, self._boot_id, self._rules.zone)

    def _begin(self, now: Now) -> Draft:
        """A draft; the first one takes along what the start has to write down."""
        draft = Draft(now)
        if self._starting is not None:
            draft.touched.update(self._starting.touched)
            self._starting = None
        return draft

    def _run_timers(self, draft: Draft) -> None:
        now = draft.now
        while (watch := self._timers.pop(now.boot_ms)) is not None:
            watch.run(now, draft)
            draft.touch(watch)

    def _finish(self, draft: Draft, driver: str | None) -> Verdict:
        changed: dict[str, str] = {}
        for key, watch in draft.touched.items():
            self._timers.arm(watch, watch.due_ms(draft.now), not_before_ms=draft.now.boot_ms + 1)
            text = watch.dump()
            if self._stored.get(key, "") != text:
                self._stored[key] = text
                changed[key] = text
        for key in [key for key, text in changed.items() if not text]:
            del self._stored[key]
        for key in self._stale:
            changed.setdefault(key, "")
        self._stale = ()
        return draft.finish(changed, driver)

    def _device(self, alias: str, driver: str, now: Now) -> Device:
        device = self._devices.get(alias)
        if device is None:
            rules = self._rules.find(alias)
            if len(self._devices) >= MAX_DEVICES or not ALIAS.match(alias):
                return _passing(alias, now, self._rules)
            device = self._add(rules, now)
        if device.driver is None:
            device.driver = driver
        return device

    def _add(self, rules: DeviceRules, now: Now) -> Device:
        device = Device(rules, now=now, fold_ms=self._rules.fold_ms, is_listening=self._is_listening)
        self._devices[rules.alias] = device
        if device.activity is not None:
            self._active.setdefault(_group(rules), []).append(device.activity)
        return device

    def _restore(self, memory: Memory, now: Now) -> None:
        stale: list[str] = []
        for key, text in memory.items():
            if not key.startswith("triage/") or text == "":
                continue
            watch = self._remembered(key, now)
            if watch is None or watch.key != key:
                stale.append(key)
                continue
            self._stored[key] = str(text)
            watch.restore(str(text), now)
        self._stale = tuple(stale)

    def _remembered(self, key: str, now: Now) -> Watch | None:
        parts = key.split("/")
        if len(parts) != 4 or not ALIAS.match(parts[2]):
            return None
        device = self._devices.get(parts[2])
        if device is None:
            rules = self._rules.find(parts[2])
            if len(self._devices) >= MAX_DEVICES:
                return None
            device = self._add(rules, now)
        return device.watch(parts[3])

    def _is_listening(self, driver: str | None) -> bool:
        return driver is None or not self._down.get(driver)

    def _judge_line(self, device: Device, draft: Draft) -> None:
        """While a driver's line is down nobody is missing; when it is back, everybody gets a whole window."""
        was_listening = self._is_listening(device.driver)
        self._track_line(device)
        if self._is_listening(device.driver) and not was_listening:
            for other in self._devices.values():
                if other.driver == device.driver and other.heard is not None:
                    other.heard.begin(draft.now, draft)

    def _track_line(self, device: Device) -> None:
        if device.driver is None or not device.is_line:
            return
        down = self._down.setdefault(device.driver, set())
        if device.has_link:
            down.discard(device.rules.alias)
        else:
            down.add(device.rules.alias)


def _group(rules: DeviceRules) -> str:
    """Whose activity counts together: a resident's, or that of a device without one."""
    return rules.resident or f"/{rules.alias}"


def _passing(alias: str, now: Now, rules: TriageRules) -> Device:
    """A device that is judged and forgotten, so it is not told as unknown each time.

    An alias that cannot stand in a stub is bent into one that can.
    """
    plain = "".join(each if each.isascii() and each.isalnum() else "-" for each in alias.lower())[:16].strip("-")
    found = rules.find(alias)
    profile = UNKNOWN if not found.is_known else found.profile
    return Device(
        DeviceRules(alias=plain or "unknown", profile=profile, resident=found.resident),
        now=now,
        fold_ms=rules.fold_ms,
        is_listening=lambda _driver: True,
    )
