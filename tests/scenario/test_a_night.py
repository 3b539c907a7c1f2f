"""A night in a municipality of 300 residents, scripted to the second: what central tells afterwards is the script."""

from __future__ import annotations

import contextlib
import secrets
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from central.console.accounts import Accounts
from central.console.roles import Role
from central.daemon import open_central
from central.errors import NotStoredError
from central.founding import Plan, found
from central.settings import DatabaseSettings, load
from simulators import postgresql
from simulators.municipality import account, night, town
from simulators.municipality.hours import TownClock
from simulators.municipality.killing import cut_off
from simulators.municipality.play import SEED, play
from simulators.municipality.script import Told
from simulators.municipality.stage import LAST_WORD
from simulators.postgresql import Postgres

SHORT = Told(0, "Resident 001", "pressed the pendant")


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgresql.running() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Nothing for SQLite; an empty database of its own on PostgreSQL."""
    if request.param == "sqlite":
        return ""
    server: Postgres = request.getfixturevalue("server")
    name = f"night_{secrets.token_hex(4)}"
    server.create(name)
    return server.url(name)


@pytest.mark.timeout(600)
async def test_a_night_is_told_as_it_was_written_and_nobody_is_forgotten(database_url: str, tmp_path: Path) -> None:
    played = await play(tmp_path / "central", database_url=database_url)
    sys.stdout.write(f"\n{played.printed()}\n")  # seen with -s, and when it fails
    assert played.difference.is_none, played.difference.in_words(night.HOURS)
    assert played.faults == ()
    assert len(played.script.told) > 400
    storm = played.night.storms[0]
    assert storm.before_presses < storm.envelopes - len(storm.presses_s), "people waited for the storm to be over"


async def test_a_central_that_is_killed_leaves_what_was_committed_and_no_last_word(
    database_url: str, tmp_path: Path
) -> None:
    """The night rests on it: a central that closes as it should would flatter what comes after."""
    found(Plan(data_dir=tmp_path / "central", names=["localhost"], hub_port=0, console_port=0), 1_790_000_000_000)
    settings = load(tmp_path / "central" / "central.toml")
    if database_url:
        settings = settings.model_copy(update={"database": DatabaseSettings(url=database_url)})
    async with AsyncExitStack() as stack:
        services = (await stack.enter_async_context(open_central(settings))).services
        await Accounts(services.store, services.clock).add("Operator One", Role.RESPONDER)
        services.security.note(LAST_WORD, hub=None, path="https")
        async with cut_off(settings.database_url):
            with contextlib.suppress(NotStoredError):
                await stack.aclose()
    async with open_central(settings) as central:
        services = central.services
        assert await Accounts(services.store, services.clock).id_of("Operator One")
        assert [event.reason for event in await services.security.recent()] == []


def test_a_night_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    first, again, other = (night.write(town.build(seed), seed) for seed in (SEED, SEED, SEED + 1))
    assert first == again
    assert first.told != other.told


def test_a_night_has_every_trouble_that_a_centre_fears() -> None:
    script = night.write(town.build(SEED), SEED)
    acts = Counter(type(line.act).__name__ for line in script.lines)
    for act in (
        "ConsoleDies",
        "ConsoleFreezes",
        "Storm",
        "CentralDies",
        "CentralStarts",
        "Defers",
        "Offers",
        "GoesOffDuty",
    ):
        assert acts[act], act
    for said in ("declined", "no console has shown", "not_shown"):
        assert any(said in told.what for told in script.told), said
    hours = [night.HOURS.hour(told.at_ms) for told in script.told]
    assert {"02:00 CEST", "02:00 CET"} <= set(hours)


def test_the_hour_that_comes_twice_is_two_hours_of_the_night() -> None:
    first, second = night.HOURS.at("02:30"), night.HOURS.at("02:30", second=True)
    assert second - first == 3_600_000
    assert (night.HOURS.wall(first), night.HOURS.wall(second)) == ("02:30:00 CEST", "02:30:00 CET")


def test_a_line_that_is_missing_or_was_not_written_is_found() -> None:
    later = replace(SHORT, at_ms=1000)
    assert account.difference([SHORT, SHORT], [SHORT, SHORT]).is_none
    assert account.difference([SHORT, SHORT], [SHORT]).missing == (SHORT,)
    found = account.difference([SHORT], [later])
    assert (found.missing, found.unexpected) == ((SHORT,), (later,))


def test_the_clock_of_a_night_does_not_go_back() -> None:
    clock = TownClock(5000)
    clock.set_to(6500)
    assert (clock.now_ms(), clock.mono_s()) == (6500, 10_001.5)
    with pytest.raises(ValueError, match="does not go back"):
        clock.set_to(6000)
