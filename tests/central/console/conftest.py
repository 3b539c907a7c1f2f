"""A browser reduced to requests and cookies, before the console of a central of our own."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI

from central.access import Scope
from central.app import create_console_app
from central.console.accounts import Account, Accounts
from central.console.gate import Desk
from central.console.passwords import Passwords
from central.console.roles import Role
from central.console.sessions import Sessions
from central.console.signin import SignIn
from central.lifecycle import alarm_kind
from central.opening import Source
from central.people.contacts import Agreement, Entry, Person
from central.people.facts import FactKind
from central.raising import raise_technical
from central.routines.cards import Cards, CardText, Subject
from central.routing.duty import Rotas
from central.routing.plan import DEFAULT_PLAN
from central.routing.plans import Plans
from central.routing.rota import Override, Shift
from central.store import Priority
from central.views import Actor
from simulators.asgi import Exchanged, exchange, scope_of

ORIGIN = "http://127.0.0.1:0"
PASSWORD = "en lang setning om fisk"
TIMEOUT_S = 10


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    path: str = ""

    @property
    def text(self) -> str:
        """For whoever looks for what stands there, or does not: on the page of a fault of ours nothing stands."""
        assert self.status < 500, f"{self.path} is broken: {self.body[:200]!r}"
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)

    @property
    def cookies(self) -> list[str]:
        return [value for key, value in self.headers if key == "set-cookie"]


@dataclass
class Browser:
    """Speaks to the application in this loop. Keeps cookies, sends what browsers send."""

    app: FastAPI
    jar: dict[str, str] = field(default_factory=dict)
    csrf: str = ""
    language: str = "nb"
    address: str = "192.0.2.7"

    async def request(
        self,
        method: str,
        path: str,
        *,
        form: Mapping[str, Any] | None = None,
        content: Any = None,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
    ) -> Answer:
        scope, body = self._scope(method, path, form, content, headers, body)
        return self._answer(await exchange(self.app, scope, body), path)

    async def get(self, path: str, **more: Any) -> Answer:
        return await self.request("GET", path, **more)

    async def post(self, path: str, **more: Any) -> Answer:
        """With the session's token, as the pages send it."""
        headers = {"x-csrf-token": self.csrf, **more.pop("headers", {})}
        return await self.request("POST", path, headers=headers, **more)

    @asynccontextmanager
    async def stream(self, path: str, **headers: str) -> AsyncIterator[Callable[[], Awaitable[dict[str, Any]]]]:
        """Server-sent events, one at a time; the connection ends with the block."""
        scope, _ = self._scope("GET", path, None, None, headers, b"")
        pieces: asyncio.Queue[bytes] = asyncio.Queue()
        gone = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] != "http.response.start":
                pieces.put_nowait(message.get("body", b""))

        async def event() -> dict[str, Any]:
            async with asyncio.timeout(TIMEOUT_S):
                while True:
                    lines = dict(
                        line.split(": ", 1) for line in (await pieces.get()).decode().splitlines() if ": " in line
                    )
                    if "event" in lines:
                        return {"name": lines["event"], "id": int(lines["id"]), **json.loads(lines["data"])}

        task = asyncio.create_task(self.app(scope, receive, send))
        try:
            yield event
        finally:
            gone.set()
            async with asyncio.timeout(TIMEOUT_S):
                await task

    def _scope(
        self,
        method: str,
        path: str,
        form: Mapping[str, Any] | None,
        content: Any,
        headers: dict[str, str] | None,
        body: bytes,
    ) -> tuple[dict[str, Any], bytes]:
        sent = {"host": "127.0.0.1:0", "accept-language": self.language, "sec-fetch-site": "same-origin"}
        if self.jar:
            sent["cookie"] = "; ".join(f"{name}={value}" for name, value in self.jar.items())
        if form is not None:
            body = urlencode(form, doseq=True).encode()
            sent["content-type"] = "application/x-www-form-urlencoded"
        if content is not None:
            body = json.dumps(content).encode()
            sent["content-type"] = "application/json"
        if body:
            sent["content-length"] = str(len(body))
        sent |= {name.lower(): value for name, value in (headers or {}).items()}
        given = {name: value for name, value in sent.items() if value != ""}
        return scope_of(method, path, given, client=self.address), body

    def _answer(self, said: Exchanged, path: str) -> Answer:
        answer = Answer(said.status, said.headers, said.body, path)
        for line in answer.cookies:
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0" or not morsel.value:
                    self.jar.pop(name, None)
                else:
                    self.jar[name] = morsel.value
        found = (
            re.search(r'data-csrf="([^"]+)"', said.body.decode())
            if "html" in (answer.header("content-type") or "")
            else None
        )
        if found:
            self.csrf = found[1]
        return answer

    async def sign_in(self, name: str, password: str = PASSWORD) -> Answer:
        """Through the form; then the token of the new session."""
        answer = await self.request("POST", "/sign-in", form={"name": name, "password": password})
        if answer.status == 303:
            self.csrf = (await self.get("/api/v1/session")).json["csrf"]
        return answer


