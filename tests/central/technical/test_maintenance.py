"""Announced work keeps its technical alarms quiet until it ends, and nothing personal at all."""

from __future__ import annotations

from typing import Any

import pytest

from central.access import EVERYTHING, ElsewhereError, Scope
from central.errors import IncompleteError, NotFoundError
from central.technical.maintenance import Maintenance
from tests.central.conftest import FIRST

HOUR = 3_600_000


@pytest.fixture
def maintenance(bench: Any) -> Maintenance:
    return bench.services.maintenance


async def quiet(bench: Any) -> set[str]:
    return {row[0] for row in await bench.rows("SELECT id FROM alarm WHERE quiet IS NOT NULL AND closed_ms IS NULL")}


async def announce(bench: Any, maintenance: Maintenance, reach: str, ref: str, **more: Any) -> Any:
    values = {"sort": "maintenance", "to_ms": bench.clock.now_ms() + HOUR, "why": "Ny transformator", **more}
    return await maintenance.announce(FIRST, EVERYTHING, reach=reach, ref=ref, **values)


@pytest.mark.parametrize(
    ("reach", "ref", "caught"),
    [
        ("tenant", "t1", {0, 1, 2}),
        ("unit", "u1", {0, 1}),
        ("unit", "Sone inner", {1}),
        ("hub", "Flat 0", {0}),
        ("device", "Flat 0:d1", {0}),
        ("device", "Flat 0:other", set()),
    ],
)
async def test_what_is_announced_is_quiet_and_nothing_else(bench, area, maintenance, reach, ref, caught) -> None:
    await area.unit()
    await area.unit("inner", parent="u1")
    await area.unit("u2")
    hubs = [*await area.hubs(1), *await area.hubs(1, unit="inner", first=1), *await area.hubs(1, unit="u2", first=2)]
    await bench.change(f"UPDATE hub SET label = 'Flat x' WHERE id <> '{hubs[0]}'")
    before = await area.fail(hubs, "battery_low", device="d1")
    await announce(bench, maintenance, reach, ref)
    after = await area.fail(hubs, "device_missing", device="d1")
    assert await quiet(bench) == {alarms[place] for alarms in (before, after) for place in caught}


async def test_when_it_ends_what_still_stands_is_back_and_what_is_over_is_not(bench, area, maintenance) -> None:
    hubs = await area.hubs(2)
    period = await announce(bench, maintenance, "tenant", "t1") if await _tenant(bench) else None
    first, _second = await area.fail(hubs)
    assert len(await quiet(bench)) == 2
    await area.mend(hubs[1:])
    bench.clock.advance(3599)
    await area.sweep(seconds=0)
    assert await quiet(bench) == {first}
    await area.sweep(seconds=2)
    assert await quiet(bench) == set()
    assert [alarm.id for alarm in await bench.alarms.queue(_technical())] == [first]
    (listed,) = await maintenance.all(EVERYTHING)
    assert (listed.id, listed.ended_ms is not None) == (period.id, True)
    words = await bench.rows("SELECT what, actor FROM log_entry WHERE what LIKE 'maintenance%' ORDER BY no")
    assert [tuple(row) for row in words] == [("maintenance_announced", "first"), ("maintenance_ended", "system")]


