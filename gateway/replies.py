"""What may be told at home: one state per alarm and one over all of them. Pure: no I/O, central's time comes in.

The rules:

- An event that central has not receipted, and knows no stub of, is *unknown*, whatever else is true of it.
- A receipted event that no reply names is *waiting*: central has it, nobody has said more.
- Of the replies to an alarm the highest (version, validity) wins; an older one changes nothing.
- A reply that has expired in central's time falls back to *waiting*. *Closed* does not expire.
- A snapshot names all that are open at this hub. What it does not name is closed, unless we learnt of it later than
  the snapshot was made.
- Over all open alarms the least reassuring state is shown: unknown, waiting, taken, on the way.
- A test alarm is answered by machine and never shown.
- An alarm that the home is to be silent about is never shown, also not by a run that did not raise it.
- An answer to a stub says that central knows the alarm, though it has no full record yet: it is shown as that answer
  says, for a while; the highest (version, time) wins. A reply goes before it, unless it is of an older version: what
  central said while the network was away comes late, after what an SMS has told since.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from cloud_sync.central_messages import AlarmReply, LocalDeadlines, Reply, ReplyState
from cloud_sync.identity import EventId
from cloud_sync.stub import LocalAction
from cloud_sync.stub_answer import AnswerState, StubAnswer
from drivers.contract import Lamp

SNAPSHOT_MARGIN_MS = 2_000
"""An event receipted less than this before a snapshot was made may have been committed too late to stand in it."""
MAX_RAISED = 1024
MAX_CLOSED = 256
MAX_CLOSED_SHOWN = 4
MAX_TESTS = 64
MAX_QUIET = 16
"""So many of the newest silent alarms are known over a restart."""

STUB_ANSWER_VALID_MS = 10 * 60_000
"""How long what an answer to a stub says of people holds. It names no time itself, and the next one may be lost."""

LEAST_REASSURING_FIRST = (Lamp.UNKNOWN, Lamp.WAITING, Lamp.TAKEN, Lamp.ON_THE_WAY)

_SHOWN: Mapping[ReplyState, Lamp] = {
    ReplyState.WAITING: Lamp.WAITING,
    ReplyState.TAKEN: Lamp.TAKEN,
    ReplyState.ON_THE_WAY: Lamp.ON_THE_WAY,
    ReplyState.CLOSED: Lamp.OFF,
}


_ANSWERED: Mapping[AnswerState, Lamp] = {
    AnswerState.KNOWN: Lamp.WAITING,
    AnswerState.WAITING: Lamp.WAITING,
    AnswerState.TAKEN: Lamp.TAKEN,
    AnswerState.ON_THE_WAY: Lamp.ON_THE_WAY,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownAlarm:
    """What is shown for one alarm of central's, and the version of the reply that this rests on."""

    alarm: bytes
    version: int
    state: Lamp

    @property
    def word(self) -> str:
        """The state's word in a lamp report."""
        return "closed" if self.state is Lamp.OFF else self.state.value


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeView:
    """Everything there is to show at one moment. `next_change_ms` is when, in central's time, a reply expires."""

    lamp: Lamp = Lamp.OFF
    may_sound: bool = False
    alarms: tuple[ShownAlarm, ...] = ()
    unnamed: tuple[tuple[EventId, Lamp], ...] = ()
    next_change_ms: int | None = None

    def shows_same_as(self, other: HomeView) -> bool:
        """Whether a person at home or at central would see no difference."""
        return replace(self, next_change_ms=None) == replace(other, next_change_ms=None)


@dataclass(slots=True)
class _Raised:
    action: LocalAction
    receipted_ms: int | None = None
    answer: StubAnswer | None = None
    """What central says of an alarm of which it has the stub only."""

    def lamp(self, central_ms: int | None) -> tuple[Lamp, int | None]:
        """What to show for an event that no reply names, and when (in central's time) that changes by itself."""
        if self.answer is None:  # a receipt takes back nothing of what an answer has said: the reply comes after it
            return (Lamp.UNKNOWN if self.receipted_ms is None else Lamp.WAITING), None
        lamp = _ANSWERED.get(self.answer.state, Lamp.WAITING)
        if lamp is Lamp.WAITING:
            return lamp, None
        until_ms = self.answer.central_ms + STUB_ANSWER_VALID_MS
        return (lamp, until_ms) if central_ms is not None and central_ms < until_ms else (Lamp.WAITING, None)


@dataclass(slots=True)
class _Alarm:
    reply: AlarmReply
    heard_ms: int
    events: frozenset[EventId] = field(default_factory=frozenset)


