"""What the rest of the program and the console see of alarms: plain values, read from rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from central.lifecycle import (
    OPEN_DISPATCH,
    AlarmKind,
    Condition,
    Dispatch,
    DispatchState,
    Queue,
    Stage,
    alarm_kind,
    stage_of,
)

KIN = "contact:"
"""Before the id of next of kin who have an alarm, in the place of an account's id."""
KIN_NAME = "Next of kin"
"""In the place of their name, which is sealed. Pages show it in the reader's own words."""


class Legible(StrEnum):
    """Whether the words of an alarm can be read: its note, what was measured, reasons that somebody has typed."""

    NOTHING = "nothing"
    SEALED = "sealed"
    OPENED = "opened"
    ERASED = "erased"
    DAMAGED = "damaged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who does something. `id` is user_account.id; machines are "system" and "hub"."""

    id: str
    name: str
    role: str = ""


SYSTEM = Actor(id="system", name="Vaktpost", role="system")


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmView:
    """One alarm as it is now. Times are ms UTC, central's clock.

    The note, and what was measured of a person, are sealed: they are here when `Alarms.read` has opened them.
    """

    id: str
    queue: Queue
    kind: AlarmKind
    rank: int
    first_rank: int
    lifted: int
    hub: str
    hub_label: str
    device: str
    device_label: str  # the name of what `device` is the id of; else the same
    resident: str | None
    resident_label: str
    condition: Condition
    stage: Stage
    out: Dispatch  # how far those are who said yes to going, also while nobody has the alarm
    version: int
    happened_ms: int
    raised_ms: int
    last_event_ms: int
    repeats: int
    returned: int
    sound_no: int
    owner: str | None
    owner_name: str | None
    claimed_ms: int | None
    first_claimed_ms: int | None
    lease_until_ms: int | None
    closed_ms: int | None
    closed_by: str | None
    disposition: str | None
    outcome: str | None
    outcome_list: str  # where its words stand: central.routines.outcomes
    help: str | None
    note: str | None
    before_alarm: str | None
    undo_until_ms: int | None
    undo_by: str | None
    undo_to: str | None
    shown_ms: int | None
    lamp_state: str | None
    lamp_version: int | None
    lamp_ms: int | None
    value: Any
    details: Mapping[str, Any]
    tenant: str | None
    unit: str | None
    criterion: str
    deferred_visit: str | None
    deferred_until_ms: int | None
    escalation_round: int
    escalation_no: int  # how often it has gone on to the next receiver in this round
    incident: str | None
    is_complete: bool  # false: known by its stub only, the full record has not come
    sealed_note: str | None
    words: Legible = Legible.NOTHING

    @property
    def is_open(self) -> bool:
        """Not closed."""
        return self.closed_ms is None

    @property
    def is_with_kin(self) -> bool:
        """Next of kin have said that they go. Whoever answers for it takes it from them."""
        return self.is_open and self.owner is not None and self.owner.startswith(KIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEntry:
    """One line of an alarm's history, from the event log."""

    no: int
    at_ms: int
    what: str
    actor: str
    actor_name: str
    content: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """Somebody who was sent to the resident: a team, or (`team` is None) whoever has the alarm."""

    id: str
    alarm: str
    team: str | None
    team_name: str
    account: str | None
    account_name: str | None
    state: DispatchState
    version: int
    sent_ms: int
    delivered_ms: int | None
    answered_ms: int | None
    on_the_way_ms: int | None
    on_site_ms: int | None
    done_ms: int | None
    due_ms: int | None
    ended_ms: int | None
    reason: str

    @property
    def is_open(self) -> bool:
        """It may still come to something."""
        return self.state in OPEN_DISPATCH


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """An alarm that its owner wants to hand over. The claim is the owner's until somebody accepts."""

    id: str
    alarm: str
    from_account: str
    from_name: str
    to_account: str | None
    to_team: str | None
    to_name: str
    state: str
    offered_ms: int
    expires_ms: int
    sealed_note: str
    note: str = ""  # when it was opened


@dataclass(frozen=True, slots=True, kw_only=True)
class CallAttempt:
    """Somebody was called about an alarm, and what came of it."""

    id: str
    called: str
    contact: str | None
    result: str
    at_ms: int
    actor_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmDetail:
    """An alarm with its history, oldest entry first."""

    alarm: AlarmView
    timeline: tuple[TimelineEntry, ...]
    sent: tuple[Sent, ...] = ()
    offer: Offer | None = None
    calls: tuple[CallAttempt, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """How long an alarm took from the press on. Milliseconds since pressed; None: has not happened or is not known."""

    alarm: str
    pressed_ms: int  # ms UTC, central's clock; everything below counts from here
    steps: Mapping[str, float | None]  # pressed judged durable sent receipt committed shown taken reassured


def alarm_view(row: Mapping[str, Any]) -> AlarmView:
    """From a row of `alarm` joined with `hub.label`, `resident.label` and the name of a team in a device's place."""
    same = {name: row[name] for name in _SAME}
    return AlarmView(
        **same,
        queue=Queue(row["queue"]),
        kind=alarm_kind(row["kind"]),
        hub_label=row["hub_label"] or "",
        device_label=row["device_label"] or row["device"],
        resident_label=row["resident_label"] or "",
        condition=Condition(row["condition"]),
        stage=stage_of(row["handling"], row["dispatch"]),
        out=Dispatch(row["dispatch"]),
        value=None if row["value"] is None else json.loads(row["value"]),
        details={} if row["details"] is None else json.loads(row["details"]),
        note=None,
        sealed_note=row["note"],
        words=Legible.SEALED if row["note"] else Legible.NOTHING,
        is_complete=bool(row["is_complete"]),
    )


_MADE = frozenset(
    {
        "queue",
        "kind",
        "hub_label",
        "device_label",
        "resident_label",
        "condition",
        "stage",
        "out",
        "value",
        "details",
        "is_complete",
        "note",
        "sealed_note",
        "words",
    }
)
_SAME = tuple(name for name in AlarmView.__dataclass_fields__ if name not in _MADE)
