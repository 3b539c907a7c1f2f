"""A way to tell a person something, whichever it is: what it promises, and what central asks of whoever carries it.

A way that nobody has to carry has arrived with the commit: consoles read what is committed from the feed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from central.errors import CentralError

if TYPE_CHECKING:
    from central.settings import CentralSettings


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


class Address(StrEnum):
    """By what somebody is reached."""

    CONSOLE = "console"
    """By being a team of the house, whose members sit at consoles. Next of kin do not."""
    PHONE = "phone"
    EMAIL = "email"
    NONE = "none"
    """Nobody is: a plan names a way that is no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What holds for a way whatever the settings say.

    `is_carried` false: what is committed is on its way to whom it is for, and counts as sent in that transaction.
    `takes_answers`: people can answer by it, so that a question names its code.
    """

    name: str
    address: Address
    is_carried: bool = True
    takes_answers: bool = False


class Carrier(Protocol):
    """Whoever takes messages from here on. It may be asked by several tasks at once."""

    async def send(self, address: str, message: Message, *, reference: str) -> str:
        """Hand a message over; returns the carrier's own name for it (for receipts), or "".

        `reference` is the same when the same message is handed over again, so that a carrier may drop the second.
        Raises ChannelError, without a word of the address or the message.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaited:
    """Receipts that a carrier gives. One that has not come after `within_s` is missing.

    `is_promised`: it gives them for certain. Otherwise they are expected from the first one on.
    """

    within_s: float
    is_promised: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A way as the settings set it up. `slowest_s`: by then a carrier has taken a message, or never will.

    `receipts` None: nobody says what became of a message. That it was sent is all there is to know.
    """

    carrier: Carrier
    slowest_s: float = 10.0
    receipts: Awaited | None = None


class Channel(Protocol):
    """One way of telling people: the console, SMS, e-mail, another. See docs/adding-a-channel.md."""

    @property
    def promise(self) -> Promise:
        """What it is called, and what can be expected of it."""

    def line(self, settings: CentralSettings) -> Line | None:
        """Its carrier; None where nobody has to carry it, or the settings do not set it up. Raises SettingsError."""
