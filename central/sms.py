"""Sending a text to a phone: what central asks of an SMS provider, whichever it is."""

from __future__ import annotations

from typing import Protocol

from central.errors import CentralError


class SmsError(CentralError):
    """The provider did not take a text. `is_final`: it will not take it later either."""

    def __init__(self, reason: str, *, is_final: bool = False) -> None:
        super().__init__(reason)
        self.is_final = is_final


class SmsProvider(Protocol):
    """Somebody who carries texts. The text is for a phone that anybody may look at: no names, nothing about health."""

    async def send(self, number: str, text: str, *, reference: str) -> str:
        """Hand a text over; returns the provider's own name for it (for receipts), or "".

        `reference` is the same when the same text is handed over again. Raises SmsError.
        """
