"""Sending somebody: patrols, none or many, and the owner's own trip; each step as it is said, none assumed."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from central import event_log
from central.alarms.acting import Acting, Done, check, is_answered, sum_up
from central.alarms.rows import OPEN_STATES, is_member, load, refusal, sent_of, sent_one
from central.alarms.taking import take
from central.errors import Conflict, Holder, IncompleteError
from central.escalation import patrols
from central.escalation.tick import DECLINED, hasten
from central.lifecycle import (
    ANSWER_MS,
    DISPATCH_STEPS,
    GOERS,
    ON_SITE_MS,
    VISIT_MS,
    Action,
    DispatchState,
    Handling,
    Queue,
)
from central.people.words import sent_reason
from central.sql import Sql
from central.views import SYSTEM, Actor, AlarmView, Sent
from cloud_sync.identity import new_id

MAX_REASON = 128
DECLINES = frozenset({"busy", "far", "safety", "other"})
"""Reasons of our own, for who cannot come. What somebody types instead is sealed."""

_TEAM = Sql(
    """SELECT t.kind FROM team t WHERE t.id = :team AND t.state = 'active'
    AND (t.tenant IS NULL OR CAST(:tenant AS VARCHAR(16)) IS NULL OR t.tenant = :tenant
      OR EXISTS (SELECT 1 FROM team_tenant s WHERE s.team = t.id AND s.tenant = :tenant))"""
)
_SEND = Sql(
    """INSERT INTO dispatch (id, alarm, team, account, account_name, state, sent_ms, sent_by, answered_ms,
       on_the_way_ms, on_site_ms, due_ms)
    VALUES (:id, :alarm, :team, :account, :account_name, :state, :now, :by, :answered, :going, :there, :due)"""
)
_RECEIVES = Sql(
    "INSERT INTO alarm_receiver (alarm, team, since_ms) VALUES (:alarm, :team, :now) ON CONFLICT DO NOTHING"
)
_STEP = Sql(
    """UPDATE dispatch SET state = :state, version = version + 1, account = :account, account_name = :account_name,
       delivered_ms = :delivered, answered_ms = :answered, on_the_way_ms = :going, on_site_ms = :there,
       done_ms = :done, due_ms = :due, ended_ms = :ended, reason = :reason
    WHERE id = :id"""
)
_OF_STEP = Sql("SELECT round, step FROM dispatch WHERE id = :id AND step IS NOT NULL")
_OF_MY_TEAM = Sql(
    """SELECT d.id FROM dispatch d JOIN team_member m ON m.team = d.team AND m.account = :account
    WHERE d.alarm = :alarm AND d.state IN ('sent', 'delivered') AND NOT EXISTS (SELECT 1 FROM team t
      JOIN team_member o ON o.team = t.id AND o.account = :account WHERE t.kind = 'centre' AND t.state = 'active')
    ORDER BY d.id LIMIT 1"""
)
_GONE = frozenset({DispatchState.ACCEPTED, DispatchState.ON_THE_WAY, DispatchState.ON_SITE})
_OVER = frozenset({DispatchState.DECLINED, DispatchState.DONE, DispatchState.CANCELLED})
_LOUD = frozenset({DispatchState.DECLINED, DispatchState.UNANSWERED, DispatchState.DONE})


class Dispatching(Acting):
    """Who goes, and how far they are."""

    async def dispatch(
        self, alarm_id: str, actor: Actor, team: str, *, patience_ms: int = ANSWER_MS, version: int | None = None
    ) -> Sent:
        """Send a patrol, or the staff of a ward. Needs the claim. Raises IncompleteError, Conflict."""
        dispatch_id = new_id().hex()

        async def work(connection: AsyncConnection, alarm: AlarmView, now: int) -> Done:
            check(alarm, actor, Action.DISPATCH)
            if alarm.queue is not Queue.PERSONAL or (
                await _TEAM.value(connection, team=team, tenant=alarm.tenant) not in GOERS
            ):
                raise IncompleteError("team_unknown", "team")
            if any(sent.team == team and sent.is_open for sent in await sent_of(connection, alarm_id)):
                raise refusal(alarm, "already_sent")
            await _insert(connection, dispatch_id, alarm_id, actor, team, DispatchState.SENT, now, now + patience_ms)
            await _RECEIVES.rows(connection, alarm=alarm_id, team=team, now=now)
            await sum_up(connection, alarm_id, now)
            await patrols.tell_sent(connection, dispatch_id, team, alarm.tenant, now, alarm=alarm_id)
            return Done("dispatch_sent", {"dispatch": dispatch_id, "team": team})

        await self._act(alarm_id, actor, work, version=version)
        return await self.sent(dispatch_id)

    async def sent(self, dispatch_id: str) -> Sent:
        """One who was sent. Raises NotFoundError."""
        return await self._store.fetch(lambda connection: sent_one(connection, dispatch_id))

    async def dispatch_step(
        self, dispatch_id: str, actor: Actor, step: str, reason: str = "", *, version: int | None = None
    ) -> Sent:
        """The patrol says where it is, or the owner for it. Saying it twice is no error. Raises Conflict."""
        if step not in tuple(DispatchState):
            raise IncompleteError("step_unknown", "step", tuple(DispatchState))
        state = DispatchState(step)

        async def work(connection: AsyncConnection, alarm: AlarmView, now: int) -> Done | None:
            sent = await sent_one(connection, dispatch_id)
            if version is not None and version != sent.version:
                raise Conflict(
                    "stale",
                    state=sent.state,
                    current={"version": sent.version, "state": sent.state, "account_name": sent.account_name},
                    yours={"version": version, "state": step},
                )
            if sent.state is state and (sent.account in {None, actor.id} or alarm.owner == actor.id):
                return None
            await _check_step(connection, alarm, sent, actor, state)
            if alarm.stage.handling is Handling.WAITING and state in _GONE:
                return await _takes_and_goes(connection, alarm, sent, actor, state, now)
            why = await self._worded(connection, alarm, dispatch_id, reason, now)
            return await step_to(connection, alarm, sent, actor, state, why, now)

        told = state is not DispatchState.DELIVERED
        await self._act((await self.sent(dispatch_id)).alarm, actor, work, tell=told)
        return await self.sent(dispatch_id)

    async def _worded(
        self, connection: AsyncConnection, alarm: AlarmView, dispatch_id: str, reason: str, now: int
    ) -> str:
        said = reason.strip()[:MAX_REASON]
        if not said or said in DECLINES:
            return said
        return (await self._pen(connection, alarm, now)).seal(sent_reason(dispatch_id), said)

    async def on_the_way(self, alarm_id: str, actor: Actor, *, version: int | None = None) -> AlarmView:
        """The owner, or who answered a dispatch, is on the way. Saying it twice is no error."""
        return await self._go(alarm_id, actor, DispatchState.ON_THE_WAY, Action.ON_THE_WAY, version)

    async def on_site(self, alarm_id: str, actor: Actor, *, version: int | None = None) -> AlarmView:
        """The owner, or who answered a dispatch, is with the person. Saying it twice is no error."""
        return await self._go(alarm_id, actor, DispatchState.ON_SITE, Action.ON_SITE, version)

    async def _go(
        self, alarm_id: str, actor: Actor, state: DispatchState, action: Action, version: int | None
    ) -> AlarmView:
        async def work(connection: AsyncConnection, alarm: AlarmView, now: int) -> Done | None:
            trips = [one for one in await sent_of(connection, alarm_id) if one.is_open and one.account == actor.id]
            if not trips:
                check(alarm, actor, action)
                due = now + (ON_SITE_MS if state is DispatchState.ON_SITE else VISIT_MS)
                await _insert(connection, new_id().hex(), alarm_id, actor, None, state, now, due)
                await sum_up(connection, alarm_id, now)
                await is_answered(connection, alarm, now, "accepted")
                return Done(state.value)
            trip = trips[0]
            if trip.state is state or (trip.state is DispatchState.ON_SITE and state is DispatchState.ON_THE_WAY):
                return None
            await _check_step(connection, alarm, trip, actor, state)
            if alarm.stage.handling is Handling.WAITING:
                return await _takes_and_goes(connection, alarm, trip, actor, state, now)
            return await step_to(connection, alarm, trip, actor, state, "", now)

        return await self._act(alarm_id, actor, work, version=version)


async def _insert(
    connection: AsyncConnection,
    dispatch_id: str,
    alarm_id: str,
    actor: Actor,
    team: str | None,
    state: DispatchState,
    now: int,
    due: int,
) -> None:
    goes = team is None
    await _SEND.rows(
        connection,
        id=dispatch_id,
        alarm=alarm_id,
        team=team,
        account=actor.id if goes else None,
        account_name=actor.name if goes else None,
        state=state.value,
        now=now,
        by=actor.id,
        answered=now if goes else None,
        going=now if state is DispatchState.ON_THE_WAY else None,
        there=now if state is DispatchState.ON_SITE else None,
        due=due,
    )


async def _check_step(
    connection: AsyncConnection, alarm: AlarmView, sent: Sent, actor: Actor, state: DispatchState
) -> None:
    # While nobody has the alarm, a team that the plan has sent answers, and who was on the way when a claim ran out.
    if alarm.stage.handling not in {Handling.CLAIMED, Handling.WAITING}:
        raise refusal(alarm)
    if state not in DISPATCH_STEPS[sent.state] or state is DispatchState.UNANSWERED:
        raise _taken(sent)
    is_owner = alarm.owner == actor.id
    if state is DispatchState.CANCELLED:
        if not is_owner:
            raise refusal(alarm, "not_yours")
        return
    is_team = sent.team is not None and await is_member(connection, sent.team, actor.id)
    if not (is_owner or is_team or sent.account == actor.id):
        raise Conflict("not_sent_to_you", state=sent.state)


async def _takes_and_goes(
    connection: AsyncConnection, alarm: AlarmView, sent: Sent, actor: Actor, state: DispatchState, now: int
) -> Done:
    """Nobody has the alarm, and one of those who were sent goes on: it is theirs from now on."""
    if not await take(connection, alarm, actor, now, by="accepted"):
        raise refusal(await load(connection, alarm.id))
    await event_log.append(connection, now, "claimed", actor, alarm=alarm.id, hub=alarm.hub, content={"by": "dispatch"})
    taken = await load(connection, alarm.id)
    return await step_to(connection, taken, sent, actor, state, "", now, in_person=True)


async def goes_for_team(connection: AsyncConnection, alarm: AlarmView, actor: Actor, now: int) -> None:
    """Somebody of a team that was sent has taken the alarm: for whoever was sent that is the answer."""
    dispatch = await _OF_MY_TEAM.value(connection, alarm=alarm.id, account=actor.id)
    if dispatch is None:
        return
    taken, sent = await load(connection, alarm.id), await sent_one(connection, dispatch)
    done = await step_to(connection, taken, sent, actor, DispatchState.ACCEPTED, "", now, in_person=True)
    await event_log.append(connection, now, done.what, actor, alarm=alarm.id, hub=alarm.hub, content=done.content)


def _taken(sent: Sent) -> Conflict:
    holder = None
    if sent.account is not None and sent.state in _GONE:
        holder = Holder(sent.account, sent.account_name or "", sent.answered_ms or 0)
    current = {"version": sent.version, "state": sent.state, "account_name": sent.account_name}
    return Conflict("taken" if holder else "dispatch_over", holder=holder, state=sent.state, current=current)


async def step_to(
    connection: AsyncConnection,
    alarm: AlarmView,
    sent: Sent,
    actor: Actor,
    state: DispatchState,
    reason: str,
    now: int,
    *,
    in_person: bool = False,
) -> Done:
    """One step, as the table allows it. What is over has no deadline; what is declined is the owner's, loudly."""
    goes = state in _GONE
    is_first_answer = goes and sent.answered_ms is None
    # Said on the telephone by the owner: then nobody of the patrol has a name here until they press themselves.
    speaks = in_person or (goes and actor.id != alarm.owner) or sent.team is None
    account, name = sent.account, sent.account_name
    if speaks and account is None and actor != SYSTEM:
        account, name = actor.id, actor.name
    due = {DispatchState.ON_SITE: now + ON_SITE_MS, DispatchState.DELIVERED: sent.due_ms}.get(state)
    if state in {DispatchState.ACCEPTED, DispatchState.ON_THE_WAY}:
        due = now + VISIT_MS if sent.answered_ms is None or sent.due_ms is None else sent.due_ms
    await _STEP.rows(
        connection,
        id=sent.id,
        state=state.value,
        account=account,
        account_name=name,
        delivered=now if state is DispatchState.DELIVERED else sent.delivered_ms,
        answered=now if is_first_answer or state is DispatchState.DECLINED else sent.answered_ms,
        going=now if state is DispatchState.ON_THE_WAY else sent.on_the_way_ms,
        there=now if state is DispatchState.ON_SITE else sent.on_site_ms,
        done=now if state is DispatchState.DONE else None,
        due=due,
        ended=now if state in _OVER else None,
        reason=reason,
    )
    await _tell_team(connection, alarm, sent, state, now)
    if state is not DispatchState.DELIVERED:
        await sum_up(connection, alarm.id, now, is_loud=state in _LOUD)
    if is_first_answer:
        await is_answered(connection, alarm, now, "accepted")
    content = {"dispatch": sent.id}
    if sent.team is None:
        return Done(state.value, content)  # the owner goes
    if reason:
        content["reason"] = reason
    return Done(f"dispatch_{state}", content | {"team": sent.team})


