"""What is to be said to somebody, as rows in the transaction that makes it necessary: once under each key."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from central.escalation.receivers import Receiver
from central.notify.channels import promise_of
from central.sql import Sql
from cloud_sync.identity import new_id

_TELL = Sql(
    """INSERT INTO notification (id, key, alarm, step, round, dispatch, channel, team, account, contact, what, language,
       state, next_ms, made_ms, sent_ms, call_out)
    VALUES (:id, :key, :alarm, :step, :round, :dispatch, :channel, :team, :account, :contact, :what, :language,
       :state, :next, :now, :sent, :call_out)
    ON CONFLICT (key) DO NOTHING"""
)


async def tell(
    connection: AsyncConnection,
    key: str,
    to: Receiver,
    channel: str,
    what: str,
    now: int,
    *,
    alarm: str,
    number: int | None = None,
    step: int | None = None,
    dispatch: str | None = None,
    account: str | None = None,
    next_ms: int | None = None,
    call_out: str | None = None,
) -> None:
    """One message. `number` is the round of the alarm's plan, or of the call-out, that it belongs to.

    `next_ms` is when it is due. To an account it goes by the address that its owner has given.
    """
    is_carried = promise_of(channel).is_carried  # otherwise it is on its way with this commit
    await _TELL.rows(
        connection,
        id=new_id().hex(),
        key=key,
        alarm=alarm,
        step=step,
        round=number,
        dispatch=dispatch,
        channel=str(channel),
        team=to.team,
        account=account,
        contact=to.contact,
        what=what,
        language=to.language,
        state="pending" if is_carried else "sent",
        next=now if next_ms is None else next_ms,
        now=now,
        sent=None if is_carried else now,
        call_out=call_out,
    )
