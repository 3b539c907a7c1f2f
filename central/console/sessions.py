"""Sessions: a random token in a cookie, its hash in the database, an end when idle and an end in any case.

The token is made at sign-in and never taken from a browser, so a session cannot be planted. Every sign-in makes a new
one and ends the one the browser had.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass

from sqlalchemy import RowMapping, Update, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from central.clock import Clock
from central.console.accounts import Account, account_of, token_hash
from central.store import Priority, Store
from central.tables import session, user_account

MAX_TOKEN = 100
IDLE_MS = 60 * 60_000
"""Without any sign of a person's page. An open queue keeps its session alive: a console on duty must not go deaf."""

_TOUCH_MS = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Somebody who is signed in."""

    account: Account
    token_hash: str
    csrf: str
    expires_ms: int

    def is_csrf(self, token: str | None) -> bool:
        """Whether a request that changes something came from one of our own pages."""
        return token is not None and hmac.compare_digest(token.encode(), self.csrf.encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The session that a page was made in, over or not: whose it was. `name` is empty for an account that is gone."""

    token_hash: str
    account: str
    name: str
    csrf: str


class Sessions:
    """The sessions of one central."""

    def __init__(self, store: Store, clock: Clock, hours: float) -> None:
        self._store = store
        self._clock = clock
        self._life_ms = int(hours * 3_600_000)

    async def start(self, account: Account, before: str | None = None) -> str:
        """Sign in: the token for the cookie. `before` is the token the browser came with, which ends."""
        token = secrets.token_urlsafe(32)
        now = self._clock.now_ms()

        async def work(connection: AsyncConnection) -> None:
            if before:
                await connection.execute(_end(token_hash(before), now))
            await connection.execute(
                insert(session).values(
                    token_hash=token_hash(token),
                    account=account.id,
                    csrf=secrets.token_urlsafe(32),
                    created_ms=now,
                    expires_ms=now + self._life_ms,
                    last_used_ms=now,
                )
            )
            await connection.execute(
                update(user_account).where(user_account.c.id == account.id).values(last_sign_in_ms=now)
            )

        await self._store.transact(Priority.PEOPLE, work)
        return token

    async def find(self, token: str | None) -> Session | None:
        """The session of a token, when it is alive. Notes once a minute that it is in use."""
        if not token or len(token) > MAX_TOKEN:
            return None
        return await self.look(token_hash(token))

    async def was_ours(self, token: str) -> bool:
        """Whether there is or was a session of this token; one that nobody was given is made up."""
        return len(token) <= MAX_TOKEN and await self.origin(hashed=token_hash(token)) is not None

    async def look(self, hashed: str) -> Session | None:
        """The same by the token's hash, for streams that stay open."""
        now = self._clock.now_ms()

        async def find(connection: AsyncConnection) -> tuple[RowMapping, Account] | None:
            query = (
                select(session)
                .join(user_account, user_account.c.id == session.c.account)
                .where(session.c.token_hash == hashed, session.c.ended_ms.is_(None), user_account.c.state == "active")
            )
            row = (await connection.execute(query)).mappings().one_or_none()
            return None if row is None else (row, await account_of(connection, row["account"]))

        found = await self._store.fetch(find)
        if found is None:
            return None
        row, account = found
        if now >= row["expires_ms"] or now - row["last_used_ms"] > IDLE_MS:
            return None
        if now - row["last_used_ms"] > _TOUCH_MS:
            await self._touch(hashed, now)
        return Session(
            account=account,
            token_hash=hashed,
            csrf=row["csrf"],
            expires_ms=row["expires_ms"],
        )

    async def origin(self, *, csrf: str = "", hashed: str = "") -> Origin | None:
        """The session that pages with this token were made in, or the one of this hash. It lets nobody in."""
        condition = session.c.token_hash == hashed if hashed else session.c.csrf == csrf
        query = (
            select(session.c.token_hash, session.c.account, session.c.csrf, user_account.c.name)
            .join(user_account, user_account.c.id == session.c.account, isouter=True)
            .where(condition)
        )

        async def find(connection: AsyncConnection) -> RowMapping | None:
            return (await connection.execute(query)).mappings().first()

        row = await self._store.fetch(find)
        if row is None:
            return None
        return Origin(token_hash=row["token_hash"], account=row["account"], name=row["name"] or "", csrf=row["csrf"])

    async def end(self, current: Session) -> None:
        """Sign out."""
        now = self._clock.now_ms()

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(_end(current.token_hash, now))

        await self._store.transact(Priority.PEOPLE, work)

    async def _touch(self, hashed: str, now: int) -> None:
        async def work(connection: AsyncConnection) -> None:
            await connection.execute(update(session).where(session.c.token_hash == hashed).values(last_used_ms=now))

        await self._store.transact(Priority.UPKEEP, work)


def _end(hashed: str, now: int) -> Update:
    return update(session).where(session.c.token_hash == hashed, session.c.ended_ms.is_(None)).values(ended_ms=now)
