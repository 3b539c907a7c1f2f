"""What the resident is told, kept true: replies in, lamp and buzzer out, and a report to central of what they show."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import NoReturn

import structlog

from cloud_sync.central_messages import LocalDeadlines, Reply
from cloud_sync.errors import MalformedError, UplinkError
from cloud_sync.hub_messages import MAX_LAMPS, Trace
from cloud_sync.identity import EventId, Lane, id_from_text
from cloud_sync.stub import LocalAction
from cloud_sync.stub_answer import StubAnswer
from drivers.contract import Lamp
from gateway.annunciator import Annunciator, Chirp
from gateway.clock import HubClock
from gateway.pending import Pending
from gateway.replies import HomeView, Replies

RETRY_S = 2.0
EXPIRY_SLACK_S = 0.05
LOOK_S = 30.0
"""So often at least, while somebody is said to come, it is looked whether central's clock was set."""
DURABLE_WAIT_S = 1.0
DURABLE_LOOK_S = 0.1
"""A receipt may overtake the card: so long, looked at so often, a report waits to tell when the card had it."""
QUIET = "home/quiet"
"""The key in the journal's memory under which the newest silent alarms are kept."""

_log = structlog.get_logger()

SendReport = Callable[[str, tuple[tuple[bytes, int, str], ...], tuple[Trace, ...]], Awaitable[None]]
"""Hands a lamp report to a path. Raises UplinkError."""


