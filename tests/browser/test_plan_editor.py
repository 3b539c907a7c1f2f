"""The plan editor and the duty rota in a browser: by keyboard, and looked at."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from playwright.async_api import expect

from central.access import EVERYTHING
from central.console.accounts import Accounts
from central.console.roles import Role
from central.routing.calendar import local
from central.routing.duty import Rotas
from central.routing.plan import Channel, Ends, Plan, ReceiverKind, Step, Variant, WeekHours
from central.routing.plans import Plans
from central.routing.rota import Shift
from central.sql import Sql
from central.views import Actor

DESK = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
WARD, PATROL = "c2" * 8, "c3" * 8
WRITER = Actor(id="nina", name="Nina Berg", role="lead")
OSLO = ZoneInfo("Europe/Oslo")
_STICKS_OUT = """() => {
  const width = document.documentElement.clientWidth;
  return [...document.querySelectorAll('button, a, h1, h2, input, select, .badge, td, svg.week, .choice')]
    .filter(node => node.checkVisibility() && !node.closest('.skip, .vh, .card.flow, .choice input'))
    .map(node => [node, node.getBoundingClientRect()])
    .filter(([, box]) => box.width && (box.right > width + 1 || box.left < -1))
    .map(([node]) => node.outerHTML.slice(0, 90));
}"""


@pytest.fixture
async def town(server: Any) -> str:
    """The installation's municipality with a ward, a patrol, a plan and a rota with a gap."""
    services = server.services
    tenant: str = await services.store.fetch(lambda connection: Sql("SELECT id FROM tenant").value(connection))
    accounts = Accounts(services.store, services.clock)
    people = [(await accounts.add(name, Role.RESPONDER)).id for name in ("Anna Lie", "Bent Moe", "Cato Ness")]
    async with services.store.write() as connection:
        for team, kind, name, phone in (
            (WARD, "ward", "Avdeling 2", ""),
            (PATROL, "patrol", "Utrykning natt", "+4799900002"),
        ):
            await Sql(
                "INSERT INTO team (id, kind, name, tenant, phone) VALUES (:id, :kind, :name, :tenant, :phone)"
            ).rows(connection, id=team, kind=kind, name=name, tenant=tenant, phone=phone)
        for account in people:
            await Sql("INSERT INTO team_member (team, account) VALUES (:team, :account)").rows(
                connection, team=PATROL, account=account
            )
    night = Variant(
        name="Natt",
        hours=(WeekHours(begin=22 * 60, to=7 * 60),),
        steps=(
            Step(receiver=ReceiverKind.TEAM, team=WARD, patience_s=60),
            Step(receiver=ReceiverKind.CONTACTS, channels=(Channel.SMS,), patience_s=90),
            Step(
                receiver=ReceiverKind.TEAM,
                team=PATROL,
                channels=(Channel.CONSOLE, Channel.SMS),
                patience_s=120,
                ends=Ends.ACCEPTED,
            ),
        ),
    )
    weekend = Variant(
        name="Helg, dag",
        hours=(WeekHours(days=(5, 6), begin=7 * 60, to=22 * 60),),
        steps=(Step(receiver=ReceiverKind.TEAM, team=PATROL, channels=(Channel.CONSOLE, Channel.SMS), patience_s=60),),
    )
    rest = Variant(name="Ellers", steps=(Step(receiver=ReceiverKind.CENTRES, patience_s=60),))
    plan = Plan(name="Trygghetsalarm Innfjord", variants=(night, weekend, rest))
    row = await Plans(services.store, services.clock).write(
        WRITER, EVERYTHING, plan, tenant=tenant, service="TA", why="Ny avtale med utrykning"
    )
    today = local(services.clock.now_ms(), OSLO)[0]
    rotas = Rotas(services.store, services.clock)
    shifts: tuple[tuple[str | None, Iterable[int], int, int], ...] = (
        (people[0], range(5), 420, 900),
        (people[1], range(7), 900, 1320),
        (people[2], (0, 1, 2, 3, 4, 5), 1320, 420),
        (people[0], (5, 6), 420, 900),
        (None, (0, 1), 600, 840),
    )
    for who, days, begin, to in shifts:
        await rotas.add_shift(
            WRITER,
            EVERYTHING,
            PATROL,
            Shift(
                id="",
                account=who,
                weekdays=frozenset(days),
                from_minute=begin,
                to_minute=to,
                from_day=today.replace(day=1),
            ),
        )
    assert row.id is not None
    return row.id


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize(("size", "word"), [(DESK, "desk"), (PHONE, "phone")])
async def test_plans_and_rotas_are_fit_to_be_seen(
    people: Any, town: str, shots: Path, theme: str, size: dict[str, int], word: str
) -> None:
    nina = await people("Nina Berg", Role.LEAD, size=size, theme=theme)
    for name, path in (
        ("plans", "/plans"),
        ("plan", f"/plans/{town}?day=2026-11-22&time=03:10"),
        ("plan-editor", f"/plans/{town}/edit"),
        ("plan-new", "/plan-editor"),
        ("rotas", "/rota"),
        ("rota", f"/rota/{PATROL}"),
        ("rota-empty", f"/rota/{WARD}"),
    ):
        await nina.open(path)
        await nina.page.screenshot(path=shots / f"{name}-{word}-{theme}.png", full_page=True)
        assert await nina.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
        assert await nina.page.evaluate(_STICKS_OUT) == [], name


