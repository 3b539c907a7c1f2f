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
