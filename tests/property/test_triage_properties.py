"""Triage over whatever devices may say, in any order, with restarts in between."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_sync.identity import Lane
from cloud_sync.vocabulary import Event, Stamp
from config.devices import DeviceSettings
from config.hours import Hours
from config.settings import HubSettings
from drivers.contract import Fact, Observation
from gateway.triage import Judged, Triage, TriageRules, Verdict

WALL_MS = 1_795_000_000_000
OSLO = ZoneInfo("Europe/Oslo")

DEVICES: list[dict[str, Any]] = [
    {"alias": "pendant-1", "profile": "pendant", "resident": "r-000001", "missing_after_s": 7200},
    {"alias": "smoke-1", "profile": "smoke-detector", "resident": "r-000001"},
    {"alias": "cord-1", "profile": "pull-cord"},
    {"alias": "bed-1", "profile": "bed-mat", "resident": "r-000001", "delay_s": 600},
    {"alias": "door-1", "profile": "door-night", "resident": "r-000001"},
    {"alias": "motion-1", "profile": "activity", "resident": "r-000001", "inactivity_after_s": 3600},
    {"alias": "t-1", "profile": "thermometer", "below": 14.0, "hysteresis": 1.0, "delay_s": 300},
    {"alias": "room-*", "profile": "nurse-call"},
    {"alias": "panel", "profile": "nurse-call"},
]
ALIASES = [*(each["alias"].replace("*", "7") for each in DEVICES), "radio", "ghost-1"]
VALUES: dict[Fact, st.SearchStrategy[Any]] = {
    Fact.BUTTON: st.sampled_from(["press", "double", "triple", "long", "hold", "new"]),
    Fact.NURSE_CALL: st.sampled_from(["call", "emergency", "assistance", "presence", "reset", "new"]),
    Fact.BATTERY: st.integers(0, 100),
    Fact.TEMPERATURE: st.floats(10, 20),
    Fact.HUMIDITY: st.floats(0, 100),
    Fact.MEASUREMENT: st.floats(),
}


@st.composite
def facts(draw: st.DrawFn) -> tuple[str, Fact, Any, bool]:
    fact = draw(st.sampled_from(list(Fact)))
    value = draw(VALUES.get(fact, st.booleans()))
    return draw(st.sampled_from(ALIASES)), fact, value, draw(st.booleans()) if fact is Fact.BUTTON else False


steps = st.lists(
    st.one_of(
        facts(),
        st.sampled_from([0.001, 1.0, 30.0, 61.0, 300.0, 599.0, 601.0, 1800.0, 7200.0, 40_000.0]),
    ),
    min_size=1,
    max_size=60,
)


def rules() -> TriageRules:
    found = tuple(DeviceSettings.model_validate(each) for each in DEVICES)
    owners = {each.alias: "radio" for each in found if not each.is_family}
    return TriageRules.from_settings(
        HubSettings(
            devices=found, driver_of=owners, driver_types={"radio": "ble"}, heard_regularly=frozenset({"radio"})
        )
    )


RULES = rules()


class Run:
    """One course of events; `restarts` says before which steps a new process takes over."""

    def __init__(self, restarts: frozenset[int] = frozenset()) -> None:
        self.restarts = restarts
        self.boot_ms = 1_000_000
        self.memory: dict[str, int | str] = {}
        self.told: list[tuple[Any, ...]] = []
        self.judged: list[Judged] = []
        self.triage = self._fresh()
        self._due()

    def go(self, course: list[Any]) -> Run:
        for number, step in enumerate(course):
            if number in self.restarts:
                self.triage = self._fresh()
                self._due()
            if isinstance(step, float):
                self._wait(step)
            else:
                self.tell(*step)
        self._wait(50_000.0)
        return self

    def tell(self, alias: str, fact: Fact, value: Any, is_suspect: bool) -> Verdict:
        seen = Observation(
            device=alias,
            fact=fact,
            value=value,
            observed_boot_s=self.boot_ms / 1000,
            is_replay_suspect=is_suspect,
            remember={"counter": self.boot_ms},
        )
        return self._take(self.triage.judge(seen, "radio", self.stamp))

    @property
    def stamp(self) -> Stamp:
        return Stamp(boot_ms=self.boot_ms, wall_ms=WALL_MS + self.boot_ms, is_wall_trusted=True)

    def _fresh(self) -> Triage:
        return Triage(RULES, dict(self.memory), boot_id="boot", stamp=self.stamp)

    def _due(self) -> None:
        self._take(self.triage.due(self.boot_ms / 1000, self.stamp))

    def _wait(self, seconds: float) -> None:
        until_ms = self.boot_ms + round(seconds * 1000)
        rounds = 0
        while (due_s := self.triage.next_due()) is not None and due_s * 1000 <= until_ms:
            rounds += 1
            assert rounds < 5000, "timers come to rest"
            self.boot_ms = max(self.boot_ms, round(due_s * 1000))
            self._due()
        self.boot_ms = until_ms

    def _take(self, verdict: Verdict) -> Verdict:
        for judged in verdict.events:
            event = judged.event
            assert Event.from_bytes(event.to_bytes(), event.stamp).kind is event.kind
            key = (event.kind.word, event.device, event.resident, repr(event.value), dict(event.details), event.rule)
            self.told.append((*key, event.count, event.stamp, judged.lane, judged.action, judged.observed_boot_s))
            self.judged.append(judged)
            self._remember(judged.lane, judged.remember)
        for lane, memory in verdict.remember.items():
            self._remember(lane, memory)
        return verdict

    def _remember(self, lane: Lane, memory: Any) -> None:
        for key, value in memory.items():
            if key.startswith("triage/"):
                assert key.startswith("triage/u/") == lane.is_urgent, "a key stays in its journal file"
            self.memory[key] = value


@given(course=steps)
@settings(max_examples=150, deadline=None)
def test_the_same_input_gives_the_same_verdicts(course):
    assert Run().go(course).told == Run().go(course).told


@given(course=steps, restarts=st.frozensets(st.integers(0, 60), max_size=6))
@settings(max_examples=300, deadline=None)
def test_a_restart_at_any_point_changes_nothing_that_is_told_later(course, restarts):
    assert Run(restarts).go(course).told == Run().go(course).told


@given(course=steps)
@settings(max_examples=200, deadline=None)
def test_no_press_cord_detector_or_call_is_ever_swallowed(course):
    run = Run()
    latched: dict[tuple[str, Fact], bool] = {}
    kinds = {Fact.CORD: "cord_pulled", Fact.SMOKE: "smoke", Fact.FALL: "fall", Fact.CO: "carbon_monoxide"}
    for step in course:
        if isinstance(step, float):
            run._wait(step)
            continue
        alias, fact, value, _ = step
        words = [judged.event.kind.word for judged in run.tell(*step).events if judged.event.device == alias]
        if fact is Fact.BUTTON:
            assert "pendant_pressed" in words
        elif fact is Fact.NURSE_CALL:
            assert any(word.startswith("nurse_") for word in words)
        elif fact in kinds:
            if value and not latched.get((alias, fact)):
                assert kinds[fact] in words
            if not value and latched.get((alias, fact)):
                assert "alarm_cleared" in words
            latched[alias, fact] = value


@given(course=steps)
@settings(max_examples=150, deadline=None)
def test_alarms_are_never_folded_and_travel_as_alarm_or_care(course):
    for judged in Run().go(course).judged:
        if judged.event.kind.is_alarm:
            assert judged.event.count == 1
            assert judged.lane.is_urgent


@given(course=steps)
@settings(max_examples=150, deadline=None)
def test_what_a_driver_asked_to_remember_is_committed_exactly_once(course):
    run = Run()
    for step in course:
        if isinstance(step, float):
            run._wait(step)
            continue
        verdict = run.tell(*step)
        places = [judged.remember for judged in verdict.events] + list(verdict.remember.values())
        assert sum("driver/radio/counter" in place for place in places) == 1


@given(course=steps)
@settings(max_examples=100, deadline=None)
def test_technical_events_stay_few_however_restless_the_devices_are(course):
    run = Run()
    begin_ms = run.boot_ms
    restless = [step for step in course if not isinstance(step, float)]
    for step in restless * 20:
        run.tell(*step)
        run.boot_ms += 10
    windows = 1 + (run.boot_ms - begin_ms) // RULES.fold_ms
    counts: dict[tuple[str, str], int] = {}
    for judged in run.judged:
        if judged.lane is Lane.TECHNICAL and judged.event.rule:
            key = judged.event.device, judged.event.rule
            counts[key] = counts.get(key, 0) + 1
    assert all(count <= 3 * windows for count in counts.values()), counts


@given(
    start=st.integers(0, 1439),
    end=st.integers(0, 1439),
    wall_ms=st.integers(1_700_000_000_000, 1_900_000_000_000),
)
@settings(max_examples=300, deadline=None)
def test_hours_begin_in_the_future_and_have_begun_in_the_past(start, end, wall_ms):
    if start == end:
        return
    hours = Hours(start=start, end=end)
    opens_ms = hours.opens_ms(wall_ms, OSLO)
    assert wall_ms < opens_ms <= wall_ms + 25 * 3_600_000
    opened_ms = hours.opened_ms(wall_ms, OSLO)
    assert opened_ms is None or wall_ms - 25 * 3_600_000 <= opened_ms <= wall_ms