async def _tell_team(connection: AsyncConnection, alarm: AlarmView, sent: Sent, state: DispatchState, now: int) -> None:
    """What the team was still to hear; and the plan that has sent it goes on when it cannot come."""
    if sent.team is None or state is DispatchState.DELIVERED:
        return
    if state is DispatchState.CANCELLED:
        await patrols.called_off(connection, sent.id, now)
        return
    await patrols.hush(connection, sent.id)
    step = await _OF_STEP.one(connection, id=sent.id) if state is DispatchState.DECLINED else None
    if step is not None and alarm.stage.handling is Handling.WAITING:
        await hasten(connection, alarm.id, step[0], step[1], now, DECLINED)


_UNANSWERED = Sql(
    f"""SELECT id FROM dispatch WHERE alarm = :alarm AND state IN ('sent', 'delivered') AND due_ms < :now
    AND state IN ({OPEN_STATES}) ORDER BY id"""  # noqa: S608  # words of our own
)


async def expire_unanswered(connection: AsyncConnection, alarm: AlarmView, now: int) -> Done | None:
    """A patrol that was sent has not answered in time: its owner hears of it."""
    dispatch_id = await _UNANSWERED.value(connection, alarm=alarm.id, now=now)
    if dispatch_id is None:
        return None
    sent = await sent_one(connection, dispatch_id)
    return await step_to(connection, alarm, sent, SYSTEM, DispatchState.UNANSWERED, "", now)
