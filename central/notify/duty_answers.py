"""Technicians who were called out answer by SMS: they take it, or cannot, from the number that was called.

A sender's number is easily forged, so a yes counts only with the code of the call-out. A no needs none while one
call-out is open to the number: it stops nobody, the next one is called at once. Whoever was called gets an answer, a
few times. A code that is guessed is a security event. Of an account that was shut out since, only a no is heard.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from central.escalation.receivers import Receiver
from central.escalation.telling import tell
from central.notify import duty_asks
from central.notify.answers import MOST_REPLIES, MOST_WRONG, AnswerParts, Answers, Said, keep_answer, read
from central.notify.asks import Ask, asks_of, wrong_codes
from central.notify.duty_asks import Call, calls_of, reply_key
from central.routing.plan import Channel
from central.settings import CallOutSettings
from central.technical import called
from central.views import Actor

log = structlog.get_logger()

NOT_OURS = ""
_NO_ANSWERS = frozenset({"fault_unknown", "fault_code", "fault_locked", "fault_late"})


class DutyAnswers(Answers):
    """What comes back from those who were called."""

    def __init__(self, parts: AnswerParts, settings: CallOutSettings) -> None:
        super().__init__(parts)
        self._holds_ms = round(settings.answer_holds_s * 1000)

    async def receive(self, number: str, text: str) -> str:
        """Everything about one text. Returns a word for what it was, or nothing: it answers no call-out of ours.

        Raises NotStoredError: it is to come again.
        """
        said = read(text)

        async def work(connection: AsyncConnection, mark: str, now: int) -> str:
            calls = [one for one in await calls_of(connection, mark, now) if one.may_answer or said.word == "no"]
            if not calls:
                return NOT_OURS
            asks = [one for one in await asks_of(connection, mark, now) if one.is_open]
            return await self._answer(connection, calls, asks, said, now)

        what = await self._judge(number, work)
        if what == NOT_OURS:
            return what
        self._tell(what, counted="call_out", about="call-out")
        log.info("call_out_text_received", what=what)
        return what

    async def _answer(
        self, connection: AsyncConnection, calls: Sequence[Call], asks: Sequence[Ask], said: Said, now: int
    ) -> str:
        chosen, reply = _chosen(calls, said, is_kin=bool(asks))
        if chosen is None:
            return NOT_OURS
        is_guess = reply == "fault_wrong" or (said.word == "yes" and not reply)
        if is_guess and await _wrong_codes(connection, calls, asks) >= MOST_WRONG:
            reply = "fault_locked"
        if reply:
            return await _reply(connection, chosen, reply, now)
        row = await called.lock(connection, chosen.call_out)
        if row is None or row.ended_ms is not None:
            return await _reply(connection, chosen, "fault_late", now)
        has_it = row.state == "answered" and row.answered_by == chosen.who
        if row.state == "answered" and not has_it:
            return await _reply(connection, chosen, "fault_late", now)
        is_yes = said.word == "yes"
        if is_yes and not (has_it or said.code):  # they had it a moment ago
            return await _reply(connection, chosen, "fault_code", now)
        await keep_answer(connection, chosen.id, "yes" if is_yes else "no", now)
        if is_yes:
            if not has_it:
                until_ms = now + self._holds_ms
                await called.answer(
                    connection, row, now, by=chosen.who, name=chosen.name, via=called.BY_SMS, until_ms=until_ms
                )
        else:
            if has_it:
                await called.give_back(connection, row, now)
            elif chosen.round == row.round:
                await called.hasten(connection, row.id, chosen.round, chosen.step, now)
            actor = Actor(id=chosen.who, name=chosen.name, role="technician")
            await called.note(connection, row, "call_out_declined", now, {}, actor)
        return await _reply(connection, chosen, f"fault_{said.word}", now)


def _chosen(calls: Sequence[Call], said: Said, *, is_kin: bool) -> tuple[Call | None, str]:
    """Which call is meant; and what is to be said when it cannot be told, is not proven, or is over.

    None: it is left to what else the number may have been asked, as next of kin.
    """
    standing = [one for one in calls if one.is_open]
    if said.code:
        meant = next((one for one in calls if one.code == said.code), None)
        if meant is not None:
            return meant, "" if meant.is_open else "fault_late"
        return (None if is_kin else (standing or calls)[0]), "fault_wrong" if standing else "fault_late"
    if not standing:
        return (None if is_kin else calls[0]), "fault_late"
    if is_kin and said.word is None:
        return None, ""
    if said.word is None:
        return standing[0], "fault_unknown"
    is_proven = said.word == "no" or standing[0].is_theirs
    return standing[0], "" if is_proven and len(standing) == 1 and not is_kin else "fault_code"


async def _wrong_codes(connection: AsyncConnection, calls: Sequence[Call], asks: Sequence[Ask]) -> int:
    """Of all that is open to a number together: else what is tried on one of them costs nothing on the others."""
    standing = [one for one in calls if one.is_open]
    return await duty_asks.wrong_codes(connection, standing) + await wrong_codes(connection, asks)


async def _reply(connection: AsyncConnection, call: Call, what: str, now: int) -> str:
    count = await duty_asks.replies(connection, call)
    if count >= MOST_REPLIES and what != "fault_wrong":  # those are counted, and end by themselves
        return "too_many" if what in _NO_ANSWERS else what.removeprefix("fault_")
    to = Receiver(team=call.team, language=call.language)
    key = f"{reply_key(call)}{count}"
    alarm = await called.alarm_of(connection, call.call_out)
    await tell(
        connection, key, to, Channel.SMS, what, now, alarm=alarm, account=call.account, call_out=call.call_out,
        number=call.now_round,
    )  # fmt: skip
    return what.removeprefix("fault_")
