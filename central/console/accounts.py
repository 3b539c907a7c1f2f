"""User accounts: who may sign in, in which role, with which password or one-time link.

Names are kept as typed and compared without regard to case. Links and sessions are random; only their hash is stored.
Nothing cascades from an account: it is disabled, never deleted, and history keeps its name.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from central.clock import Clock
from central.console.passwords import Passwords, fault
from central.console.roles import Role
from central.errors import ActionError, Conflict, IncompleteError, NotFoundError
from central.people.duty_address import forget_address
from central.sql import Sql
from central.store import Priority, Store
from central.tables import login_link, session, user_account

_NAME = re.compile(r"[\w][\w .@'-]{0,62}[\w.]")
_LISTED = Sql("SELECT id, name, state FROM user_account")
THEMES = ("auto", "light", "dark")


class WrongPasswordError(ActionError):
    """Name and password do not belong together. Never says which of the two it was."""

    status = 401


class LinkGoneError(ActionError):
    """A one-time link was used before, is too old, or never was."""

    status = 404


class StaleAccountError(Conflict):
    """Somebody else has changed role or state of an account meanwhile. `theirs` is what it is now."""

    def __init__(self, theirs: Account, yours: int) -> None:
        current = {"version": theirs.version, "role": theirs.role.value, "is_active": theirs.is_active}
        super().__init__("stale", current=current, yours={"version": yours})
        self.theirs = theirs


@dataclass(frozen=True, slots=True)
class Listed:
    """Somebody's name, where thousands of them are listed."""

    id: str
    name: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Somebody who may sign in."""

    id: str
    name: str
    role: Role
    language: str | None
    is_active: bool
    has_password: bool
    created_ms: int
    last_sign_in_ms: int | None
    version: int = 1
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def initials(self) -> str:
        """Two letters for a round badge."""
        return initials_of(self.name)

    @property
    def theme(self) -> str:
        """light, dark, or auto: as the computer."""
        wish = self.settings.get("theme")
        return wish if wish in THEMES else "auto"

    @property
    def has_single_keys(self) -> bool:
        """Whether shortcuts without Ctrl work for this person."""
        return self.settings.get("keys", True) is not False


def initials_of(name: str) -> str:
    """Two letters for a round badge."""
    parts = [part for part in re.split(r"[\s._@-]+", name) if part] or ["?"]
    return (parts[0][:2] if len(parts) == 1 else parts[0][0] + parts[-1][0]).upper()


def token_hash(token: str) -> str:
    """What is stored of a random token. It has 256 bits, so one round of SHA-256 is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


def clean_name(name: str) -> str:
    """A name with its spaces in order. Raises IncompleteError."""
    name = " ".join(unicodedata.normalize("NFC", name).split())
    if not _NAME.fullmatch(name):
        raise IncompleteError("bad_name", "name")
    return name


