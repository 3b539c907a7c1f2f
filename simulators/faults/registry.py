"""The scenarios there are, each with a name, how many rounds are short and long, and a seed that repeats it."""

from __future__ import annotations

import importlib
import pkgutil
import random
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from simulators.faults.verdict import Verdict

Say = Callable[[str], None]
Play = Callable[["Run"], Awaitable[Verdict]]


@dataclass(slots=True, kw_only=True)
class Run:
    """One run of a scenario: where it may write, how often, and the only source of chance."""

    folder: Path
    rounds: int
    seed: int
    is_long: bool = False
    say: Say = lambda _: None
    done: int = 0
    chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)

    async def each_round(self) -> AsyncIterator[int]:
        """Numbers from 0; says how far it is."""
        for number in range(self.rounds):
            self.say(f"round {number + 1} of {self.rounds}")
            yield number
            self.done = number + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A fault. `short` rounds are for every test run, `long` ones for the soak and the report."""

    name: str
    title: str
    short: int
    long: int
    play: Play
    timeout_s: float = 150.0
    """For the short rounds."""
    long_timeout_s: float = 1500.0
    is_soak_only: bool = False
    """Needs what not every machine has, or takes too long for every test run."""
    must_fail: bool = False
    """The product is broken on purpose: a good verdict would be the fault."""

    def seed(self, seed: int) -> int:
        """Its own, from the seed of the whole, whatever else is run."""
        return (seed * 1_000_003 + zlib.crc32(self.name.encode())) & 0xFFFFFFFF


_registered: dict[str, Scenario] = {}


def scenario(
    name: str,
    title: str,
    *,
    short: int,
    long: int,
    timeout_s: float = 150.0,
    long_timeout_s: float = 1500.0,
    is_soak_only: bool = False,
    must_fail: bool = False,
) -> Callable[[Play], Play]:
    """Register the decorated coroutine function."""

    def register(play: Play) -> Play:
        if name in _registered and _registered[name].play.__module__ != play.__module__:
            raise ValueError(f'two scenarios are called "{name}"')
        _registered[name] = Scenario(
            name=name,
            title=title,
            short=short,
            long=long,
            play=play,
            timeout_s=timeout_s,
            long_timeout_s=long_timeout_s,
            is_soak_only=is_soak_only,
            must_fail=must_fail,
        )
        return play

    return register


def all_scenarios() -> dict[str, Scenario]:
    """By name, in the order of the modules."""
    from simulators.faults import scenarios

    for module in sorted(pkgutil.iter_modules(scenarios.__path__), key=lambda found: found.name):
        importlib.import_module(f"{scenarios.__name__}.{module.name}")
    return dict(_registered)
