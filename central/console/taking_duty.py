"""Going on duty: for which teams, and which of them are ticked before anybody has chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from central.console.gate import Visit
from central.escalation.duty import TeamToTake

AT_CONSOLES = frozenset({"centre", "ward"})
"""Kinds of teams that answer at consoles. Who goes to people is asked whether they do tonight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One team in the gate."""

    team: TeamToTake
    is_ticked: bool
    others: str


async def teams_to_take(visit: Visit) -> Sequence[TeamToTake]:
    """The teams that the reader may go on duty for, as far as they see them."""
    seen = visit.scope.teams
    return [team for team in await visit.desk.services.duty.to_take(visit.who.account.id) if team.id in seen]


async def ticks(visit: Visit) -> tuple[Tick, ...]:
    """The teams of the gate. Ticked are those that name the reader; where none does, those at consoles."""
    teams = await teams_to_take(visit)
    is_named = any(team.is_named for team in teams)
    t = visit.words
    return tuple(
        Tick(
            team=team,
            is_ticked=team.is_named if is_named else team.kind in AT_CONSOLES,
            others=t("duty.others", names=", ".join(team.others)) if team.others else t("duty.no_others"),
        )
        for team in teams
    )