class Home:
    """One place that knows what is shown."""

    def __init__(self, *, clock: HubClock, annunciator: Annunciator, send_report: SendReport) -> None:
        self._clock = clock
        self._annunciator = annunciator
        self._send_report = send_report
        self._replies = Replies()
        self._view = HomeView()
        self._told_view: HomeView | None = None
        self._travelled: deque[Pending] = deque(maxlen=MAX_LAMPS)
        self._is_report_due = True
        self._set_back = clock.set_back
        self._wake = asyncio.Event()
        self._tests: dict[EventId, asyncio.Event] = {}
        self.on_look: Callable[[], None] = lambda: None
        """Called after everything that may have changed what is true of an alarm."""

    @property
    def view(self) -> HomeView:
        """What is shown now."""
        return self._view

    # what happens

    def recall(self, remembered: int | str | None) -> None:
        """What earlier runs were to be silent about, from the journal's memory."""
        if isinstance(remembered, str):
            self._replies.keep_quiet(found for text in remembered.split() if (found := _event_from(text)) is not None)

    def keep_quiet(self, event: EventId) -> Mapping[str, str]:
        """A silent alarm is being raised. Returns what is to be committed with it, so that no restart shows it."""
        return {QUIET: " ".join(map(str, self._replies.keep_quiet([event])))}

    def raised(self, pending: Pending) -> None:
        """An alarm was raised here, or an earlier run's was found that never arrived."""
        self._replies.raised(pending.id, pending.action)
        if pending.action is LocalAction.LAMP_AND_BUZZER and not pending.is_loaded:
            self._annunciator.chirp(Chirp.PRESSED)
        self._refresh()

    def recalled(self, event: EventId, action: LocalAction, *, is_receipted: bool) -> None:
        """An earlier run raised this and did not hear that it was closed."""
        self._replies.recalled(event, action, is_receipted=is_receipted)

    def central_had(self, event: EventId) -> None:
        """An alarm of an earlier run turns out to have been receipted then."""
        self._replies.receipted([event], 0)
        self._refresh()

    def receipted(self, those: list[Pending], central_ms: int) -> None:
        """Central has these."""
        self._travelled.extend(pending for pending in those if not pending.is_loaded)
        self._replies.receipted((pending.id for pending in those), central_ms)
        self._is_report_due = True
        self._wake.set()
        self._refresh()

    def heard(self, reply: Reply) -> None:
        """Central has said something about alarms of this home."""
        self._note_clock()
        self._replies.heard(reply)
        for event, answered in self._tests.items():
            if self._replies.test_answer(event) is not None:
                answered.set()
        self._refresh()

    def answered(self, answer: StubAnswer) -> None:
        """Central has answered a stub: it knows of the alarm, though the full record is still to come."""
        self._clock.hear(answer.central_ms)
        self._note_clock()
        self._replies.answered(answer)
        self._refresh()

    def standing(self) -> Mapping[EventId, Lamp]:
        """Every event raised here that is not closed, and what is true of it now."""
        return self._replies.standing(self._clock.central_ms())

    def deadlines(self, event: EventId) -> LocalDeadlines | None:
        """When the hub is to act for this event by itself, as far as central has said."""
        return self._replies.deadlines(event)

    def home_deadlines(self) -> LocalDeadlines | None:
        """The same for all that this home may raise next."""
        return self._replies.home_deadlines

    def recall_deadlines(self, home: LocalDeadlines | None, events: Mapping[EventId, LocalDeadlines]) -> None:
        """What central told an earlier run of these."""
        self._replies.recall_deadlines(home, events)

    def central_replaced(self) -> None:
        """Central's database is another one than before."""
        self._replies.central_replaced()
        self._refresh()

    def paths_changed(self) -> None:
        """A path came up: it may carry a report that is due."""
        self._wake.set()

    async def test_answered(self, event: EventId) -> str:
        """Wait for central's answer to a test; returns the word of the state it gave."""
        while (answer := self._replies.test_answer(event)) is None:
            waiting = self._tests.setdefault(event, asyncio.Event())
            try:
                await waiting.wait()
            finally:
                self._tests.pop(event, None)
        return answer.state.value

    def test_raised(self, event: EventId) -> None:
        """A test was made: nothing is shown for it."""
        self._replies.test_raised(event)

    # the task

    async def run(self) -> NoReturn:
        """Let replies expire, and report what is shown, until cancelled."""
        while True:
            self._refresh()
            self._wake.clear()
            retry_s = await self._report() if self._is_report_due else None
            waits = [one for one in (retry_s, self._until_change_s()) if one is not None]
            try:
                async with asyncio.timeout(min(waits, default=None)):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _note_clock(self) -> None:
        central_ms = self._clock.central_ms()
        if self._clock.set_back != self._set_back and central_ms is not None:
            self._set_back = self._clock.set_back
            self._replies.clock_set_back(central_ms)

    def _refresh(self) -> None:
        self._note_clock()
        before, after = self._view, self._replies.view(self._clock.central_ms())
        self._view = after
        if not after.shows_same_as(before):
            self._annunciator.show(after)
            self._is_report_due = True
            if after.lamp is not before.lamp:
                _log.info("lamp_changed", before=before.lamp.value, now=after.lamp.value)
            self._wake.set()
        elif after.next_change_ms != before.next_change_ms:
            self._wake.set()
        self.on_look()

    def _until_change_s(self) -> float | None:
        change_ms, now_ms = self._view.next_change_ms, self._clock.central_ms()
        if change_ms is None or now_ms is None:
            return None
        return min(LOOK_S, max(0.0, (change_ms - now_ms) / 1000) + EXPIRY_SLACK_S)

    async def _report(self) -> float | None:
        """Tell central what is shown. Returns when to try again or to tell the rest, None when all is told."""
        alarms = tuple((one.alarm, one.version, one.word) for one in self._view.alarms)[-MAX_LAMPS:]
        settled_s = self._clock.boot_s() - DURABLE_WAIT_S
        told = [one for one in self._travelled if one.durable_s is not None or (one.receipted_s or 0.0) < settled_s]
        is_changed = self._told_view is None or not self._view.shows_same_as(self._told_view)
        if not told and self._travelled and not is_changed:
            return DURABLE_LOOK_S
        view, self._is_report_due = self._view, False
        try:
            await self._send_report(self._view.lamp.value, alarms, tuple(one.trace() for one in told))
        except UplinkError:
            self._is_report_due = True
            return RETRY_S
        self._told_view = view
        for one in told:
            if one in self._travelled:
                self._travelled.remove(one)
        if self._travelled:
            self._is_report_due = True
            return DURABLE_LOOK_S
        return None


def _event_from(text: str) -> EventId | None:
    """The name of an event as `str` writes it, or None for anything else."""
    try:
        hub, epoch, lane, seq = text.split("/")
        return EventId(id_from_text(hub), id_from_text(epoch), Lane[lane.upper()], int(seq))
    except (MalformedError, KeyError, ValueError):
        return None
