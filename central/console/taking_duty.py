"""Going on duty: for which teams, and which of them are ticked before anybody has chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from central.console.gate import Visit
from central.console.roles import Action
from central.escalation.duty import TeamToTake
from central.routing.teams import TECHNICAL, every_team

AT_CONSOLES = frozenset({"centre", "ward"})
"""Kinds of teams that answer at consoles. Who goes to people is asked whether they do tonight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One team in the gate."""

    team: TeamToTake
    is_ticked: bool
    others: str


async def teams_to_take(visit: Visit) -> Sequence[TeamToTake]:
    """The teams that the reader may go on duty for, as far as they see them.

    Who does not answer personal alarms hears none: a technician at a console covers technical teams only.
    """
    seen, answers = visit.scope.teams, visit.may(Action.PERSONAL)
    found = await visit.desk.services.duty.to_take(visit.who.account.id)
    return [team for team in found if team.id in seen and (answers or team.kind == TECHNICAL)]


async def covers_house(visit: Visit) -> bool:
    """Whether the reader, who has no team, stands for everybody: while there is no team at all."""
    return visit.may(Action.PERSONAL) and not await visit.desk.services.store.fetch(every_team)


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
