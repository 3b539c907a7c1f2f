"""Standing watch: what drivers tell and what time brings is judged, and what it means goes on its way.

Triage is pure; this is the one place that feeds it. Should judging itself fail, that is a fault of ours and no reason
to lose an alarm: what may be one is raised by the plainest rule there is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NoReturn

import structlog

from cloud_sync.stub import LocalAction
from cloud_sync.vocabulary import BY_WORD, Event
from config import HubSettings
from drivers.contract import Fact, Observation
from gateway.clock import HubClock, boot_id
from gateway.errors import JournalError
from gateway.intake import Intake
from gateway.journal import Journal
from gateway.pipeline import Pipeline
from gateway.triage import Judged, Triage, TriageRules, Verdict

LOOK_AGAIN_S = 60.0
"""Timers are looked at this often at least: the wall clock may have become another one."""
DRAIN_S = 1.0

PLAINEST: Mapping[Fact, str] = {
    Fact.BUTTON: "pendant_pressed",
    Fact.CORD: "cord_pulled",
    Fact.NURSE_CALL: "nurse_emergency",
    Fact.FALL: "fall",
    Fact.SMOKE: "smoke",
    Fact.CO: "carbon_monoxide",
    Fact.GAS: "gas",
    Fact.HEAT: "heat",
    Fact.WATER: "water",
}
"""What a fact is when nothing more can be said about it."""
ALARMING_WHEN_FALSE = frozenset({Fact.PRESENCE, Fact.LINK, Fact.MAINS})
"""Where False is the news: an empty bed, a dead line."""

_log = structlog.get_logger()


class Watch:
    """The intake, triage, and the loop between them."""

    def __init__(self, settings: HubSettings, *, journal: Journal, clock: HubClock, pipeline: Pipeline) -> None:
        self._journal = journal
        self._clock = clock
        self._pipeline = pipeline
        self.intake = Intake(
            boot_s=clock.boot_s,
            stamp=clock.stamp,
            report=self._take,
            other_limit=settings.hub.intake_queue,
        )
        self.triage = Triage(
            TriageRules.from_settings(settings), journal.memory, boot_id=boot_id().hex(), stamp=clock.stamp()
        )
        self._timer_wake = asyncio.Event()
        self._armed_s: float | None = None
        self._finished = asyncio.Event()
        self.faults = 0

    def put(self, driver: str, observation: Observation) -> None:
        """Take in what a driver was told. Returns at once."""
        self.intake.put(driver, observation)

    async def run(self) -> None:
        """Judge until the intake is closed and empty."""
        async with asyncio.TaskGroup() as group:
            timers = group.create_task(self._run_timers(), name="timers")
            async for driver, observation in self.intake:
                self._judge(driver, observation)
            self._finished.set()
            timers.cancel()

    async def drain(self) -> None:
        """Take in nothing more and judge what is there."""
        self.intake.close()
        try:
            async with asyncio.timeout(DRAIN_S):
                await self._finished.wait()
        except TimeoutError:
            _log.warning("observations_left", count=len(self.intake))

    def describe(self) -> dict[str, Any]:
        """Counters for the status."""
        return {"waiting": len(self.intake), "faults": self.faults, **asdict(self.intake.counters)}

    def _take(self, judged: Judged) -> None:
        self._pipeline.take(judged)

    def _judge(self, driver: str, observation: Observation) -> None:
        try:
            verdict = self.triage.judge(observation, driver, self._clock.stamp())
        except Exception as error:  # noqa: BLE001  # a rule that fails must not cost an alarm, nor the ones after it
            self._rule_failed(error, observation)
            return
        self._pass_on(verdict)

    def _pass_on(self, verdict: Verdict) -> None:
        for judged in verdict.events:
            self._pipeline.take(judged)
        for lane, memory in verdict.remember.items():
            try:
                self._journal.remember(lane, memory)
            except JournalError as error:
                _log.debug("memory_not_stored", lane=lane.word, error=error)  # the journal itself has told it
        if verdict.confirmation is not None and not verdict.confirmation.done():
            verdict.confirmation.set_result(True)
        due_s = self.triage.next_due()
        if due_s is not None and (self._armed_s is None or due_s < self._armed_s):
            self._timer_wake.set()

    async def _run_timers(self) -> NoReturn:
        while True:
            self._timer_wake.clear()
            due_s = self._armed_s = self.triage.next_due()
            wait_s = LOOK_AGAIN_S if due_s is None else min(LOOK_AGAIN_S, due_s - self._clock.boot_s())
            if wait_s > 0:
                try:
                    async with asyncio.timeout(wait_s):
                        await self._timer_wake.wait()
                except TimeoutError:
                    pass
                else:
                    continue
            try:
                verdict = self.triage.due(self._clock.boot_s(), self._clock.stamp())
            except Exception as error:  # noqa: BLE001  # as above; look again later rather than at once
                self._rule_failed(error, None)
                await asyncio.sleep(1.0)
                continue
            self._pass_on(verdict)

    def _rule_failed(self, error: Exception, observation: Observation | None) -> None:
        self.faults += 1
        _log.error("rule_failed", error=error, fact=None if observation is None else observation.fact)
        _log.debug("rule_fault", exc_info=error)
        if observation is None:
            return
        if not observation.may_alarm or (observation.value is False and observation.fact not in ALARMING_WHEN_FALSE):
            if observation.confirmation is not None and not observation.confirmation.done():
                observation.confirmation.set_result(False)  # whoever waits may tell it again
            return
        kind = BY_WORD[PLAINEST.get(observation.fact, "detector_fault")]
        event = Event(
            kind=kind,
            stamp=self._clock.stamp(observation.observed_boot_s),
            device=observation.device,
            rule="plainest",
        )
        self._pipeline.take(
            Judged(
                event=event,
                lane=kind.lane,
                action=LocalAction.LAMP_AND_BUZZER if kind.is_alarm else LocalAction.NONE,
                confirmation=observation.confirmation,
                observed_boot_s=observation.observed_boot_s,
            )
        )
