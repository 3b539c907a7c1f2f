"""What the JSON API takes and gives. Times are milliseconds since 1970, UTC; ids are sixteen hex digits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool

from central.commands import HealthCheck
from central.console.api_base import In, Out
from central.escalation.duty import Cover
from central.hubs import HubView
from central.technical.duty import DutyContact
from central.views import AlarmView, Journey, TimelineEntry

_ALARM: dict[str, Any] = {
    "id": "5f0c2a9be1d34477",
    "queue": "personal",
    "kind": "pendant_pressed",
    "rank": 1,
    "stage": "claimed",
    "out": "none",
    "hub": "a1b2c3d4e5f60718",
    "hub_label": "Solbakken 214",
    "device": "pendant-1",
    "device_label": "pendant-1",
    "version": 3,
    "happened_ms": 1795226400000,
    "repeats": 1,
    "returned": 0,
    "escalated": 0,
    "sound_no": 2,
    "owner_name": "Operator One",
    "is_mine": True,
    "claimed_ms": 1795226404100,
    "closed_ms": None,
    "disposition": None,
    "outcome": None,
    "criterion": "3/fallen",
    "outcome_list": "",
    "lamp": {"state": "taken", "at_ms": 1795226404300},
    "shown_ms": 1795226400063,
    "undo_until_ms": 1795226414100,
}


class SignInBody(In):
    """By name and password, or by a one-time link's token."""

    name: str = Field("", max_length=128, examples=["Operator One"])
    password: str = Field("", max_length=1024, examples=["et langt passord fra hylla"])
    link: str = Field("", max_length=128)


class SessionOut(Out):
    """Who is signed in. `csrf` goes into X-CSRF-Token with every request that changes something."""

    account: str
    name: str
    role: str
    language: str
    csrf: str
    expires_ms: int
    may: list[str]


class ShownBody(In):
    """Which console has the alarm on its screen."""

    console: str = Field(pattern=r"^[0-9a-f]{8,32}$", examples=["1f2e3d4c5b6a7988"])


class CloseBody(In):
    """What was done and what it was. `override` is a lead's reason for closing what somebody else has.

    `next_visit` names the planned visit, and the alarm waits for it. Without `kind_of_help` the usual one for the
    outcome is kept; `technical` opens a case for the technicians.
    """

    disposition: str = Field("", max_length=32, examples=["cleared_by_phone"])
    outcome: str = Field("", max_length=32, examples=["anxiety"])
    note: str = Field("", max_length=1000)
    override: str = Field("", max_length=200)
    kind_of_help: str = Field("", max_length=16, examples=["health"])
    visit: str = Field("", max_length=16)
    criterion: str = Field("", max_length=32, examples=["fallen"])
    """The code of a criterion; left out, the one chosen before stands."""
    version: int | None = Field(None, ge=1, le=2_147_483_647)


class NextBody(In):
    """Which queue to take from."""

    queue: Literal["personal", "technical"] = "personal"


class DutyBody(In):
    """Whether a person heard the tone at this console and is on duty."""

    console: str = Field(pattern=r"^[0-9a-f]{8,32}$")
    has_sound: StrictBool
    teams: list[Annotated[str, Field(max_length=16)]] | None = Field(None, max_length=50)
    """Which of one's teams are taken; left out, all of them."""


class OnDutyOut(Out):
    """Somebody at a console."""

    name: str
    has_sound: bool
    since_ms: int


class CoverOut(Out):
    """A team and who is on duty for it; without a team it is the whole house. Uncovered: nobody hears an alarm."""

    team: str | None
    name: str
    is_covered: bool
    people: list[OnDutyOut]


