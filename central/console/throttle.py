"""How long somebody who guesses has to wait: a delay that grows with every failure, per account and per address."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

FREE_FAILURES = 3
"""A person mistypes; up to here nothing is delayed."""

FORGET_AFTER_S = 60 * 60.0
"""Longer than any delay, so that waiting a delay out does not begin anew."""

MAX_KEYS = 10_000


@dataclass(frozen=True, slots=True)
class Ceiling:
    """How long the delay of one kind of key may become."""

    prefix: str
    longest_s: float


ACCOUNT_AT_ADDRESS = Ceiling("both", 900.0)
ADDRESS = Ceiling("address", 300.0)
ACCOUNT = Ceiling("account", 15.0)
"""Low, because anybody can fail in somebody else's name, and a responder on night duty must get in."""


@dataclass(slots=True)
class _Tally:
    failures: int
    last_s: float


class Throttle:
    """Counts failures. Pure: the time comes in as seconds of a clock that never goes back."""

    def __init__(self) -> None:
        self._tallies: OrderedDict[tuple[str, str], _Tally] = OrderedDict()

    def wait_s(self, account: str, address: str, now_s: float) -> float:
        """Seconds until the next attempt is looked at. 0: now."""
        longest = 0.0
        for ceiling, key in _keys(account, address):
            tally = self._tallies.get(key)
            if tally is None or now_s - tally.last_s > FORGET_AFTER_S:
                continue
            excess = tally.failures - FREE_FAILURES * (10 if ceiling is ADDRESS else 1)
            if excess >= 0:
                delay = min(2.0 ** min(excess, 20), ceiling.longest_s)
                longest = max(longest, tally.last_s + delay - now_s)
        return longest

    def failed(self, account: str, address: str, now_s: float) -> None:
        """An attempt begins. Counted before it is known to be right, so that many at once gain nothing."""
        for _, key in _keys(account, address):
            tally = self._tallies.pop(key, None)
            if tally is None or now_s - tally.last_s > FORGET_AFTER_S:
                tally = _Tally(0, now_s)
            tally.failures += 1
            tally.last_s = now_s
            self._tallies[key] = tally
        while len(self._tallies) > MAX_KEYS:
            self._tallies.popitem(last=False)

    def succeeded(self, account: str, address: str) -> None:
        """The attempt was right: what it counted is taken back, and this account at this address starts anew."""
        for ceiling, key in _keys(account, address):
            tally = self._tallies.get(key)
            if tally is None:
                continue
            tally.failures -= 1
            if tally.failures <= 0 or ceiling is ACCOUNT_AT_ADDRESS:
                del self._tallies[key]


def _keys(account: str, address: str) -> tuple[tuple[Ceiling, tuple[str, str]], ...]:
    account = account.casefold()
    return (
        (ACCOUNT_AT_ADDRESS, (ACCOUNT_AT_ADDRESS.prefix, f"{account}\0{address}")),
        (ADDRESS, (ADDRESS.prefix, address)),
        (ACCOUNT, (ACCOUNT.prefix, account)),
    )