class Replies:
    """Everything that was raised here and everything that central has said about it."""

    def __init__(self) -> None:
        self._raised: dict[EventId, _Raised] = {}
        self._alarms: dict[bytes, _Alarm] = {}
        self._closed: OrderedDict[bytes, int] = OrderedDict()  # alarm → version: an old reply does not reopen it
        self._tests: OrderedDict[EventId, AlarmReply | None] = OrderedDict()
        self._quiet: OrderedDict[EventId, None] = OrderedDict()
        self._home: LocalDeadlines | None = None
        self._of_before: dict[EventId, LocalDeadlines] = {}

    # what happens

    def keep_quiet(self, events: Iterable[EventId]) -> tuple[EventId, ...]:
        """The home is to be silent about these. Returns all that have to be known over a restart, oldest first."""
        self._quiet.update(dict.fromkeys(events))
        while len(self._quiet) > MAX_QUIET:
            self._quiet.popitem(last=False)
        return tuple(self._quiet)

    def raised(self, event: EventId, action: LocalAction) -> None:
        """An event that a person has to answer was made here."""
        self._raised[event] = _Raised(action)
        if len(self._raised) > MAX_RAISED:
            settled = next((old for old, raised in self._raised.items() if raised.receipted_ms is not None), None)
            if settled is not None:
                del self._raised[settled]

    def recalled(self, event: EventId, action: LocalAction, *, is_receipted: bool) -> None:
        """An earlier run raised this. One that central had is closed by a snapshot that lacks it."""
        self._raised.setdefault(event, _Raised(action, receipted_ms=0 if is_receipted else None))

    def recall_deadlines(self, home: LocalDeadlines | None, events: Mapping[EventId, LocalDeadlines]) -> None:
        """What central told an earlier run. It holds until central tells this one everything anew."""
        self._home = home
        self._of_before = dict(events)

    def test_raised(self, event: EventId) -> None:
        """A test was made here: wait for its answer, show nothing."""
        self._tests[event] = None
        if len(self._tests) > MAX_TESTS:
            self._tests.popitem(last=False)

    def receipted(self, events: Iterable[EventId], central_ms: int) -> None:
        """Central has committed these (and was here in time when it said so)."""
        for event in events:
            raised = self._raised.get(event)
            if raised is not None and raised.receipted_ms is None:
                raised.receipted_ms = central_ms

    def heard(self, reply: Reply) -> None:
        """A verified reply to this run of the hub."""
        said_ms = reply.to.central_ms
        if reply.is_snapshot:
            self._of_before.clear()
        if reply.home is not None or reply.is_snapshot:
            self._home = reply.home
        for one in reply.alarms:
            self._take(one, said_ms)
        if reply.is_snapshot:
            self._close_all_but({one.alarm for one in reply.alarms}, said_ms)

    def answered(self, answer: StubAnswer) -> None:
        """A verified answer to a stub of this hub."""
        raised = self._raised.get(answer.event)
        if raised is None:
            return
        before = raised.answer
        if before is not None and (answer.version, answer.central_ms) <= (before.version, before.central_ms):
            return
        if answer.state is AnswerState.CLOSED:
            del self._raised[answer.event]
        elif answer.state is not AnswerState.MACHINE:
            raised.answer = answer

    def clock_set_back(self, central_ms: int) -> None:
        """Central's clock now shows an earlier time: what was to hold until a moment of before would hold too long.

        Nobody is believed to have an alarm until central says so again, which it does within half a minute.
        """
        for alarm in self._alarms.values():
            alarm.reply = replace(alarm.reply, valid_until_ms=0)
            alarm.heard_ms = min(alarm.heard_ms, central_ms)
        for raised in self._raised.values():
            if raised.receipted_ms is not None:
                raised.receipted_ms = min(raised.receipted_ms, central_ms)
            if raised.answer is not None:
                said_ms = min(raised.answer.central_ms, max(0, central_ms - STUB_ANSWER_VALID_MS))
                raised.answer = replace(raised.answer, central_ms=said_ms)

    def central_replaced(self) -> None:
        """Central's database is another one than before: what it knew and counted may be gone."""
        self._closed.clear()
        for raised in self._raised.values():
            raised.receipted_ms = raised.answer = None
        for alarm in self._alarms.values():
            alarm.reply = replace(alarm.reply, version=0, valid_until_ms=0)
            for event in alarm.events:  # also those of earlier runs: they are being offered again
                self._raised.setdefault(event, _Raised(LocalAction.NONE if event in self._quiet else LocalAction.LAMP))

    # what follows from it

    def deadlines(self, event: EventId) -> LocalDeadlines | None:
        """When the hub is to act for this event by itself, as far as central has said: of its alarm, or of the home."""
        for alarm in self._alarms.values():
            if event in alarm.events and alarm.reply.local is not None:
                return alarm.reply.local
        return self._of_before.get(event, self._home)

    @property
    def home_deadlines(self) -> LocalDeadlines | None:
        """The same for alarms that central has not spoken of."""
        return self._home

    def test_answer(self, event: EventId) -> AlarmReply | None:
        """What central said about a test."""
        return self._tests.get(event)

    def view(self, central_ms: int | None) -> HomeView:
        """What to show now. `central_ms` None: central's time is not known, so nothing that can expire holds."""
        shown: list[ShownAlarm] = []
        expiries: list[int] = []
        named: set[EventId] = set()
        sounds = False
        for key, alarm in self._alarms.items():
            named |= alarm.events
            state = _SHOWN[alarm.reply.state]
            has_expired = central_ms is None or central_ms >= alarm.reply.valid_until_ms
            if has_expired and alarm.reply.state is not ReplyState.CLOSED:
                state = Lamp.WAITING
            mine = [self._raised[event].action for event in alarm.events if event in self._raised]
            mine += [LocalAction.NONE for event in alarm.events if event in self._quiet]
            if mine and all(action is LocalAction.NONE for action in mine):
                continue  # an alarm of which the home shows nothing
            if state in {Lamp.TAKEN, Lamp.ON_THE_WAY}:
                expiries.append(alarm.reply.valid_until_ms)
            sounds = sounds or LocalAction.LAMP_AND_BUZZER in mine
            shown.append(ShownAlarm(alarm=key, version=alarm.reply.version, state=state))
        unnamed: list[tuple[EventId, Lamp]] = []
        for event, raised in self._raised.items():
            if raised.action is LocalAction.NONE or (event in named and raised.receipted_ms is not None):
                continue
            lamp, until_ms = raised.lamp(central_ms)
            unnamed.append((event, lamp))
            if until_ms is not None:
                expiries.append(until_ms)
            sounds = sounds or raised.action is LocalAction.LAMP_AND_BUZZER
        states = {one.state for one in shown} | {state for _, state in unnamed}
        shown += [
            ShownAlarm(alarm=key, version=version, state=Lamp.OFF)
            for key, version in list(self._closed.items())[-MAX_CLOSED_SHOWN:]
        ]
        return HomeView(
            lamp=next((state for state in LEAST_REASSURING_FIRST if state in states), Lamp.OFF),
            may_sound=sounds,
            alarms=tuple(shown),
            unnamed=tuple(unnamed),
            next_change_ms=min(expiries, default=None),
        )

    def standing(self, central_ms: int | None) -> Mapping[EventId, Lamp]:
        """Every event raised here that is not closed, and what is true of it now."""
        named: dict[EventId, Lamp] = {}
        for alarm in self._alarms.values():
            has_expired = central_ms is None or central_ms >= alarm.reply.valid_until_ms
            state = Lamp.WAITING if has_expired else _SHOWN[alarm.reply.state]
            named.update(dict.fromkeys(alarm.events, state))
        return {
            event: named[event] if event in named and raised.receipted_ms is not None else raised.lamp(central_ms)[0]
            for event, raised in self._raised.items()
        }

    def _take(self, one: AlarmReply, said_ms: int) -> None:
        if one.events and all(event in self._tests for event in one.events):
            for event in one.events:
                self._tests[event] = one
            return
        if any(self._was_told_since(event, one.version) for event in one.events):
            return
        known = self._alarms.get(one.alarm)
        if self._closed.get(one.alarm, -1) >= one.version:
            if known is None:
                for event in one.events:  # of a closed alarm with more events than one entry names, or offered again
                    self._raised.pop(event, None)
            return
        if known is not None:
            known.heard_ms = max(known.heard_ms, said_ms)
            if (one.version, one.valid_until_ms) < (known.reply.version, known.reply.valid_until_ms):
                return
            known.reply = one
            known.events |= frozenset(one.events)
        else:
            known = self._alarms[one.alarm] = _Alarm(one, said_ms, frozenset(one.events))
        for event in one.events:
            raised = self._raised.get(event)
            if raised is not None and raised.receipted_ms is None:
                raised.receipted_ms = said_ms  # central speaks of it, so it has it
        if one.state is ReplyState.CLOSED:
            self._close(one.alarm)

    def _was_told_since(self, event: EventId, version: int) -> bool:
        """Whether an answer by SMS was of a newer version of the alarm."""
        raised = self._raised.get(event)
        return raised is not None and raised.answer is not None and raised.answer.version > version

    def _close_all_but(self, named: set[bytes], said_ms: int) -> None:
        for key in [key for key, alarm in self._alarms.items() if key not in named and alarm.heard_ms <= said_ms]:
            if any(self._is_unreceipted(event) for event in self._alarms[key].events):
                del self._alarms[key]  # central was replaced and does not know of it: that closes nothing
            else:
                self._close(key)
        spoken_of = frozenset[EventId]().union(*(alarm.events for alarm in self._alarms.values()))
        for event, raised in list(self._raised.items()):
            if event in spoken_of or raised.receipted_ms is None:
                continue
            if raised.receipted_ms + SNAPSHOT_MARGIN_MS < said_ms:
                del self._raised[event]

    def _is_unreceipted(self, event: EventId) -> bool:
        raised = self._raised.get(event)
        return raised is not None and raised.receipted_ms is None

    def _close(self, key: bytes) -> None:
        alarm = self._alarms.pop(key)
        for event in alarm.events:
            self._raised.pop(event, None)
        self._closed[key] = alarm.reply.version
        self._closed.move_to_end(key)
        if len(self._closed) > MAX_CLOSED:
            self._closed.popitem(last=False)
