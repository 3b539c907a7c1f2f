"""Who is called for a fault that cannot wait, one after another: pure, from a team as it stands now.

First whoever is on technical duty, then whoever is next on the rota, then the team's own telephone. After that it is
marked as unanswered, for all who have a queue, and the walk begins again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from central.escalation.receivers import Receiver
from central.notify.channels import carried
from central.technical.duty import DutyContact, Technician

ON_DUTY, BACKUP, TEAM = "on_duty", "backup", "team"
NOBODY_ON_DUTY, NO_ROTA, NO_BACKUP, NO_ADDRESS, CALLED_ALREADY = (
    "nobody_on_duty", "no_rota", "no_backup", "no_address", "called_already",
)  # fmt: skip
FAULTS = frozenset({NOBODY_ON_DUTY, NO_ADDRESS})
"""Reasons that somebody has to do something about; the others are how a team is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """Somebody who is called. `account` None: the team's own telephone."""

    to: Receiver
    account: str | None = None

    @property
    def ways(self) -> tuple[str, ...]:
        """By which there is an address."""
        return tuple(one for one in carried() if self.to.can_be_told(one))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One step: who is called, or why nobody is."""

    no: int
    step: str
    called: tuple[Called, ...] = ()
    why: str = ""


def rungs(team: DutyContact) -> tuple[Rung, ...]:
    """All steps, in their order."""
    found = (_on_duty, _backup, _team)
    steps = (ON_DUTY, BACKUP, TEAM)
    return tuple(_rung(no, step, find, team) for no, (step, find) in enumerate(zip(steps, found, strict=True)))


def _rung(no: int, step: str, find: Callable[[DutyContact], tuple[Iterable[Called], str]], team: DutyContact) -> Rung:
    candidates, why = find(team)
    called = tuple(one for one in candidates if one.ways)
    return Rung(no=no, step=step, called=called, why="" if called else why or NO_ADDRESS)


def _on_duty(team: DutyContact) -> tuple[Iterable[Called], str]:
    if not team.keeps_rota:
        return (), NO_ROTA
    if team.is_nobody_on_duty:
        return (), NOBODY_ON_DUTY
    people = [_person(team, one) for one in team.people]
    return [*people, _telephone(team)] if team.has_telephone_shift else people, ""


def _backup(team: DutyContact) -> tuple[Iterable[Called], str]:
    return ((), NO_BACKUP) if team.backup is None else ([_person(team, team.backup)], "")


def _team(team: DutyContact) -> tuple[Iterable[Called], str]:
    return ((), CALLED_ALREADY) if team.has_telephone_shift else ([_telephone(team)], "")


def _person(team: DutyContact, one: Technician) -> Called:
    to = Receiver(team=team.team, phone=one.phone, email=one.email, language=one.language or team.language)
    return Called(to=to, account=one.account)


def _telephone(team: DutyContact) -> Called:
    return Called(to=Receiver(team=team.team, phone=team.phone, email=team.email, language=team.language))
