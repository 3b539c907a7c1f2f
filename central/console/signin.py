"""Signing in by password: guessing is slowed down, and every failure is a security event."""

from __future__ import annotations

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from structlog import get_logger

from central.clock import Clock
from central.console.accounts import Account, Accounts, WrongPasswordError
from central.console.throttle import Throttle
from central.errors import ActionError
from central.store import Priority, Store
from central.tables import security_event

log = get_logger()


class ThrottledError(ActionError):
    """Too many attempts; `wait_s` says when the next one is looked at."""

    status = 429

    def __init__(self, wait_s: float) -> None:
        super().__init__("too_many_attempts")
        self.wait_s = wait_s


class SignIn:
    """The door. One per process; the delays are forgotten with it."""

    def __init__(self, store: Store, clock: Clock, accounts: Accounts) -> None:
        self._store = store
        self._clock = clock
        self._accounts = accounts
        self._throttle = Throttle()

    async def by_password(self, name: str, password: str, address: str) -> Account:
        """Who this is. Raises ThrottledError or WrongPasswordError."""
        now = self._clock.mono_s()
        wait_s = self._throttle.wait_s(name, address, now)
        if wait_s > 0:
            raise ThrottledError(wait_s)
        self._throttle.failed(name, address, now)
        try:
            account = await self._accounts.check_password(name, password)
        except WrongPasswordError:
            account_id = await self._accounts.id_of(name)
            await self.security_event("sign_in_failed", address, account_id or "no such account")
            raise
        self._throttle.succeeded(name, address)
        return account

    def check_address(self, address: str) -> None:
        """For links: an address that tries many. Raises ThrottledError."""
        wait_s = self._throttle.wait_s(_link_account(address), address, self._clock.mono_s())
        if wait_s > 0:
            raise ThrottledError(wait_s)

    async def link_failed(self, address: str) -> None:
        """Somebody came with a link that is not one."""
        self._throttle.failed(_link_account(address), address, self._clock.mono_s())
        await self.security_event("sign_in_link_refused", address)

    async def security_event(self, reason: str, address: str, detail: str = "") -> None:
        """Into the security log: never a name or password somebody typed."""
        log.warning("console_security_event", reason=reason)

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(
                insert(security_event).values(
                    at_ms=self._clock.now_ms(),
                    reason=reason,
                    path="console",
                    count=1,
                    detail=f"{address} {detail}".strip()[:256],
                )
            )

        await self._store.transact(Priority.UPKEEP, work)


def _link_account(address: str) -> str:
    # Links have no account before they are right; without this, strangers would delay each other.
    return f"link\0{address}"
