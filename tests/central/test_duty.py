"""Who is on duty with sound is known to every process, and everybody is told when nobody is."""

from __future__ import annotations

import pytest

from central.escalation.duty import COVERED, Duty
from central.sql import Sql
from central.wakeup import Wakeup
from tests.central.conftest import Bench

CONSOLE = "0011223344556677"


@pytest.fixture(autouse=True)
async def nobody(bench: Bench) -> None:
    await bench.change("DELETE FROM duty")
    async with bench.store.write() as connection:
        for name in ("anna", "berit"):
            await Sql("INSERT INTO user_account (id, name, role, created_ms) VALUES (:id, :id, 'responder', 0)").rows(
                connection, id=name
            )


@pytest.fixture
def duty(bench: Bench) -> Duty:
    return bench.services.duty


async def told(bench: Bench) -> list[str]:
    return [row[0] for row in await bench.rows("SELECT what FROM feed WHERE topic = 'duty' ORDER BY no")]


async def is_covered(duty: Duty) -> bool:
    return all(one.is_covered for one in await duty.cover())


async def test_going_on_duty_covers_and_going_off_it_is_told_to_everybody_once(bench: Bench, duty: Duty) -> None:
    await duty.watch()
    await duty.watch()
    assert await told(bench) == ["nobody_with_sound"]
    await duty.set("anna", CONSOLE, has_sound=True)
    assert await is_covered(duty)
    assert await told(bench) == ["nobody_with_sound", "duty_covered"]
    await duty.set("anna", CONSOLE, has_sound=False)
    assert not await is_covered(duty)
    assert (await told(bench))[2:] == ["nobody_with_sound"]


async def test_a_console_that_is_seen_stays_on_duty_and_one_that_is_not_falls_off(bench: Bench, duty: Duty) -> None:
    await duty.set("anna", CONSOLE, has_sound=True)
    for _ in range(4):
        bench.clock.advance(5)
        duty.seen("anna", CONSOLE)
        await duty.renew()
    assert await is_covered(duty)
    bench.clock.advance(16)
    await duty.renew()
    assert not await is_covered(duty)
    assert "nobody_with_sound" in await told(bench)


async def test_another_process_knows_who_is_on_duty(bench: Bench, duty: Duty) -> None:
    await duty.set("anna", CONSOLE, has_sound=True)
    another = Duty(bench.store, bench.clock, Wakeup())
    (people, *_) = [one.people for one in await another.cover()]
    assert [(one.name, one.has_sound) for one in people] == [("anna", True)]


async def test_somebody_covers_the_teams_they_are_a_member_of_and_no_others(bench: Bench, duty: Duty) -> None:
    await bench.change("INSERT INTO team (id, kind, name) VALUES ('wardwardwardward', 'ward', 'Ward')")
    await bench.change("INSERT INTO team (id, kind, name) VALUES ('deskdeskdeskdesk', 'centre', 'Desk')")
    await bench.change("INSERT INTO team_member (team, account) VALUES ('wardwardwardward', 'anna')")
    await bench.change("INSERT INTO team_member (team, account) VALUES ('deskdeskdeskdesk', 'berit')")
    await duty.set("anna", CONSOLE, has_sound=True)
    covered = {one.team: one.is_covered for one in await duty.cover()}
    assert covered["wardwardwardward"] is True
    assert covered["deskdeskdeskdesk"] is False
    marks = {
        row[0]: row[1] for row in await bench.rows("SELECT name, content FROM audit_mark WHERE name LIKE 'duty:%'")
    }
    assert marks["duty:deskdeskdeskdesk"] != COVERED


WARD, DESK, NIGHT = "wardwardwardward", "deskdeskdeskdesk", "nightnightnightn"


@pytest.fixture
async def teams(bench: Bench) -> None:
    await bench.change("DELETE FROM team")
    for team, kind in ((WARD, "ward"), (DESK, "centre"), (NIGHT, "patrol")):
        await bench.change(f"INSERT INTO team (id, kind, name) VALUES ('{team}', '{kind}', '{kind}')")
    await bench.change(f"INSERT INTO team_member (team, account) VALUES ('{WARD}', 'anna')")


async def taken_by(bench: Bench, account: str) -> set[str]:
    return {row[0] for row in await bench.rows(f"SELECT team FROM duty WHERE account = '{account}'")}


@pytest.mark.usefixtures("teams")
async def test_one_takes_some_of_ones_teams_and_keeps_those_while_the_console_lives(bench: Bench, duty: Duty) -> None:
    await duty.set("anna", CONSOLE, has_sound=True, teams=[WARD, NIGHT])
    assert await taken_by(bench, "anna") == {WARD, NIGHT}
    for _ in range(4):
        bench.clock.advance(5)
        duty.seen("anna", CONSOLE)
        await duty.renew()
    assert await taken_by(bench, "anna") == {WARD, NIGHT}
    await duty.set("anna", CONSOLE, has_sound=True, teams=[NIGHT])
    assert await taken_by(bench, "anna") == {NIGHT}
    await duty.set("anna", CONSOLE, has_sound=True)
    assert await taken_by(bench, "anna") == {WARD, NIGHT, DESK}


@pytest.mark.usefixtures("teams")
async def test_nobody_takes_a_team_of_others(bench: Bench, duty: Duty) -> None:
    await duty.set("berit", CONSOLE, has_sound=True, teams=[WARD, DESK])
    assert await taken_by(bench, "berit") == {DESK}


@pytest.mark.usefixtures("teams")
async def test_a_console_that_was_silent_and_speaks_again_has_its_teams_again(bench: Bench, duty: Duty) -> None:
    await duty.set("anna", CONSOLE, has_sound=True, teams=[WARD])
    bench.clock.advance(60)
    await duty.renew()
    assert not any(one.people for one in await duty.cover())
    duty.seen("anna", CONSOLE)
    await duty.renew()
    assert [one.name for one in await duty.cover() if one.people] == ["ward"]


@pytest.mark.usefixtures("teams")
async def test_the_gate_offers_ones_own_teams_and_says_who_else_has_them(bench: Bench, duty: Duty) -> None:
    await duty.set("berit", CONSOLE, has_sound=True, teams=[DESK])
    found = {team.id: team for team in await duty.to_take("anna")}
    assert set(found) == {WARD, DESK, NIGHT}
    assert (found[WARD].is_named, found[DESK].is_named) == (True, False)
    assert (found[WARD].others, found[DESK].others) == ((), ("berit",))
    assert WARD not in {team.id for team in await duty.to_take("berit")}


@pytest.mark.usefixtures("teams")
async def test_teams_of_one_name_in_two_municipalities_are_told_apart(bench: Bench, duty: Duty) -> None:
    for number, place in enumerate(("Aure", "Smøla")):
        tenant, team = f"{number}a" * 8, f"{number}b" * 8
        await bench.change(f"INSERT INTO tenant (id, name, created_ms) VALUES ('{tenant}', '{place}', 0)")
        await bench.change(f"INSERT INTO team (id, kind, name, tenant) VALUES ('{team}', 'ward', 'Natt', '{tenant}')")
    apart = {"Natt · Aure", "Natt · Smøla", "centre"}
    assert apart <= {team.name for team in await duty.to_take("anna")}
    assert apart <= {one.name for one in await duty.cover()}
    await bench.change(f"UPDATE team SET state = 'ended' WHERE id = '{'1b' * 8}'")
    assert {"Natt", "centre"} <= {one.name for one in await duty.cover()}
