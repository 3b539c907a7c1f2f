"""Who was sent and what is offered, as the page of an alarm says it to whoever reads: their part, and their buttons."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from central.console.asked import Stand, stand_of
from central.console.gate import Visit
from central.lifecycle import DISPATCH_STEPS, WAITING, DispatchState, Handling
from central.views import AlarmDetail, AlarmView, Offer, Sent, TimelineEntry

ORDER = (DispatchState.ACCEPTED, DispatchState.ON_THE_WAY, DispatchState.ON_SITE, DispatchState.DONE)
"""The steps that lead on; each has its button only when it is the next one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Press:
    """A button: it posts at once, or opens a dialog whose form posts there."""

    label: str
    post: str
    said: str = "step"
    opens: str = ""
    is_next: bool = False
    on_phone: bool = False
    """Also on a telephone, where the four buttons at the bottom do the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What is said to the reader above everything else on the page."""

    tone: str
    text: str
    note: str = ""
    presses: tuple[Press, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SentRow:
    """Somebody who was sent, in words, and the steps that whoever reads this may say."""

    sent: Sent
    name: str
    state: str
    at: str
    reason: str
    steps: tuple[str, ...]


def is_ours(visit: Visit, sent: Sent) -> bool:
    """Whether it was sent to a team of the reader's, or the reader has answered it."""
    if sent.team is None:
        return False
    return sent.account == visit.who.account.id or (sent.account is None and sent.team in visit.scope.teams)


def trip_of(visit: Visit, detail: AlarmDetail) -> Sent | None:
    """The dispatch that the reader is to answer or has answered, newest first; not when the alarm itself is theirs."""
    alarm = detail.alarm
    if not alarm.is_open or alarm.owner == visit.who.account.id or alarm.stage.handling is Handling.DEFERRED:
        return None
    ours = [sent for sent in reversed(detail.sent) if is_ours(visit, sent)]
    return next((sent for sent in ours if stand_of(sent) in {Stand.MINE, Stand.ASKS} and sent.ended_ms is None), None)


def sent_row(visit: Visit, alarm: AlarmView, sent: Sent, *, is_mine: bool) -> SentRow:
    """For the list of all who were sent. The table says which steps there are; here the owner may say them."""
    can = DISPATCH_STEPS[sent.state] if is_mine and alarm.stage.handling is Handling.CLAIMED else frozenset()
    is_own_trip = sent.team is None
    steps = [
        state
        for state in DispatchState
        if state in can
        and state not in {DispatchState.UNANSWERED, DispatchState.DELIVERED}
        and not (is_own_trip and state is DispatchState.DECLINED)
        and (not is_own_trip or sent.account == visit.who.account.id)
    ]
    who = sent.team_name or sent.account_name or visit.words("dispatch.owner")
    name = f"{who} · {sent.account_name}" if sent.team_name and sent.account_name else who
    reached = sent.ended_ms or sent.on_site_ms or sent.on_the_way_ms or sent.answered_ms or sent.sent_ms
    return SentRow(
        sent=sent,
        name=name,
        state=visit.words(f"dispatch.state_{sent.state}"),
        at=visit.figures.when(reached, visit.now_ms()),
        reason=reason_text(visit, sent.reason),
        steps=tuple(state.value for state in steps),
    )


def reason_text(visit: Visit, reason: str) -> str:
    """Why somebody declined or was called off: our words in the reader's language, typed ones as they are."""
    for section in ("decline", "off"):
        if visit.words.has(f"{section}.{reason}"):
            return visit.words(f"{section}.{reason}")
    return reason


def told(visit: Visit, detail: AlarmDetail, *, is_mine: bool) -> tuple[Told, ...]:
    """All that concerns the reader: where they are to go, that they need not, what is offered, what became of it."""
    trip = trip_of(visit, detail)
    found = [_told_trip(visit, detail.alarm, trip)] if trip is not None else list(_told_over(visit, detail))
    offered = _told_offer(visit, detail, is_mine=is_mine)
    if trip is not None and offered is not None:  # the four buttons are about the trip
        offered = replace(offered, presses=tuple(replace(press, on_phone=True) for press in offered.presses))
    return tuple(found if offered is None else [*found, offered])


def _told_trip(visit: Visit, alarm: AlarmView, sent: Sent) -> Told:
    t, when, now = visit.words, visit.figures.when, visit.now_ms()
    path = f"/api/v1/dispatches/{sent.id}"
    can = DISPATCH_STEPS[sent.state]
    if stand_of(sent) is Stand.ASKS:
        is_late = sent.state is DispatchState.UNANSWERED or sent.due_ms is None or sent.due_ms < now
        key = "told.asked_late" if is_late else "told.asked"
        until = "" if is_late else when(sent.due_ms or 0, now)
        text = t(key, team=sent.team_name, time=when(sent.sent_ms, now), until=until)
    else:
        at_ms = {
            DispatchState.ACCEPTED: sent.answered_ms,
            DispatchState.ON_THE_WAY: sent.on_the_way_ms,
        }.get(sent.state, sent.on_site_ms)
        whose = "mine" if sent.account == visit.who.account.id else "team"
        text = t(f"told.{whose}_{sent.state}", team=sent.team_name, time=when(at_ms or sent.sent_ms, now))
    following = next((state for state in ORDER if state in can), None)
    presses = [
        Press(
            label=t(f"dispatch.to_{state}"),
            post=f"{path}/{state.value.replace('_', '-')}",
            said=f"trip_{state}",
            is_next=state is following,
            on_phone=state is DispatchState.ON_THE_WAY and sent.state is DispatchState.ACCEPTED,
        )
        for state in ORDER
        if state in can
    ]
    if DispatchState.DECLINED in can:
        presses.append(
            Press(label=t("dispatch.to_declined"), post=f"{path}/declined", said="declined", opens="decline-dialog")
        )
    has_owner = alarm.owner_name if alarm.stage.handling is Handling.CLAIMED else None
    note = t("told.owner", name=has_owner) if has_owner else ""
    if stand_of(sent) is Stand.MINE and alarm.stage == WAITING:  # nobody is left at the desk: they go on all the same
        note = t("told.alone")
    return Told(tone="you", text=text, note=note, presses=tuple(presses))


def _told_over(visit: Visit, detail: AlarmDetail) -> Iterable[Told]:
    """The last one of the reader's is over: called off, declined or done. Said for as long as the alarm is open."""
    t, me, now = visit.words, visit.who.account.id, visit.now_ms()
    if detail.alarm.owner == me:
        return
    ours = [sent for sent in detail.sent if is_ours(visit, sent) and sent.ended_ms is not None]
    if not ours:
        return
    sent = max(ours, key=lambda one: one.ended_ms or 0)
    time = visit.figures.when(sent.ended_ms or 0, now)
    if sent.state is DispatchState.CANCELLED:
        if detail.alarm.stage == WAITING:
            yield Told(tone="life", text=t("told.off_alone", time=time), note=reason_text(visit, sent.reason))
            return
        by = _last(detail.timeline, {"dispatch_cancelled"}, "dispatch", sent.id)
        text = t("told.off_by", name=by.actor_name, time=time) if by else t("told.off", time=time)
        yield Told(tone="life", text=text, note=reason_text(visit, sent.reason))
    elif not detail.alarm.is_open or sent.account not in {me, None}:
        return
    elif sent.state is DispatchState.DONE:
        yield Told(tone="ok", text=t("told.done", time=time, name=detail.alarm.owner_name or t("told.someone")))
    elif sent.state is DispatchState.DECLINED:
        yield Told(tone="info", text=t("told.declined", time=time), note=reason_text(visit, sent.reason))


OFFER_OVER = frozenset({"offer_declined", "offer_withdrawn", "offer_expired"})
_ENDS_OFFERS = OFFER_OVER | {"offer_accepted", "claimed", "taken_over", "released", "returned", "closed", "undone"}


def offer_for_me(visit: Visit, offer: Offer | None) -> Offer | None:
    """What the reader may accept."""
    me = visit.who.account.id
    if offer is None or offer.from_account == me:
        return None
    return offer if offer.to_account == me or offer.to_team in visit.scope.teams else None


def _told_offer(visit: Visit, detail: AlarmDetail, *, is_mine: bool) -> Told | None:
    t, now, offer = visit.words, visit.now_ms(), detail.offer
    if offer is None:
        return _told_offer_over(visit, detail, is_mine=is_mine)
    path, until = f"/api/v1/offers/{offer.id}", visit.figures.when(offer.expires_ms, now)
    if is_mine:
        text = t("told.offer_mine", to=offer.to_name, until=until)
        press = Press(label=t("offer.withdraw"), post=f"{path}/withdraw", said="offer_withdrawn", on_phone=True)
        return Told(tone="you", text=text, note=offer.note, presses=(press,))
    if offer_for_me(visit, offer) is None:
        return Told(tone="info", text=t("offer.waits", to=offer.to_name, name=offer.from_name))
    key = "told.offer_for_you" if offer.to_account else "told.offer_for_team"
    text = t(key, name=offer.from_name, to=offer.to_name, until=until)
    presses = (
        Press(label=t("offer.accept"), post=f"{path}/accept", said="offer_accepted", is_next=True),
        Press(label=t("offer.decline"), post=f"{path}/decline", said="offer_declined"),
    )
    return Told(tone="you", text=text, note=offer.note, presses=presses)


def _told_offer_over(visit: Visit, detail: AlarmDetail, *, is_mine: bool) -> Told | None:
    """What became of the last offer, to both of its ends, until something else happens with the claim."""
    last = _last(detail.timeline, _ENDS_OFFERS)
    if last is None or last.what not in OFFER_OVER or not detail.alarm.is_open:
        return None
    me = visit.who.account.id
    made = _last(detail.timeline, {"offered"}, "offer", str(last.content.get("offer", "")))
    content = made.content if made else {}
    was_for_me = content.get("to_account") == me or content.get("to_team") in visit.scope.teams
    if not (is_mine or was_for_me or last.actor == me):
        return None
    key = f"told.{last.what}_you" if last.actor == me else f"told.{last.what}"
    text = visit.words(key, name=last.actor_name, time=visit.figures.when(last.at_ms, visit.now_ms()))
    return Told(tone="info", text=text, note=visit.words("told.still_yours") if is_mine else "")


def _last(
    timeline: Iterable[TimelineEntry], what: Iterable[str], field: str = "", value: str = ""
) -> TimelineEntry | None:
    words = frozenset(what)
    found = [entry for entry in timeline if entry.what in words and (not field or entry.content.get(field) == value)]
    return found[-1] if found else None
