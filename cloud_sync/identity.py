"""Who and which: hub ids, epochs, and the four-part name of an event.

A hub id and an epoch are eight random bytes on the wire and sixteen hex digits in text and databases.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from enum import IntEnum

from cloud_sync.errors import MalformedError

ID_LENGTH = 8
_HEX16 = re.compile(r"^[0-9a-f]{16}$")


class Lane(IntEnum):
    """The four queues of an event, most urgent first. Each has its own sequence, durability and overflow rule."""

    ALARM = 1
    CARE = 2
    TECHNICAL = 3
    TELEMETRY = 4

    @property
    def is_urgent(self) -> bool:
        """Alarm and care: one fsync each, sent at once, on connections of their own, never dropped."""
        return self <= Lane.CARE

    @property
    def word(self) -> str:
        """The lane's name in topics, texts and settings."""
        return self.name.lower()


def new_id() -> bytes:
    """A fresh random hub id, epoch, alarm id or command id."""
    return secrets.token_bytes(ID_LENGTH)


def id_from_text(text: str) -> bytes:
    """Sixteen hex digits to eight bytes. Raises MalformedError."""
    if not _HEX16.match(text):
        raise MalformedError("identifier", "sixteen lower-case hex digits expected")
    return bytes.fromhex(text)


@dataclass(frozen=True, slots=True, order=True)
class EventId:
    """`(hub, epoch, lane, seq)`: names one event for ever. `seq` counts from 1 in each lane of an epoch."""

    hub: bytes
    epoch: bytes
    lane: Lane
    seq: int

    def __str__(self) -> str:
        return f"{self.hub.hex()}/{self.epoch.hex()}/{self.lane.word}/{self.seq}"


def lane_from(number: object) -> Lane:
    """A lane number from the wire. Raises MalformedError."""
    if type(number) is not int or not 1 <= number <= 4:
        raise MalformedError("lane", repr(number)[:20])
    return Lane(number)
