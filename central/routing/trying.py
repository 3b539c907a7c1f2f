"""Trying a plan out: if somebody pressed at a certain time, who would be reached when? Nothing is sent.

The rota says who ought to be on duty at each step's own time; whether a console with working sound is on is known of
now only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from central.escalation.duty import teams_with_sound
from central.routing.duty import DAY_MS, rota_of, zones_of
from central.routing.plan import Plan, ReceiverKind, Step, Variant, resolve
from central.routing.rota import Rota
from central.routing.teams import Team, every_team


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One team at one step. `by_rota` None: it keeps no rota, so that all of it is asked."""

    team: Team
    by_rota: tuple[str | None, ...] | None
    next_by_rota_ms: int | None
    has_sound: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedStep:
    """One step at its time. `asked` is empty for next of kin."""

    no: int
    at_ms: int
    step: Step
    asked: tuple[Asked, ...]

    @property
    def is_uncovered(self) -> bool:
        """Whether every team it turns to has a rota in which nobody is on duty."""
        return bool(self.asked) and all(one.by_rota == () for one in self.asked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What would happen."""

    at_ms: int
    variant: Variant
    steps: tuple[TriedStep, ...]
    ends_ms: int
    """When the last step would begin again."""


async def try_out(
    connection: AsyncConnection, plan: Plan, *, tenant: str | None, zone: str, at_ms: int, now_ms: int
) -> Trial:
    """What a plan would do with an alarm that is raised at an instant and that nobody answers."""
    teams = await every_team(connection)
    zones = await zones_of(connection, teams)
    with_sound = await teams_with_sound(connection, now_ms)
    rotas: dict[str, Rota] = {}
    variant = resolve(plan, at_ms, ZoneInfo(zone))
    steps, reached_ms = [], at_ms
    for number, step in enumerate(variant.steps):
        asked = []
        for team in _receivers(step, teams.values(), tenant):
            if team.id not in rotas:
                rotas[team.id] = await rota_of(connection, team.id, zones[team.id], min(at_ms, now_ms))
            rota = rotas[team.id]
            coming = rota.next_after(reached_ms, 7 * DAY_MS) if rota.is_kept else None
            asked.append(
                Asked(
                    team=team,
                    by_rota=tuple(spell.account for spell in rota.on_at(reached_ms)) if rota.is_kept else None,
                    next_by_rota_ms=None if coming is None else coming.from_ms,
                    has_sound=team.id in with_sound,
                )
            )
        steps.append(TriedStep(no=number + 1, at_ms=reached_ms, step=step, asked=tuple(asked)))
        reached_ms += step.patience_s * 1000
    return Trial(at_ms=at_ms, variant=variant, steps=tuple(steps), ends_ms=reached_ms)


def _receivers(step: Step, known: Iterable[Team], tenant: str | None) -> list[Team]:
    match step.receiver:
        case ReceiverKind.TEAM:
            return [team for team in known if team.id == step.team]
        case ReceiverKind.CENTRES:
            centres = [team for team in known if team.kind == "centre"]
            return [team for team in centres if tenant in team.tenants] or centres
        case ReceiverKind.CONTACTS:
            return []
