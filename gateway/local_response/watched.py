"""The alarms that local response watches over, and what it remembers of them over a restart.

One text in the journal's memory holds them all: event, device alias, class, times, and how often which measure was
used. No names, no numbers: telephone numbers are remembered by their place in the settings.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cloud_sync.central_messages import LocalDeadlines
from cloud_sync.errors import MalformedError
from cloud_sync.identity import EventId, Lane, id_from_text
from cloud_sync.stub import LocalAction
from cloud_sync.vocabulary import AlarmClass
from gateway.local_response.policy import Alarm, Cause, Deadlines, Stage

MEMORY_KEY = "local/alarms"
DEADLINES_KEY = "local/deadlines"
"""Under which those of the home are remembered, as central told them last."""
MAX_WATCHED = 64
"""Beyond this some are forgotten: see `surplus`."""
MAX_REMEMBERED = 12
"""So many of the newest are known over a restart."""


@dataclass(slots=True, kw_only=True)
class Watched:
    """One alarm of this home, from when it was raised until everything that was done for it is undone."""

    event: EventId
    device: str
    alarm_class: AlarmClass
    action: LocalAction
    moment: str
    """When it was raised, as `triage.moments` writes it down."""
    raised_s: float
    stage: Stage = Stage.UNKNOWN
    since_s: float = 0.0
    acting: Cause | None = None
    ended: str = ""
    """Why the hub no longer acts for it: received, taken, on_the_way, closed. Empty while it does, or never did."""
    ended_s: float = 0.0
    is_gone: bool = False
    """Closed: kept only until everybody who was called knows."""
    is_unproven: bool = False
    """Of an earlier run, which did not say that central has it. The journal knows."""
    sent: dict[str, int] = field(default_factory=dict)
    """How often each way of calling was used for it since the hub began to act."""
    told: Deadlines | None = None
    """When to act for it, as central has said."""

    def alarm(self, deadlines: Deadlines) -> Alarm:
        """What policy sees of it."""
        return Alarm(
            event=self.event,
            device=self.device,
            alarm_class=self.alarm_class,
            action=self.action,
            stage=self.stage,
            raised_s=self.raised_s,
            since_s=self.since_s,
            deadlines=deadlines,
        )

    def line(self, settings: Deadlines, home: Deadlines | None) -> list[Any]:
        """As it is remembered. That central got it in time is left out: the journal knows, and the card is spared.

        So are its deadlines, when they are those of the home (or of the settings, where central has told none).
        """
        event, usual = self.event, home or settings
        is_plain = self.stage is Stage.WAITING and not self.alarm(self.told or usual).is_late
        own = [] if self.told in {None, usual} else [_pair(self.told)]
        return [
            f"{event.epoch.hex()}/{int(event.lane)}/{event.seq}",
            self.moment,
            self.device,
            int(self.alarm_class),
            int(self.action),
            0 if is_plain else int(self.stage),
            0 if is_plain else round(self.since_s - self.raised_s, 1),
            "" if self.acting is None else self.acting.value,
            self.ended,
            int(self.is_gone),
            self.sent,
            *own,
        ]


def surplus(watched: Iterable[Watched]) -> list[EventId]:
    """What there is too much of, to be forgotten.

    What is over goes first, then what its device has called for again, then the oldest: in a ward with many rooms
    nobody is forgotten because somebody else presses and presses.
    """
    found = list(watched)
    newest = {one.device: one.event for one in sorted(found, key=lambda one: one.raised_s)}
    found.sort(key=lambda one: (not one.is_gone, newest[one.device] == one.event, one.raised_s))
    return [one.event for one in found[: max(0, len(found) - MAX_WATCHED)]]


def dump(watched: Iterable[Watched], settings: Deadlines, home: Deadlines | None = None) -> str:
    """The newest of them as one text, empty when there is none."""
    lines = [one.line(settings, home) for one in list(watched)[-MAX_REMEMBERED:]]
    return json.dumps(lines, separators=(",", ":")) if lines else ""


def dump_deadlines(deadlines: Deadlines | None) -> str:
    """As they are remembered; empty when central has told none."""
    return "" if deadlines is None else json.dumps(_pair(deadlines), separators=(",", ":"))


def load_deadlines(text: object) -> Deadlines | None:
    """What was remembered of them. Anything that no central can have told is left out."""
    try:
        return _deadlines(json.loads(text)) if isinstance(text, str) and text else None
    except (ValueError, TypeError):
        return None


def _pair(deadlines: Deadlines | None) -> list[int]:
    return [] if deadlines is None else [round(deadlines.no_receipt_s), round(deadlines.no_claim_s)]


def _deadlines(pair: Any) -> Deadlines | None:
    no_receipt_s, no_claim_s = pair
    if type(no_receipt_s) is not int or type(no_claim_s) is not int:
        return None
    if not LocalDeadlines(no_receipt_s=no_receipt_s, no_claim_s=no_claim_s).is_within_bounds:
        return None
    return Deadlines(no_receipt_s=no_receipt_s, no_claim_s=no_claim_s)


def load(text: object, hub: bytes) -> list[Watched]:
    """What was remembered; anything that cannot be read is left out. `raised_s` has to be set from `moment`."""
    try:
        lines = json.loads(text) if isinstance(text, str) and text else []
    except ValueError:
        return []
    found: list[Watched] = []
    for line in lines[:MAX_WATCHED] if isinstance(lines, list) else ():
        try:
            found.append(_watched(line, hub))
        except (MalformedError, ValueError, TypeError, KeyError):
            continue
    return found


def _watched(line: Any, hub: bytes) -> Watched:
    name, moment, device, alarm_class, action, stage, after_s, acting, ended, is_gone, sent, *own = line
    epoch, lane, seq = name.split("/")
    counts: Mapping[Any, Any] = sent if isinstance(sent, dict) else {}
    return Watched(
        event=EventId(hub, id_from_text(epoch), Lane(int(lane)), int(seq)),
        device=str(device)[:16],
        alarm_class=AlarmClass(alarm_class),
        action=LocalAction(action),
        moment=str(moment),
        raised_s=0.0,
        stage=Stage(stage),
        is_unproven=Stage(stage) is Stage.UNKNOWN,
        since_s=float(after_s),
        acting=Cause(acting) if acting else None,
        ended=str(ended),
        is_gone=bool(is_gone),
        sent={str(key)[:16]: int(count) for key, count in counts.items()},
        told=_deadlines(own[0]) if own else None,
    )
