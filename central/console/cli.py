"""`vaktpost central user …`: who may sign in at the console."""

from __future__ import annotations

import argparse
import asyncio
import difflib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from central import event_log
from central.admin import CONSOLE
from central.clock import SystemClock
from central.console.accounts import Account, Accounts
from central.console.roles import Role
from central.errors import CentralError, IncompleteError
from central.settings import CentralSettings, load
from central.store import Store, open_store


@dataclass(frozen=True, slots=True)
class _Desk:
    settings: CentralSettings
    store: Store
    accounts: Accounts

    async def link(self, account_id: str) -> str:
        token = await self.accounts.new_link(account_id, self.settings.console.login_link_minutes)
        await self.log("account_link", {"account": account_id})
        return f"{self.settings.public_url}/link/{token}"

    async def log(self, what: str, content: dict[str, str]) -> None:
        async with self.store.write() as connection:
            await event_log.append(connection, SystemClock().now_ms(), what, CONSOLE, content=content)


@asynccontextmanager
async def _opened(options: argparse.Namespace) -> AsyncIterator[_Desk]:
    settings, clock = load(options.config), SystemClock()
    async with open_store(settings.database_url, clock) as store:
        yield _Desk(settings, store, Accounts(store, clock))


def add_user(options: argparse.Namespace) -> int:
    """Let somebody in. Raises IncompleteError when there is no such role."""
    try:
        role = Role(options.role)
    except ValueError:
        raise IncompleteError("no_such_role", "--role", tuple(Role)) from None

    async def work() -> tuple[Account, str]:
        async with _opened(options) as desk:
            account = await desk.accounts.add(options.name, role, language=options.language)
            await desk.log("account_added", {"account": account.id, "role": role.value})
            return account, await desk.link(account.id)

    account, link = asyncio.run(work())
    return _tell_link(options, account.name, link, role=role.value)


def new_link(options: argparse.Namespace) -> int:
    """Another link for somebody. Raises CentralError with the nearest name when there is nobody of this one."""

    async def work() -> str:
        async with _opened(options) as desk:
            account_id = await desk.accounts.id_of(options.name)
            if account_id is not None:
                return await desk.link(account_id)
            names = [account.name for account in await desk.accounts.all()]
            near = difflib.get_close_matches(options.name, names, n=1)
            raise CentralError(f"nobody is called {options.name!r}" + (f"; did you mean {near[0]!r}?" if near else "."))

    return _tell_link(options, options.name, asyncio.run(work()))


def _tell_link(options: argparse.Namespace, name: str, link: str, **more: str) -> int:
    if options.json:
        print(json.dumps({"ok": True, "name": name, "link": link, **more}, ensure_ascii=False))
    else:
        print(f"{name} can sign in once with this link, soon and only once:\n{link}")
    return 0


def list_users(options: argparse.Namespace) -> int:
    """Everybody who has an account."""

    async def work() -> list[Account]:
        async with _opened(options) as desk:
            return list(await desk.accounts.all())

    everybody = asyncio.run(work())
    if options.json:
        users = [
            {"id": account.id, "name": account.name, "role": account.role.value, "is_active": account.is_active}
            for account in everybody
        ]
        print(json.dumps({"ok": True, "users": users}, ensure_ascii=False))
    else:
        for account in everybody:
            print(f"{account.role.value:14} {account.name}{'' if account.is_active else '  (disabled)'}")
    return 0