class Console:
    """The console of a central, its accounts, and browsers before it."""

    def __init__(self, bench: Any) -> None:
        self.bench = bench
        self.services = bench.services
        self.app = create_console_app(bench.services)
        # Real argon2id with the smallest parameters: these tests sign in hundreds of times.
        accounts = Accounts(bench.store, bench.clock, Passwords(PasswordHasher(1, 8, 1)))
        hours = bench.services.settings.console.session_hours
        self.desk = Desk(
            services=bench.services,
            accounts=accounts,
            sessions=Sessions(bench.store, bench.clock, hours),
            signin=SignIn(bench.services.security, bench.clock, accounts),
            onlookers=self.app.state.desk.onlookers,
        )
        self.app.state.desk = self.desk

    @property
    def accounts(self) -> Accounts:
        return self.desk.accounts

    async def account(self, name: str, role: Role = Role.RESPONDER) -> Account:
        """Somebody with a password."""
        account = await self.accounts.add(name, role)
        await self.accounts.set_password(account.id, PASSWORD)
        return account

    def browser(self, **more: Any) -> Browser:
        return Browser(self.app, **more)

    async def signed_in(self, name: str, role: Role = Role.RESPONDER, **more: Any) -> Browser:
        """Somebody new, at a browser of their own."""
        await self.account(name, role)
        browser = self.browser(**more)
        answer = await browser.sign_in(name)
        assert answer.status == 303
        return browser


ADMIN = Actor(id="admin", name="Ada Nes", role="administrator")
LEAD = Actor(id="lead", name="Lead One", role="lead")
KEYCODE = FactKind.KEY_CODE.value
FREE_IN_PATHS = {"token": "x" * 43, "kind": KEYCODE, "step": "accepted", "part": "units"}
"""Path parameters that name nothing of anybody's, and what may stand for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """A tenant with one of everything that a path or a body can name; `ids` by the name of the path parameter."""

    name: str
    ids: dict[str, str]

    def __getitem__(self, name: str) -> str:
        return self.ids[name]

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not stand in an answer to somebody of another tenant."""
        return (self.name, *(self.ids[name] for name in ("alarm_id", "hub_id", "resident_id", "team_id", "unit_id")))


async def holdings(console: Console, name: str, pseudonym: str) -> Holdings:
    """Found a tenant with one of everything. A new kind of thing gets its line here."""
    bench, people, now = console.bench, console.services.people, console.bench.clock.now_ms()
    tenant = await people.places.add_tenant(ADMIN, name)
    unit = await people.places.add_unit(ADMIN, tenant, f"{name} nord", "zone")
    team = await people.places.add_team(ADMIN, f"{name} utrykning", "patrol", tenant=tenant, serves=[tenant])
    ward = await people.places.add_team(ADMIN, f"{name} avdeling", "ward", tenant=tenant, serves=[tenant])
    hub = await bench.enrolled(f"{name} 1")
    await people.places.place_hub(ADMIN, hub.id.hex(), tenant, unit)
    account = await console.account(f"{name} vakt", Role.RESPONDER)
    assignment = await _assigned(console, account.id, tenant)
    keeper = Actor(id=account.id, name=account.name, role=account.role.value)
    colleague = await console.account(f"{name} kollega", Role.RESPONDER)
    await _assigned(console, colleague.id, tenant)
    names = {FactKind.FIRST_NAME: f"Fornavn{name}", FactKind.LAST_NAME: f"Etternavn{name}"}
    keeping = people.keeping
    await keeping.register(
        LEAD, tenant=tenant, unit=unit, pseudonym=pseudonym, hub=hub.id.hex(), named=names, source="resident"
    )
    await keeping.record(LEAD, pseudonym, FactKind.KEY_CODE, f"kode{name}", source="resident")
    contact = Entry(person=Person(name=f"Kontakt{name}", phone="+4799900001"), agreement=Agreement())
    contact_id = await keeping.add_contact(LEAD, pseudonym, contact, source="resident")
    await keeping.grant(LEAD, pseudonym, "TA", from_ms=now - 1000, to_ms=None)
    await keeping.plan_visit(LEAD, pseudonym, from_ms=now + 3_600_000, to_ms=now + 7_200_000, team=team)
    everywhere = Scope()
    plans, rotas = Plans(bench.store, bench.clock), Rotas(bench.store, bench.clock)
    plan = await plans.write(
        ADMIN, everywhere, DEFAULT_PLAN.model_copy(update={"name": f"Plan {name}"}), tenant=tenant, service="TA"
    )
    today = date.fromisoformat(moments(now)["day"])
    shift = await rotas.add_shift(
        ADMIN, everywhere, team,
        Shift(id="", account=None, weekdays=frozenset({0}), from_minute=0, to_minute=60, from_day=today, to_day=None),
    )  # fmt: skip
    override = await rotas.add_override(
        ADMIN, everywhere, team,
        Override(id="", account=None, instead_of=None, from_ms=now, to_ms=now + 3_600_000, why=f"ferie{name}"),
    )  # fmt: skip
    alarm = await bench.press(hub, resident=pseudonym)
    await bench.alarms.claim(alarm.id, keeper)
    offer = await bench.alarms.offer(alarm.id, keeper, to_account=colleague.id)
    sent = await bench.alarms.dispatch(alarm.id, keeper, team)
    bench.clock.advance(6)  # the press of before is no repeat of this one
    waiting = await bench.press(hub, resident=None)
    technical = await _fault(console, hub.id.hex())
    link = await console.accounts.new_link(colleague.id, 60)
    period = await console.services.maintenance.announce(
        ADMIN, everywhere, reach="hub", ref=hub.id.hex(), sort="maintenance", to_ms=now + 3_600_000, why=f"bytte{name}"
    )
    incident = f"{abs(hash(name)):016x}"[:16]
    await bench.change(
        "INSERT INTO incident (id, cell, kind, tenant, unit, state, count, critical, opened_ms, last_ms)"
        f" VALUES ('{incident}', 'unit:{unit}', 'mains_lost', '{tenant}', '{unit}', 'open', 1, 0, {now}, {now})"
    )

    card = await Cards(bench.store, bench.clock).write(
        ADMIN, everywhere, CardText(nb=(f"Ring {name}",)), tenant=tenant, subject=Subject(kind="smoke")
    )

    async def only(table: str) -> str:
        return str(await bench.value(f"SELECT id FROM {table} WHERE resident = '{pseudonym}'"))

    ids = {
        "tenant_id": tenant,
        "unit_id": unit,
        "team_id": team,
        "ward_id": ward,
        "hub_id": hub.id.hex(),
        "account_id": account.id,
        "assignment_id": assignment,
        "resident_id": pseudonym,
        "resident_version": str(await bench.value(f"SELECT version FROM resident WHERE pseudonym = '{pseudonym}'")),
        "contact_id": contact_id,
        "service_id": await only("service"),
        "visit_id": await only("visit"),
        "plan_id": str(plan.id),
        "shift_id": shift,
        "override_id": override,
        "alarm_id": alarm.id,
        "waiting_id": waiting.id,
        "technical_id": technical,
        "offer_id": offer.id,
        "dispatch_id": sent.id,
        "period_id": period.id,
        "incident_id": incident,
        "card_id": card.id,
        "link": link,
        **moments(now),
    }
    return Holdings(name=name, ids=ids)


