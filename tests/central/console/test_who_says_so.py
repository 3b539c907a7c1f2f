"""Services and visits say who says so and as of when; the next visits stand with the alarm of whoever answers it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from central.console.catalogue import words
from central.people.facts import FactKind
from central.people.visits import VisitState
from central.views import Actor

T = words("nb")
KEEPER = Actor(id="lead", name="Lead One", role="lead")
OSLO = ZoneInfo("Europe/Oslo")
HOUR_MS, DAY_MS = 3_600_000, 24 * 3_600_000


@pytest.fixture
async def tenant(bench: Any) -> str:
    found: str = await bench.value("SELECT id FROM tenant")
    return found


@pytest.fixture
async def resident(bench: Any, tenant: str, hub: Any) -> str:
    """Somebody who lives by the hub."""
    await bench.services.people.keeping.register(
        KEEPER, tenant=tenant, pseudonym="r-1", hub=hub.id.hex(), named={FactKind.FIRST_NAME: "Ragnhild"}, source="epj"
    )
    return "r-1"


def local(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(OSLO)


def day(bench: Any, days: int = 0) -> str:
    return (local(bench.clock.now_ms()) + timedelta(days=days)).date().isoformat()


def shown_day(at_ms: int) -> str:
    moment = local(at_ms)
    return f"{moment.day}.{moment.month}.{moment.year}"


def next_visits(text: str) -> str:
    """What stands of the visits on the page of an alarm."""
    found = re.search(r'<dl class="facts next-visits">(.*?)</dl>', text, re.DOTALL)
    assert found is not None, "the visits are not on the page"
    return found[1]


def span_text(bench: Any, from_ms: int, to_ms: int) -> str:
    begin, end, now = local(from_ms), local(to_ms), local(bench.clock.now_ms())
    key = "resident.visit_today" if begin.date() == now.date() else "resident.visit_tomorrow"
    return T(key, span=f"{begin:%H:%M}\u2013{end:%H:%M}")


async def put(browser: Any, path: str, content: Any) -> Any:
    return await browser.request("PUT", path, content=content, headers={"x-csrf-token": browser.csrf})


async def claimed(bench: Any, who: Any, hub: Any, resident: str) -> str:
    alarm = await bench.press(hub, resident=resident)
    assert (await who.post(f"/api/v1/alarms/{alarm.id}/claim")).status == 200
    return str(alarm.id)


# ── Visits with the alarm ────────────────────────────────────────────────────────────


async def test_the_next_visits_stand_on_the_alarm_with_time_team_state_and_source(
    console: Any, first: Any, resident: str, tenant: str, hub: Any
) -> None:
    bench, keeping = console.bench, console.services.people.keeping
    team = await console.services.people.places.add_team(KEEPER, "Sone nord", "patrol", tenant=tenant)
    now = bench.clock.now_ms()
    spans = [
        (-HOUR_MS, HOUR_MS),
        (3 * HOUR_MS, 4 * HOUR_MS),
        (20 * HOUR_MS, 21 * HOUR_MS),
        (30 * HOUR_MS, 31 * HOUR_MS),
    ]
    for begin, end in spans:
        await keeping.plan_visit(KEEPER, resident, from_ms=now + begin, to_ms=now + end, team=team, source="home_care")
    alarm = await claimed(bench, first, hub, resident)
    for path in (f"/alarms/{alarm}", f"/alarms/{alarm}/part"):
        shown = next_visits((await first.get(path)).text)
        assert T("resident.visit_now", until=f"{local(now + HOUR_MS):%H:%M}") in shown
        for begin, end in spans[1:3]:
            assert span_text(bench, now + begin, now + end) in shown
        assert shown.count("<b ") == 3  # what lies further off is on the resident's page
        assert shown.count(f"Sone nord, {T('visit_state.planned')}") == 3
        assert shown.count(T("resident.from", source=T("fact_source.home_care"), date=shown_day(now))) == 3


async def test_a_visit_that_is_called_off_is_said_and_hides_no_other(
    console: Any, first: Any, resident: str, hub: Any
) -> None:
    bench, keeping = console.bench, console.services.people.keeping
    now = bench.clock.now_ms()
    for hour in (1, 2, 3, 4):
        await keeping.plan_visit(KEEPER, resident, from_ms=now + hour * HOUR_MS, to_ms=now + hour * HOUR_MS + 60_000)
    rows = await bench.rows("SELECT id FROM visit ORDER BY from_ms")
    await keeping.set_visit(KEEPER, resident, rows[0][0], VisitState.CANCELLED)
    alarm = await claimed(bench, first, hub, resident)
    shown = next_visits((await first.get(f"/alarms/{alarm}")).text)
    assert shown.count("<b ") == 3
    assert T("visit_state.cancelled") not in shown  # three that will be made need the room
    await keeping.set_visit(KEEPER, resident, rows[3][0], VisitState.DONE)
    shown = next_visits((await first.get(f"/alarms/{alarm}")).text)
    assert shown.index(T("visit_state.cancelled")) < shown.index(T("visit_state.planned"))
    assert 'class="off"' in shown


async def test_without_a_visit_the_place_of_the_visits_says_so(
    console: Any, first: Any, other: Any, resident: str, hub: Any
) -> None:
    bench = console.bench
    now = bench.clock.now_ms()
    await console.services.people.keeping.plan_visit(
        KEEPER, resident, from_ms=now + 2 * DAY_MS, to_ms=now + 2 * DAY_MS + HOUR_MS
    )
    alarm = await claimed(bench, first, hub, resident)
    assert T("resident.no_next_visits") in next_visits((await first.get(f"/alarms/{alarm}")).text)
    assert "next-visits" not in (await other.get(f"/alarms/{alarm}")).text  # who has no errand there sees nothing


# ── Who says so ──────────────────────────────────────────────────────────────────────


async def test_a_service_has_its_source_and_day_on_the_page_the_form_and_in_the_api(
    console: Any, other: Any, resident: str
) -> None:
    bench, path = console.bench, f"/residents/{resident}/services"
    form = (await other.get(f"{path}/new")).text
    assert 'name="source"' in form
    assert f'name="as_of" value="{day(bench)}"' in form
    sent = {"service": "TA", "source": "next_of_kin", "as_of": day(bench, -40)}
    assert (await other.post(path, form=sent)).status == 303
    as_of = int(datetime.fromisoformat(day(bench, -40)).replace(tzinfo=OSLO).timestamp() * 1000)
    page = (await other.get(f"/residents/{resident}")).text
    assert T("resident.from", source=T("fact_source.next_of_kin"), date=shown_day(as_of)) in page
    found = (await other.get(f"/api/v1/residents/{resident}")).json["services"]
    assert [(one["source"], one["as_of_ms"]) for one in found] == [("next_of_kin", as_of)]
    edit = (await other.get(f"{path}/{found[0]['id']}")).text
    assert '<option value="next_of_kin" selected>' in edit


async def test_a_service_that_is_confirmed_gets_the_day_of_its_confirmation(
    console: Any, other: Any, resident: str
) -> None:
    bench, path = console.bench, f"/api/v1/residents/{resident}/services"
    now = bench.clock.now_ms()
    begun = {"kind": "TA", "from_ms": now, "source": "epj", "as_of_ms": now - 9 * DAY_MS}
    assert (await other.post(path, content=begun)).json == {"changed": True}
    service = await bench.value("SELECT id FROM service")
    same = {"from_ms": now, "version": 1}
    assert (await put(other, f"{path}/{service}", content=same)).json == {"changed": False}
    confirmed = same | {"source": "epj", "as_of_ms": now - DAY_MS}
    assert (await put(other, f"{path}/{service}", content=confirmed)).json == {"changed": True}
    assert await bench.value("SELECT as_of_ms FROM service") == now - DAY_MS
    older = confirmed | {"as_of_ms": now - 5 * DAY_MS, "version": 2}
    assert (await put(other, f"{path}/{service}", content=older)).json == {"changed": False}
    moved = {"from_ms": now - HOUR_MS, "version": 2}
    assert (await put(other, f"{path}/{service}", content=moved)).json == {"changed": True}
    assert [tuple(row) for row in await bench.rows("SELECT source, as_of_ms FROM service")] == [("epj", now)]


@pytest.mark.parametrize(
    ("fields", "where", "reason"),
    [
        ({"source": "gossip"}, "source", "unknown_source"),
        ({"as_of": "i går"}, "as_of", "bad_date"),
        ({"as_of": "2099-01-01"}, "as_of", "in_the_future"),
    ],
)
async def test_a_source_or_day_that_cannot_be_is_told_at_its_field(
    console: Any, other: Any, resident: str, fields: dict[str, str], where: str, reason: str
) -> None:
    answer = await other.post(f"/residents/{resident}/services", form={"service": "TA"} | fields)
    assert answer.status == 422
    assert f'id="fault-{where}"' in answer.text
    assert T(f"recordfault.{reason}") in answer.text
    far = {"kind": "TA", "from_ms": console.bench.clock.now_ms(), "as_of_ms": 4_000_000_000_000}
    refused = await other.post(f"/api/v1/residents/{resident}/services", content=far)
    assert (refused.status, refused.json["reason"], refused.json["field"]) == (422, "in_the_future", "as_of")
    assert await console.bench.value("SELECT count(*) FROM service") == 0


async def test_a_visit_says_whose_list_it_came_from_and_when(console: Any, other: Any, resident: str) -> None:
    bench, path = console.bench, f"/residents/{resident}/visits"
    form = {"day": day(bench, 1), "begin": "08:00", "end": "09:00", "source": "next_of_kin"}
    assert (await other.post(path, form=form)).status == 303
    now = bench.clock.now_ms()
    body = {"from_ms": now + 3 * DAY_MS, "to_ms": now + 3 * DAY_MS + HOUR_MS, "reference": "L-1"}
    assert (await other.post(f"/api/v1/residents/{resident}/visits", content=body)).json == {"done": "added"}
    page = (await other.get(f"/residents/{resident}")).text
    for source in ("next_of_kin", "api"):
        assert T("resident.from", source=T(f"fact_source.{source}"), date=shown_day(now)) in page, source
    found = (await other.get(f"/api/v1/residents/{resident}")).json["visits"]
    assert [(one["source"], one["changed_ms"]) for one in found] == [("next_of_kin", now), ("api", now)]
    edit = (await other.get(f"{path}/{found[0]['id']}")).text
    assert T("resident.from", source=T("fact_source.next_of_kin"), date=shown_day(now)) in edit
    assert 'name="source"' not in edit  # whose list it is on stays: that list knows it by that
    wrong = await other.post(path, form=form | {"source": "gossip"})
    assert 'id="fault-source"' in wrong.text
