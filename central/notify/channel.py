"""A way to tell a person something, whichever it is: what central asks of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from central.errors import CentralError


class ChannelError(CentralError):
    """A message was not taken. `is_final`: it will not be taken later either."""

    def __init__(self, reason: str, *, is_final: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_final = is_final


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is said. For a screen that anybody may look at: no names, nothing about health."""

    subject: str
    text: str


class Channel(Protocol):
    """One way. It may be asked by several tasks at once."""

    async def send(self, address: str, message: Message, *, reference: str) -> str:
        """Hand a message over; returns the carrier's own name for it (for receipts), or "".

        `reference` is the same when the same message is handed over again, so that a carrier may drop the second.
        Raises ChannelError.
        """
