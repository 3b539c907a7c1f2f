"""Duty rotas in the database."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from central.access import EVERYTHING, ElsewhereError, Scope
from central.errors import IncompleteError, NotFoundError
from central.routing.calendar import instant, local
from central.routing.duty import DAY_MS
from central.routing.rota import Override, Shift

OSLO = ZoneInfo("Europe/Oslo")
HOUR = 3_600_000


@pytest.fixture
async def noon(town: Any) -> int:
    """The clock of central stands at noon."""
    today = local(town.bench.clock.now_ms(), OSLO)[0]
    town.bench.clock.wall_ms = instant(OSLO, today, 12 * 60)
    return int(town.bench.clock.wall_ms)


def whole_day(town: Any, account: str | None, **more: Any) -> Shift:
    today = local(town.bench.clock.now_ms(), OSLO)[0]
    known: dict[str, Any] = {
        "weekdays": frozenset(range(7)),
        "from_minute": 0,
        "to_minute": 0,
        "from_day": today - timedelta(days=3),
    }
    return Shift(id="", account=account, **(known | more))


async def test_who_is_on_duty_comes_back_from_the_database(town: Any, noon: int) -> None:
    anna = await town.person("Anna", town.patrol)
    await town.rotas.add_shift(town.lead, EVERYTHING, town.patrol, whole_day(town, anna, to_minute=22 * 60))
    await town.rotas.add_shift(town.lead, EVERYTHING, town.patrol, whole_day(town, None, from_minute=22 * 60))
    found = await town.rotas.one(EVERYTHING, town.patrol)
    assert [spell.account for spell in found.rota.on_at(noon)] == [anna]
    assert [spell.account for spell in found.rota.on_at(noon + 11 * HOUR)] == [None]
    assert found.names[anna] == "Anna"
    assert found.people == [(anna, "Anna")]
    assert await town.rotas.gaps(EVERYTHING) == []


async def test_a_gap_is_warned_of_days_before(town: Any, noon: int) -> None:
    anna = await town.person("Anna", town.patrol)
    shift = await town.rotas.add_shift(town.lead, EVERYTHING, town.patrol, whole_day(town, anna))
    begin = noon + 5 * DAY_MS
    away = Override(id="", account=None, instead_of=anna, from_ms=begin, to_ms=begin + HOUR, why="kurs")
    override = await town.rotas.add_override(town.lead, EVERYTHING, town.patrol, away)
    ((team, gap),) = await town.rotas.gaps(EVERYTHING)
    assert (team.name, gap.from_ms, gap.to_ms) == ("Utrykning natt", begin, begin + HOUR)
    await town.rotas.end_override(town.lead, EVERYTHING, town.patrol, override)
    assert await town.rotas.gaps(EVERYTHING) == []
    await town.rotas.end_shift(town.lead, EVERYTHING, town.patrol, shift)
    ((_, gap),) = await town.rotas.gaps(EVERYTHING)
    assert gap.from_ms == noon


async def test_a_shift_that_was_held_is_ended_and_one_that_was_not_disappears(town: Any, noon: int) -> None:
    held = await town.rotas.add_shift(town.lead, EVERYTHING, town.patrol, whole_day(town, None))
    today = local(noon, OSLO)[0]
    coming = await town.rotas.add_shift(town.lead, EVERYTHING, town.patrol, whole_day(town, None, from_day=today))
    for shift in (held, coming):
        await town.rotas.end_shift(town.lead, EVERYTHING, town.patrol, shift)
    rows = await town.bench.rows("SELECT id, to_day FROM rota_shift")
    assert [tuple(row) for row in rows] == [(held, (today - timedelta(days=1)).isoformat())]


async def test_an_exception_that_has_begun_is_cut_off_now(town: Any, noon: int) -> None:
    extra = Override(id="", account=None, instead_of=None, from_ms=noon - HOUR, to_ms=noon + HOUR)
    begun = await town.rotas.add_override(town.lead, EVERYTHING, town.patrol, extra)
    await town.rotas.end_override(town.lead, EVERYTHING, town.patrol, begun)
    assert await town.bench.value("SELECT to_ms FROM rota_override") == noon
    with pytest.raises(NotFoundError):
        await town.rotas.end_override(town.lead, EVERYTHING, town.patrol, begun)


async def test_what_cannot_be_held_is_refused_at_its_field(town: Any, noon: int) -> None:
    anna = await town.person("Anna", town.patrol)
    bent = await town.person("Bent", town.elsewhere)
    today = local(noon, OSLO)[0]
    for change, field in (
        ({"weekdays": frozenset()}, "days"),
        ({"to_day": today - timedelta(days=9)}, "to_day"),
        ({"from_minute": 1440}, "from"),
        ({"account": bent}, "account"),
        ({"account": "nobody"}, "account"),
    ):
        with pytest.raises(IncompleteError) as refused:
            await town.rotas.add_shift(town.lead, EVERYTHING, town.patrol, replace(whole_day(town, anna), **change))
        assert refused.value.field == field
    good = Override(id="", account=anna, instead_of=None, from_ms=noon, to_ms=noon + HOUR)
    for change, field in (
        ({"to_ms": noon}, "to"),
        ({"from_ms": noon - 2 * HOUR, "to_ms": noon - HOUR}, "to"),
        ({"to_ms": noon + 400 * DAY_MS}, "to"),
        ({"instead_of": anna}, "account"),
        ({"instead_of": "nobody"}, "instead_of"),
        ({"account": bent}, "account"),
    ):
        with pytest.raises(IncompleteError) as refused:
            await town.rotas.add_override(town.lead, EVERYTHING, town.patrol, replace(good, **change))
        assert refused.value.field == field
    assert await town.bench.value("SELECT count(*) FROM rota_shift") == 0
    assert await town.bench.value("SELECT count(*) FROM rota_override") == 0


async def test_another_tenants_team_is_not_there(town: Any) -> None:
    mine = Scope(tenants=frozenset({town.tenant}))
    seen = {one.team.id for one in await town.rotas.all(mine)}
    assert {town.centre, town.ward, town.patrol} <= seen
    assert town.elsewhere not in seen
    with pytest.raises(ElsewhereError):
        await town.rotas.one(mine, town.elsewhere)
    with pytest.raises(ElsewhereError):
        await town.rotas.add_shift(town.lead, mine, town.elsewhere, whole_day(town, None))
    with pytest.raises(NotFoundError):
        await town.rotas.one(EVERYTHING, "0" * 16)
