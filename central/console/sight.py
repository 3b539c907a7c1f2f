"""What of the feed an account is told: of its own tenants and units, and of no alarm that it could not open.

Numbers run on for everybody, so that nobody takes what is not theirs for something they have missed.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from central.access import EVERYTHING, Access, Scope
from central.console.gate import Visit
from central.console.roles import Action
from central.feed import Beat, Change
from central.lifecycle import Queue
from central.opened import NOTHING, OpenAlarms

ELSEWHERE = "elsewhere"
"""The topic of a change that is none of theirs: it has a number, and nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """Where somebody sees what. None: nowhere."""

    personal: Scope | None
    technical: Scope | None
    residents: Scope | None
    all_else: Scope

    def sees(self, change: Change) -> bool:
        """Whether they are told which thing has changed."""
        scope: Scope | None = self.all_else
        if change.topic == "alarm":
            scope = self.technical if change.queue == Queue.TECHNICAL else self.personal
        elif change.topic == "resident":
            scope = self.residents
        if scope is None:
            return False
        if scope.is_everything or not change.ref:
            return True
        return any(scope.covers(tenant, unit) for tenant, unit in change.places)

    async def digest(self, beat: Beat) -> tuple[int, str]:
        """Count and hash of the open alarms that they see."""
        if self.personal is None:
            return NOTHING
        return await asyncio.to_thread(beat.opened.digest, self.personal)

    def digest_of(self, opened: OpenAlarms) -> tuple[int, str]:
        """The same, of alarms that were read just now."""
        return NOTHING if self.personal is None else opened.digest(self.personal)


def sight_of(access: Access) -> Sight:
    """Of an account that may do this."""

    def where(action: Action) -> Scope | None:
        return access.scope(action) if access.may(action) else None

    return Sight(
        personal=where(Action.PERSONAL),
        technical=where(Action.SEE_QUEUE),
        residents=where(Action.SEE_RESIDENTS),
        all_else=access.scope(),
    )


def sight_for(visit: Visit) -> Sight:
    """Of whoever asks."""
    if visit.access is not None:
        return sight_of(visit.access)
    return Sight(personal=EVERYTHING, technical=EVERYTHING, residents=EVERYTHING, all_else=EVERYTHING)
