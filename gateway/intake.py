"""Where Observations come in: two bounded queues, so that nothing bulky is ever ahead of what may be an alarm.

Drivers put, one consumer takes. Nothing here waits for anything, and nothing is lost quietly: what cannot be taken is
counted, its sender is told at once (`confirmation` becomes False), and central hears of it, folded to once a minute.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import structlog

from cloud_sync.identity import Lane
from cloud_sync.stub import LocalAction
from cloud_sync.vocabulary import BY_WORD, Event, Stamp
from drivers.contract import Fact, Observation, Scalar
from gateway.triage.judged import Judged

ALARM_LIMIT = 256
RECENT = 512
"""How many Observations are compared with a new one, to drop a copy of the same reception."""
REPORT_EVERY_S = 60.0
BREATHE_EVERY = 64
"""So many are handed out before the event loop gets its turn: drivers must get to put an alarm in."""

_Item = tuple[str, Observation]
_log = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class IntakeCounters:
    """What went through, for status and health check."""

    taken: int = 0
    copies: int = 0
    refused_alarms: int = 0
    """Could have been an alarm and found no room. Should be 0 for ever."""
    merged_alarms: int = 0
    """Gave way in a full queue to the same fact of the same device."""
    dropped: int = 0
    """Could not have been an alarm, and the oldest had to go."""


class Intake:
    """The queues between the drivers and triage.

    `report` gets the `observations_dropped` event, to be journalled and sent like any other. It is called in the event
    loop, at once for the first loss and then once a minute while more is lost.
    """

    def __init__(
        self,
        *,
        boot_s: Callable[[], float],
        stamp: Callable[[], Stamp],
        report: Callable[[Judged], None],
        other_limit: int = 4096,
        alarm_limit: int = ALARM_LIMIT,
    ) -> None:
        self.counters = IntakeCounters()
        self._boot_s = boot_s
        self._stamp = stamp
        self._report = report
        self._alarm_limit = alarm_limit
        self._other_limit = other_limit
        self._alarms: deque[_Item] = deque()
        self._others: deque[_Item] = deque()
        self._recent: OrderedDict[tuple[str, Fact, Scalar, float], None] = OrderedDict()
        self._filled = asyncio.Event()
        self._is_closed = False
        self._unreported_alarms = 0
        self._unreported_others = 0
        self._timer: asyncio.TimerHandle | None = None

    def put(self, driver: str, observation: Observation) -> None:
        """Take in what a driver was told. Returns at once, whatever happens."""
        if self._is_closed:
            _answer(observation, is_safe=False)
            return
        if self._is_copy(observation):
            self.counters.copies += 1
            return
        if observation.may_alarm:
            if len(self._alarms) >= self._alarm_limit and not self._make_room(driver, observation):
                return
            self._alarms.append((driver, observation))
        else:
            if len(self._others) >= self._other_limit:
                self._drop_oldest()
            self._others.append((driver, observation))
        self._filled.set()

    def __len__(self) -> int:
        return len(self._alarms) + len(self._others)

    async def __aiter__(self) -> AsyncIterator[_Item]:
        """Everything that was put, alarms first, until the intake is closed and empty. For one consumer."""
        handed_out = 0
        while True:
            while not self._alarms and not self._others:
                if self._is_closed:
                    return
                self._filled.clear()
                await self._filled.wait()
            self.counters.taken += 1
            yield self._alarms.popleft() if self._alarms else self._others.popleft()
            handed_out += 1
            if handed_out % BREATHE_EVERY == 0:
                await asyncio.sleep(0)

    def close(self) -> None:
        """Take in nothing more; the iteration ends when everything was handed out. Reports what was not yet."""
        self._is_closed = True
        self._filled.set()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._report_losses()

    def _is_copy(self, observation: Observation) -> bool:
        """The very same reception twice. One that waits for an answer is let through: both must get it."""
        if observation.confirmation is not None:
            return False
        name = (observation.device, observation.fact, observation.value, observation.observed_boot_s)
        if name in self._recent:
            return True
        self._recent[name] = None
        if len(self._recent) > RECENT:
            self._recent.popitem(last=False)
        return False

    def _make_room(self, driver: str, observation: Observation) -> bool:
        """In a full alarm queue a fact that is told again later on gives way.

        So a stuck button cannot push out a pull cord. The earlier one goes, so that the last word on a state stays it.
        """
        later = {_name(driver, observation)}
        for index in range(len(self._alarms) - 1, -1, -1):
            name = _name(*self._alarms[index])
            if name in later:
                self.counters.merged_alarms += 1
                self._lose(self._alarms[index][1], is_alarm=True)
                del self._alarms[index]
                return True
            later.add(name)
        self.counters.refused_alarms += 1
        _log.error("alarm_refused", driver=driver, device=observation.device, fact=observation.fact)
        self._lose(observation, is_alarm=True)
        return False

    def _drop_oldest(self) -> None:
        self.counters.dropped += 1
        self._lose(self._others.popleft()[1], is_alarm=False)

    def _lose(self, observation: Observation, *, is_alarm: bool) -> None:
        _answer(observation, is_safe=False)
        if is_alarm:
            self._unreported_alarms += 1
        else:
            self._unreported_others += 1
        if self._timer is None:
            self._report_losses()
            self._timer = asyncio.get_running_loop().call_later(REPORT_EVERY_S, self._minute_is_over)

    def _minute_is_over(self) -> None:
        self._timer = None
        if self._unreported_alarms or self._unreported_others:
            self._report_losses()
            self._timer = asyncio.get_running_loop().call_later(REPORT_EVERY_S, self._minute_is_over)

    def _report_losses(self) -> None:
        alarms, others = self._unreported_alarms, self._unreported_others
        if not alarms and not others:
            return
        self._unreported_alarms = self._unreported_others = 0
        _log.warning("observations_dropped", alarms=alarms, others=others)
        kind = BY_WORD["observations_dropped"]
        event = Event(
            kind=kind,
            stamp=self._stamp(),
            device="hub",
            details={"may_alarm": alarms, "other": others},
            rule="intake",
            count=alarms + others,
        )
        # Something that may have been an alarm is missing: that must not wait behind measurements.
        self._report(
            Judged(
                event=event,
                lane=Lane.CARE if alarms else kind.lane,
                action=LocalAction.NONE,
                observed_boot_s=self._boot_s(),
            )
        )


def _name(driver: str, observation: Observation) -> tuple[str, str, Fact, Scalar]:
    return driver, observation.device, observation.fact, observation.value


def _answer(observation: Observation, *, is_safe: bool) -> None:
    waiting = observation.confirmation
    if waiting is not None and not waiting.done():
        waiting.set_result(is_safe)
