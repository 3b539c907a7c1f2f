"""The four buttons of a telephone: always the same, in the same places; what each does now, or why it cannot."""

from __future__ import annotations

from dataclasses import dataclass

from central.console.gate import Visit
from central.lifecycle import DISPATCH_STEPS, WAITING, DispatchState, Queue
from central.views import AlarmView, Offer, Sent

_SAID_YES = frozenset({DispatchState.ACCEPTED, DispatchState.ON_THE_WAY, DispatchState.ON_SITE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """One of them. It has one of `act`, `post` and `opens`, or (when it cannot be pressed) none."""

    key: str
    icon: str
    hint: str = ""
    tone: str = ""
    act: str = ""
    post: str = ""
    said: str = ""
    opens: str = ""

    @property
    def is_off(self) -> bool:
        """It cannot be pressed now, and `hint` says why."""
        return not (self.act or self.post or self.opens)


def four_of(visit: Visit, alarm: AlarmView, trip: Sent | None, offer: Offer | None) -> tuple[Button, ...]:
    """For an open alarm: as somebody who was sent, as somebody it is offered to, as who has it, or as anybody else.

    `offer` is what is on offer now, whoever it is for.
    """
    me = visit.who.account.id
    if trip is not None:
        return _sent(visit, alarm, trip)
    if offer is not None and offer.from_account != me and _is_for(visit, offer):
        return _offered(visit, offer)
    return _mine(visit, alarm, offer) if alarm.owner == me else _others(visit, alarm)


def _is_for(visit: Visit, offer: Offer) -> bool:
    return offer.to_account == visit.who.account.id or offer.to_team in visit.scope.teams


def _sent(visit: Visit, alarm: AlarmView, trip: Sent) -> tuple[Button, ...]:
    t, clock = visit.words, visit.figures.clock
    path, can = f"/api/v1/dispatches/{trip.id}", DISPATCH_STEPS[trip.state]
    said_yes, is_there = trip.state in _SAID_YES, trip.state is DispatchState.ON_SITE
    is_me = trip.account == visit.who.account.id
    if said_yes and alarm.stage == WAITING:  # nobody has it: whoever goes may take it before they are there
        take = Button(key="take", icon="check", tone="primary", act="claim")
    elif said_yes:
        time = clock(trip.answered_ms or trip.sent_ms)
        hint = t("phone.you_at", time=time) if is_me else t("phone.other_at", name=trip.team_name, time=time)
        take = Button(key="take", icon="check", hint=hint, tone="did")
    else:
        take = Button(key="take", icon="check", tone="primary", post=f"{path}/accepted", said="trip_accepted")
    if DispatchState.DECLINED in can:
        hint = t("phone.give_back" if said_yes else "phone.decline")
        away = Button(
            key="pass_on", icon="hand", hint=hint, post=f"{path}/declined", said="declined", opens="decline-dialog"
        )
    else:
        away = Button(key="pass_on", icon="hand", hint=t("phone.you_are_there"))
    if is_there:
        there = Button(key="on_site", icon="user", hint=t("phone.you_at", time=clock(trip.on_site_ms or 0)), tone="did")
        done = Button(key="done", icon="note", tone="primary", post=f"{path}/done", said="trip_done")
    else:
        tone = "primary" if trip.state is DispatchState.ON_THE_WAY else ""
        there = Button(key="on_site", icon="user", tone=tone, post=f"{path}/on-site", said="trip_on_site")
        done = Button(key="done", icon="note", hint=t("phone.when_there"))
    return take, away, there, done


def _offered(visit: Visit, offer: Offer) -> tuple[Button, ...]:
    t, path = visit.words, f"/api/v1/offers/{offer.id}"
    return (
        Button(
            key="take",
            icon="check",
            tone="primary",
            hint=t("phone.from", name=offer.from_name),
            post=f"{path}/accept",
            said="offer_accepted",
        ),
        Button(key="pass_on", icon="hand", hint=t("phone.decline"), post=f"{path}/decline", said="offer_declined"),
        Button(key="on_site", icon="user", hint=t("phone.when_taken")),
        Button(key="done", icon="note", hint=t("phone.when_taken")),
    )


def _mine(visit: Visit, alarm: AlarmView, offer: Offer | None) -> tuple[Button, ...]:
    t, clock = visit.words, visit.figures.clock
    is_personal, is_there = alarm.queue is Queue.PERSONAL, alarm.stage.word == "on_site"
    take = Button(
        key="take", icon="check", tone="did", hint=t("phone.you_at", time=clock(alarm.claimed_ms or alarm.raised_ms))
    )
    if offer is not None:
        away = Button(key="pass_on", icon="hand", hint=t("phone.offered_to", name=offer.to_name), tone="did")
    else:
        away = Button(key="pass_on", icon="hand", hint=t("phone.to_whom"), opens="offer-dialog")
    if not is_personal:
        there = Button(key="on_site", icon="user", hint=t("phone.nobody_waits"))
    elif is_there:
        there = Button(key="on_site", icon="user", tone="did", hint=t("phone.you_are_there"))
    else:
        tone = "primary" if alarm.stage.word == "on_the_way" else ""  # until then sending somebody is the next step
        there = Button(key="on_site", icon="user", tone=tone, act="on-site")
    done_next = is_there or not is_personal
    return take, away, there, Button(key="done", icon="note", tone="primary" if done_next else "", act="outcome")


def _others(visit: Visit, alarm: AlarmView) -> tuple[Button, ...]:
    t = visit.words
    if alarm.stage.word in {"waiting", "deferred"} or alarm.is_with_kin:
        take = Button(key="take", icon="check", tone="primary", act="claim")
    else:
        time = visit.figures.clock(alarm.claimed_ms or alarm.raised_ms)
        take = Button(key="take", icon="check", hint=t("phone.other_at", name=alarm.owner_name or "", time=time))
    hint = t("phone.when_taken")
    there = hint if alarm.queue is Queue.PERSONAL else t("phone.nobody_waits")
    return (
        take,
        Button(key="pass_on", icon="hand", hint=hint),
        Button(key="on_site", icon="user", hint=there),
        Button(key="done", icon="note", hint=hint),
    )
