"""Next of kin answer by SMS: yes or no, from the number that was asked, for the alarm that it was asked about.

A sender's number is easily forged, so a yes counts only with the code of the question: it ends the asking of others. A
no needs none while one question is open: it turns to the next of them, or to the next step, at once, and stops nobody.
A yes is kept as theirs; they have the alarm only where the plan says that a step ends by acceptance. Whoever was asked
gets an answer to whatever they write, a few times. An answer from a number that nobody asked is a security event, and
is not answered; so is a code that is guessed.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from central.alarms.acting import Done, record, sum_up, waits_again, withdraw_offer
from central.alarms.rows import load, lock
from central.alarms.taking import take
from central.errors import NotFoundError
from central.escalation import steps
from central.escalation.receivers import Receiver
from central.escalation.telling import tell
from central.escalation.tick import SAID_NO, hasten
from central.lifecycle import VISIT_MS, Handling
from central.notify.answers import MOST_REPLIES, MOST_WRONG, Answers, Said, keep_answer, read
from central.notify.asks import Ask, answer_key, asks_of, wrong_codes
from central.routing.plan import Channel, Ends
from central.sql import Sql
from central.views import KIN, KIN_NAME, Actor, AlarmView
from cloud_sync.identity import new_id

log = structlog.get_logger()

_NO_ANSWERS = frozenset({"kin_unknown", "kin_which", "kin_code", "kin_wrong", "kin_locked", "kin_late"})

_REPLIES = Sql("SELECT count(*) FROM notification WHERE key LIKE :prefix")
_STEP = "alarm = :alarm AND round = :round AND step = :step AND contact IS NOT NULL AND what = 'alarm_waits_contact'"
_NOBODY_ELSE = Sql(
    f"UPDATE notification SET state = 'cancelled', fence = fence + 1 WHERE {_STEP} AND state = 'pending' AND id <> :id"  # noqa: S608
)
_LAST_ASKED = Sql(
    """SELECT n.id FROM notification n LEFT JOIN contact c ON c.id = n.contact
    WHERE n.alarm = :alarm AND n.round = :round AND n.step = :step AND n.what = 'alarm_waits_contact'
      AND n.mark IS NOT NULL ORDER BY n.next_ms DESC, c.position DESC LIMIT 1"""
)
_NEXT = Sql(
    f"""UPDATE notification SET next_ms = :now WHERE id = (SELECT id FROM notification WHERE {_STEP}
      AND state = 'pending' AND mark IS NULL ORDER BY next_ms, id LIMIT 1) AND state = 'pending' RETURNING id"""  # noqa: S608
)
_GOES = Sql(
    """INSERT INTO dispatch (id, alarm, account, account_name, state, sent_ms, sent_by, answered_ms, due_ms)
    VALUES (:id, :alarm, :account, :name, 'accepted', :now, :account, :now, :due)"""
)
_GOES_NO_MORE = Sql(
    """UPDATE dispatch SET state = 'cancelled', reason = 'released', due_ms = NULL, ended_ms = :now,
       version = version + 1 WHERE alarm = :alarm AND account = :account AND team IS NULL AND ended_ms IS NULL"""
)
_NOT_TAKEN_FROM_THEM = Sql(
    """UPDATE notification SET state = 'cancelled', fence = fence + 1
    WHERE alarm = :alarm AND contact = :contact AND what = 'taken' AND state = 'pending'"""
)
_RETURN = Sql(
    """UPDATE alarm SET owner = NULL, owner_name = NULL, claimed_ms = NULL, lease_until_ms = NULL,
       handling = 'waiting', dispatch = 'none', version = version + 1, sound_no = sound_no + 1, undo_until_ms = NULL,
       undo_by = NULL, undo_to = NULL
    WHERE id = :id"""
)
_CHANGED = Sql("UPDATE alarm SET version = version + 1 WHERE id = :id")


class KinAnswers(Answers):
    """What comes back from next of kin."""

    async def receive(self, number: str, text: str) -> str:
        """Everything about one text. Returns a word for what it was. Raises NotStoredError: it is to come again."""
        said = read(text)

        async def work(connection: AsyncConnection, mark: str, now: int) -> str:
            asks = await asks_of(connection, mark, now)
            return await _answer(connection, asks, said, now) if asks else "unasked"

        what = await self._judge(number, work)
        if what == "unasked" and said.word is None:
            return "no_stub"
        self._tell(what, counted="kin", about="question")
        log.info("kin_answered", what=what)
        return what


async def _answer(connection: AsyncConnection, asks: Sequence[Ask], said: Said, now: int) -> str:
    chosen, reply = _chosen(asks, said)
    is_guess = reply == "kin_wrong" or (said.word == "yes" and reply != "kin_late")
    if is_guess and await wrong_codes(connection, [one for one in asks if _stands(one)]) >= MOST_WRONG:
        reply = "kin_locked"
    if reply:
        return await _reply(connection, chosen, reply, now)
    try:
        alarm = await lock(connection, chosen.alarm)
    except NotFoundError:
        return await _reply(connection, chosen, "kin_late", now)
    theirs = f"{KIN}{chosen.contact}"
    has_it = alarm.is_open and alarm.owner == theirs
    if said.word == "yes":
        if has_it:
            return await _reply(connection, chosen, "kin_yes", now)
        if alarm.stage.handling is not Handling.WAITING:
            return await _reply(connection, chosen, "kin_late", now)
        if not said.code:  # they had it a moment ago
            return await _reply(connection, chosen, "kin_code", now)
        await _goes(connection, alarm, chosen, theirs, now)
    elif has_it:
        await _gives_back(connection, alarm, chosen, theirs, now)
    elif alarm.stage.handling is not Handling.WAITING:
        return await _reply(connection, chosen, "kin_late", now)
    else:
        await _cannot(connection, alarm, chosen, theirs, now)
    return await _reply(connection, chosen, f"kin_{said.word}", now)


def _stands(ask: Ask) -> bool:
    """Whether an answer still changes something: it waits, or they have it."""
    return ask.is_open or _is_theirs(ask)


def _is_theirs(ask: Ask) -> bool:
    return ask.handling == "claimed" and ask.owner == KIN + ask.contact


def _chosen(asks: Sequence[Ask], said: Said) -> tuple[Ask, str]:
    """Which question is meant; and what is to be said when it cannot be told, is not proven, or is over."""
    standing = [one for one in asks if _stands(one)]
    if said.code:
        meant = [one for one in asks if one.code == said.code]
        if meant:
            return meant[0], ""
        return (standing or asks)[0], "kin_wrong" if standing else "kin_late"
    if not standing:
        return asks[0], "kin_late"
    if len(standing) > 1:
        return standing[0], "kin_which"
    if said.word is None:
        return standing[0], "kin_unknown"
    is_proven = said.word == "no" or _is_theirs(standing[0])
    return standing[0], "" if is_proven else "kin_code"


async def _goes(connection: AsyncConnection, alarm: AlarmView, ask: Ask, theirs: str, now: int) -> None:
    await keep_answer(connection, ask.id, "yes", now)
    place = {"alarm": ask.alarm, "round": ask.round, "step": ask.step}
    await _NOBODY_ELSE.rows(connection, **place, id=ask.id)
    actor = Actor(id=theirs, name=KIN_NAME, role="contact")
    done = Done("contact_accepted", {"contact": ask.contact})
    plan_steps, _zone = await steps.steps_of(connection, ask.alarm)
    if plan_steps[min(ask.step, len(plan_steps) - 1)].ends is not Ends.ACCEPTED:
        await _CHANGED.rows(connection, id=ask.alarm)
        await record(connection, alarm, actor, done, now, tell=False)
        return
    if not await take(connection, alarm, actor, now, by="accepted"):
        raise AssertionError("an alarm that waits under the lock can be taken")
    await _NOT_TAKEN_FROM_THEM.rows(connection, alarm=ask.alarm, contact=ask.contact)
    await _GOES_NO_MORE.rows(connection, alarm=ask.alarm, account=theirs, now=now)  # a promise of an earlier round
    await _GOES.rows(
        connection, id=new_id().hex(), alarm=ask.alarm, account=theirs, name=KIN_NAME, now=now, due=now + VISIT_MS
    )
    await sum_up(connection, ask.alarm, now)
    await record(connection, alarm, actor, done, now, tell=False)
    await record(connection, await load(connection, ask.alarm), actor, Done("claimed", {"by": "sms"}), now)


async def _gives_back(connection: AsyncConnection, alarm: AlarmView, ask: Ask, theirs: str, now: int) -> None:
    """They had said yes, and cannot after all: nobody has it."""
    await keep_answer(connection, ask.id, "no", now)
    await withdraw_offer(connection, alarm.id, now)
    await _GOES_NO_MORE.rows(connection, alarm=alarm.id, account=theirs, now=now)
    await _RETURN.rows(connection, id=alarm.id)
    await sum_up(connection, alarm.id, now)  # whoever else is out goes on
    await waits_again(connection, alarm, now)
    actor = Actor(id=theirs, name=KIN_NAME, role="contact")
    await record(connection, alarm, actor, Done("contact_declined", {"contact": ask.contact}), now, tell=False)
    await record(connection, alarm, actor, Done("released", {"by": "sms"}), now)


async def _cannot(connection: AsyncConnection, alarm: AlarmView, ask: Ask, theirs: str, now: int) -> None:
    await keep_answer(connection, ask.id, "no", now)
    await _GOES_NO_MORE.rows(connection, alarm=alarm.id, account=theirs, now=now)  # said yes before a claim ran out
    await sum_up(connection, alarm.id, now)
    place = {"alarm": ask.alarm, "round": ask.round, "step": ask.step}
    is_last = await _LAST_ASKED.value(connection, **place) == ask.id
    if is_last and ask.round == alarm.escalation_round and not await _NEXT.one(connection, **place, now=now):
        await hasten(connection, ask.alarm, ask.round, ask.step, now, SAID_NO)
    await _CHANGED.rows(connection, id=ask.alarm)
    actor = Actor(id=theirs, name=KIN_NAME, role="contact")
    await record(connection, alarm, actor, Done("contact_declined", {"contact": ask.contact}), now, tell=False)


async def _reply(connection: AsyncConnection, ask: Ask, what: str, now: int) -> str:
    key = answer_key(ask)
    count = int(await _REPLIES.value(connection, prefix=f"{key}%") or 0)
    if count >= MOST_REPLIES and what != "kin_wrong":  # those are counted, and end by themselves
        return "too_many" if what in _NO_ANSWERS else what.removeprefix("kin_")
    to = Receiver(contact=ask.contact, language=ask.language)
    await tell(connection, f"{key}{count}", to, Channel.SMS, what, now, alarm=ask.alarm)
    return what.removeprefix("kin_")
