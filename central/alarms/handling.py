"""Taking an alarm, giving it back, ending it, and taking that back for ten seconds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from central.access import EVERYTHING, IN_SCOPE, Scope
from central.alarms import judging
from central.alarms.acting import (
    RETURNED,
    Acting,
    Done,
    call_off,
    check,
    is_answered,
    let_go,
    own_trip_over,
    record,
    sum_up,
    waits_again,
    withdraw_offer,
)
from central.alarms.deferring import defer_to
from central.alarms.dispatching import goes_for_team
from central.alarms.rows import ORDERS, load, open_in, refusal
from central.alarms.taking import take
from central.errors import ActionError, Conflict, IncompleteError
from central.escalation import patrols
from central.lifecycle import (
    ANSWER_MS,
    CENTRAL_KINDS,
    LEASE_MS,
    ON_SITE_MS,
    TECHNICAL_OUTCOMES,
    UNDO_MS,
    VISIT_MS,
    WAITING,
    Action,
    Disposition,
    KindOfHelp,
    Queue,
    after,
    dispositions,
)
from central.lifecycle import Handling as Stand
from central.opening import Source
from central.people.words import note_of, typed_in_log
from central.raising import end_condition, raise_technical
from central.routines import outcomes
from central.sql import Row, Sql
from central.store import Priority
from central.technical.conditions import technical_key
from central.views import Actor, AlarmView

MAX_NOTE = 4000
MAX_REASON = 200

_RENEW = Sql(
    """UPDATE alarm SET lease_until_ms = CASE WHEN dispatch IN ('accepted', 'on_the_way', 'on_site')
       AND EXISTS (SELECT 1 FROM dispatch d WHERE d.alarm = alarm.id AND d.due_ms IS NOT NULL
         AND d.state IN ('accepted', 'on_the_way', 'on_site'))
       THEN lease_until_ms ELSE CAST(:until AS BIGINT) END
    WHERE id = :id AND owner = :owner AND handling = 'claimed' RETURNING hub"""
)
_RETURN = Sql(f"UPDATE alarm SET {RETURNED} WHERE id = :id")  # noqa: S608  # words of our own
_TAKE_OVER = Sql(
    """UPDATE alarm SET owner = :owner, owner_name = :owner_name, claim_no = claim_no + 1, claimed_ms = :now
    WHERE id = :id"""
)
_NOTE = Sql("UPDATE alarm SET note = :note WHERE id = :id")
_CLOSE = Sql(
    """UPDATE alarm SET handling = 'closed', closed_ms = :now, closed_by = :owner_name, disposition = :disposition,
       outcome = :outcome, outcome_list = :outcome_list, help = :help,
       note = coalesce(CAST(:note AS TEXT), note), version = version + 1,
       lease_until_ms = NULL, dispatch = 'none',
       undo_until_ms = :undo, undo_by = :owner, undo_to = :undo_to
    WHERE id = :id"""
)
_REOPEN = Sql(
    """UPDATE alarm SET handling = 'claimed', closed_ms = NULL, closed_by = NULL, disposition = NULL, outcome = NULL,
       outcome_list = '', help = NULL, note = CASE WHEN CAST(:is_noted AS INTEGER) = 1 THEN NULL ELSE note END,
       deferred_visit = NULL, deferred_until_ms = NULL, owner = :owner,
       owner_name = :owner_name, claimed_ms = coalesce(claimed_ms, :now)
    WHERE id = :id"""
)
_LAST_END = Sql(
    "SELECT content FROM log_entry WHERE alarm = :alarm AND what IN ('closed', 'deferred') ORDER BY no DESC LIMIT 1"
)
_BACK_ON_THEIR_WAY = Sql(
    """UPDATE dispatch SET state = resumes, resumes = NULL, reason = '', ended_ms = NULL, version = version + 1,
       due_ms = CASE WHEN resumes IN ('sent', 'delivered') THEN CAST(:answer AS BIGINT)
         WHEN resumes = 'on_site' THEN CAST(:on_site AS BIGINT) ELSE CAST(:visit AS BIGINT) END
    WHERE alarm = :alarm AND resumes IS NOT NULL RETURNING id"""
)
_IS_THERE = Sql("SELECT 1 FROM dispatch WHERE alarm = :alarm AND account = :account AND state = 'on_site'")
_NEXT = {
    queue: Sql(
        f"""SELECT a.id FROM alarm a WHERE {open_in(queue)} AND a.handling <> 'deferred'
        AND (a.owner IS NULL OR a.lease_until_ms < :now) AND {IN_SCOPE("a")}
        ORDER BY {order} LIMIT 1"""  # noqa: S608  # words of our own
    )
    for queue, order in ORDERS.items()
}
_CASE = Sql("SELECT repeats FROM alarm WHERE fold_key = :fold_key AND closed_ms IS NULL")


class Handling(Acting):
    """From a claim to an outcome."""

    async def claim(self, alarm_id: str, actor: Actor) -> AlarmView:
        """Take it. Taking what one has already is no error. Raises Conflict with who has it."""

        async def work(connection: AsyncConnection, alarm: AlarmView, now: int) -> Done | None:
            if await take(connection, alarm, actor, now):
                await goes_for_team(connection, alarm, actor, now)
                return Done("claimed")
            if alarm.owner == actor.id and alarm.is_open:
                return None
            raise refusal(alarm)

        return await self._act(alarm_id, actor, work)

    async def take_next(
        self, actor: Actor, queue: Queue = Queue.PERSONAL, *, scope: Scope = EVERYTHING
    ) -> AlarmView | None:
        """Take the most urgent waiting alarm: the server picks, nobody races for a row. None: nothing waits.

        What is folded into an incident is taken with it, and what is quiet is nobody's to take.
        """

        async def work(connection: AsyncConnection) -> AlarmView | None:
            now = self._clock.now_ms()
            while alarm_id := await _NEXT[queue].value(connection, now=now, **scope.parameters):
                alarm = await load(connection, alarm_id)
                if await take(connection, alarm, actor, now):
                    await goes_for_team(connection, alarm, actor, now)
                    await record(connection, alarm, actor, Done("claimed", {"by": "take_next"}), now)
                    return await load(connection, alarm_id)
            return None

        taken = await self._store.transact(Priority.PEOPLE, work)
        if taken is not None:
            self._wakeup.wake()
        return taken

    async def renew(self, alarm_id: str, actor: Actor) -> AlarmView:
        """The owner's page is still there: the lease starts again. Raises Conflict when it is theirs no longer.

        Once somebody has said yes to going, the deadline for being on site stands: presence does not move it. Those
        whose deadline had passed before the alarm was taken have none: then presence counts.
        """
        until = self._clock.now_ms() + LEASE_MS

        async def work(connection: AsyncConnection) -> tuple[Row | None, AlarmView]:
            renewed = await _RENEW.one(connection, id=alarm_id, owner=actor.id, until=until)
            return renewed, await load(connection, alarm_id)

        renewed, alarm = await self._store.transact(Priority.PEOPLE, work)
        if renewed is None:
            raise refusal(alarm)
        return alarm

    async def release(self, alarm_id: str, actor: Actor, *, version: int | None = None) -> AlarmView:
        """Give it back to the queue. Who was sent is called off: nobody answers for them any more."""

        async def work(connection: AsyncConnection, alarm: AlarmView, now: int) -> Done:
            check(alarm, actor, Action.RELEASE)
            await let_go(connection, alarm, now, "released")
            await _RETURN.rows(connection, id=alarm_id)
            await waits_again(connection, alarm, now)
            return Done("released")

        return await self._act(alarm_id, actor, work, version=version)

    async def take_over(self, alarm_id: str, actor: Actor, reason: str, *, version: int | None = None) -> AlarmView:
        """A lead takes what somebody else has, and says why. Who was sent goes on; an offer ends."""
        why = _reason(reason)

        async def work(connection: AsyncConnection, alarm: AlarmView, now: int) -> Done | None:
            if after(alarm.stage, Action.TAKE_OVER) is None:
                raise refusal(alarm)
            if alarm.owner == actor.id:
                return None
            await withdraw_offer(connection, alarm_id, now)
            await own_trip_over(connection, alarm_id, now, "taken_over")
            await _TAKE_OVER.rows(connection, id=alarm_id, owner=actor.id, owner_name=actor.name, now=now)
            await sum_up(connection, alarm_id, now)
            pen = await self._pen(connection, alarm, now)
            return Done("taken_over", {"from": alarm.owner or "", "reason": pen.seal(typed_in_log(alarm.id), why)})

        return await self._act(alarm_id, actor, work, version=version)

    async def close(
        self,
        alarm_id: str,
        actor: Actor,
        disposition: str,
        outcome: str,
        note: str = "",
        *,
        kind_of_help: str = "",
        visit: str = "",
        criterion: str = "",
        override: str = "",
        version: int | None = None,
    ) -> AlarmView:
        """Record what was done. Needs the claim, being with the person, or `override`: a lead's reason.

        "Next planned visit" names the visit: until it is done the alarm is deferred to it instead of closed.
        Without a `criterion` the one that was chosen before stands.
        Raises IncompleteError, Conflict.
        """
        why = override.strip()[:MAX_REASON]

        async def work(connection: AsyncConnection, alarm: AlarmView, now: int) -> Done:
            chosen, listed = await _checked(connection, alarm, disposition, outcome, kind_of_help, note)
            await _may_end(connection, alarm, actor, is_override=bool(why))
            content: dict[str, Any] = {"disposition": disposition, "outcome": outcome}
            if listed:
                content["outcome_list"] = listed
            if criterion:
                content["criterion"] = await judging.chosen(connection, alarm, criterion)
                await judging.put(connection, alarm, content["criterion"])
            if chosen is not None:
                content["help"] = chosen.value
            sealed = ""
            if note or why:
                pen = await self._pen(connection, alarm, now)
                sealed = pen.seal(note_of(alarm.id), note)
                if note:
                    content["note_digest"] = pen.digest(note)
                if why and alarm.owner != actor.id:
                    content["override"] = pen.seal(typed_in_log(alarm.id), why)
            if disposition == Disposition.NEXT_VISIT:
                deferred = await defer_to(connection, alarm, actor, visit, now, may_be_done=True)
                if deferred is not None:
                    if note:  # for whoever has it when it comes back; the history keeps it when they write another
                        await _NOTE.rows(connection, id=alarm.id, note=sealed)
                        content["note"] = pen.seal(typed_in_log(alarm.id), note)
                    return Done("deferred", {**content, **deferred})
                content["visit"] = visit
            await self._end(connection, alarm, actor, content, sealed, now)
            if chosen is KindOfHelp.TECHNICAL:
                content["case"] = await _open_case(connection, alarm, outcome, now)
            return Done("closed", content)

        return await self._act(alarm_id, actor, work, version=version)

    @staticmethod
    async def _end(
        connection: AsyncConnection,
        alarm: AlarmView,
        actor: Actor,
        content: Mapping[str, Any],
        sealed_note: str,
        now: int,
    ) -> None:
        await withdraw_offer(connection, alarm.id, now)
        await call_off(connection, alarm.id, now, "closed", is_kept=True)
        await _CLOSE.rows(
            connection,
            id=alarm.id,
            now=now,
            owner=actor.id,
            owner_name=actor.name,
            disposition=content["disposition"],
            outcome=content["outcome"],
            outcome_list=content.get("outcome_list", ""),
            help=content.get("help"),
            note=sealed_note or None,
            undo=now + UNDO_MS,
            undo_to="claimed" if alarm.stage.handling is not Stand.CLAIMED else alarm.stage.word,
        )
        await is_answered(connection, alarm, now, "closed")

    async def undo(self, alarm_id: str, actor: Actor) -> AlarmView:
        """Take back the actor's own claim, deferral or close of the last ten seconds."""

        async def work(connection: AsyncConnection, alarm: AlarmView, now: int) -> Done:
            is_theirs = alarm.undo_by == actor.id and alarm.undo_until_ms is not None and alarm.undo_until_ms >= now
            if not is_theirs:
                raise refusal(alarm, "too_late_to_undo")
            if after(alarm.stage, Action.UNDO_CLAIM) == WAITING and alarm.undo_to == WAITING.word:
                await withdraw_offer(connection, alarm_id, now)
                await _RETURN.rows(connection, id=alarm_id)
                await sum_up(connection, alarm_id, now)  # whoever was sent before the claim goes on
                await waits_again(connection, alarm, now)
                return Done("undone", {"act": "claim"})
            if alarm.stage.handling not in {Stand.DEFERRED, Stand.CLOSED}:
                raise refusal(alarm, "too_late_to_undo")
            # A note of this act goes with it; one that was there before stays.
            is_noted = "note_digest" in json.loads(await _LAST_END.value(connection, alarm=alarm_id) or "{}")
            who = {"owner": actor.id, "owner_name": actor.name}
            await _REOPEN.rows(connection, id=alarm_id, is_noted=int(is_noted), now=now, **who)
            for (dispatch,) in await _BACK_ON_THEIR_WAY.rows(
                connection, alarm=alarm_id, answer=now + ANSWER_MS, visit=now + VISIT_MS, on_site=now + ON_SITE_MS
            ):
                await patrols.goes_on(connection, dispatch)
            await sum_up(connection, alarm_id, now)
            if alarm.help == KindOfHelp.TECHNICAL:
                await _withdraw_case(connection, alarm, now)
            return Done("undone", {"act": "close" if alarm.stage.handling is Stand.CLOSED else "defer"})

        try:
            return await self._act(alarm_id, actor, work)
        except Exception as error:
            if isinstance(error, ActionError) or self._store.dialect.fault_of(error) is None:
                raise
            raise Conflict("raised_again", state="closed") from error  # a new alarm of the same kind is open