class Accounts:
    """The accounts of one central."""

    def __init__(self, store: Store, clock: Clock, passwords: Passwords | None = None) -> None:
        self._store = store
        self._clock = clock
        self._passwords = passwords or Passwords()

    async def all(self) -> Sequence[Account]:
        """Everybody, active ones first, by name. For pages see `listed`: there may be thousands."""
        async with self._store.read() as connection:
            rows = (await connection.execute(select(user_account))).mappings().all()
        found = [_account(row) for row in rows]
        return sorted(found, key=lambda account: (not account.is_active, account.name.casefold()))

    async def listed(self) -> Sequence[Listed]:
        """Only their names, in the same order."""
        found = [Listed(*row) for row in await self._store.fetch(_LISTED.rows)]
        return sorted(found, key=lambda account: (account.state != "active", account.name.casefold()))

    async def names(self) -> dict[str, str]:
        """What everybody is called, by id."""
        return {row[0]: row[1] for row in await self._store.fetch(_LISTED.rows)}

    async def some(self, ids: Sequence[str]) -> Sequence[Account]:
        """These, in this order."""

        async def look(connection: AsyncConnection) -> dict[str, Account]:
            query = select(user_account).where(user_account.c.id.in_(ids))
            return {row["id"]: _account(row) for row in (await connection.execute(query)).mappings()}

        known = await self._store.fetch(look)
        return [known[account] for account in ids if account in known]

    async def one(self, account_id: str) -> Account:
        """By id. Raises NotFoundError."""
        return await self._store.fetch(lambda connection: account_of(connection, account_id))

    async def add(self, name: str, role: Role, *, language: str | None = None) -> Account:
        """A new account, without a password: it is given a link. Raises Conflict when the name is taken."""
        name = clean_name(name)
        account_id = secrets.token_hex(8)

        async def work(connection: AsyncConnection) -> None:
            if await _row_by_name(connection, name) is not None:
                raise Conflict("name_taken")
            await connection.execute(
                insert(user_account).values(
                    id=account_id, name=name, role=role.value, language=language, created_ms=self._clock.now_ms()
                )
            )

        await self._store.transact(Priority.PEOPLE, work)
        return await self.one(account_id)

    async def set_role(self, account_id: str, role: Role, *, version: int | None = None) -> None:
        """Another role, and no session of the old one goes on. Raises StaleAccountError."""
        await self._change(account_id, version, ends_sessions=True, role=role.value)

    async def set_active(self, account_id: str, is_active: bool, *, version: int | None = None) -> None:
        """Let in or shut out, which means at once and without the telephone they gave. Raises StaleAccountError."""
        state = "active" if is_active else "disabled"
        await self._change(account_id, version, ends_sessions=not is_active, state=state)

    async def set_preferences(self, account_id: str, *, language: str, theme: str, has_single_keys: bool) -> None:
        """What somebody chose for themselves."""
        settings = json.dumps({"theme": theme, "keys": has_single_keys})
        await self._change(account_id, ends_sessions=False, language=language, settings=settings)

    async def set_password(self, account_id: str, password: str) -> None:
        """A new password; other sessions end. Raises IncompleteError, with the fault as its reason."""
        account = await self.one(account_id)
        wrong = fault(password, account.name)
        if wrong:
            raise IncompleteError(wrong, "password")
        await self._change(account_id, ends_sessions=True, password_hash=await self._passwords.hash(password))

    async def check_password(self, name: str, password: str) -> Account:
        """Who this is. Takes equally long for an unknown name. Raises WrongPasswordError."""
        async with self._store.read() as connection:
            row = await _row_by_name(connection, name)
        kept = row["password_hash"] if row and row["state"] == "active" else None
        if not await self._passwords.matches(kept, password) or row is None or kept is None:
            raise WrongPasswordError("wrong_password")
        if self._passwords.is_outdated(kept):
            await self._change(row["id"], ends_sessions=False, password_hash=await self._passwords.hash(password))
        return _account(row)

    async def id_of(self, name: str) -> str | None:
        """The id that belongs to a name, for the security log."""
        async with self._store.read() as connection:
            row = await _row_by_name(connection, name)
        return None if row is None else row["id"]

    async def new_link(self, account_id: str, minutes: float) -> str:
        """A token that signs this account in once. Links made before stop working."""
        await self.one(account_id)
        token = secrets.token_urlsafe(32)
        now = self._clock.now_ms()

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(
                update(login_link)
                .where(login_link.c.account == account_id, login_link.c.used_ms.is_(None))
                .values(used_ms=now)
            )
            await connection.execute(
                insert(login_link).values(
                    token_hash=token_hash(token),
                    account=account_id,
                    created_ms=now,
                    expires_ms=now + int(minutes * 60_000),
                )
            )

        await self._store.transact(Priority.PEOPLE, work)
        return token

    async def look_at_link(self, token: str) -> Account:
        """Whose link this is, without using it up: mail programs open links too. Raises LinkGoneError."""
        async with self._store.read() as connection:
            query = (
                select(user_account)
                .join(login_link, login_link.c.account == user_account.c.id)
                .where(
                    login_link.c.token_hash == token_hash(token),
                    login_link.c.used_ms.is_(None),
                    login_link.c.expires_ms > self._clock.now_ms(),
                    user_account.c.state == "active",
                )
            )
            row = (await connection.execute(query)).mappings().one_or_none()
        if row is None:
            raise LinkGoneError("link_gone")
        return _account(row)

    async def redeem_link(self, token: str) -> Account:
        """Use a link up: of two at the same time, one gets in. Raises LinkGoneError."""
        account = await self.look_at_link(token)
        now = self._clock.now_ms()

        async def work(connection: AsyncConnection) -> bool:
            used = await connection.execute(
                update(login_link)
                .where(
                    login_link.c.token_hash == token_hash(token),
                    login_link.c.used_ms.is_(None),
                    login_link.c.expires_ms > now,
                )
                .values(used_ms=now)
            )
            return used.rowcount == 1

        if not await self._store.transact(Priority.PEOPLE, work):
            raise LinkGoneError("link_gone")
        return account

    async def _change(self, account_id: str, version: int | None = None, *, ends_sessions: bool, **values: Any) -> None:
        now = self._clock.now_ms()
        if not values.keys().isdisjoint({"role", "state"}):
            values["version"] = user_account.c.version + 1

        async def work(connection: AsyncConnection) -> None:
            if version is not None:
                theirs = await account_of(connection, account_id)
                if theirs.version != version:
                    raise StaleAccountError(theirs, version)
            changed = await connection.execute(
                update(user_account).where(user_account.c.id == account_id).values(**values)
            )
            if changed.rowcount != 1:
                raise NotFoundError("account", account_id)
            if values.get("state") == "disabled":
                await forget_address(connection, account_id)
            if ends_sessions:
                await connection.execute(
                    update(session)
                    .where(session.c.account == account_id, session.c.ended_ms.is_(None))
                    .values(ended_ms=now)
                )
                await connection.execute(
                    update(login_link)
                    .where(login_link.c.account == account_id, login_link.c.used_ms.is_(None))
                    .values(used_ms=now)
                )

        await self._store.transact(Priority.PEOPLE, work)


async def account_of(connection: AsyncConnection, account_id: str) -> Account:
    """By id, in the caller's transaction. Raises NotFoundError."""
    query = select(user_account).where(user_account.c.id == account_id)
    row = (await connection.execute(query)).mappings().one_or_none()
    if row is None:
        raise NotFoundError("account", account_id)
    return _account(row)


async def _row_by_name(connection: AsyncConnection, name: str) -> Mapping[str, Any] | None:
    # All names are fetched: there are hundreds at most, and neither database folds the case of æ, ø and å alike.
    wanted = " ".join(unicodedata.normalize("NFC", name).split()).casefold()
    names = (await connection.execute(select(user_account.c.id, user_account.c.name))).all()
    found = next((account_id for account_id, kept in names if kept.casefold() == wanted), None)
    if found is None:
        return None
    row = (await connection.execute(select(user_account).where(user_account.c.id == found))).mappings().one()
    return dict(row)


def _account(row: Mapping[Any, Any]) -> Account:
    return Account(
        id=row["id"],
        name=row["name"],
        role=Role(row["role"]),
        language=row["language"],
        is_active=row["state"] == "active",
        has_password=row["password_hash"] is not None,
        created_ms=row["created_ms"],
        last_sign_in_ms=row["last_sign_in_ms"],
        version=row["version"],
        settings=json.loads(row["settings"]),
    )
