"""Pages about residents and the organisation in a real browser: they open, fold, and leave pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from central.console.roles import Role
from central.people.contacts import entry_from
from central.people.facts import FactKind
from central.views import Actor

PHONE = {"width": 390, "height": 844}
LEAD = Actor(id="lead", name="Lead One", role="lead")
DAY_MS = 24 * 3_600_000


async def furnished(server: Any) -> str:
    people = server.services.people
    now = server.services.clock.now_ms()
    aure = await people.places.add_tenant(LEAD, "Aure")
    zone = await people.places.add_unit(LEAD, aure, "Sone nord", "zone")
    await people.places.add_unit(LEAD, aure, "Solbakken omsorgsboliger", "house", parent=zone)
    await people.places.add_team(LEAD, "Nattpatruljen", "patrol", tenant=aure, phone="+47 900 00 009")
    names = {FactKind.FIRST_NAME: "Ragnhild", FactKind.LAST_NAME: "Myklebust", FactKind.BORN: "1938"}
    resident = await people.keeping.register(
        LEAD, tenant=aure, unit=zone, pseudonym="r-7f3a90", named=names, source="population_register", is_critical=True
    )
    for kind, text, source, age in (
        (FactKind.ADDRESS, "Solbakken 214, 6690 Aure", "population_register", 20),
        (FactKind.DIRECTIONS, "Andre inngang fra parkeringen, heis til 2. etasje", "home_care", 90),
        (FactKind.PHONE, "+47 900 00 001", "resident", 20),
        (FactKind.ACCESS, "Nøkkelboks til venstre for døra", "home_care", 400),
        (FactKind.KEY_CODE, "4471", "home_care", 400),
        (FactKind.KNOW, "Hører dårlig på venstre øre. Snakk tydelig og gi henne tid.", "next_of_kin", 12),
        (FactKind.HEALTH, "Insulinkrevende diabetes", "epj", 30),
    ):
        await people.keeping.record(LEAD, resident, kind, text, source=source, as_of_ms=now - age * DAY_MS)
    for name, relation, granted in (("Sunniva Myklebust", "datter", ["TA", "DT"]), ("Per Olsen", "nabo", [])):
        agreement = {"services": granted, "document": "2026/118" if granted else ""}
        raw = {"name": name, "relation": relation, "phone": "+47 900 00 002", "agreement": agreement}
        await people.keeping.add_contact(LEAD, resident, entry_from(raw), source="resident")
    await people.keeping.grant(LEAD, resident, "TA", from_ms=now - 300 * DAY_MS, to_ms=None)
    await people.keeping.plan_visit(LEAD, resident, from_ms=now + DAY_MS // 3, to_ms=now + DAY_MS // 2, source="other")
    return resident


async def test_a_record_opens_folds_its_secrets_and_can_be_read_on_a_phone(
    server: Any, home: Any, people: Any, shots: Path
) -> None:
    resident = await furnished(server)
    for size, name in (({"width": 1440, "height": 900}, "desk"), (PHONE, "phone")):
        lead = await people(f"Lead {name}", Role.LEAD, size=size, theme="light" if name == "phone" else "dark")
        await lead.page.goto(f"{server.url}/residents")
        await lead.page.screenshot(path=shots / f"residents-{name}.png", full_page=True)
        await lead.page.goto(f"{server.url}/residents/new")
        await lead.page.screenshot(path=shots / f"resident-new-{name}.png", full_page=True)
        await lead.page.goto(f"{server.url}/residents/{resident}")
        assert "4471" not in await lead.page.content()
        await lead.page.click("#secret-key_code button")
        await lead.page.wait_for_selector("#secret-key_code:has-text('4471')")
        await lead.page.screenshot(path=shots / f"resident-{name}.png", full_page=True)
        wide = await lead.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0
        await lead.page.goto(f"{server.url}/residents/{resident}/access")
        await lead.page.screenshot(path=shots / f"resident-access-{name}.png", full_page=True)
        operator = await people(f"Operator {name}", Role.RESPONDER, size=size)
        await operator.page.goto(f"{server.url}/residents/{resident}")
        assert "Myklebust" not in await operator.page.content()
        await operator.page.screenshot(path=shots / f"resident-closed-{name}.png", full_page=True)
        await operator.page.check("input[name=reason][value=kin_called]", force=True)
        await operator.page.click("main button[type=submit]")
        await operator.page.wait_for_selector("h1:has-text('Myklebust')")
        ada = await people(f"Ada {name}", Role.ADMINISTRATOR, size=size)
        await ada.page.goto(f"{server.url}/places")
        await ada.page.screenshot(path=shots / f"places-{name}.png", full_page=True)
        assert await ada.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


async def test_the_resident_stands_on_the_alarm_of_who_has_it(server: Any, home: Any, people: Any, shots: Path) -> None:
    resident = await furnished(server)
    pressed = await home.raise_event("pendant_pressed", resident=resident)
    alarm = (await server.services.alarms.queue())[0].id
    assert pressed.hub.hex() == home.id
    operator = await people("Operator One")
    await operator.open(f"/alarms/{alarm}")
    assert "Solbakken 214, 6690" not in await operator.page.content()
    await operator.page.click("[data-act=claim] >> visible=true")
    await operator.page.wait_for_selector("#alarm-resident:has-text('Myklebust')")
    await operator.page.screenshot(path=shots / "alarm-resident-desk.png")
