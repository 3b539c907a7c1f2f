"""What technicians see and do: incidents first, faults in pages, closing together, announcing work."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from central.access import EVERYTHING
from central.console.roles import Role
from tests.central.console.conftest import Console


@pytest.fixture
async def console(bench: Any) -> Console:
    return Console(bench)


@pytest.fixture
async def tore(console: Console) -> Any:
    return await console.signed_in("Tore Tekniker", Role.TECHNICIAN)


async def test_an_empty_page_is_calm(tore) -> None:
    page = await tore.get("/technical")
    assert page.status == 200
    assert "Ingen varsler her" in page.text


async def test_incidents_stand_first_with_the_number_to_call(bench, area, tore) -> None:
    await area.unit()
    await bench.change(
        "INSERT INTO team (id, kind, name, unit, phone) VALUES ('d1', 'technical', 'Teknisk nord', 'u1', '75 00 00 11')"
    )
    await bench.change(
        "INSERT INTO team (id, kind, name, phone) VALUES ('d2', 'technical', 'Teknisk felles', '75 00 00 22')"
    )
    await area.fail(await area.hubs(25, critical=1))
    await area.fail(await area.hubs(1, first=500, unit=None, tenant=None), "battery_low")
    await area.sweep()
    page = await tore.get("/technical")
    assert page.text.index("Områdehendelser") < page.text.index("Enkeltvarsler")
    assert "75 00 00 11" in page.text
    assert "75 00 00 22" in page.text
    assert "1 kritisk" in page.text
    assert page.text.count('name="alarm"') == 1


async def test_an_incident_is_taken_noted_and_closed_on_its_page(bench, area, tore) -> None:
    await area.unit()
    await area.fail(await area.hubs(25))
    await area.sweep()
    (found,) = await bench.services.incidents.open(EVERYTHING)
    where = f"/technical/incidents/{found.id}"
    assert (await tore.get(where)).text.count('href="/alarms/') == 25
    assert (await tore.post(f"{where}/close", form={"outcome": "power_restored"})).status == 409
    assert (await tore.post(f"{where}/claim")).status == 303
    version = str(found.version + 1)
    assert (await tore.post(f"{where}/note", form={"note": "<b>Ringt</b>", "version": version})).status == 303
    stale = await tore.post(f"{where}/note", form={"note": "Mitt", "version": version})
    assert stale.status == 409
    assert "Mitt</textarea>" in stale.text
    assert "&lt;b&gt;Ringt" in stale.text
    missing = await tore.post(f"{where}/close", form={"outcome": ""})
    assert (missing.status, "Velg hva det var." in missing.text) == (422, True)
    assert (await tore.post(f"{where}/close", form={"outcome": "power_restored"})).status == 303
    await area.sweep()
    assert await bench.value("SELECT count(*) FROM alarm WHERE closed_ms IS NULL") == 0


async def test_only_technical_alarms_are_closed_together(bench, area, tore, hub) -> None:
    press = await bench.press(hub)
    alarms = await area.fail(await area.hubs(3), "battery_low")
    form = {"alarm": alarms[0], "outcome": "battery_changed"}
    assert "1 varsel avsluttet" in (await tore.post("/technical/close", form=form)).text
    form = {"alarm": press.id, "outcome": "other"}
    assert "1 ble stående" in (await tore.post("/technical/close", form=form)).text
    assert (await bench.alarms.alarm(press.id)).alarm.is_open
    assert (await tore.post("/technical/close", form={"outcome": "other"})).status == 422
    assert (await tore.post("/technical/close", form={"alarm": alarms[1], "outcome": "magic"})).status == 422
    assert len(await bench.rows("SELECT 1 FROM alarm WHERE queue = 'technical' AND closed_ms IS NULL")) == 2


async def test_many_faults_come_in_pages_that_can_be_filtered(bench, area, tore) -> None:
    await area.unit()
    hubs = await area.hubs(150)
    await area.fail(hubs, "battery_low")
    await area.fail(hubs[:3], "tamper")
    first = await tore.get("/technical")
    assert (first.text.count('name="alarm"'), "Åpne: 153" in first.text, "Side 1 av 2" in first.text) == (
        100,
        True,
        True,
    )
    assert (await tore.get("/technical?page=2")).text.count('name="alarm"') == 53
    assert (await tore.get("/technical?kind=tamper&unit=u1")).text.count('name="alarm"') == 3
    assert (await tore.get("/technical?unit=nowhere")).text.count('name="alarm"') == 0


async def test_work_is_announced_and_ended_on_its_page(bench, area, tore) -> None:
    await area.hubs(1)
    form = {"reach": "hub", "ref": "Flat 0", "sort": "maintenance", "to": "2999-01-01T12:00", "why": "Bytte"}
    late = await tore.post("/technical/maintenance", form=form)
    assert (late.status, "innen ett år" in late.text, 'value="Bytte"' in late.text) == (422, True, True)
    skipped = await tore.post("/technical/maintenance", form=form | {"to": "2027-03-28T02:30"})
    assert "finnes ikke den natten" in skipped.text
    assert "Oppgi dato" in (await tore.post("/technical/maintenance", form=form | {"to": "soon"})).text
    soon = datetime.fromtimestamp(bench.clock.now_ms() / 1000 + 86_400, ZoneInfo("Europe/Oslo")).isoformat()[:16]
    form |= {"to": soon}
    assert "ingen slik hub" in (await tore.post("/technical/maintenance", form=form | {"ref": "x"})).text
    assert (await tore.post("/technical/maintenance", form=form)).status == 303
    (by_form,) = await bench.services.maintenance.all(EVERYTHING)
    await tore.post(f"/technical/maintenance/{by_form.id}/end")
    period = await bench.services.maintenance.announce(
        tore_actor(), EVERYTHING, reach="hub", ref="Flat 0", sort="absence",
        to_ms=bench.clock.now_ms() + 3_600_000, why="Ferie",
    )  # fmt: skip
    await area.fail([f"{1:016x}"])
    assert "Ferie" in (await tore.get("/technical/maintenance")).text
    assert "1 venter stille" in (await tore.get("/technical")).text
    assert (await tore.post(f"/technical/maintenance/{period.id}/end")).status == 303
    assert "venter stille" not in (await tore.get("/technical")).text


async def test_an_operator_sees_whom_to_call_but_closes_nothing(area, console) -> None:
    await area.fail(await area.hubs(1), "battery_low")
    kari = await console.signed_in("Kari", Role.RESPONDER)
    page = await kari.get("/technical")
    assert (page.status, 'name="alarm"' in page.text) == (200, False)
    assert (await kari.post("/technical/close", form={"outcome": "other"})).status == 403


def tore_actor() -> Any:
    from central.views import Actor

    return Actor(id="t", name="Tore", role="technician")
