"""How somebody is reached while on duty away from any console: a telephone and an address that they give themselves."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from central import event_log
from central.clock import Clock
from central.people.teaming import checked_email, checked_phone
from central.sql import Sql
from central.store import Priority, Store
from central.views import Actor

_ONE = Sql("SELECT phone, email FROM duty_address WHERE account = :account")
_KEEP = Sql(
    """INSERT INTO duty_address (account, phone, email, changed_ms) VALUES (:account, :phone, :email, :now)
    ON CONFLICT (account) DO UPDATE SET phone = excluded.phone, email = excluded.email,
       changed_ms = excluded.changed_ms"""
)
_DROP = Sql("DELETE FROM duty_address WHERE account = :account")


@dataclass(frozen=True, slots=True, kw_only=True)
class DutyAddress:
    """Where somebody is reached; both empty: nowhere."""

    phone: str = ""
    email: str = ""

    def __repr__(self) -> str:
        return "DutyAddress(...)"  # must not get into a log by way of an exception


async def address_of(connection: AsyncConnection, account: str) -> DutyAddress:
    """What an account has given."""
    row = await _ONE.one(connection, account=account)
    return DutyAddress() if row is None else DutyAddress(phone=row[0], email=row[1])


async def forget_address(connection: AsyncConnection, account: str) -> None:
    """Of somebody who is never called again."""
    await _DROP.rows(connection, account=account)


async def keep_address(store: Store, clock: Clock, actor: Actor, *, phone: str, email: str) -> None:
    """One's own. The log says that it was changed, and not to what. Raises IncompleteError."""
    phone, email = checked_phone(phone), checked_email(email)

    async def work(connection: AsyncConnection) -> None:
        now = clock.now_ms()
        if phone or email:
            await _KEEP.rows(connection, account=actor.id, phone=phone, email=email, now=now)
        else:
            await forget_address(connection, actor.id)
        await event_log.append(connection, now, "duty_address_changed", actor, content={"account": actor.id})

    await store.transact(Priority.PEOPLE, work)
