"""A fault over one alarm, one message or one record costs that one at most: everybody else is served all the same."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest

from central.access import EVERYTHING
from central.audit.findings import look
from central.escalation import steps, tick
from central.escalation.tick import Escalation
from central.lifecycle import CENTRAL_KINDS
from central.people import vault
from central.people.facts import FactKind
from central.people.vault import DamagedError, ErasedError
from central.raising import Source, raise_care
from central.routing import calendar
from central.settings import AuditSettings
from central.sql import Sql
from central.views import Actor
from central.wakeup import Wakeup
from simulators.frame_hub import FrameHub
from tests.central.conftest import FIRST, Bench

LEAD = Actor(id="lead", name="Lead One", role="lead")
DAMAGED = "UPDATE resident_fact SET sealed = :sealed WHERE kind = 'first_name' AND resident = :resident"


async def run(bench: Bench, statement: str, **parameters: Any) -> None:
    async with bench.store.write() as connection:
        await Sql(statement).rows(connection, **parameters)


async def went_on(bench: Bench, alarm: str) -> bool:
    return "escalated" in [entry.what for entry in (await bench.alarms.alarm(alarm)).timeline]


async def test_an_alarm_whose_step_cannot_be_taken_does_not_keep_others_from_going_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    pressed = [await bench.press(await bench.enrolled(f"Flat {number}")) for number in range(3)]
    broken = pressed[0].id  # the oldest, and so the first in every batch
    as_usual = steps.run_from

    async def faulty(connection: Any, case: steps.Case, *more: Any) -> int:
        if case.alarm == broken:
            raise RuntimeError("a fault of ours")
        return await as_usual(connection, case, *more)

    monkeypatch.setattr(steps, "run_from", faulty)
    bench.clock.advance(61)
    ticking = Escalation(bench.store, bench.clock, Wakeup())
    assert await ticking.tick() == 2
    assert [await went_on(bench, alarm.id) for alarm in pressed] == [False, True, True]
    monkeypatch.setattr(steps, "run_from", as_usual)
    assert await ticking.tick() == 1
    assert await went_on(bench, broken)


async def test_more_faulty_alarms_than_a_batch_holds_do_not_hide_the_next_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tick, "BATCH", 2)
    pressed = [await bench.press(await bench.enrolled(f"Flat {number}")) for number in range(5)]
    sound = pressed[-1].id
    as_usual = steps.run_from

    async def faulty(connection: Any, case: steps.Case, *more: Any) -> int:
        if case.alarm != sound:
            raise LookupError("a fault of ours")
        return await as_usual(connection, case, *more)

    monkeypatch.setattr(steps, "run_from", faulty)
    bench.clock.advance(61)
    await Escalation(bench.store, bench.clock, Wakeup()).tick()
    assert [await went_on(bench, alarm.id) for alarm in pressed] == [False] * 4 + [True]


async def test_an_alarm_is_stored_also_where_its_plan_cannot_be_begun(
    bench: Bench, hub: FrameHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_usual = steps.run_from

    async def faulty(*_args: Any) -> int:
        raise LookupError("a fault of ours")

    monkeypatch.setattr(steps, "run_from", faulty)
    alarm = await bench.press(hub)
    assert [one.id for one in await bench.alarms.queue()] == [alarm.id]
    assert alarm.kind.word == "pendant_pressed"
    # It comes back to the queue as well: a console that died does not keep it.
    await bench.alarms.claim(alarm.id, FIRST)
    bench.clock.advance(91)
    await bench.alarms.sweep()
    assert (await bench.alarms.alarm(alarm.id)).alarm.stage.word == "waiting"
    monkeypatch.setattr(steps, "run_from", as_usual)
    await Escalation(bench.store, bench.clock, Wakeup()).heal()
    assert await bench.value("SELECT count(*) FROM escalation WHERE state = 'running'") == 1


async def test_an_alarm_does_not_wait_for_a_list_of_time_zones(bench: Bench, hub: FrameHub) -> None:
    tenant = await bench.value("SELECT id FROM tenant")
    await run(bench, "UPDATE tenant SET zone = 'Nowhere/Atlantis' WHERE id = :tenant", tenant=tenant)
    await run(bench, "UPDATE hub SET tenant = :tenant", tenant=tenant)
    alarm = await bench.press(hub)
    assert await bench.value(f"SELECT state FROM escalation WHERE alarm = '{alarm.id}'") == "running"
    assert calendar.zone_or_usual("Nowhere/Atlantis").key == "Europe/Oslo"


@pytest.fixture
async def resident(bench: Bench) -> str:
    keeping = bench.services.people.keeping
    tenant = await bench.value("SELECT id FROM tenant")
    for pseudonym, name in (("r-1", "Ragnhild"), ("r-2", "Odd")):
        named = {FactKind.FIRST_NAME: name, FactKind.LAST_NAME: "Myklebust"}
        await keeping.register(LEAD, tenant=tenant, pseudonym=pseudonym, named=named, source="resident")
    return "r-1"


async def test_a_name_that_does_not_open_hides_neither_the_queue_nor_the_alarm(bench: Bench, resident: str) -> None:
    people = bench.services.people
    pressed = [await bench.press(await bench.enrolled(who), resident=who) for who in (resident, "r-2")]
    await run(bench, DAMAGED, sealed=b"\x01" + bytes(40), resident=resident)
    said = await people.callers(FIRST, await bench.alarms.queue())
    assert [said[alarm.id].first_name for alarm in pressed] == ["", "Odd"]
    hits, total = await people.search(LEAD, EVERYTHING, "myklebust", keeps=True)
    assert total == 2
    assert {hit.name for hit in hits} == {"Myklebust", "Odd Myklebust"}
    with pytest.raises(DamagedError):  # who opens the record itself is told
        await people.card(LEAD, EVERYTHING, resident, keeps=True)


async def test_a_key_that_is_destroyed_during_a_rotation_stays_destroyed(
    bench: Bench, resident: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    people, every = bench.services.people, vault._ALL

    class Slow:
        """Somebody erases a resident between the look at the keys and the writing of them."""

        async def rows(self, connection: Any) -> Any:
            rows = await every.rows(connection)
            await people.vault.erase(connection, resident, bench.clock.now_ms())
            return rows

    monkeypatch.setattr(vault, "_ALL", Slow())
    await people.rotate_master(LEAD)
    with pytest.raises(ErasedError):
        await people.card(LEAD, EVERYTHING, resident, keeps=True)
    assert (await people.card(LEAD, EVERYTHING, "r-2", keeps=True)).name == "Odd Myklebust"


async def test_the_auditor_sees_an_alarm_that_waits_for_a_visit_that_is_over(bench: Bench, resident: str) -> None:
    hub = await bench.enrolled()
    alarm = await bench.press(hub, resident=resident)
    now = bench.clock.now_ms()
    await bench.services.people.keeping.plan_visit(LEAD, resident, from_ms=now, to_ms=now + 600_000)
    visit = await bench.value("SELECT id FROM visit")
    await bench.alarms.claim(alarm.id, FIRST)
    await bench.alarms.defer(alarm.id, FIRST, visit)

    async def found() -> list[str]:
        await bench.store.probe()
        async with bench.store.read() as connection:
            return [one.what for one in await look(connection, AuditSettings(), bench.clock.now_ms())]

    assert await found() == []
    bench.clock.advance(700)
    assert await found() == ["visit_passed"]
    await bench.alarms.sweep()
    assert await found() == []


async def test_the_auditor_sees_a_claim_without_an_end(bench: Bench, hub: FrameHub) -> None:
    alarm = await bench.press(hub)
    await bench.alarms.claim(alarm.id, FIRST)
    await run(bench, "UPDATE alarm SET lease_until_ms = NULL WHERE id = :id", id=alarm.id)
    async with bench.store.read() as connection:
        assert [one.what for one in await look(connection, AuditSettings(), bench.clock.now_ms())] == [
            "claim_not_returned"
        ]


async def test_a_home_that_cannot_be_told_does_not_leave_the_others_with_what_they_were_told_last(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    hubs = [await bench.enrolled(f"Flat {number}") for number in range(3)]
    replies, links = bench.central.replies, bench.services.links
    pressed = [await bench.press(hub) for hub in hubs]
    as_usual = replies._states

    async def faulty(connection: Any, hub: bytes, row: Any) -> Any:
        if hub == hubs[0].id:
            raise LookupError("a fault of ours")
        return await as_usual(connection, hub, row)

    monkeypatch.setattr(replies, "_states", faulty)
    with ExitStack() as stack:
        ways = [stack.enter_context(links.open(hub.id, hub.run.epoch, "test")) for hub in hubs]
        await replies.send_due()
        for alarm in pressed:
            await bench.alarms.claim(alarm.id, FIRST)
        await replies.send_due()
        await replies.refresh()
        assert [way._frames.qsize() for way in ways] == [0, 3, 3]


async def test_an_alarm_that_belongs_to_no_home_is_answered_like_any_other(bench: Bench) -> None:
    now = bench.clock.now_ms()
    source = Source(hub="", happened_ms=now)
    async with bench.store.write() as connection:
        alarm = await raise_care(connection, CENTRAL_KINDS["critical_unheard"], source, now)
    await bench.alarms.claim(alarm, FIRST)
    await bench.central.replies.send_due()
    closed = await bench.alarms.close(alarm, FIRST, "cleared_by_phone", "other")
    await bench.central.replies.send_due()
    assert not closed.is_open
