"""Contacts with agreements, services with dates, planned visits: written and changed through the application."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import pytest

from central.access import EVERYTHING
from central.console.catalogue import words
from central.console.roles import Role
from central.people.contacts import contacts_of
from central.people.facts import FactKind
from central.routing.plan import DEFAULT_PLAN
from central.routing.plans import Plans
from central.views import Actor

T = words("nb")
ADMIN = Actor(id="admin", name="Ada Nes", role="administrator")
KEEPER = Actor(id="lead", name="Lead One", role="lead")
OSLO = ZoneInfo("Europe/Oslo")
SCRIPT = "<script>alert(1)</script>"
DAUGHTER = {"name": "Sunniva", "relation": "datter", "phone": "+47 900 00 001", "service": ["TA"], "source": "resident"}


@pytest.fixture
async def tenant(bench: Any) -> str:
    found: str = await bench.value("SELECT id FROM tenant")
    return found


@pytest.fixture
async def resident(bench: Any, tenant: str, hub: Any) -> str:
    """Somebody who lives by the hub."""
    named = {FactKind.FIRST_NAME: "Ragnhild", FactKind.LAST_NAME: "Myklebust"}
    await bench.services.people.keeping.register(
        KEEPER, tenant=tenant, pseudonym="r-1", hub=hub.id.hex(), named=named, source="resident"
    )
    return "r-1"


async def sent(browser: Any, path: str, *, part: bool = False, **fields: Any) -> Any:
    pairs = [("csrf", browser.csrf)]
    for key, value in fields.items():
        pairs += [(key.replace("__", "."), one) for one in (value if isinstance(value, list) else [value])]
    headers = {"content-type": "application/x-www-form-urlencoded"} | ({"hx-request": "true"} if part else {})
    return await browser.request("POST", path, body=urlencode(pairs).encode(), headers=headers)


def day(bench: Any, days: int = 0) -> str:
    moment = datetime.fromtimestamp(bench.clock.now_ms() / 1000, UTC).astimezone(OSLO) + timedelta(days=days)
    return moment.date().isoformat()


def soon(bench: Any, minutes: int) -> dict[str, str]:
    """A visit of an hour and a half that is near enough to wait for, whatever hour it is now."""
    at = datetime.fromtimestamp(bench.clock.now_ms() / 1000, UTC) + timedelta(minutes=minutes)
    begin, end = at.astimezone(OSLO), (at + timedelta(minutes=90)).astimezone(OSLO)
    return {"day": begin.date().isoformat(), "begin": f"{begin:%H:%M}", "end": f"{end:%H:%M}"}


async def contact_id(bench: Any) -> str:
    found: str = await bench.value("SELECT id FROM contact WHERE ended_ms IS NULL")
    return found


async def covers(bench: Any, resident: str, service: str, moment: datetime) -> bool:
    found = await bench.store.fetch(lambda connection: contacts_of(connection, None, resident))
    return bool(found[0].agreement.covers(service, "pendant_pressed", int(moment.timestamp() * 1000), OSLO))


# ── Contacts ─────────────────────────────────────────────────────────────────────────


async def test_an_agreement_holds_at_its_hours_and_days_and_no_others(console: Any, other: Any, resident: str) -> None:
    bench, path = console.bench, f"/residents/{resident}/contacts"
    assert T("record.agreement_text") in (await other.get(f"{path}/new")).text
    hours = {"h0__day": ["5", "6"], "h0__begin": "22:00", "h0__to": "07:00"}
    saved = await sent(
        other, path, **DAUGHTER, **hours, from_day="2026-01-01", to_day="2099-01-01", document="2026/118"
    )
    assert (saved.status, saved.header("location")) == (303, f"/residents/{resident}")
    saturday = datetime(2026, 11, 21, 23, 30, tzinfo=OSLO)
    assert await covers(bench, resident, "TA", saturday)
    assert await covers(bench, resident, "TA", saturday + timedelta(hours=6))
    assert not await covers(bench, resident, "TA", saturday - timedelta(hours=6))
    assert not await covers(bench, resident, "DT", saturday)
    assert not await covers(bench, resident, "TA", datetime(2025, 11, 22, 23, 30, tzinfo=OSLO))
    page = (await other.get(f"/residents/{resident}")).text
    assert "Lørdag og søndag 22:00\u201307:00" in page
    assert "2026/118" in page


async def test_a_contact_that_is_changed_stays_the_same_contact_and_the_older_one_is_kept(
    console: Any, other: Any, resident: str
) -> None:
    await sent(other, f"/residents/{resident}/contacts", **DAUGHTER)
    contact = await contact_id(console.bench)
    path = f"/residents/{resident}/contacts/{contact}"
    form = (await other.get(path)).text
    assert 'value="Sunniva"' in form
    assert 'name="version" value="1"' in form
    changed = await sent(other, path, version="1", **(DAUGHTER | {"phone": "+47 900 00 002"}))
    assert changed.status == 303
    assert await contact_id(console.bench) == contact
    page = (await other.get(f"/residents/{resident}")).text
    assert "+47 900 00 002" in page
    assert "+47 900 00 001" not in page
    rows = await console.bench.rows("SELECT version, ended_ms IS NULL FROM contact ORDER BY version")
    assert [(row[0], bool(row[1])) for row in rows] == [(1, False), (2, True)]
    told = await console.bench.rows("SELECT what FROM log_entry WHERE what LIKE 'contact%' ORDER BY no")
    assert [row[0] for row in told] == ["contact_added", "contact_changed"]


async def test_who_saves_a_contact_second_sees_the_other_change_and_keeps_what_was_typed(
    console: Any, other: Any, resident: str
) -> None:
    await sent(other, f"/residents/{resident}/contacts", **DAUGHTER)
    path = f"/residents/{resident}/contacts/{await contact_id(console.bench)}"
    await sent(other, path, version="1", **(DAUGHTER | {"relation": "niese"}))
    late = await sent(other, path, version="1", **(DAUGHTER | {"relation": "venninne"}))
    assert late.status == 409
    assert "niese" in late.text
    assert 'value="venninne"' in late.text
    assert 'name="version" value="2"' in late.text
    assert (await sent(other, path, version="2", **(DAUGHTER | {"relation": "venninne"}))).status == 303


async def test_faults_of_a_contact_stand_at_their_fields(other: Any, resident: str) -> None:
    path = f"/residents/{resident}/contacts"
    nameless = await sent(
        other, path, name="", relation=SCRIPT, h0__begin="25:00", h0__to="7", from_day="2026-02-30", to_day="1066-01-01"
    )
    assert nameless.status == 422
    for where in ("name", "h0-begin", "h0-to", "h0-day", "from_day", "to_day"):
        assert f'id="fault-{where}"' in nameless.text, where
    assert SCRIPT not in nameless.text
    assert "&lt;script&gt;" in nameless.text
    backwards = await sent(other, path, **DAUGHTER, from_day="2026-03-01", to_day="2026-02-01")
    assert 'id="fault-to_day"' in backwards.text
    for wrong, where in (
        ({"phone": "ring meg"}, "phone"),
        ({"email": "ikke en adresse"}, "email"),
        ({"phone": ""}, "phone"),
        ({"service": ["XX"]}, "services"),
        ({"language": "sv"}, "language"),
        ({"source": "gossip"}, "source"),
    ):
        answer = await sent(other, path, **(DAUGHTER | wrong))
        assert (answer.status, f'id="fault-{where}"' in answer.text) == (422, True), (wrong, answer.text)
    assert T("recordfault.unreachable") in (await sent(other, path, **(DAUGHTER | {"phone": ""}))).text


async def test_the_form_gives_room_for_other_hours_and_saves_nothing(console: Any, other: Any, resident: str) -> None:
    path = f"/residents/{resident}/contacts"
    more = await sent(other, path, part=True, do="more_hours", **DAUGHTER, h0__begin="08:00", h0__to="16:00")
    assert more.text.count('inputmode="numeric"') == 4
    assert 'value="08:00"' in more.text
    assert await console.bench.value("SELECT count(*) FROM contact") == 0


# ── Services ─────────────────────────────────────────────────────────────────────────


async def test_a_service_begins_and_ends_on_its_days_and_may_have_a_plan_of_its_own(
    console: Any, other: Any, resident: str, tenant: str
) -> None:
    bench = console.bench
    plan = await Plans(bench.store, bench.clock).write(
        ADMIN, EVERYTHING, DEFAULT_PLAN.model_copy(update={"name": "Bare natt"}), tenant=tenant, service=None
    )
    path = f"/residents/{resident}/services"
    assert "Bare natt" in (await other.get(f"{path}/new")).text
    saved = await sent(other, path, service="TA", from_day=day(bench, 3), to_day=day(bench, 30), plan=plan.id)
    assert saved.status == 303
    row = (await bench.rows("SELECT id, plan, from_ms, to_ms FROM service"))[0]
    assert row[1] == plan.id
    first, last = (datetime.fromtimestamp(at / 1000, UTC).astimezone(OSLO) for at in row[2:])
    assert (first.hour, first.date().isoformat(), last.date().isoformat()) == (0, day(bench, 3), day(bench, 30))
    page = (await other.get(f"/residents/{resident}")).text
    assert T("resident.own_plan") in page
    again = await sent(other, f"{path}/{row[0]}", version="1", from_day=day(bench, 3), to_day="", plan="")
    assert again.status == 303
    assert [tuple(one) for one in await bench.rows("SELECT plan, to_ms, version FROM service")] == [(None, None, 2)]
    late = await sent(other, f"{path}/{row[0]}", version="1", from_day=day(bench, 4), to_day="", plan="")
    assert late.status == 409
    assert f'value="{day(bench, 4)}"' in late.text


async def test_faults_of_a_service_stand_at_their_fields(console: Any, other: Any, resident: str) -> None:
    bench, path = console.bench, f"/residents/{resident}/services"
    await sent(other, path, service="TA")
    for fields, where in (
        ({"service": "TA", "to_day": day(bench, 5)}, "service"),
        ({"service": "XX"}, "service"),
        ({"service": "DT", "from_day": "i morgen"}, "from_day"),
        ({"service": "DT", "from_day": day(bench, 5), "to_day": day(bench, 4)}, "to_day"),
        ({"service": "DT", "plan": "ee" * 8}, "plan"),
    ):
        answer = await sent(other, path, **fields)
        assert (answer.status, f'id="fault-{where}"' in answer.text) == (422, True), fields
    service = await bench.value("SELECT id FROM service")
    ended = await sent(other, f"{path}/{service}/end", version="1")
    assert ended.status == 303
    assert await bench.value("SELECT to_ms FROM service") == bench.clock.now_ms()


# ── Visits ───────────────────────────────────────────────────────────────────────────


async def visit_id(bench: Any) -> str:
    found: str = await bench.value("SELECT id FROM visit")
    return found


async def planned(console: Any, other: Any, resident: str, **more: Any) -> str:
    fields = {"day": day(console.bench, 1), "begin": "08:00", "end": "09:30"} | more
    assert (await sent(other, f"/residents/{resident}/visits", **fields)).status == 303
    return await visit_id(console.bench)


async def test_an_alarm_waits_for_a_planned_visit_through_its_moves_and_comes_back_when_it_is_called_off(
    console: Any, other: Any, first: Any, resident: str, hub: Any
) -> None:
    bench = console.bench
    assert T("record.visit_text") in (await other.get(f"/residents/{resident}/visits/new")).text
    visit = soon(bench, 360)
    planned_visit = await planned(console, other, resident, **visit)
    alarm = await bench.press(hub, resident=resident)
    await first.post(f"/api/v1/alarms/{alarm.id}/claim")
    offered = (await first.get(f"/api/v1/alarms/{alarm.id}/choices")).json["visits"]
    assert [one["id"] for one in offered] == [planned_visit]
    body = {"disposition": "next_visit", "outcome": "practical_help", "visit": planned_visit, "criterion": "practical"}
    body["note"] = "Ber om hjelp med støvlene"
    deferred = await first.post(f"/api/v1/alarms/{alarm.id}/close", content=body)
    assert (deferred.json["stage"], deferred.json["criterion"]) == ("deferred", "0/practical")
    path = f"/residents/{resident}/visits/{planned_visit}"
    assert f'value="{visit["begin"]}"' in (await other.get(path)).text
    moved = await sent(other, path, version="1", **soon(bench, 390))
    assert moved.status == 303
    await bench.alarms.sweep()
    assert (await bench.alarms.alarm(alarm.id)).alarm.stage.word == "deferred"
    off = await sent(other, f"{path}/state", state="cancelled", version="2")
    assert off.status == 303
    await bench.alarms.sweep()
    assert (await bench.alarms.alarm(alarm.id)).alarm.stage.word == "waiting"
    await first.post(f"/api/v1/alarms/{alarm.id}/claim")
    assert "Ber om hjelp med støvlene" in (await first.get(f"/alarms/{alarm.id}")).text  # what was known is not lost
    assert "avlyst" in (await other.get(f"/residents/{resident}")).text


async def test_a_visit_that_somebody_else_has_moved_shows_both(console: Any, other: Any, resident: str) -> None:
    path = f"/residents/{resident}/visits/{await planned(console, other, resident)}"
    await sent(other, path, version="1", day=day(console.bench, 2), begin="12:00", end="13:00")
    late = await sent(other, path, version="1", day=day(console.bench, 2), begin="14:00", end="15:00")
    assert late.status == 409
    assert "12:00\u201313:00" in late.text
    assert 'value="14:00"' in late.text
    stale = await sent(other, f"{path}/state", state="done", version="1")
    assert stale.status == 409
    assert await console.bench.value("SELECT state FROM visit") == "planned"


async def test_a_visit_over_midnight_ends_on_the_next_day(console: Any, other: Any, resident: str) -> None:
    await planned(console, other, resident, begin="23:30", end="00:15")
    from_ms, to_ms = (await console.bench.rows("SELECT from_ms, to_ms FROM visit"))[0]
    assert to_ms - from_ms == 45 * 60_000


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"day": ""}, "day"),
        ({"day": "2026-13-01"}, "day"),
        ({"day": "2026-01-05"}, "day"),
        ({"begin": "tidlig"}, "begin"),
        ({"end": ""}, "end"),
        ({"team": "ee" * 8}, "team"),
    ],
)
async def test_faults_of_a_visit_stand_at_their_fields(
    console: Any, other: Any, resident: str, fields: dict[str, str], where: str
) -> None:
    known = {"day": day(console.bench, 1), "begin": "08:00", "end": "09:00"} | fields
    answer = await sent(other, f"/residents/{resident}/visits", **known)
    assert answer.status == 422
    assert f'id="fault-{where}"' in answer.text
    assert await console.bench.value("SELECT count(*) FROM visit") == 0


async def test_a_visit_at_a_time_that_the_clock_skips_is_refused_with_the_times_around_it(
    other: Any, resident: str
) -> None:
    answer = await sent(other, f"/residents/{resident}/visits", day="2027-03-28", begin="02:30", end="04:00")
    assert answer.status == 422
    assert re.search(r"etter 01:59 kommer 03:00", answer.text)


async def test_a_team_of_another_municipality_is_on_nobodys_list_here(console: Any, other: Any, resident: str) -> None:
    places = console.services.people.places
    smola = await places.add_tenant(ADMIN, "Smøla")
    team = await places.add_team(ADMIN, "Smøla utrykning", "patrol", tenant=smola)
    assert "Smøla utrykning" not in (await other.get(f"/residents/{resident}/visits/new")).text
    answer = await sent(
        other, f"/residents/{resident}/visits", day=day(console.bench, 1), begin="08:00", end="09:00", team=team
    )
    assert 'id="fault-team"' in answer.text


# ── Whose they are ───────────────────────────────────────────────────────────────────


async def test_others_records_are_not_found_and_responders_do_not_write(
    console: Any, other: Any, first: Any, resident: str
) -> None:
    await sent(other, f"/residents/{resident}/contacts", **DAUGHTER)
    await sent(other, f"/residents/{resident}/services", service="TA")
    planned_visit = await planned(console, other, resident)
    contact, service = await contact_id(console.bench), await console.bench.value("SELECT id FROM service")
    places = console.services.people.places
    smola = await places.add_tenant(ADMIN, "Smøla")
    lead = await console.signed_in("Smøla Lead", Role.LEAD)
    await places.assign(ADMIN, await console.accounts.id_of("Smøla Lead"), Role.LEAD, tenant=smola)
    base = f"/residents/{resident}"
    for path in (f"{base}/contacts/{contact}", f"{base}/services/{service}", f"{base}/visits/{planned_visit}"):
        assert (await lead.get(path)).status == 404
        assert (await sent(lead, path, version="1", **DAUGHTER)).status == 404
        assert (await first.get(path)).status == 403
    assert (await other.get(f"{base}/contacts/{'ee' * 8}")).status == 404
    assert (await other.get(f"{base}/visits/{'ee' * 8}")).status == 404
