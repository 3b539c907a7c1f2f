"""Signing in by password: guessing is slowed down, and every failure is a security event."""

from __future__ import annotations

from central.clock import Clock
from central.console.accounts import Account, Accounts, WrongPasswordError
from central.console.throttle import Throttle
from central.errors import ActionError
from central.security import SecurityLog

PATH = "console"


class ThrottledError(ActionError):
    """Too many attempts; `wait_s` says when the next one is looked at."""

    status = 429

    def __init__(self, wait_s: float) -> None:
        super().__init__("too_many_attempts")
        self.wait_s = wait_s


class SignIn:
    """The door. One per process; the delays are forgotten with it."""

    def __init__(self, security: SecurityLog, clock: Clock, accounts: Accounts) -> None:
        self._security = security
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
            # Never what somebody typed as a name: it may have been the password.
            account_id = await self._accounts.id_of(name) or "no such account"
            self._security.note("sign_in_failed", hub=None, path=PATH, detail=f"{address} {account_id}")
            raise
        self._throttle.succeeded(name, address)
        return account

    def check_address(self, address: str) -> None:
        """For links: an address that tries many. Raises ThrottledError."""
        wait_s = self._throttle.wait_s(_link_account(address), address, self._clock.mono_s())
        if wait_s > 0:
            raise ThrottledError(wait_s)

    def link_failed(self, address: str) -> None:
        """Somebody came with a link that is not one."""
        self._throttle.failed(_link_account(address), address, self._clock.mono_s())
        self._security.note("sign_in_link_refused", hub=None, path=PATH, detail=address)


def _link_account(address: str) -> str:
    # Links have no account before they are right; without this, strangers would delay each other.
    return f"link\0{address}"
