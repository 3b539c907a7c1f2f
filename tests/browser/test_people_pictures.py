"""Pages about residents and the organisation in a real browser: they open, fold, and leave pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from central.console.roles import Role
from simulators.furnished import RESIDENT, furnish

PHONE = {"width": 390, "height": 844}


async def test_a_record_opens_folds_its_secrets_and_can_be_read_on_a_phone(
    server: Any, home: Any, people: Any, shots: Path
) -> None:
    await furnish(server.services)
    for size, name in (({"width": 1440, "height": 900}, "desk"), (PHONE, "phone")):
        lead = await people(f"Lead {name}", Role.LEAD, size=size, theme="light" if name == "phone" else "dark")
        await lead.page.goto(f"{server.url}/residents")
        await lead.page.screenshot(path=shots / f"residents-{name}.png", full_page=True)
        await lead.page.goto(f"{server.url}/residents/new")
        await lead.page.screenshot(path=shots / f"resident-new-{name}.png", full_page=True)
        await lead.page.goto(f"{server.url}/residents/{RESIDENT}")
        assert "4471" not in await lead.page.content()
        await lead.page.click("#secret-key_code button")
        await lead.page.wait_for_selector("#secret-key_code:has-text('4471')")
        await lead.page.screenshot(path=shots / f"resident-{name}.png", full_page=True)
        wide = await lead.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0
        await lead.page.goto(f"{server.url}/residents/{RESIDENT}/access")
        await lead.page.screenshot(path=shots / f"resident-access-{name}.png", full_page=True)
        operator = await people(f"Operator {name}", Role.RESPONDER, size=size)
        await operator.page.goto(f"{server.url}/residents/{RESIDENT}")
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
    await furnish(server.services)
    pressed = await home.raise_event("pendant_pressed", resident=RESIDENT)
    alarm = (await server.services.alarms.queue())[0].id
    assert pressed.hub.hex() == home.id
    operator = await people("Operator One")
    await operator.open(f"/alarms/{alarm}")
    assert "Solbakken 214, 6690" not in await operator.page.content()
    await operator.page.click("[data-act=claim] >> visible=true")
    await operator.page.wait_for_selector("#alarm-resident:has-text('Myklebust')")
    await operator.page.screenshot(path=shots / "alarm-resident-desk.png")
