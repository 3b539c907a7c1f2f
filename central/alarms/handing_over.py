"""Handing an alarm over: an offer to a person or a team, which keeps the claim until somebody accepts."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from central.alarms.acting import Acting, Done, check, own_trip_over, sum_up
from central.alarms.rows import is_member, offer_one, open_offer, refusal
from central.errors import Conflict, IncompleteError
from central.lifecycle import LEASE_MS, OFFER_MS, Action, Queue
from central.people.words import offer_note
from central.sql import Sql
from central.views import Actor, AlarmView, Offer
from cloud_sync.identity import new_id

MAX_NOTE = 500
ANSWER_PERSONAL = ("responder", "lead")
ANSWER_TECHNICAL = ("responder", "lead", "technician")

# Whoever has no role in the alarm's tenant could not even open it.
_ACCOUNT = Sql(
    """SELECT role FROM user_account WHERE id = :id AND state = 'active'
    AND (CAST(:tenant AS VARCHAR(16)) IS NULL
      OR NOT EXISTS (SELECT 1 FROM assignment a WHERE a.account = user_account.id)
      OR EXISTS (SELECT 1 FROM assignment a WHERE a.account = user_account.id
        AND (a.tenant IS NULL OR a.tenant = :tenant)))"""
)
_TEAM = Sql(
    """SELECT t.kind FROM team t WHERE t.id = :id AND t.state = 'active'
    AND (t.tenant IS NULL OR CAST(:tenant AS VARCHAR(16)) IS NULL OR t.tenant = :tenant
      OR EXISTS (SELECT 1 FROM team_tenant s WHERE s.team = t.id AND s.tenant = :tenant))"""
)
_OFFER = Sql(
    """INSERT INTO handover (id, alarm, from_account, from_name, to_account, to_team, state, offered_ms, expires_ms,
       note)
    VALUES (:id, :alarm, :from_account, :from_name, :to_account, :to_team, 'offered', :now, :expires, :note)"""
)
_ANSWER = Sql(
    """UPDATE handover SET state = :state, answered_ms = :now, answered_by = :actor
    WHERE id = :id AND state = 'offered' RETURNING id"""
)
_PASS = Sql(
    """UPDATE alarm SET owner = :owner, owner_name = :owner_name, claim_no = claim_no + 1, claimed_ms = :now,
       lease_until_ms = :until
    WHERE id = :id AND owner = :before AND handling = 'claimed' RETURNING id"""
)
_TELL_OWNER = Sql("UPDATE alarm SET version = version + 1, sound_no = sound_no + :loud WHERE id = :id")


class HandingOver(Acting):
    """From one who answers to the next, with no moment in between in which nobody does."""

    async def offer(
        self,
        alarm_id: str,
        actor: Actor,
        *,
        to_account: str = "",
        to_team: str = "",
        note: str = "",
        version: int | None = None,
    ) -> Offer:
        """Offer it to one person or to one team. Raises IncompleteError, Conflict."""
        offer_id = new_id().hex()

        async def work(connection: AsyncConnection, alarm: AlarmView, now: int) -> Done:
            check(alarm, actor, Action.HAND_OVER)
            await _check_receiver(connection, alarm, actor, to_account, to_team)
            if len(note) > MAX_NOTE:
                raise IncompleteError("note_too_long", "note")
            if await open_offer(connection, alarm_id) is not None:
                raise refusal(alarm, "already_offered")
            pen = await self._pen(connection, alarm, now) if note else None
            sealed = "" if pen is None else pen.seal(offer_note(offer_id), note)
            await _OFFER.rows(
                connection,
                id=offer_id,
                alarm=alarm_id,
                from_account=actor.id,
                from_name=actor.name,
                to_account=to_account or None,
                to_team=to_team or None,
                now=now,
                expires=now + OFFER_MS,
                note=sealed,
            )
            await _TELL_OWNER.rows(connection, id=alarm_id, loud=0)
            content = {"offer": offer_id} | ({"to_team": to_team} if to_team else {"to_account": to_account})
            return Done("offered", content | ({} if pen is None else {"note_digest": pen.digest(note)}))

        await self._act(alarm_id, actor, work, version=version, tell=False)
        return replace(await self.offered(offer_id), note=note)

    async def accept_offer(self, offer_id: str, actor: Actor) -> AlarmView:
        """The claim is theirs now. Of many who accept, one gets it. Raises Conflict."""

        async def work(connection: AsyncConnection, alarm: AlarmView, now: int) -> Done | None:
            offer = await self._open(connection, offer_id, alarm, now, who_accepted=actor)
            if offer is None:
                return None
            await _check_invited(connection, offer, actor)
            await _ANSWER.rows(connection, id=offer_id, state="accepted", now=now, actor=actor.id)
            row = await _PASS.one(
                connection,
                id=alarm.id,
                owner=actor.id,
                owner_name=actor.name,
                now=now,
                until=now + LEASE_MS,
                before=offer.from_account,
            )
            if row is None:
                raise refusal(alarm)
            await own_trip_over(connection, alarm.id, now, "handed_over")
            await sum_up(connection, alarm.id, now, is_loud=True)
            return Done("offer_accepted", {"offer": offer_id, "from": offer.from_account})

        return await self._act(await self._alarm_of(offer_id), actor, work)

    async def decline_offer(self, offer_id: str, actor: Actor) -> AlarmView:
        """No: its owner is told, loudly, and goes on having it."""

        async def work(connection: AsyncConnection, alarm: AlarmView, now: int) -> Done | None:
            offer = await self._open(connection, offer_id, alarm, now)
            if offer is None:
                return None
            await _check_invited(connection, offer, actor)
            await _ANSWER.rows(connection, id=offer_id, state="declined", now=now, actor=actor.id)
            await _TELL_OWNER.rows(connection, id=alarm.id, loud=1)
            return Done("offer_declined", {"offer": offer_id})

        return await self._act(await self._alarm_of(offer_id), actor, work, tell=False)

    async def withdraw(self, offer_id: str, actor: Actor) -> AlarmView:
        """Its owner thinks better of it."""

        async def work(connection: AsyncConnection, alarm: AlarmView, now: int) -> Done | None:
            offer = await self._open(connection, offer_id, alarm, now)
            if offer is None:
                return None
            if actor.id != offer.from_account:
                raise refusal(alarm, "not_yours")
            await _ANSWER.rows(connection, id=offer_id, state="withdrawn", now=now, actor=actor.id)
            await _TELL_OWNER.rows(connection, id=alarm.id, loud=0)
            return Done("offer_withdrawn", {"offer": offer_id})

        return await self._act(await self._alarm_of(offer_id), actor, work, tell=False)

    async def offered(self, offer_id: str) -> Offer:
        """One offer, open or over. Raises NotFoundError."""
        return await self._store.fetch(lambda connection: offer_one(connection, offer_id))

    async def _alarm_of(self, offer_id: str) -> str:
        return (await self.offered(offer_id)).alarm

    @staticmethod
    async def _open(
        connection: AsyncConnection, offer_id: str, alarm: AlarmView, now: int, *, who_accepted: Actor | None = None
    ) -> Offer | None:
        offer = await offer_one(connection, offer_id)
        if offer.state == "offered" and offer.expires_ms >= now:
            return offer
        if offer.state == "accepted" and who_accepted is not None and alarm.owner == who_accepted.id:
            return None  # pressed twice
        raise refusal(alarm, "taken" if offer.state == "accepted" else "offer_over")


async def expire_offer(connection: AsyncConnection, alarm: AlarmView, now: int) -> Done | None:
    """Nobody accepted in time: the owner is told, loudly, and goes on having it."""
    offer = await open_offer(connection, alarm.id)
    if offer is None or offer.expires_ms >= now:
        return None
    await _ANSWER.rows(connection, id=offer.id, state="expired", now=now, actor="system")
    await _TELL_OWNER.rows(connection, id=alarm.id, loud=1)
    return Done("offer_expired", {"offer": offer.id})


async def _check_receiver(
    connection: AsyncConnection, alarm: AlarmView, actor: Actor, to_account: str, to_team: str
) -> None:
    if bool(to_account) == bool(to_team):
        raise IncompleteError("one_receiver", "to_account")
    if to_team:
        kind = await _TEAM.value(connection, id=to_team, tenant=alarm.tenant)
        if kind is None or (kind == "technical" and alarm.queue is Queue.PERSONAL):
            raise IncompleteError("team_unknown", "to_team")
        return
    role = await _ACCOUNT.value(connection, id=to_account, tenant=alarm.tenant)
    if role not in (ANSWER_PERSONAL if alarm.queue is Queue.PERSONAL else ANSWER_TECHNICAL) or to_account == actor.id:
        raise IncompleteError("account_unknown", "to_account")


async def _check_invited(connection: AsyncConnection, offer: Offer, actor: Actor) -> None:
    is_invited = offer.to_account == actor.id or (
        offer.to_team is not None
        and actor.id != offer.from_account
        and await is_member(connection, offer.to_team, actor.id)
    )
    if not is_invited:
        raise Conflict("not_offered_to_you")