def moments(now_ms: int) -> dict[str, str]:
    """Times near this one, as forms and programs write them."""
    now = datetime.fromtimestamp(now_ms / 1000, ZoneInfo("Europe/Oslo"))
    return {
        "day": now.date().isoformat(),
        "soon": (now + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M"),
        "later": (now + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M"),
        "soon_ms": str(now_ms + 3_600_000),
        "later_ms": str(now_ms + 7_200_000),
        "later_day": (now + timedelta(days=2)).date().isoformat(),
    }


async def _fault(console: Console, hub: str) -> str:
    source = Source(hub=hub, device="", happened_ms=console.bench.clock.now_ms())

    async def work(connection: Any) -> str:
        return await raise_technical(connection, alarm_kind("mains_lost"), source, console.bench.clock.now_ms())

    return str(await console.bench.store.transact(Priority.UPKEEP, work))


async def _assigned(console: Console, account: str, tenant: str) -> str:
    await console.services.people.places.assign(ADMIN, account, Role.RESPONDER, tenant=tenant)
    return str(await console.bench.value(f"SELECT id FROM assignment WHERE account = '{account}'"))


@dataclass
class Towns:
    """Two tenants with one of everything each."""

    console: Console
    own: Holdings
    other: Holdings

    async def signed_in(self, role: Role) -> Browser:
        """Somebody with this role in the first tenant only."""
        name = f"Somebody {role}"
        browser = await self.console.signed_in(name, role)
        account = await self.console.accounts.id_of(name)
        assert account is not None
        await self.console.services.people.places.assign(ADMIN, account, role, tenant=self.own["tenant_id"])
        return browser

    async def refused(self, reason: str = "elsewhere") -> int:
        """How many attempts of a kind have been noted: by default at what is not theirs."""
        await self.console.services.security.flush()
        found = await self.console.services.security.recent()
        return sum(event.count for event in found if event.reason == reason)


@pytest.fixture
async def towns(console: Console) -> Towns:
    return Towns(console, await holdings(console, "Aure", "r-own"), await holdings(console, "Smøla", "r-other"))


@pytest.fixture
async def console(bench: Any) -> Console:
    return Console(bench)


@pytest.fixture
async def first(console: Console) -> Browser:
    return await console.signed_in("Operator One")


@pytest.fixture
async def other(console: Console) -> Browser:
    return await console.signed_in("Operator Two", Role.LEAD)


@pytest.fixture
async def tore(console: Console) -> Browser:
    return await console.signed_in("Tore Berg", Role.TECHNICIAN)


@pytest.fixture
async def ada(console: Console) -> Browser:
    return await console.signed_in("Ada Nes", Role.ADMINISTRATOR)
