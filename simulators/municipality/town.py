"""Who and what there is in the municipality: plain values, the same for the same seed, and nobody's real name."""

from __future__ import annotations

import random
from dataclasses import dataclass

RESIDENTS = 300
WARD_FROM = 277
SOUTH_FROM = 141
TENANT = "Simulated municipality"
NORTH, SOUTH, WARD = "North", "South", "Ward 1"
PATROLLED, PATROLLED_RESIDENT = "By patrol", 252
"""Somebody whose plan sends patrols by itself."""
LATE_MIN, MORNING_MIN, EVENING_MIN = 3 * 60, 6 * 60, 23 * 60
"""Night plans hold from `EVENING_MIN`, those of the late night from `LATE_MIN`, the day's from `MORNING_MIN`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resident:
    """A recipient of services, by number."""

    number: int
    place: str
    pseudonym: str
    next_of_kin: int

    @property
    def name(self) -> str:
        """For the account. Central knows only the pseudonym."""
        return name_of(self.number)

    @property
    def hub(self) -> str:
        """The label of the hub that serves them: one in each home, one for the ward."""
        return WARD if self.place == WARD else f"Home {self.number:03}"

    @property
    def device(self) -> str:
        """What they press."""
        return f"room-{self.number}" if self.place == WARD else "pendant-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """Who receives alarms together."""

    name: str
    kind: str
    place: str
    phone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """Somebody at work this night."""

    key: str
    name: str
    team: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Town:
    """All of it."""

    residents: tuple[Resident, ...]
    teams: tuple[Team, ...]
    workers: tuple[Worker, ...]

    def resident(self, number: int) -> Resident:
        """By number, from 1."""
        return self.residents[number - 1]

    def worker(self, key: str) -> Worker:
        """By key. Raises StopIteration's kin, KeyError, for one who is not there."""
        found = {worker.key: worker for worker in self.workers}
        return found[key]

    def named(self, pseudonym: str | None) -> str:
        """The name in the account."""
        return self._names.get(pseudonym or "", pseudonym or "nobody")

    @property
    def _names(self) -> dict[str, str]:
        return {resident.pseudonym: resident.name for resident in self.residents}

    @property
    def hubs(self) -> tuple[str, ...]:
        """Labels of every hub, each once."""
        return tuple(dict.fromkeys(resident.hub for resident in self.residents))


def name_of(number: int) -> str:
    """As the account says it."""
    return f"Resident {number:03}"


def build(seed: int) -> Town:
    """The municipality of a seed: which pseudonyms and how many next of kin is chance, the rest is not."""
    chance = random.Random(seed)
    residents = []
    for number in range(1, RESIDENTS + 1):
        place = WARD if number >= WARD_FROM else SOUTH if number >= SOUTH_FROM else NORTH
        residents.append(
            Resident(
                number=number,
                place=place,
                pseudonym=f"r-{number:03}-{chance.randrange(16**6):06x}",
                next_of_kin=2 if number % 3 == 0 else chance.choice((0, 1)),
            )
        )
    return Town(
        residents=tuple(residents),
        teams=(
            Team(name="Centre A", kind="centre", place="", phone="+4790000001"),
            Team(name="Centre B", kind="centre", place="", phone="+4790000002"),
            Team(name="Patrol North", kind="patrol", place=NORTH, phone="+4790000003"),
            Team(name="Patrol South", kind="patrol", place=SOUTH, phone="+4790000004"),
            Team(name="Ward staff", kind="ward", place=WARD, phone="+4790000005"),
        ),
        workers=(
            Worker(key="A1", name="Operator A1", team="Centre A"),
            Worker(key="A2", name="Operator A2", team="Centre A"),
            Worker(key="B1", name="Operator B1", team="Centre B"),
            Worker(key="N1", name="Patrol N1", team="Patrol North"),
            Worker(key="S1", name="Patrol S1", team="Patrol South"),
            Worker(key="W1", name="Nurse W1", team="Ward staff"),
        ),
    )


def first_team(place: str, minute: int) -> str:
    """Whom a plan asks first at a minute of the local day: our own reading of what the municipality has decided."""
    is_late = LATE_MIN <= minute < MORNING_MIN
    match place:
        case "North":
            return "Centre B" if is_late else "Centre A"
        case "South":
            return "Centre A" if is_late else "Centre B"
        case _:
            return "Ward staff"