async def _may_end(connection: AsyncConnection, alarm: AlarmView, actor: Actor, *, is_override: bool) -> None:
    if not alarm.is_open:
        raise refusal(alarm)
    if alarm.owner == actor.id and after(alarm.stage, Action.CLOSE) is not None:
        return
    if is_override and after(alarm.stage, Action.OVERRIDE_CLOSE) is not None:
        return
    # Who is with the person knows what it was; the claim passes to them with the outcome.
    if await _IS_THERE.one(connection, alarm=alarm.id, account=actor.id):
        return
    raise refusal(alarm)


async def _checked(
    connection: AsyncConnection, alarm: AlarmView, disposition: str, outcome: str, kind_of_help: str, note: str
) -> tuple[KindOfHelp | None, str]:
    """The kind of help, and the list in whose words the outcome stands. Raises IncompleteError."""
    choices = tuple(word.value for word in dispositions(alarm.queue))
    if disposition not in choices:
        raise IncompleteError("disposition_missing", "disposition", choices)
    if len(note) > MAX_NOTE:
        raise IncompleteError("note_too_long", "note")
    if alarm.queue is not Queue.TECHNICAL:
        return await outcomes.settle(connection, alarm, disposition, outcome, kind_of_help)
    if outcome not in TECHNICAL_OUTCOMES:
        raise IncompleteError("outcome_missing", "outcome", TECHNICAL_OUTCOMES)
    return None, ""


def _reason(text: str) -> str:
    why = text.strip()[:MAX_REASON]
    if not why:
        raise IncompleteError("reason_missing", "reason")
    return why


async def _open_case(connection: AsyncConnection, alarm: AlarmView, outcome: str, now: int) -> str:
    """For the technicians: where and what, and which alarm told. The note is about a resident and stays there."""
    source = Source(
        hub=alarm.hub,
        device=alarm.device,
        details=json.dumps({"alarm": alarm.id, "kind": alarm.kind.word, "outcome": outcome}),
        happened_ms=now,
    )
    return await raise_technical(connection, CENTRAL_KINDS["technical_case"], source, now)


async def _withdraw_case(connection: AsyncConnection, alarm: AlarmView, now: int) -> None:
    fold_key = technical_key(alarm.hub, alarm.device, "technical_case")
    if await _CASE.value(connection, fold_key=fold_key) == 0:  # nobody else has reported it
        await end_condition(connection, alarm.hub, alarm.device, "technical_case", now)
