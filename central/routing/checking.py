"""Whether a plan ends with somebody: each step against the teams there are, each fault with its place."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from central.errors import IncompleteError
from central.lifecycle import GOERS
from central.notify.channel import Address
from central.notify.channels import at_consoles, channels, nearest, promise_of
from central.routing.plan import Ends, Plan, ReceiverKind, Step
from central.routing.teams import Team


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFault:
    """One thing that is wrong. `where` is a path such as `variants.0.steps.2.team`."""

    where: str
    reason: str
    values: Mapping[str, str] = field(default_factory=dict)


class InvalidPlanError(IncompleteError):
    """A plan that must not be used; with all that is wrong with it."""

    def __init__(self, faults: tuple[PlanFault, ...]) -> None:
        super().__init__(faults[0].reason, faults[0].where)
        self.faults = faults


def faults_of(plan: Plan, teams: Mapping[str, Team]) -> tuple[PlanFault, ...]:
    """All that is wrong with a plan whose tenant has these teams."""
    found: list[PlanFault] = []
    for number, variant in enumerate(plan.variants):
        for place, step in enumerate(variant.steps):
            found += _faults_of_step(step, f"variants.{number}.steps.{place}", teams)
        if variant.steps[-1].receiver is ReceiverKind.CONTACTS:
            # Next of kin may be away, and have no duty to answer: they are never the last.
            where = f"variants.{number}.steps.{len(variant.steps) - 1}.receiver"
            found.append(PlanFault(where=where, reason="ends_with_contacts", values={"variant": variant.name}))
    return tuple(found)


def _faults_of_step(step: Step, where: str, teams: Mapping[str, Team]) -> Iterator[PlanFault]:
    """A team without members has everybody, and so has an installation without centres: consoles are always there."""
    for name in step.channels:
        if name not in channels():
            values = {"channel": name, "near": nearest(name)}
            yield PlanFault(where=f"{where}.channels", reason="no_such_channel", values=values)
    if step.ends is Ends.ACCEPTED and not _can_go(step, teams):
        yield PlanFault(where=f"{where}.channels", reason="nobody_goes")
    match step.receiver:
        case ReceiverKind.CENTRES:
            centres = [team for team in teams.values() if team.kind == "centre"]
            if not at_consoles(step.channels) and not any(_can_be_told(step, team) for team in centres):
                yield PlanFault(where=f"{where}.channels", reason="no_centre_told")
        case ReceiverKind.TEAM:
            team = teams.get(step.team or "")
            if team is None:
                near = difflib.get_close_matches(step.team or "", teams, n=1)
                yield PlanFault(where=f"{where}.team", reason="no_team", values={"near": near[0] if near else ""})
                return
            needed = {promise_of(name).address for name in step.channels}
            if Address.PHONE in needed and not team.has_phone:
                yield PlanFault(where=f"{where}.channels", reason="no_phone", values={"team": team.name})
            if Address.EMAIL in needed and not team.has_email:
                yield PlanFault(where=f"{where}.channels", reason="no_email", values={"team": team.name})


def _can_go(step: Step, teams: Mapping[str, Team]) -> bool:
    """Whether whoever is asked could accept to go: patrols, staff of wards and next of kin do, desks do not."""
    if step.receiver is not ReceiverKind.TEAM:
        return step.receiver is ReceiverKind.CONTACTS
    team = teams.get(step.team or "")
    return team is None or team.kind in GOERS


def _can_be_told(step: Step, team: Team) -> bool:
    needed = {promise_of(name).address for name in step.channels}
    return (Address.PHONE in needed and team.has_phone) or (Address.EMAIL in needed and team.has_email)
