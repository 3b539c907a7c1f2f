"""Local response at work: watches the alarms of this home, asks policy, and sets the measures going.

It looks again whenever what is known of an alarm changes, and when policy said so. What began and what ended is told
to central as events of the hub's own; what was done for an alarm is remembered until it has been taken back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, Protocol

import structlog

from cloud_sync import stub
from cloud_sync.cancellation import end_if_cancelled
from cloud_sync.errors import MalformedError
from cloud_sync.identity import EventId, Lane
from cloud_sync.record import parse_record
from cloud_sync.stub import LocalAction
from cloud_sync.vocabulary import AlarmClass
from drivers.contract import Lamp
from gateway.errors import JournalError
from gateway.local_response import watched as book
from gateway.local_response.measure import Desk, Ended, Measure, MeasureError, Wish
from gateway.local_response.policy import Call, Deadlines, Decision, Phrase, Stage, decide
from gateway.local_response.watched import DEADLINES_KEY, MEMORY_KEY, Watched
from gateway.pending import Pending
from gateway.triage.moments import Now, recall

TICK_S = 5.0
"""How often the paths are looked at."""
SAVE_AFTER_S = 0.5
"""What was done for an alarm is written down after so long, so that several changes cost the card one commit."""
SAVE_LAZILY_S = 10.0
"""What only became of an alarm waits so much longer for company: mostly the next alarm takes it along. When the power
fails before, the hub believes after the start that nobody has taken it, until central says otherwise: help is called
once too often at worst."""
BACK_OFF_S = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0)
PROOF_S = 3.0
"""How long the journal may take to say whether central has had an alarm of an earlier run, before the worst counts."""
PROOF_LOOK_S = 0.05
BELIEVED_S = 90.0
"""So long after a start an earlier run's word holds that somebody has an alarm: as long as central's own word would.
After that nobody knows, and people on the spot are called as if it had come back into the queue."""
LAST_WORD_S = 900.0
"""So long it is tried to tell those who were called that nobody need come."""
TEST_WITHIN_S = 20.0

_STAGES: Mapping[Lamp, Stage] = {
    Lamp.UNKNOWN: Stage.UNKNOWN,
    Lamp.WAITING: Stage.WAITING,
    Lamp.TAKEN: Stage.TAKEN,
    Lamp.ON_THE_WAY: Stage.ON_THE_WAY,
}
_WHY: Mapping[Stage, str] = {Stage.WAITING: "received", Stage.TAKEN: "taken", Stage.ON_THE_WAY: "on_the_way"}

_log = structlog.get_logger()


class Surroundings(Protocol):
    """What local response needs of the hub."""

    def now(self) -> Now: ...

    def standing(self) -> Mapping[EventId, Lamp]: ...

    def is_settled(self, event: EventId, /) -> bool: ...

    def central_had(self, event: EventId, /) -> None: ...

    def has_heard_central(self) -> bool: ...

    def is_path_usable(self) -> bool: ...

    def remember(self, lane: Lane, memory: Mapping[str, str], /) -> object: ...

    def report(self, word: str, details: Mapping[str, Any], /) -> None: ...


class LocalResponse:
    """One per hub. All methods but the tasks return at once and never raise."""

    def __init__(
        self,
        hub: bytes,
        surroundings: Surroundings,
        measures: Sequence[Measure],
        *,
        deadlines: Deadlines,
        told: Callable[[EventId], Deadlines | None] = lambda _event: None,
        told_home: Callable[[], Deadlines | None] = lambda: None,
        cut_off_after_s: float | None,
        remembered: object = None,
        remembered_home: object = None,
    ) -> None:
        """`told`: what central says of an alarm, `told_home` of all that may be raised next; both may change."""
        self._around = surroundings
        self._deadlines = deadlines
        self._told = told
        self._told_home = told_home
        self._home = book.load_deadlines(remembered_home)
        self._cut_off_after_s = cut_off_after_s
        self._watched: dict[EventId, Watched] = {}
        self._decision = Decision()
        self._wake = asyncio.Event()
        self._started_s = self._now_s()
        self._cut_off_since_s: float | None = self._started_s
        self._told_cut_off_s: float | None = None
        self._saving: asyncio.TimerHandle | None = None
        self._saved = remembered if isinstance(remembered, str) else ""
        self._is_looking = False
        self._parts = [(measure, self._desk(measure)) for measure in measures]
        self._recall(remembered, hub)

    # what happens

    def watch_over(self, pending: Pending) -> Mapping[str, str]:
        """An alarm is being raised. Returns what is to be committed with it."""
        if pending.action is LocalAction.NONE:
            return {}
        now = self._around.now()
        self._watch(pending, moment=now.moment().text, raised_s=min(pending.observed_s, now.boot_ms / 1000))
        self._saved = self._dump()
        return {MEMORY_KEY: self._saved}

    def found(self, pending: Pending) -> None:
        """An alarm of an earlier run that central has no receipt for lay in the journal."""
        known = self._watched.get(pending.id)
        if known is not None:
            known.is_unproven = False
        if pending.action is LocalAction.NONE or known is not None:
            return
        now = self._around.now()
        self._watch(pending, moment=now.moment().text, raised_s=now.boot_ms / 1000)  # nobody knows how old it is

    def look(self) -> None:
        """Something may have changed: decide anew."""
        if self._is_looking:
            return  # what is reported from here changes nothing that is looked at
        self._is_looking = True
        try:
            self._look()
        finally:
            self._is_looking = False

    # what others see

    @property
    def decision(self) -> Decision:
        """What is to run now."""
        return self._decision

    def recalled(self) -> list[tuple[EventId, LocalAction, bool]]:
        """What earlier runs watched over and was not closed when they ended; whether central is known to have it."""
        return [(one.event, one.action, not one.is_unproven) for one in self._watched.values() if not one.is_gone]

    def recalled_deadlines(self) -> tuple[Deadlines | None, dict[EventId, Deadlines]]:
        """What central told earlier runs: of the home, and of alarms of its own."""
        own = {one.event: one.told for one in self._watched.values() if one.told is not None}
        return self._home, own

    def describe(self) -> dict[str, Any]:
        """For the status."""
        decision, now_s = self._decision, self._now_s()
        cut_off_since_s = self._cut_off_since_s
        return {
            "acting_for": [
                {
                    "device": call.device,
                    "cause": call.cause.value,
                    "for_s": round(max(0.0, now_s - call.since_s), 1),
                }
                for call in decision.calls
            ],
            "phrase": None if decision.phrase is None else decision.phrase.value,
            "cut_off_s": None if cut_off_since_s is None else round(max(0.0, now_s - cut_off_since_s), 1),
            "watched": len(self._watched),
            "measures": [self._describe(measure, desk) for measure, desk in self._parts],
        }

    @staticmethod
    def _describe(measure: Measure, desk: Desk) -> dict[str, Any]:
        readiness = measure.readiness()
        is_ready = False if desk.error else readiness.is_ready
        return {"measure": measure.name, "is_ready": is_ready, "reason": desk.error or readiness.reason or None}

    async def test(self) -> list[dict[str, Any]]:
        """Exercise every measure so that whoever is near takes it for a test."""
        return [await self._tested(measure) for measure, _ in self._parts]

    async def _tested(self, measure: Measure) -> dict[str, Any]:
        if self._decision.calls:
            return {"measure": measure.name, "ok": None, "found": "not tested: an alarm is being responded to"}
        try:
            async with asyncio.timeout(TEST_WITHIN_S):
                return {"measure": measure.name, "ok": True, "found": await measure.test()}
        except MeasureError as error:
            return {"measure": measure.name, "ok": False, "found": str(error)}
        except TimeoutError:
            return {"measure": measure.name, "ok": False, "found": f"not done within {TEST_WITHIN_S:g} s"}

    # the tasks

    async def run(self) -> NoReturn:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            for measure, desk in self._parts:
                group.create_task(self._keep(measure, desk), name=f"local-{measure.name}")
            while True:
                self._wake.clear()
                self.look()
                next_s = self._decision.next_s
                wait_s = TICK_S if next_s is None else min(TICK_S, max(0.01, next_s - self._now_s()))
                if any(one.is_unproven for one in self._watched.values()):
                    wait_s = PROOF_LOOK_S
                try:
                    async with asyncio.timeout(wait_s):
                        await self._wake.wait()
                except TimeoutError:
                    continue

    def save(self) -> None:
        """Write down at once what is remembered: the hub ends."""
        if self._saving is not None:
            self._saving.cancel()
            self._save()

    async def _keep(self, measure: Measure, desk: Desk) -> NoReturn:
        """One measure, started again as often as it takes."""
        in_vain, uses = 0, 0
        while True:
            try:
                await measure.follow(desk)
            except MeasureError as error:
                desk.failed(str(error))
            except Exception as error:  # noqa: BLE001  # one way of calling must not take the others along
                _log.debug("measure_fault", measure=measure.name, exc_info=error)
                desk.failed(type(error).__name__)
            end_if_cancelled()
            in_vain = in_vain + 1 if desk.uses == uses else 0
            uses = desk.uses
            await asyncio.sleep(BACK_OFF_S[min(in_vain, len(BACK_OFF_S) - 1)])

    # inside

    def _now_s(self) -> float:
        return self._around.now().boot_ms / 1000

    def _deadlines_of(self, one: Watched) -> Deadlines:
        """How long this alarm may wait: as its plan at central says, or else the settings."""
        one.told = self._told(one.event)
        return one.told or self._deadlines

    def _desk(self, measure: Measure) -> Desk:
        desk = Desk(measure.name, watched=self._watched_of, on_health=self._health)
        desk.on_save = self._noted
        return desk

    def _watched_of(self, one: Call | Ended) -> Watched | None:
        return one.alarm if isinstance(one, Ended) else self._watched.get(one.event)

    def _watch(self, pending: Pending, *, moment: str, raised_s: float) -> None:
        device, alarm_class = "", AlarmClass.PERSONAL
        try:
            blob = parse_record(pending.record).stub
            if blob is not None:
                told = stub.peek(blob)
                device, alarm_class = told.device, told.alarm_class
        except MalformedError:
            pass  # it calls for help all the same
        self._watched[pending.id] = Watched(
            event=pending.id,
            device=device,
            alarm_class=alarm_class,
            action=pending.action,
            moment=moment,
            raised_s=raised_s,
            since_s=raised_s,
        )
        if len(self._watched) > book.MAX_WATCHED:
            for event in book.surplus(self._watched.values()):
                del self._watched[event]

    def _recall(self, remembered: object, hub: bytes) -> None:
        now = self._around.now()
        names = {measure.name for measure, _ in self._parts}
        for one in book.load(remembered, hub):
            one.raised_s = recall(one.moment, now, assumed_ms=0).at_ms / 1000
            one.since_s = one.raised_s + max(0.0, one.since_s)
            one.sent = {key: count for key, count in one.sent.items() if key.split("/")[0] in names}
            one.ended_s = now.boot_ms / 1000
            self._watched[one.event] = one

    def _look(self) -> None:
        now_s = self._now_s()
        self._judge_stages(now_s)
        self._judge_paths(now_s)
        before = self._decision
        alarms = [
            one.alarm(self._deadlines_of(one))
            for one in self._watched.values()
            if not one.is_gone and not one.is_unproven
        ]
        decision = decide(alarms, now_s, cut_off_since_s=self._cut_off_since_s, cut_off_after_s=self._cut_off_after_s)
        self._decision = decision
        self._tell_calls(decision, now_s)
        self._tell_cut_off(decision, now_s)
        self._forget(now_s)
        ended = tuple(
            Ended(alarm=one, why=one.ended) for one in self._watched.values() if one.acting is None and one.sent
        )
        wish = Wish(
            calls=decision.calls,
            sound=decision.sound,
            phrase=self._sayable(decision.phrase),
            is_cut_off=decision.is_cut_off,
            has_contact=self._cut_off_since_s is None,
            ended=ended,
        )
        for _, desk in self._parts:
            desk.put(wish)
        if decision.next_s != before.next_s:
            self._wake.set()
        if self._dump() != self._saved or self._told_home() != self._home:
            self._save_within(SAVE_LAZILY_S)

    def _judge_stages(self, now_s: float) -> None:
        standing = self._around.standing()
        for one in self._watched.values():
            if one.is_gone:
                continue
            lamp = standing.get(one.event)
            if lamp is None:
                one.is_gone = True
                one.ended_s = now_s
                continue
            if one.is_unproven and lamp is Lamp.UNKNOWN:
                if self._around.is_settled(one.event):
                    one.is_unproven = False
                    self._around.central_had(one.event)
                    one.stage = Stage.WAITING  # in time, as far as is known
                elif now_s - self._started_s >= PROOF_S:
                    one.is_unproven = False
                continue
            stage = _STAGES.get(lamp, Stage.WAITING)
            if one.stage >= Stage.TAKEN and stage is Stage.WAITING and self._believes_earlier_run(now_s):
                continue  # an earlier run knew that somebody had taken it, and nobody has said otherwise
            if stage is not one.stage:
                one.stage, one.since_s, one.is_unproven = stage, now_s, False

    def _believes_earlier_run(self, now_s: float) -> bool:
        return now_s - self._started_s < BELIEVED_S and not self._around.has_heard_central()

    def _sayable(self, phrase: Phrase | None) -> Phrase | None:
        """Aloud is said what this run has heard; that somebody comes is not said from memory."""
        is_good = phrase in {Phrase.TAKEN, Phrase.ON_THE_WAY}
        return None if is_good and not self._around.has_heard_central() else phrase

    def _judge_paths(self, now_s: float) -> None:
        if self._around.is_path_usable():
            self._cut_off_since_s = None
        elif self._cut_off_since_s is None:
            self._cut_off_since_s = now_s

    def _tell_calls(self, decision: Decision, now_s: float) -> None:
        calls = {call.event: call for call in decision.calls}
        for one in self._watched.values():
            call = calls.get(one.event)
            cause = None if call is None else call.cause
            if cause is one.acting or one.is_unproven:
                continue
            details = {"epoch": one.event.epoch.hex(), "lane": one.event.lane.word, "seq": one.event.seq}
            if one.acting is not None:
                why = "closed" if one.is_gone else _WHY.get(one.stage, "received")
                acted = {"cause": one.acting.value, "why": why}
                one.ended, one.ended_s = why, now_s
                _log.info("local_response_ended", lane=one.event.lane.word, seq=one.event.seq, why=why)
                self._around.report("local_response_ended", {**details, **acted})
            if call is not None:
                one.ended = ""
                described = [self._describe(measure, desk) for measure, desk in self._parts]
                ready = [one["measure"] for one in described if one["is_ready"] is not False]
                _log.warning("local_response", lane=one.event.lane.word, seq=one.event.seq, cause=call.cause.value)
                self._around.report(
                    "local_response", {**details, "cause": call.cause.value, "measures": " ".join(ready)}
                )
            one.acting = cause

    def _tell_cut_off(self, decision: Decision, now_s: float) -> None:
        if decision.is_cut_off and self._told_cut_off_s is None:
            self._told_cut_off_s = now_s
            _log.warning("home_told_of_outage")
            self._around.report("local_response", {"cause": "cut_off"})
        elif self._told_cut_off_s is not None and self._cut_off_since_s is None:
            lasted_s, self._told_cut_off_s = now_s - self._told_cut_off_s, None
            self._around.report("local_response_ended", {"cause": "cut_off", "why": "back", "for_s": round(lasted_s)})

    def _forget(self, now_s: float) -> None:
        """What is closed and taken back, or could not be taken back for too long, is let go."""
        for one in list(self._watched.values()):
            if not one.is_gone or one.acting is not None:
                continue
            if not one.sent or now_s - one.ended_s >= LAST_WORD_S:
                del self._watched[one.event]

    def _health(self, name: str, error: str) -> None:
        if error:
            _log.warning("measure_failed", measure=name, error=error)
            self._around.report("local_measure_failed", {"measure": name, "error": error[:160]})
        else:
            _log.info("measure_works", measure=name)
            self._around.report("local_measure_back", {"measure": name})

    def _noted(self) -> None:
        self._save_within(SAVE_AFTER_S)
        self._wake.set()

    def _save_within(self, limit_s: float) -> None:
        loop = asyncio.get_running_loop()
        if self._saving is not None:
            if self._saving.when() <= loop.time() + limit_s:
                return
            self._saving.cancel()
        self._saving = loop.call_later(limit_s, self._save)

    def _dump(self) -> str:
        return book.dump(self._watched.values(), self._deadlines, self._told_home())

    def _save(self) -> None:
        self._saving = None
        text, home = self._dump(), self._told_home()
        memory = {MEMORY_KEY: text} if text != self._saved else {}
        if home != self._home:
            memory[DEADLINES_KEY] = book.dump_deadlines(home)
        if not memory:
            return
        self._saved, self._home = text, home
        try:
            self._around.remember(Lane.ALARM, memory)
        except JournalError as error:
            _log.debug("memory_not_stored", error=error)  # the journal itself has told it
