"""What the JSON API takes and gives when an alarm is handed over, deferred, sent to or called about."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from central.alarms.deferring import PlannedVisit
from central.console.api_base import In, Out
from central.console.api_models import AlarmOut, DutyContactOut, JourneyOut, MomentOut
from central.people.words import is_sealed
from central.views import AlarmDetail, CallAttempt, Journey, Legible, Offer, Sent

Id = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$", examples=["5f0c2a9be1d34477"])]
Version = Annotated[
    int | None,
    Field(
        default=None,
        ge=1,
        le=2_147_483_647,
        description="The version that this rests on. With another one nothing is done, and both are answered.",
    ),
]


class VersionBody(In):
    """Only what it rests on."""

    version: Version


class OfferBody(In):
    """To one person or to one team."""

    to_account: str = Field("", max_length=32, examples=["0f1e2d3c4b5a6978"])
    to_team: str = Field("", max_length=16)
    note: str = Field("", max_length=500)
    version: Version


class DeferBody(In):
    """To which planned visit."""

    visit: str = Field("", max_length=16, examples=["7788990011223344"])
    version: Version


class DispatchBody(In):
    """Which patrol, or the staff of which ward."""

    team: str = Field("", max_length=16, examples=["00aa11bb22cc33dd"])
    version: Version


class StepBody(In):
    """Why, when a patrol declines or is called off."""

    reason: str = Field("", max_length=128, examples=["on another alarm"])
    version: Version


class TakeOverBody(In):
    """Why a lead takes what somebody else has."""

    reason: str = Field("", max_length=200, examples=["Operator One has gone home"])
    version: Version


class CallBody(In):
    """Who was called, and what came of it."""

    called: str = Field("", max_length=16, examples=["resident"])
    contact: str = Field("", max_length=16)
    result: str = Field("", max_length=16, examples=["no_answer"])


class JudgeBody(In):
    """The code of one of the criteria that `criteria` of the alarm lists; nothing takes it back."""

    criterion: str = Field("", max_length=32, examples=["fallen"])
    version: Version


class NoteBody(In):
    """What was seen or agreed. It stands in the alarm's history with its author and time, and cannot be changed."""

    note: str = Field("", max_length=1000, examples=["Datteren er på vei, fremme om ti minutter."])
    version: Version


StepWord = Literal["delivered", "accepted", "declined", "on-the-way", "on-site", "done", "cancelled"]


class SentOut(Out):
    """Somebody who was sent. `team` null: whoever has the alarm goes."""

    id: str
    alarm: str
    team: str | None
    team_name: str
    account_name: str | None
    state: str
    version: int
    sent_ms: int
    answered_ms: int | None
    on_the_way_ms: int | None
    on_site_ms: int | None
    done_ms: int | None
    due_ms: int | None
    reason: str

    @classmethod
    def of(cls, sent: Sent) -> SentOut:
        """As it is now."""
        found = {name: getattr(sent, name) for name in cls.model_fields}
        return cls(**found | ({"reason": ""} if is_sealed(sent.reason) else {}))


class OfferOut(Out):
    """A hand-over on offer. The alarm is `from_name`'s until somebody accepts."""

    id: str
    alarm: str
    from_name: str
    to_account: str | None
    to_team: str | None
    to_name: str
    state: str
    offered_ms: int
    expires_ms: int
    note: str

    @classmethod
    def of(cls, offer: Offer) -> OfferOut:
        """As it is now."""
        return cls(**{name: getattr(offer, name) for name in cls.model_fields})


class CallOut(Out):
    """Somebody was called."""

    id: str
    called: str
    contact: str | None
    result: str
    at_ms: int
    actor_name: str

    @classmethod
    def of(cls, call: CallAttempt) -> CallOut:
        """As kept."""
        return cls(**{name: getattr(call, name) for name in cls.model_fields})


class VisitOut(Out):
    """A planned visit that the alarm may wait for."""

    id: str
    team_name: str
    from_ms: int
    to_ms: int

    @classmethod
    def of(cls, visit: PlannedVisit) -> VisitOut:
        """As planned."""
        return cls(**{name: getattr(visit, name) for name in cls.model_fields})


class ChoiceOut(Out):
    """A person or a team."""

    id: str
    name: str


class ChoicesOut(Out):
    """Whom and what the acts on this alarm may name."""

    patrols: list[ChoiceOut]
    teams: list[ChoiceOut]
    people: list[ChoiceOut]
    visits: list[VisitOut]


class AlarmDetailOut(Out):
    """One alarm with its history and its journey, who was sent, what is on offer, who was called."""

    alarm: AlarmOut
    timeline: list[MomentOut]
    journey: JourneyOut
    sent: list[SentOut]
    offer: OfferOut | None
    calls: list[CallOut]
    note: str | None
    words: Legible
    """Whether note, value and typed reasons are here. Those of a closed alarm take a basis; erased ones are gone."""
    contact: DutyContactOut | None = None
    """Of a technical alarm: whom to call about it."""

    @classmethod
    def of(cls, detail: AlarmDetail, journey: Journey, account: str) -> AlarmDetailOut:
        """As somebody may see it."""
        return cls(
            alarm=AlarmOut.of(detail.alarm, account),
            timeline=[MomentOut.of(entry) for entry in detail.timeline],
            journey=JourneyOut.of(journey),
            sent=[SentOut.of(one) for one in detail.sent],
            offer=None if detail.offer is None else OfferOut.of(detail.offer),
            calls=[CallOut.of(one) for one in detail.calls],
            note=detail.alarm.note,
            words=detail.alarm.words,
        )
