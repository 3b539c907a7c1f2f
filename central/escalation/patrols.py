"""Patrols that are sent, by a person or by a step of a plan: who of them is told, and that it is over.

A step that ends by acceptance sends its team by itself, once. Nobody has the alarm yet: whoever accepts has it from
then on. One that declines, or does not answer in time, leaves it to the next step.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from central import event_log
from central.escalation.receivers import Receiver, team_of
from central.escalation.seen import seen_since
from central.escalation.telling import tell
from central.lifecycle import UNDO_MS
from central.notify.channel import Address
from central.notify.channels import carried, channels, promise_of
from central.sql import Sql
from central.views import SYSTEM
from cloud_sync.identity import new_id

_UNANSWERED = "state IN ('sent', 'delivered')"

_SEND = Sql(
    """INSERT INTO dispatch (id, alarm, team, state, sent_ms, sent_by, due_ms, round, step)
    SELECT CAST(:id AS VARCHAR(16)), CAST(:alarm AS VARCHAR(16)), CAST(:team AS VARCHAR(16)), 'sent',
       CAST(:now AS BIGINT), CAST(:by AS VARCHAR(32)), CAST(:due AS BIGINT), CAST(:round AS INTEGER),
       CAST(:step AS INTEGER)
    WHERE NOT EXISTS (SELECT 1 FROM dispatch d WHERE d.alarm = CAST(:alarm AS VARCHAR(16))
      AND d.team = CAST(:team AS VARCHAR(16))
      AND d.state IN ('sent', 'delivered', 'accepted', 'on_the_way', 'on_site'))
    ON CONFLICT DO NOTHING RETURNING id"""
)
# Sent before, by a person or in an earlier round, and not answered yet: from now on this step waits for the answer.
_WAITS_FOR = Sql(
    f"""UPDATE dispatch SET round = :round, step = :step, due_ms = :due WHERE alarm = :alarm AND team = :team
    AND {_UNANSWERED} AND (round IS NULL OR round < :round)"""  # noqa: S608  # words of our own
)
_MEMBERS = Sql("SELECT DISTINCT account FROM duty WHERE team IN (:team, '') AND seen_ms > :since ORDER BY account")
_SILENT = Sql(
    f"""UPDATE dispatch SET state = 'unanswered', due_ms = NULL, version = version + 1
    WHERE alarm = :alarm AND round = :round AND step = :step AND {_UNANSWERED} RETURNING id, team"""  # noqa: S608
)
_GOT = Sql(
    """UPDATE dispatch SET state = 'delivered', delivered_ms = :now, version = version + 1
    WHERE id = :id AND state = 'sent' RETURNING alarm, team"""
)
_HUSH = Sql(
    """UPDATE notification SET state = 'cancelled', fence = fence + 1
    WHERE dispatch = :id AND state = 'pending' AND what <> 'dispatch_over'"""
)
_NOT_OVER = Sql("DELETE FROM notification WHERE dispatch = :id AND state = 'pending' AND what = 'dispatch_over'")
_TOLD = Sql(
    """SELECT DISTINCT channel, team, language, alarm FROM notification WHERE dispatch = :id AND what = 'dispatch'
    AND state IN ('sent', 'unconfirmed', 'delivered')"""
)
_OUT = Sql(
    """SELECT id FROM dispatch WHERE alarm = :alarm AND team IS NOT NULL
    AND state IN ('sent', 'delivered', 'accepted', 'on_the_way') ORDER BY id"""
)


async def send(
    connection: AsyncConnection,
    to: Receiver,
    ways: Sequence[str],
    now: int,
    *,
    alarm: str,
    hub: str,
    number: int,
    step: int,
    due_ms: int,
) -> str | None:
    """A step of a plan sends a team. None: it was sent already, by this step, or is out for this alarm anyway.

    When that one has not answered yet, it is this step that its answer ends.
    """
    await _WAITS_FOR.rows(connection, alarm=alarm, team=to.team, round=number, step=step, due=due_ms)
    row = await _SEND.one(
        connection,
        id=new_id().hex(),
        alarm=alarm,
        team=to.team,
        now=now,
        by=SYSTEM.id,
        due=due_ms,
        round=number,
        step=step,
    )
    if row is None:
        return None
    content = {"dispatch": row[0], "team": to.team, "why": "plan"}
    await event_log.append(connection, now, "dispatch_sent", SYSTEM, alarm=alarm, hub=hub, content=content)
    await tell_team(connection, row[0], to, ways, now, alarm=alarm, number=number, step=step)
    return str(row[0])


async def tell_team(
    connection: AsyncConnection,
    dispatch: str,
    to: Receiver,
    ways: Sequence[str],
    now: int,
    *,
    alarm: str,
    number: int | None = None,
    step: int | None = None,
) -> None:
    """Those of a team who are on duty hear that they are sent: each at their console, all by the duty telephone."""
    for channel in ways:
        if not to.can_be_told(channel):
            continue
        whom: list[str | None] = [None]
        if promise_of(channel).address is Address.CONSOLE:
            since = await seen_since(connection, now)
            whom = [row[0] for row in await _MEMBERS.rows(connection, team=to.team, since=since)] or whom
        for account in whom:
            key = f"dispatch:{dispatch}:{channel}:{account or to.team}"
            await tell(
                connection,
                key,
                to,
                channel,
                "dispatch",
                now,
                alarm=alarm,
                number=number,
                step=step,
                dispatch=dispatch,
                account=account,
            )


async def tell_sent(
    connection: AsyncConnection, dispatch: str, team: str, tenant: str | None, now: int, *, alarm: str
) -> None:
    """A person has sent a team: it is told by every way that it has."""
    for to in await team_of(connection, team, tenant):
        await tell_team(connection, dispatch, to, tuple(channels()), now, alarm=alarm)


async def is_silent(connection: AsyncConnection, alarm: str, hub: str, number: int, step: int, now: int) -> None:
    """The time of a step is up: who was sent by it has not answered. Late is still better than not at all."""
    for dispatch, team in await _SILENT.rows(connection, alarm=alarm, round=number, step=step):
        await hush(connection, dispatch)
        content = {"dispatch": dispatch, "team": team}
        await event_log.append(connection, now, "dispatch_unanswered", SYSTEM, alarm=alarm, hub=hub, content=content)


async def has_got_it(connection: AsyncConnection, dispatch: str, hub: str | None, now: int) -> None:
    """A receipt has come, or a console has shown it: the team knows that it is sent."""
    row = await _GOT.one(connection, id=dispatch, now=now)
    if row is not None:
        content = {"dispatch": dispatch, "team": row[1]}
        await event_log.append(connection, now, "dispatch_delivered", SYSTEM, alarm=row[0], hub=hub, content=content)


async def hush(connection: AsyncConnection, dispatch: str) -> None:
    """They have answered, or need not: what was not said yet need not be said."""
    await _HUSH.rows(connection, id=dispatch)


async def goes_on(connection: AsyncConnection, dispatch: str) -> None:
    """It was called off by mistake. Whoever was not told yet never hears of it."""
    await _NOT_OVER.rows(connection, id=dispatch)


async def out_for(connection: AsyncConnection, alarm: str) -> list[str]:
    """Teams that are out for an alarm and not there yet: whoever calls them off has to tell them."""
    return [row[0] for row in await _OUT.rows(connection, alarm=alarm)]


async def called_off(connection: AsyncConnection, dispatch: str, now: int, *, is_kept: bool = False) -> None:
    """They need not go any more; who was told is told. `is_kept`: only when it has not been taken back."""
    await hush(connection, dispatch)
    for channel, team, language, alarm in await _TOLD.rows(connection, id=dispatch):
        if channel not in carried():
            continue  # consoles show it
        await tell(
            connection,
            f"dispatch:{dispatch}:over:{channel}:{team}",
            Receiver(team=team, language=language),
            channel,
            "dispatch_over",
            now,
            alarm=alarm,
            dispatch=dispatch,
            next_ms=now + UNDO_MS + 1000 if is_kept else now,
        )
