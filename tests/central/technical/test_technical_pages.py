"""What technicians see and do: incidents first, faults in pages, closing together, announcing work."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from central.access import EVERYTHING
from central.console.roles import Role
from central.technical.call_out import CallOut
from central.wakeup import Wakeup
from tests.central.console.conftest import Console, Towns, holdings


@pytest.fixture
async def console(bench: Any) -> Console:
    return Console(bench)


@pytest.fixture
async def tore(console: Console) -> Any:
    return await console.signed_in("Tore Tekniker", Role.TECHNICIAN)


@pytest.fixture
async def towns(console: Console) -> Towns:
    return Towns(console, await holdings(console, "Aure", "r-own"), await holdings(console, "Smøla", "r-other"))


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
    unread = await tore.post(f"{where}/close", form={"outcome": "power_restored", "version": version})
    assert unread.status == 409  # the note has come since
    now = str(int(version) + 1)
    assert (await tore.post(f"{where}/close", form={"outcome": "power_restored", "version": now})).status == 303
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
    device = {"reach": "device", "ref": "Flat 0:pendant-7"}
    assert (await tore.post("/technical/maintenance", form=form | device)).status == 303
    announced = (await tore.get("/technical/maintenance")).text
    assert "Ferie" in announced
    assert sorted(re.findall(r"</b> (Flat 0[^<]*)<", announced)) == ["Flat 0", "Flat 0", "Flat 0 · pendant-7"]
    assert f"{1:016x}" not in announced
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


# ── Whom to call, and who is being called ────────────────────────────────────────────


async def on_duty(bench: Any, account: str, team: str = "d1", *, phone: str = "") -> None:
    """Kari, from an hour ago until tomorrow."""
    now = bench.clock.now_ms()
    await bench.change(
        f"INSERT INTO user_account (id, name, role, created_ms) VALUES ('{account}', 'Kari Vik', 'technician', 0)"
    )
    await bench.change(
        "INSERT INTO rota_override (id, team, account, from_ms, to_ms, written_by) VALUES"
        f" ('o1', '{team}', '{account}', {now - 3_600_000}, {now + 86_400_000}, 'x')"
    )
    if phone:
        await bench.change(f"INSERT INTO duty_address (account, phone, changed_ms) VALUES ('{account}', '{phone}', 0)")


async def named(bench: Any, phone: str = "75 00 00 11") -> None:
    await bench.change(
        f"INSERT INTO team (id, kind, name, unit, phone) VALUES ('d1', 'technical', 'Teknisk nord', 'u1', '{phone}')"
    )


async def test_who_is_on_technical_duty_now_is_named_wherever_a_fault_is_and_so_is_how_to_reach_them(
    bench, area, tore
) -> None:
    await area.unit()
    await named(bench)
    await on_duty(bench, "kari", phone="900 00 001")
    hubs = await area.hubs(25, critical=1)
    await area.fail(hubs)
    (alone,) = await area.fail(await area.hubs(1, first=500), "battery_low")
    await area.sweep()
    (found,) = await bench.services.incidents.open(EVERYTHING)
    for page in ("/technical", f"/technical/incidents/{found.id}", f"/hubs/{hubs[0]}", f"/alarms/{alone}"):
        said = (await tore.get(page)).text
        assert "Kari Vik" in said, page
        assert 'href="tel:90000001"' in said, page
        assert "75 00 00 11" in said, page
    contact = (await tore.get(f"/api/v1/hubs/{hubs[0]}")).json["contact"]
    assert contact["people"] == [{"name": "Kari Vik", "phone": "900 00 001", "email": ""}]
    assert (contact["name"], contact["is_nobody_on_duty"]) == ("Teknisk nord", False)
    assert (await tore.get(f"/api/v1/incidents/{found.id}")).json["contact"] == contact
    assert (await tore.get(f"/api/v1/alarms/{alone}")).json["contact"] == contact
    assert (await tore.get("/api/v1/technical/duty")).json == {"teams": [contact], "call_outs": []}


async def test_nobody_on_technical_duty_is_said_plainly_beside_the_teams_telephone(bench, area, tore) -> None:
    await area.unit()
    await named(bench)
    await on_duty(bench, "kari")
    await area.fail(await area.hubs(1), "battery_low")
    assert "ingen telefon oppgitt" in (await tore.get("/technical")).text
    await bench.change(
        "INSERT INTO rota_shift (id, team, account, weekdays, from_minute, to_minute, from_day, written_by)"
        " VALUES ('s1', 'd1', 'kari', 127, 0, 0, '2999-01-01', 'x')"
    )
    bench.clock.advance(2 * 86_400)
    said = (await (await Console(bench).signed_in("Tore 2", Role.TECHNICIAN)).get("/technical")).text
    assert "Ingen har teknisk vakt" in said
    assert "75 00 00 11" in said
    assert "Kari Vik" not in said


async def test_a_call_out_stands_on_the_page_and_in_vain_above_every_queue(bench, area, tore, console) -> None:
    await area.unit()
    await named(bench)
    await on_duty(bench, "kari", phone="900 00 001")
    await area.fail(await area.hubs(1), "unknown_hub")
    call_out = CallOut(bench.store, bench.clock, Wakeup())
    bench.clock.advance(300)
    await call_out.look()
    said = (await tore.get("/technical")).text
    assert "Varslet nå" in said
    assert "Ingen har svart ennå" in said
    assert "Kari Vik, SMS: sendes nå" in said
    operator = await console.signed_in("Kari Operatør", Role.RESPONDER)
    calm = await operator.get("/")
    assert (calm.status, "Teknisk vakt har ikke svart" in calm.text) == (200, False)
    for _ in range(2):
        bench.clock.advance(300)
        await call_out.look()
    assert "Ubesvart siden" in (await tore.get("/technical")).text
    for path in ("/", "/parts/queue?view=technical"):
        said = (await operator.get(path)).text
        assert "Teknisk vakt har ikke svart siden" in said
        assert "Teknisk nord, 75 00 00 11" in said
    (shown,) = (await operator.get("/api/v1/technical/duty")).json["call_outs"]
    assert (shown["state"], [call["name"] for call in shown["calls"]]) == ("unanswered", ["Kari Vik", ""])
    assert shown["unanswered_ms"] == bench.clock.now_ms()


async def test_call_outs_and_names_of_another_tenants_technicians_are_not_seen(bench, area, towns) -> None:
    other = towns.other["tenant_id"]
    await bench.change(
        "INSERT INTO team (id, kind, name, tenant, phone)"
        f" VALUES ('d1', 'technical', 'Teknisk fremmed', '{other}', '75 00 00 11')"
    )
    await on_duty(bench, "kari", phone="900 00 001")
    await area.fail(await area.hubs(1, tenant=other, unit=None), "unknown_hub")
    call_out = CallOut(bench.store, bench.clock, Wakeup())
    for _ in range(3):
        bench.clock.advance(300)
        await call_out.look()
    assert await bench.value("SELECT state FROM call_out") == "unanswered"
    lead = await towns.signed_in(Role.LEAD)
    assert "Teknisk fremmed" not in (await lead.get("/")).text
    assert "Kari Vik" not in (await lead.get("/technical")).text
    shown = (await lead.get("/api/v1/technical/duty")).json
    assert (shown["call_outs"], [one["name"] for one in shown["teams"]].count("Teknisk fremmed")) == ([], 0)


async def test_somebody_gives_the_telephone_by_which_they_are_called_and_takes_it_back(bench, tore) -> None:
    page = await tore.get("/me")
    assert "Når du har teknisk vakt" in page.text
    wrong = await tore.post("/me/reach", form={"phone": "ring meg", "email": ""})
    assert (wrong.status, 'value="ring meg"' in wrong.text) == (422, True)
    for address in ("tore", "tore@", "to\nre@kommune.example", "tore\u2028@kommune.example"):
        assert (await tore.post("/me/reach", form={"phone": "", "email": address})).status == 422, address
    assert await bench.value("SELECT count(*) FROM duty_address") == 0
    kept = await tore.post("/me/reach", form={"phone": " +47  900 00 001", "email": "tore@kommune.example"})
    assert kept.status == 303
    assert await bench.rows("SELECT phone, email FROM duty_address") == [("+47 900 00 001", "tore@kommune.example")]
    assert 'value="+47 900 00 001"' in (await tore.get("/me?said=reach")).text
    log = str(await bench.rows("SELECT what, content FROM log_entry WHERE what = 'duty_address_changed'"))
    assert "duty_address_changed" in log
    assert "900" not in log
    assert (await tore.post("/me/reach", form={"phone": "", "email": ""})).status == 303
    assert await bench.value("SELECT count(*) FROM duty_address") == 0


async def test_a_telephone_of_ones_own_is_forgotten_when_one_is_shut_out(bench, console, tore) -> None:
    assert (await tore.post("/me/reach", form={"phone": "900 00 001", "email": ""})).status == 303
    (account,) = await bench.rows("SELECT account FROM duty_address")
    await console.accounts.set_active(account[0], True)
    assert await bench.value("SELECT count(*) FROM duty_address") == 1
    await console.accounts.set_active(account[0], False)
    assert await bench.value("SELECT count(*) FROM duty_address") == 0
