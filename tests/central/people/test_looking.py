"""Who may look at what about whom: a basis, or a reason; and an entry for every look, in the transaction that reads."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from central.access import EVERYTHING, ElsewhereError, Scope
from central.errors import Conflict, IncompleteError, NotFoundError
from central.escalation.receivers import receivers_of
from central.people.contacts import Agreement
from central.people.facts import FactKind
from central.people.people import NoBasisError
from central.people.places import place_of
from central.routing.plan import Channel, ReceiverKind, Step, WeekHours
from central.views import Actor

LEAD = Actor(id="lead", name="Lead One", role="lead")
ADMIN = Actor(id="admin", name="Ada Nes", role="administrator")
FIRST = Actor(id="first", name="Operator One", role="responder")
SECOND = Actor(id="second", name="Operator Two", role="responder")
DAY_MS = 24 * 3_600_000


async def test_a_record_is_closed_to_who_has_neither_alarm_nor_visit_nor_reason(town: Any) -> None:
    resident = await town.resident()
    with pytest.raises(NoBasisError):
        await town.people.card(FIRST, town.in_aure, resident)
    with pytest.raises(NoBasisError):
        await town.people.reveal(FIRST, town.in_aure, resident, FactKind.KEY_CODE)
    assert not [look for look in await town.looks(resident) if look[0] == FIRST.name]


async def test_who_has_the_alarm_sees_the_record_and_everybody_else_does_not(town: Any) -> None:
    resident = await town.resident()
    alarm = await town.bench.press(await town.bench.enrolled(), resident=resident)
    with pytest.raises(NoBasisError):
        await town.people.card(FIRST, town.in_aure, resident)
    await town.bench.alarms.claim(alarm.id, FIRST)
    card = await town.people.card(FIRST, town.in_aure, resident)
    assert card.name == "Ragnhild Myklebust"
    assert card.basis.ref == alarm.id
    assert card.text(FactKind.KEY_CODE) == ""
    with pytest.raises(NoBasisError):
        await town.people.card(SECOND, town.in_aure, resident)
    assert (await town.looks(resident))[-1] == ("Operator One", "card,contacts", alarm.id)


async def test_showing_a_secret_is_an_event_of_its_own_with_the_alarm(town: Any) -> None:
    resident = await town.resident()
    alarm = await town.bench.press(await town.bench.enrolled(), resident=resident)
    await town.bench.alarms.claim(alarm.id, FIRST)
    fact = await town.people.reveal(FIRST, town.in_aure, resident, FactKind.KEY_CODE)
    assert fact.text == "4471-hemmelig"
    assert "4471" not in repr(fact)
    assert (await town.looks(resident))[-1] == ("Operator One", "key_code", alarm.id)
    timeline = (await town.bench.alarms.alarm(alarm.id)).timeline
    assert [entry.content for entry in timeline if entry.what == "secret_opened"] == [
        {"resident": resident, "fact": "key_code", "purpose": "alarm"}
    ]


async def test_half_an_hour_after_closing_the_record_is_closed_too(town: Any) -> None:
    resident = await town.resident()
    alarm = await town.bench.press(await town.bench.enrolled(), resident=resident)
    await town.bench.alarms.claim(alarm.id, FIRST)
    await town.bench.change(f"UPDATE alarm SET closed_ms = {town.bench.clock.now_ms()}, handling = 'closed'")
    town.bench.clock.advance(29 * 60)
    await town.people.card(FIRST, town.in_aure, resident)
    town.bench.clock.advance(2 * 60)
    with pytest.raises(NoBasisError):
        await town.people.card(FIRST, town.in_aure, resident)


async def test_a_visit_of_ones_team_opens_the_record_around_it(town: Any) -> None:
    resident, now = await town.resident(), town.bench.clock.now_ms()
    team = await town.people.places.add_team(ADMIN, "Nattpatruljen", "patrol", tenant=town.aure)
    await town.people.keeping.plan_visit(
        LEAD, resident, from_ms=now + DAY_MS, to_ms=now + DAY_MS + 3_600_000, team=team
    )
    own = Scope(tenants=frozenset({town.aure}), teams=frozenset({team}))
    with pytest.raises(NoBasisError):
        await town.people.card(FIRST, own, resident)
    town.bench.clock.advance(23 * 3600)
    assert (await town.people.card(FIRST, own, resident)).basis.purpose.value == "visit"
    with pytest.raises(NoBasisError):
        await town.people.card(SECOND, town.in_aure, resident)


async def test_a_reason_opens_the_record_for_half_an_hour_and_is_in_both_logs(town: Any) -> None:
    resident = await town.resident()
    with pytest.raises(IncompleteError, match="reason"):
        await town.people.break_glass(FIRST, town.in_aure, resident, "  ")
    await town.people.break_glass(FIRST, town.in_aure, resident, "kin_called")
    card = await town.people.card(FIRST, town.in_aure, resident)
    assert (card.basis.purpose.value, card.basis.reason) == ("break_glass", "kin_called")
    assert await town.bench.value("SELECT count(*) FROM log_entry WHERE what = 'glass_broken'") == 1
    town.bench.clock.advance(31 * 60)
    with pytest.raises(NoBasisError):
        await town.people.card(FIRST, town.in_aure, resident)


async def test_a_page_that_stays_open_is_one_look(town: Any) -> None:
    resident = await town.resident()
    for _ in range(3):
        await town.people.card(LEAD, town.in_aure, resident, keeps=True)
        town.bench.clock.advance(60)
    assert [look[1] for look in await town.looks(resident)].count("card,contacts") == 1
    town.bench.clock.advance(600)
    await town.people.card(LEAD, town.in_aure, resident, keeps=True)
    assert [look[1] for look in await town.looks(resident)].count("card,contacts") == 2


async def test_the_entry_is_in_the_transaction_that_reads(town: Any) -> None:
    resident = await town.resident()
    await town.bench.refuse_inserts("access_entry")
    with pytest.raises(Exception, match="refused"):
        await town.people.card(LEAD, town.in_aure, resident, keeps=True)
    await town.bench.take_inserts_again("access_entry")


async def test_a_queue_says_first_names_and_notes_the_first_time_that_somebody_sees_one(town: Any) -> None:
    resident = await town.resident()
    alarm = await town.bench.press(await town.bench.enrolled(), resident=resident)
    for _ in range(2):
        said = await town.people.callers(FIRST, await town.bench.alarms.queue())
        assert (said[alarm.id].first_name, said[alarm.id].unit_name) == ("Ragnhild", "Sone nord")
    assert [look for look in await town.looks(resident) if look[0] == FIRST.name] == [
        ("Operator One", "first_name", alarm.id)
    ]


async def test_a_hub_that_names_somebody_of_another_municipality_tells_nobody_there_who_that_is(town: Any) -> None:
    resident = await town.resident()
    hub = await town.bench.enrolled()
    await town.bench.change(f"UPDATE hub SET tenant = '{town.other}' WHERE id = '{hub.id.hex()}'")
    alarm = await town.bench.press(hub, resident=resident)
    assert alarm.tenant == town.other
    for _ in range(2):
        said = await town.people.callers(FIRST, await town.bench.alarms.queue())
        assert (said[alarm.id].first_name, said[alarm.id].unit_name) == ("", "")
    assert FIRST.name not in {look[0] for look in await town.looks(resident)}
    kin = Step(receiver=ReceiverKind.CONTACTS, channels=(Channel.SMS,))
    asked = {"resident": resident, "kind": "pendant_pressed", "now": town.bench.clock.now_ms(), "zone": "Europe/Oslo"}
    async with town.bench.store.read() as connection:
        assert not await receivers_of(connection, kin, tenant=town.other, **asked)
        assert len(await receivers_of(connection, kin, tenant=town.aure, **asked)) == 1
        assert len(await receivers_of(connection, kin, tenant=None, **asked)) == 1


async def test_another_tenants_resident_is_not_there(town: Any) -> None:
    resident = await town.resident()
    with pytest.raises(ElsewhereError):
        await town.people.card(LEAD, town.in_other, resident, keeps=True)
    with pytest.raises(ElsewhereError):
        await town.people.keeping.record(LEAD, resident, FactKind.KNOW, "x", source="other", scope=town.in_other)
    with pytest.raises(NotFoundError):
        await town.people.card(LEAD, EVERYTHING, "r-nobody", keeps=True)
    assert (await town.people.search(LEAD, town.in_other, "", keeps=True))[1] == 0


async def test_a_newer_fact_ends_the_older_one_which_stays_with_its_author(town: Any) -> None:
    resident = await town.resident()
    await town.people.keeping.record(SECOND, resident, FactKind.ADDRESS, "Fjordveien 3", source="resident")
    assert not await town.people.keeping.record(SECOND, resident, FactKind.KNOW, "", source="resident")
    card = await town.people.card(LEAD, town.in_aure, resident, keeps=True)
    assert card.text(FactKind.ADDRESS) == "Fjordveien 3"
    addresses = [
        (fact.text, fact.written_by, fact.ended_ms is None)
        for fact in await town.people.history(LEAD, town.in_aure, resident)
        if fact.kind is FactKind.ADDRESS
    ]
    assert sorted(addresses) == [("Fjordveien 3", "second", True), ("Solbakken 214, 6690 Aure", "lead", False)]


async def test_what_nobody_has_confirmed_for_long_is_old(town: Any) -> None:
    resident = await town.resident()
    town.bench.clock.advance(181 * 24 * 3600)
    now = town.bench.clock.now_ms()
    card = await town.people.card(LEAD, town.in_aure, resident, keeps=True)
    assert {fact.kind for fact in card.facts if fact.is_stale(now)} == {FactKind.HEALTH}


async def test_a_change_made_from_an_older_page_is_refused(town: Any) -> None:
    resident = await town.resident()
    version = await town.bench.value("SELECT version FROM resident")
    move = town.people.keeping.move
    await move(LEAD, resident, version, unit=town.ward, hub=None, is_critical=True)
    with pytest.raises(Conflict, match="stale"):
        await move(LEAD, resident, version, unit=None, hub=None, is_critical=False)
    assert await town.bench.value("SELECT unit FROM resident") == town.ward


async def test_a_hubs_alarm_is_its_tenants_and_its_only_residents(town: Any) -> None:
    hub = await town.bench.enrolled()
    await town.people.places.place_hub(ADMIN, hub.id.hex(), town.aure, town.ward)
    await town.resident(hub=hub.id.hex(), is_critical=True)
    await town.resident("r-far", tenant=town.other, unit=None)
    async with town.bench.store.read() as connection:
        own = await place_of(connection, resident=None, hub=hub.id.hex())
        strange = await place_of(connection, resident="r-far", hub=hub.id.hex())
    assert (own.tenant, own.unit, own.is_critical, own.resident) == (town.aure, town.zone, True, "r-1")
    assert (strange.tenant, strange.unit, strange.is_critical) == (town.aure, town.ward, False)


def test_an_agreement_covers_its_services_its_days_and_its_hours() -> None:
    zone, noon = ZoneInfo("Europe/Oslo"), 1_795_345_200_000  # Sunday 22 November 2026, 12:00
    agreement = Agreement(services=("TA",), hours=(WeekHours(begin=8 * 60, to=16 * 60),))
    assert agreement.covers("TA", "fall", noon, zone)
    assert not agreement.covers("DT", "fall", noon, zone)
    assert not agreement.covers("TA", "fall", noon + 8 * 3_600_000, zone)
    assert not Agreement().covers("TA", "fall", noon, zone)
    assert not Agreement(services=("TA",), kinds=("smoke",)).covers("TA", "fall", noon, zone)
    ended = Agreement.model_validate_json('{"services": ["TA"], "to_day": "2026-11-21"}')
    assert not ended.covers("TA", "fall", noon, zone)