async def test_ended_by_hand_and_still_quiet_for_another_reason(bench, area, maintenance) -> None:
    await area.unit()
    (alarm,) = await area.fail(await area.hubs(1))
    whole = await announce(bench, maintenance, "unit", "u1")
    inner = await announce(bench, maintenance, "hub", "Flat 0", to_ms=bench.clock.now_ms() + HOUR // 2)
    assert await bench.value("SELECT quiet FROM alarm") == whole.id
    await maintenance.end(whole.id, FIRST, EVERYTHING)
    assert await bench.value("SELECT quiet FROM alarm") == inner.id
    await maintenance.end(inner.id, FIRST, EVERYTHING)
    await maintenance.end(inner.id, FIRST, EVERYTHING)
    assert await quiet(bench) == set()
    assert [row.id for row in await bench.alarms.queue(_technical())] == [alarm]


async def test_one_that_begins_later_begins_by_itself(bench, area, maintenance) -> None:
    await _tenant(bench)
    (alarm,) = await area.fail(await area.hubs(1))
    now = bench.clock.now_ms()
    await announce(bench, maintenance, "tenant", "t1", from_ms=now + 60_000)
    assert await quiet(bench) == set()
    await area.sweep(seconds=61)
    assert await quiet(bench) == {alarm}


async def test_nothing_personal_is_quiet(bench, area, maintenance, hub) -> None:
    await announce(bench, maintenance, "hub", hub.id.hex(), sort="absence")
    alarm = await bench.press(hub)
    await area.sweep()
    assert await quiet(bench) == set()
    assert [one.id for one in await bench.alarms.queue()] == [alarm.id]


async def test_quiet_faults_are_no_incident(bench, area, maintenance) -> None:
    await area.unit()
    hubs = await area.hubs(30)
    await announce(bench, maintenance, "unit", "u1")
    await area.fail(hubs)
    assert await area.sweep() == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"reach": "planet"}, "reach_missing"),
        ({"sort": "holiday"}, "sort_missing"),
        ({"why": "  "}, "why_missing"),
        ({"why": "x" * 129}, "why_too_long"),
        ({"to_ms": 1}, "end_missing"),
        ({"to_ms": 2**50}, "end_missing"),
        ({"ref": "nobody"}, "no_such_hub"),
        ({"reach": "device", "ref": "Flat 0"}, "device_missing"),
        ({"reach": "unit", "ref": ""}, "no_such_unit"),
    ],
)
async def test_what_is_missing_is_said_and_nothing_is_kept(bench, area, maintenance, change, reason) -> None:
    await area.hubs(1)
    with pytest.raises(IncompleteError, match=reason):
        await announce(bench, maintenance, **{"reach": "hub", "ref": "Flat 0", **change})
    assert await maintenance.all(EVERYTHING) == []


async def test_another_tenants_hub_cannot_be_made_quiet(bench, area, maintenance) -> None:
    await area.hubs(1)
    period = await announce(bench, maintenance, "hub", "Flat 0")
    elsewhere = Scope(tenants=frozenset({"t2"}))
    with pytest.raises(NotFoundError):
        await maintenance.announce(
            FIRST, elsewhere, reach="hub", ref="Flat 0", sort="absence", to_ms=bench.clock.now_ms() + HOUR, why="x"
        )
    with pytest.raises(NotFoundError):
        await maintenance.end(period.id, FIRST, elsewhere)
    assert await maintenance.all(elsewhere) == []


@pytest.mark.parametrize(
    ("reach", "theirs", "nobodys"),
    [("hub", "Flat 0", "Flat 77"), ("device", "Flat 0:d-1", "Flat 77:d-1"), ("tenant", "Kommune", "Ingen")],
)
async def test_what_is_elsewhere_is_answered_like_what_is_not_there(
    bench, area, maintenance, reach, theirs, nobodys
) -> None:
    await area.hubs(1)
    await _tenant(bench)
    said = []
    for ref in (theirs, nobodys):
        with pytest.raises(IncompleteError) as caught:
            await maintenance.announce(
                FIRST,
                Scope(tenants=frozenset({"t2"})),
                reach=reach,
                ref=ref,
                sort="absence",
                to_ms=bench.clock.now_ms() + HOUR,
                why="x",
            )
        said.append((caught.value.status, str(caught.value), caught.value.field, caught.value.choices))
        assert isinstance(caught.value, ElsewhereError) is (ref == theirs)  # an attempt is noted
    assert said[0] == said[1]


async def test_a_name_that_two_share_is_clear_to_who_sees_one_of_them(bench, area, maintenance) -> None:
    await area.hubs(2)
    await bench.change("INSERT INTO tenant (id, name, created_ms) VALUES ('t2', 'Nabo', 0)")
    await bench.change("UPDATE hub SET label = 'Flat', tenant = CASE WHEN label = 'Flat 0' THEN 't1' ELSE 't2' END")
    until = bench.clock.now_ms() + HOUR
    with pytest.raises(IncompleteError, match="several"):
        await maintenance.announce(FIRST, EVERYTHING, reach="hub", ref="Flat", sort="absence", to_ms=until, why="x")
    own = Scope(tenants=frozenset({"t2"}))
    made = await maintenance.announce(FIRST, own, reach="hub", ref="Flat", sort="absence", to_ms=until, why="x")
    assert made.tenant == "t2"


async def _tenant(bench: Any) -> bool:
    await bench.change("INSERT INTO tenant (id, name, created_ms) VALUES ('t1', 'Kommune', 0)")
    return True


def _technical() -> Any:
    from central.lifecycle import Queue

    return Queue.TECHNICAL