async def test_a_plan_is_written_with_the_keyboard_alone(people: Any, town: str) -> None:
    nina = await people("Nina Berg", Role.LEAD)
    await nina.open(f"/plans/{town}/edit")
    page = nina.page
    await page.focus("#do-add_step-0")
    await page.keyboard.press("Enter")
    await expect(page.locator("#v0-s3-to")).to_be_focused()
    await page.select_option("#v0-s3-to", "centres")
    await page.fill("#v0-s3-patience", "45")
    await page.keyboard.press("Tab")
    await expect(page.locator("#plan-preview")).to_contain_text("på nytt etter 45 sekunder")
    assert await page.input_value("#v0-s3-patience") == "45"
    await page.focus("#do-up_step-0-3")
    await page.keyboard.press("Enter")
    await expect(page.locator("#v0-s2-patience")).to_have_value("45")
    await page.fill("#try-day", "2026-11-22")
    await page.fill("#try-time", "03:10")
    await page.keyboard.press("Enter")
    await expect(page.locator("#try")).to_contain_text("03:12:30")
    assert page.url.endswith("/edit")
    await page.fill("#why", "Senteret før utrykning")
    await page.focus("#save")
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"**/plans/{town}?said=saved")
    await expect(page.locator("main")).to_contain_text("Senteret før utrykning")


async def test_a_fault_is_read_out_and_a_conflict_keeps_both(people: Any, town: str, server: Any) -> None:
    nina = await people("Nina Berg", Role.LEAD)
    await nina.open(f"/plans/{town}/edit")
    page = nina.page
    await page.fill("#v0-h0-begin", "25:99")
    await page.focus("#save")
    await page.keyboard.press("Enter")
    await expect(page.locator("#faults")).to_contain_text("klokkeslett som 22:00")
    assert await page.get_attribute("#v0-h0-begin", "aria-describedby") == "fault-variants-0-hours-0-begin"
    assert await page.input_value("#v0-h0-begin") == "25:99"
    await page.fill("#v0-h0-begin", "23:00")
    plans = Plans(server.services.store, server.services.clock)
    theirs = (await plans.one(town, EVERYTHING)).plan.model_copy(update={"name": "Den andres"})
    row = await plans.one(town, EVERYTHING)
    await plans.write(WRITER, EVERYTHING, theirs, tenant=row.tenant, service="TA", replaces=(town, 1))
    await page.focus("#save")
    await page.keyboard.press("Enter")
    await expect(page.locator(".conflict")).to_contain_text("Den andres")
    await expect(page.locator(".conflict")).to_contain_text("mellom 23:00 og 07:00")
    await page.focus("#save")
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"**/plans/{town}?said=saved")