class DutyOut(Out):
    """Who is on duty now."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "is_covered": False,
                "teams": [{"team": "7d0c2a9be1d34411", "name": "Centre", "is_covered": False, "people": []}],
            }
        }
    )

    is_covered: bool
    """Whether every team has somebody who would hear an alarm."""
    teams: list[CoverOut]

    @classmethod
    def of(cls, found: Sequence[Cover]) -> DutyOut:
        """As JSON."""
        return cls(
            is_covered=all(one.is_covered for one in found),
            teams=[
                CoverOut(
                    team=one.team or None,
                    name=one.name,
                    is_covered=one.is_covered,
                    people=[
                        OnDutyOut(name=person.name, has_sound=person.has_sound, since_ms=person.since_ms)
                        for person in one.people
                    ],
                )
                for one in found
            ],
        )


class LampOut(Out):
    """What the hub last said that its lamp shows for this alarm."""

    state: str | None
    at_ms: int | None


class AlarmOut(Out):
    """One alarm. Without the claim it says where and what, not who."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_ALARM]})

    id: str
    queue: str
    kind: str
    rank: int
    stage: str
    out: str
    """How far the furthest of those is who said yes to going; also of an alarm that is back in the queue."""
    hub: str
    hub_label: str
    device: str
    device_label: str
    version: int
    happened_ms: int
    repeats: int
    returned: int
    escalated: int
    """How often it has gone on to the next receiver since it began to wait."""
    sound_no: int
    owner_name: str | None
    is_mine: bool
    claimed_ms: int | None
    closed_ms: int | None
    disposition: str | None
    outcome: str | None = Field(examples=["anxiety"])
    outcome_list: str = Field("", examples=["00aa11bb22cc33dd/3"])
    """Municipality and version of the list in whose words the outcome stands; empty: those of the product."""
    help: str | None = None
    deferred_visit: str | None = None
    deferred_until_ms: int | None = None
    """It waits for the visit until then and no longer, wherever the visit is moved."""
    criterion: str = Field("", examples=["3/fallen"])
    """Version of the tenant's list and code of the criterion that a responder has chosen."""
    lamp: LampOut
    shown_ms: int | None
    undo_until_ms: int | None
    resident: str | None = None
    resident_label: str | None = None
    value: Any = None

    @classmethod
    def of(cls, alarm: AlarmView, account: str) -> AlarmOut:
        """As somebody may see it."""
        is_mine = alarm.is_open and alarm.owner == account
        sees_resident = is_mine or not alarm.is_open
        return cls(
            id=alarm.id,
            queue=alarm.queue.value,
            kind=alarm.kind.word,
            rank=alarm.rank,
            stage=alarm.stage.word,
            out=alarm.out.value,
            hub=alarm.hub,
            hub_label=alarm.hub_label,
            device=alarm.device,
            device_label=alarm.device_label,
            version=alarm.version,
            happened_ms=alarm.happened_ms,
            repeats=alarm.repeats,
            returned=alarm.returned,
            escalated=alarm.escalation_no,
            sound_no=alarm.sound_no,
            owner_name=alarm.owner_name if alarm.is_open else alarm.closed_by,
            is_mine=is_mine,
            claimed_ms=alarm.claimed_ms,
            closed_ms=alarm.closed_ms,
            disposition=alarm.disposition,
            outcome=alarm.outcome,
            help=alarm.help,
            outcome_list=alarm.outcome_list,
            deferred_visit=alarm.deferred_visit,
            deferred_until_ms=alarm.deferred_until_ms,
            criterion=alarm.criterion,
            lamp=LampOut(state=alarm.lamp_state, at_ms=alarm.lamp_ms),
            shown_ms=alarm.shown_ms,
            undo_until_ms=alarm.undo_until_ms,
            resident=alarm.resident if sees_resident else None,
            resident_label=(alarm.resident_label or None) if sees_resident else None,
            value=alarm.value if sees_resident else None,
        )


class AlarmsOut(Out):
    """The open alarms of a queue, most urgent first. Follow the feed from `feed_no`."""

    feed_no: int
    alarms: list[AlarmOut]


class MomentOut(Out):
    """One line of the history."""

    no: int
    at_ms: int
    what: str
    actor_name: str
    content: dict[str, Any]

    @classmethod
    def of(cls, entry: TimelineEntry) -> MomentOut:
        """From the event log."""
        return cls(
            no=entry.no, at_ms=entry.at_ms, what=entry.what, actor_name=entry.actor_name, content=dict(entry.content)
        )


class JourneyOut(Out):
    """Milliseconds from the press to each step; null: has not happened, or is not known."""

    pressed_ms: int
    steps: dict[str, float | None]

    @classmethod
    def of(cls, journey: Journey) -> JourneyOut:
        """As measured."""
        return cls(pressed_ms=journey.pressed_ms, steps=dict(journey.steps))


class TakenOut(Out):
    """The alarm that was taken, or null: nothing waits."""

    alarm: AlarmOut | None


