"""Where an alarm's plan begins and ends: parts of the transactions that raise, return and take alarms."""

from __future__ import annotations

from typing import Literal

from sqlalchemy.ext.asyncio import AsyncConnection

AnsweredBy = Literal["claimed", "accepted", "closed", "deferred"]


async def begin(connection: AsyncConnection, alarm_id: str, now: int) -> None:
    """A personal alarm waits for a person: for the first time, or again after it was given back."""


async def answered(connection: AsyncConnection, alarm_id: str, now: int, *, by: AnsweredBy) -> None:
    """A person has it: what is due ends, as far as this answer ends it."""