class HubOut(Out):
    """A hub, and whether it is heard."""

    id: str
    label: str
    state: str
    presence: str
    heard_ms: int | None
    has_link: bool
    software: str
    config_hash: str
    waiting: dict[str, int]
    paths: dict[str, int]
    gaps: dict[str, int]
    is_critical: bool

    @classmethod
    def of(cls, hub: HubView) -> HubOut:
        """As people see it."""
        return cls(
            id=hub.id,
            label=hub.label,
            state=hub.state,
            presence=hub.presence,
            heard_ms=hub.heard_ms,
            has_link=hub.has_link,
            software=hub.software,
            config_hash=hub.config_hash,
            waiting=dict(hub.waiting),
            paths=dict(hub.paths),
            gaps=dict(hub.gaps),
            is_critical=hub.is_critical,
        )


class TechnicianOut(Out):
    """Somebody on technical duty now, and how they are reached."""

    name: str = Field(examples=["Kari Vik"])
    phone: str = Field(examples=["+47 900 00 001"])
    email: str


class DutyContactOut(Out):
    """Whom to call about a fault: who of the technical team is on duty now, and the team's own telephone.

    With `is_nobody_on_duty` its rota has nobody now; without `keeps_rota` it is called by its telephone at all times.
    """

    team: str
    name: str = Field(examples=["Teknisk vakt nord"])
    phone: str = Field(examples=["+47 75 00 00 11"])
    email: str
    keeps_rota: bool
    is_nobody_on_duty: bool
    people: list[TechnicianOut]
    until_ms: int | None
    """Until when somebody is on duty without a gap; null: as far as the rota is looked at."""

    @classmethod
    def of(cls, contact: DutyContact) -> DutyContactOut:
        """As it stands now."""
        same = set(cls.model_fields) - {"people"}
        people = [TechnicianOut(name=one.name, phone=one.phone, email=one.email) for one in contact.people]
        return cls(people=people, **{name: getattr(contact, name) for name in same})


def contact_out(contact: DutyContact | None) -> DutyContactOut | None:
    """Null: no technical team is named."""
    return None if contact is None else DutyContactOut.of(contact)


class HubDetailOut(HubOut):
    """One hub, and whom to call about it."""

    contact: DutyContactOut | None


class HubsOut(Out):
    """A piece of the hubs, in the order of their ids. Ask on with `next` as `after` until it is null."""

    hubs: list[HubOut]
    next: str | None


class CheckOut(Out):
    """A health check. `state` is waiting, answered, no_answer or no_link; only an answered one has a result."""

    id: str
    hub: str
    state: str
    asked_ms: int
    answered_ms: int | None
    result: dict[str, Any] | None

    @classmethod
    def of(cls, check: HealthCheck) -> CheckOut:
        """As kept."""
        return cls(
            id=check.id,
            hub=check.hub,
            state=check.state,
            asked_ms=check.asked_ms,
            answered_ms=check.answered_ms,
            result=None if check.result is None else dict(check.result),
        )


class HealthOut(Out):
    """The newest health check beside the one before it: what `vaktpost central check --json` prints.

    `outcome` is ok, warn, fail or unknown; without an answer it is unknown, and `last_known` tells what was. Each line
    of `result` carries `previous` and `series`, oldest first.
    """

    hub: str
    label: str
    state: str
    outcome: str
    asked_ms: int | None
    answered_ms: int | None
    result: dict[str, Any] | None
    last_known: dict[str, Any] | None
    gone: list[str]
    error: dict[str, Any] | None = None


class Problem(BaseModel):
    """An error (RFC 9457). `reason` is a word for programs; `holder` says who has the alarm.

    A conflict tells what is so now (`current`), and for a stale version what the request rested on (`yours`).
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "about:blank",
                    "title": "Conflict",
                    "status": 409,
                    "reason": "taken",
                    "detail": "Operator Two has this alarm",
                    "holder": {"name": "Operator Two", "since_ms": 1795226404100},
                }
            ]
        }
    )

    type: str = "about:blank"
    title: str
    status: int
    reason: str
    detail: str = ""
    holder: dict[str, Any] | None = None
    field: str | None = None
    choices: list[str] | None = None
    current: dict[str, Any] | None = None
    yours: dict[str, Any] | None = None
