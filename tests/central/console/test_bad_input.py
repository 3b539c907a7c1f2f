"""Everything that can be wrong with a request, on every form and every endpoint: a clear answer, and nothing half done.

The routes come from the application, what is right from `sound_requests.py`; here it is broken in every way we know.
A new route without a sound request fails the tests of scopes, which say what to write.

Most of it is between the request and the application: on PostgreSQL, where comparing all rows takes minutes, it is run
by `make soak`. What the database has a part in is tried on both each time: sound requests, what databases take
differently, another tenant's ids, stale versions, what stands behind an address.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, get_args

import pytest
from fastapi.routing import APIRoute
from sqlalchemy import text

from central.console.gate import Needs
from central.console.queries import SEALED
from central.console.roles import ALLOWED, Role
from central.console.routes import guards
from tests.central.console.conftest import Answer, Browser, Holdings, Towns
from tests.central.console.sound_requests import COLLEAGUE, DUTY, NOBODY, SOUND, Sound, asked, named_routes, sent_as
from tests.central.console.test_console_scopes import filled

SCRIPT = "<script>alert({})</script>\"'>"
CONTROL = "a\x07\x1b[31mb\u202ec"
TAKEN = {200, 201, 204, 303}
REFUSED = {400, 401, 403, 404, 405, 409, 410, 413, 415, 419, 422, 429}
SLOW = {"POST /hubs/{hub_id}/check", "POST /api/v1/hubs/{hub_id}/checks"}
"""They wait for the hub."""
LOOKED_AT_AFTERWARDS: Mapping[Role | str, tuple[str, ...]] = {
    DUTY: ("/", "/alarms/{alarm_id}"),
    Role.LEAD: (
        "/log",
        "/residents/{resident_id}",
        "/plans",
        "/rota/{team_id}",
        "/technical",
        "/technical/maintenance",
        "/technical/incidents/{incident_id}",
        "/cards",
        "/criteria",
        "/outcomes",
    ),
    Role.ADMINISTRATOR: ("/places", "/users"),
}
NOT_HELD = frozenset({"security_event", "session", "central_state", "access_entry"})
"""Tables that a refused request may write: the attempt, that somebody is still there, what the page showed them."""


class Rows:
    """What stands in the database, beside the application: kept, compared and put back."""

    def __init__(self, towns: Towns) -> None:
        self._store = towns.console.bench.store
        self._columns: dict[str, list[str]] = {}

    async def all(self) -> dict[str, list[Any]]:
        """Every table's rows."""
        return self._sqlite() if self._store.dialect.is_sqlite else await self._postgresql()

    def _sqlite(self) -> dict[str, list[Any]]:
        with closing(sqlite3.connect(self._store.dialect.file, timeout=10)) as connection:
            names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return {name: connection.execute(f'SELECT * FROM "{name}"').fetchall() for name in names
                    if not name.startswith("sqlite_")}  # fmt: skip

    async def _postgresql(self) -> dict[str, list[Any]]:
        async with self._store.read() as connection:
            if not self._columns:
                asked = text("SELECT table_name, column_name FROM information_schema.columns"
                             " WHERE table_schema = 'public' ORDER BY table_name, ordinal_position")  # fmt: skip
                for table, column in await connection.execute(asked):
                    self._columns.setdefault(table, []).append(column)
            parts = [f"SELECT '{name}', coalesce(json_agg(t), '[]')::text FROM \"{name}\" t" for name in self._columns]
            found = (await connection.execute(text(" UNION ALL ".join(parts)))).all()
        return {name: sorted((tuple(row.values()) for row in json.loads(rows)), key=repr) for name, rows in found}

    async def put_back(self, before: Mapping[str, list[Any]]) -> None:
        """As it was."""
        now = await self.all()
        changes = {name: rows for name, rows in before.items() if rows != now[name]}
        if not changes:
            return
        if not self._store.dialect.is_sqlite:
            async with self._store.write() as connection:
                for name, rows in changes.items():
                    await connection.execute(text(f'DELETE FROM "{name}"'))
                    old = json.dumps([dict(zip(self._columns[name], row, strict=True)) for row in rows])
                    again = f'INSERT INTO "{name}" SELECT * FROM json_populate_recordset(NULL::"{name}", :old)'
                    await connection.execute(text(again), {"old": old})
            return
        with closing(sqlite3.connect(self._store.dialect.file, timeout=10)) as connection, connection:
            for name, rows in changes.items():
                connection.execute(f'DELETE FROM "{name}"')
                if rows:
                    marks = ", ".join("?" * len(rows[0]))
                    connection.executemany(f'INSERT INTO "{name}" VALUES ({marks})', rows)


def changed(before: Mapping[str, list[Any]], after: Mapping[str, list[Any]]) -> list[str]:
    return [name for name, rows in after.items() if rows != before[name] and name not in NOT_HELD]


@dataclass
class Case:
    """A route, its sound request, and who sends it."""

    name: str
    route: APIRoute
    sound: Sound
    browser: Browser

    @property
    def is_api(self) -> bool:
        return self.route.path.startswith("/api/")

    @property
    def method(self) -> str:
        return self.name.split(" ")[0]


class Bad:
    """Sends requests that are broken somewhere, and collects what was not answered as it should be."""

    def __init__(self, towns: Towns) -> None:
        self.towns = towns
        self.own = towns.own
        self.rows = Rows(towns)
        self.wrong: list[str] = []
        self.tried = 0
        self._browsers: dict[str, Browser] = {}

    async def browser(self, by: Role | str) -> Browser:
        if by not in self._browsers:
            if isinstance(by, Role):
                self._browsers[by] = await self.towns.console.signed_in(f"House {by}", by)
            else:
                browser = self.towns.console.browser()
                if by != NOBODY:
                    assert (await browser.sign_in(f"{self.own.name} {by}")).status == 303
                self._browsers[by] = browser
        return self._browsers[by]

    async def cases(self) -> list[Case]:
        found = []
        for name, route in named_routes(self.towns.console.app):
            sound = SOUND.get(name)
            if sound is not None and name not in SLOW and not name.startswith("GET "):
                found.append(Case(name, route, sound, await self.browser(sound.by)))
        return found

    async def of_other(self) -> dict[str, list[Any]]:
        """The rows that name anything of the other tenant's."""
        theirs = set(self.towns.other.secrets) | {self.towns.other["tenant_id"], self.towns.other["technical_id"]}
        return {
            table: [row for row in rows if theirs & {one for one in row if isinstance(one, str)}]
            for table, rows in (await self.rows.all()).items()
            if table not in NOT_HELD
        }

    async def send(self, case: Case, place: Holdings | None = None, **sent: Any) -> Answer:
        path = filled(case.route.path, place or self.own) + asked(case.sound, self.own)
        return await case.browser.request(
            case.method, path, headers={"x-csrf-token": case.browser.csrf} | sent.pop("headers", {}), **sent
        )

    async def prepared(self, case: Case) -> None:
        """What has to come before it."""
        by_name = {one.name: one for one in await self.cases()}
        for name in case.sound.first:
            answer = await self.send(by_name[name], **sent_as(by_name[name].sound, self.own))
            assert answer.status in TAKEN, (name, answer.status, answer.text[:300])

    async def expect(
        self, case: Case, what: str, statuses: set[int] | None = None, *, keep: bool = False, **sent: Any
    ) -> Answer:
        """Send it; what is refused must have changed nothing, and say so in the way of its kind."""
        before, held = (await self.rows.all()), (case.browser.csrf, dict(case.browser.jar))
        answer = await self.send(case, **sent)
        case.browser.csrf, case.browser.jar = held
        self.tried += 1
        faults = []
        if answer.status not in (statuses or (TAKEN | REFUSED)):
            faults.append(f"answered {answer.status}")
        if answer.status >= 400:
            if half := changed(before, await self.rows.all()):
                faults.append(f"refused with {answer.status}, but changed {half}")
            wanted = "application/problem+json" if case.is_api else "text/html"
            if not (answer.header("content-type") or "").startswith(wanted):
                faults.append(f"{answer.status} as {answer.header('content-type')}")
            elif case.is_api and not answer.json.get("reason"):
                faults.append(f"{answer.status} without a reason")
        if not case.is_api and "<script>alert(" in answer.text:
            faults.append("a script stands in the answer as it was typed")
        if faults:
            self.wrong.append(f"{case.name}: {what}: {'; '.join(faults)}: {answer.text[:200] if case.is_api else ''}")
        if answer.status < 400:
            after = await self.rows.all()
            if any(
                "\x00" in str(value) for rows in after.values() for row in rows for value in row if type(value) is str
            ):
                self.wrong.append(f"{case.name}: {what}: a NUL was stored")
            if not keep:
                await self.rows.put_back(before)
        return answer

    def done(self, least: int) -> None:
        assert not self.wrong, f"{len(self.wrong)} of {self.tried}:\n" + "\n".join(self.wrong)
        assert self.tried >= least


@pytest.fixture
async def bad(towns: Towns) -> Bad:
    return Bad(towns)


def fields(case: Case) -> Iterator[tuple[str, Any]]:
    """The fields of the body, with their sound values."""
    body = case.sound.form if case.sound.form is not None else case.sound.json
    if isinstance(body, Mapping):
        yield from body.items()


def all_fields(case: Case) -> Iterator[tuple[str, Any]]:
    """Those, and without a value the fields of an API's body that the sound request leaves out."""
    known = dict(fields(case))
    yield from known.items()
    for part in case.route.dependant.body_params:
        model = part.field_info.annotation
        for one in (model, *get_args(model)):
            yield from ((name, None) for name in getattr(one, "model_fields", {}) if case.is_api and name not in known)


OTHERS: Mapping[str, str] = {
    "account": "account_id", "hub": "hub_id", "instead_of": "account_id", "members": "account_id", "parent": "unit_id",
    "plan": "plan_id", "serves": "tenant_id", "team": "team_id", "teams": "team_id", "tenant": "tenant_id",
    "to_account": "account_id", "unit": "unit_id", "visit": "visit_id",
}  # fmt: skip
"""What such a field names."""


def of_another(case: Case, name: str, value: Any, other: Holdings) -> Any:
    """What somebody of another tenant would write into this field; None where it names nothing of a tenant's."""
    if "_id}" in str(value):
        return next(iter(sent_as(case.sound, other).values()))[name]
    if value is not None or name not in OTHERS:
        return None
    return [other[OTHERS[name]]] if name in {"members", "serves", "teams"} else other[OTHERS[name]]


def with_field(case: Case, place: Holdings, name: str, value: Any) -> dict[str, Any]:
    """The sound request with one field as given; None: without it, where a form has no other way."""
    kind, body = next(iter(sent_as(case.sound, place).items()))
    return {kind: {key: one for key, one in (dict(body) | {name: value}).items() if one is not DROPPED}}


DROPPED = object()


@pytest.mark.timeout(300)
async def test_every_sound_request_is_taken(bad: Bad) -> None:
    cases, wrong = await bad.cases(), []
    start = await bad.rows.all()
    for case in cases:
        await bad.prepared(case)
        token = case.browser.csrf, dict(case.browser.jar)
        answer = await bad.send(case, **sent_as(case.sound, bad.own))
        if answer.status not in case.sound.status or 'class="fault' in answer.text:
            wrong.append((case.name, answer.status, answer.text[:300] if case.is_api else answer.header("location")))
        await bad.rows.put_back(start)
        case.browser.csrf, case.browser.jar = token
    assert not wrong, "\n".join(map(str, wrong))


@pytest.mark.long_on_postgresql
@pytest.mark.timeout(600)
async def test_a_field_that_is_missing_long_or_of_another_kind_is_refused_or_taken_whole(bad: Bad) -> None:
    cases = await bad.cases()
    start = await bad.rows.all()
    for case in cases:
        await bad.prepared(case)
        for name, value in all_fields(case):
            kinds: dict[str, Any] = {"missing": DROPPED, "long": "x" * 5000, "too long": "x" * 70_000}
            if case.is_api:
                kinds |= {"null": None, "a list": [], "an object": {}, "a number": 2**63, "a half": 1.5, "negative": -1}
                kinds |= {"nested": [[[]]], "yes": True}
            elif str(value).isdigit():
                kinds |= {
                    "a word": "x",
                    "negative": "-1",
                    "huge": "9" * 25,
                    "a half": "1.5",
                    "empty": "",
                    "big": str(2**31),
                }
            else:
                kinds |= {"empty": "", "twice": [value, value] if isinstance(value, str) else value}
            for what, broken in kinds.items():
                statuses = {413} if what == "too long" else None
                await bad.expect(case, f"{name} {what}", statuses, **with_field(case, bad.own, name, broken))
        await bad.rows.put_back(start)
    bad.done(800)


@pytest.mark.long_on_postgresql
@pytest.mark.timeout(600)
async def test_what_is_typed_is_shown_as_text_and_no_control_character_breaks_anything(bad: Bad) -> None:
    cases = await bad.cases()
    readers = {who: await bad.browser(who) for who in LOOKED_AT_AFTERWARDS}
    start = await bad.rows.all()
    for number, case in enumerate(cases):
        await bad.prepared(case)
        for name, value in all_fields(case):
            if value is not None and not isinstance(value, str):
                continue
            for what, typed in (("script", SCRIPT.format(number)), ("control", CONTROL), ("NUL", f"{value}\x00")):
                sent = with_field(case, bad.own, name, typed)
                before, held = (await bad.rows.all()), (case.browser.csrf, dict(case.browser.jar))
                answer = await bad.send(case, **sent)
                case.browser.csrf, case.browser.jar = held
                bad.tried += 1
                if answer.status not in TAKEN | REFUSED:
                    bad.wrong.append(f"{case.name}: {name} {what}: {answer.status}")
                if answer.status >= 400 and (half := changed(before, await bad.rows.all())):
                    bad.wrong.append(f"{case.name}: {name} {what}: refused, but changed {half}")
                pages = [] if case.is_api else [answer.text]
                after = await bad.rows.all()
                if what == "script" and answer.status in TAKEN and after != before:
                    for who, shown in LOOKED_AT_AFTERWARDS.items():
                        pages += [(await readers[who].get(filled(page, bad.own))).text for page in shown]
                if any("<script>alert" in page for page in pages):
                    bad.wrong.append(f"{case.name}: {name}: a script runs")
                for table, rows in after.items():
                    if any("\x00" in one for row in rows for one in row if isinstance(one, str)):
                        bad.wrong.append(f"{case.name}: {name}: a NUL stands in {table}")
                await bad.rows.put_back(before)
        await bad.rows.put_back(start)
    bad.done(300)


NUMBERS = ("2147483648", "9223372036854775808", "9" * 40, "\u0661\u0662")
TEXTS = ("a\x00b", "\ufffe\uffff", "\U0001f989" * 40, "'; -- %s :y $1")
TIMES = ("0001-01-01", "9999-12-31", "9999-12-31T23:59", "24:00")
API_VALUES = (2**31, 2**63, 10**40, "a\x00b", "\U0001f989" * 40, "9999-12-31")


@pytest.mark.timeout(1200)
async def test_what_databases_take_differently_is_refused_or_taken_by_both(bad: Bad) -> None:
    """NUL bytes, halves of characters, numbers past any column, days before and after all calendars: never a 5xx."""
    cases = await bad.cases()
    start = await bad.rows.all()
    for case in cases:
        await bad.prepared(case)
        is_changed = bool(case.sound.first)
        for name, value in all_fields(case):
            is_time = str(value).startswith(("{later", "{soon", "{day"))
            typed = TIMES if is_time else NUMBERS if str(value).isdigit() else TEXTS
            for broken in API_VALUES if case.is_api else typed:
                answer = await bad.send(case, **with_field(case, bad.own, name, broken))
                bad.tried += 1
                is_changed |= answer.status in TAKEN
                if answer.status not in TAKEN | REFUSED:
                    bad.wrong.append(f"{case.name}: {name} {broken!r:.40}: {answer.status}")
        for half in (b"%ED%A0%80", b"%00%FF"):
            if not case.is_api:
                headers = {"content-type": "application/x-www-form-urlencoded", "content-length": str(len(half) + 2)}
                if (answer := await bad.send(case, body=b"a=" + half, headers=headers)).status not in REFUSED:
                    bad.wrong.append(f"{case.name}: {half!r}: {answer.status}")
        if is_changed:
            await bad.rows.put_back(start)
    for name, route in named_routes(bad.towns.console.app):
        if "{" not in route.path or name == "GET /api/v1/feed" or name in SLOW:
            continue
        guard = next(guards(route.dependant))
        role = next((one for one in Role if isinstance(guard, Needs) and one in ALLOWED[guard.action]), None)
        browser = await bad.browser(role or NOBODY)
        for odd in ("9" * 30, "%ED%A0%80", "a%00b", "%F0%9F%A6%89"):
            path = re.sub(r"\{[^}]+\}", odd, route.path)
            answer = await browser.request(name.split(" ")[0], path, headers={"x-csrf-token": browser.csrf})
            bad.tried += 1
            if answer.status not in REFUSED:
                bad.wrong.append(f"{name}: {odd}: {answer.status}")
    bad.done(900)


@pytest.mark.timeout(300)
async def test_another_tenants_ids_in_a_body_are_refused(bad: Bad) -> None:
    """By somebody of one tenant only: what they name in a form is theirs, or is not there."""
    cases = await bad.cases()
    people = {role: await bad.towns.signed_in(role) for role in (Role.LEAD, Role.TECHNICIAN)}
    counts = bad.towns.console.services.metrics.counts
    start = await bad.rows.all()
    for case in cases:
        guard = next(guards(case.route.dependant))
        if isinstance(guard, Needs) and guard.everywhere:
            continue
        if case.sound.by in people:
            case.browser = people[case.sound.by]  # type: ignore[index]
        elif case.sound.by not in {DUTY, COLLEAGUE}:
            continue
        await bad.prepared(case)
        for name, value in all_fields(case):
            theirs = of_another(case, name, value, bad.towns.other)
            if theirs is None:
                continue
            kind, body = next(iter(sent_as(case.sound, bad.own).items()))
            others = dict(body) | {name: theirs}
            before, noted = await bad.of_other(), counts["refused.elsewhere"]
            answer = await bad.expect(case, f"{name} of another tenant", **{kind: others}, keep=True)
            if answer.status >= 400 and counts["refused.elsewhere"] == noted:
                bad.wrong.append(f"{case.name}: {name}: {answer.status}, and nothing is noted")
            if (await bad.of_other()) != before:
                bad.wrong.append(f"{case.name}: {name}: what is another tenant's was changed")
            await bad.rows.put_back(start)
            await bad.prepared(case)
            if any(word in answer.text for word in (bad.towns.other.name, f"Etternavn{bad.towns.other.name}")):
                bad.wrong.append(f"{case.name}: {name}: the answer names the other tenant")
        await bad.rows.put_back(start)
    bad.done(10)


@pytest.mark.long_on_postgresql
@pytest.mark.timeout(300)
async def test_a_body_that_is_not_what_it_says_is_refused(bad: Bad) -> None:
    cases = await bad.cases()
    start = await bad.rows.all()
    for case in cases:
        await bad.prepared(case)
        if case.is_api:
            headers = {"content-type": "application/json"}
            for what, body, status, reason in (
                ("no JSON", b"{", 400, "no_json"),
                ("no UTF-8", b'{"a": "\xff"}', 400, "not_utf8"),
                ("half a character", b'{"a": "\\ud800"}', 400, "not_utf8"),
                ("a NUL", b'{"a": "\\\\\\u0000"}', 400, "no_text"),
                ("a key twice", b'{"a": 1, "a": 2}', 400, "twice"),
                ("no number", b'{"a": NaN}', 400, "no_json"),
                ("deep", b"[" * 20_000, 400, "no_json"),
            ):
                answer = await bad.expect(case, what, {status}, body=body, headers=headers)
                if answer.status == status and answer.json["reason"] != reason:
                    bad.wrong.append(f"{case.name}: {what}: {answer.json}")
            form = {"content-type": "application/x-www-form-urlencoded"}
            await bad.expect(case, "a form", {415}, body=b"a=b", headers=form)
            await bad.expect(case, "plain text", {415}, body=b"{}", headers={"content-type": "text/plain"})
            if isinstance(case.sound.json, Mapping) and case.sound.json:
                near = f"{next(iter(case.sound.json))}s"
                answer = await bad.expect(case, "a key too many", {422}, content=sent_json(case, bad) | {near: 1})
                if answer.status == 422 and next(iter(case.sound.json)) not in (answer.json.get("choices") or ()):
                    bad.wrong.append(f"{case.name}: {near} is answered without what was meant: {answer.json}")
        else:
            form = {"content-type": "application/x-www-form-urlencoded"}
            await bad.expect(case, "no UTF-8", {400}, body=b"name=%ff%fe", headers=form)
            await bad.expect(case, "a NUL", {400}, body=b"name=a%00", headers=form)
            parts = b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\na\x00\r\n--x--\r\n'
            await bad.expect(
                case, "a NUL", {400}, body=parts, headers={"content-type": "multipart/form-data; boundary=x"}
            )
            await bad.expect(case, "JSON", {415}, body=b"{}", headers={"content-type": "application/json"})
        await bad.rows.put_back(start)
    bad.done(400)


def sent_json(case: Case, bad: Bad) -> dict[str, Any]:
    return dict(sent_as(case.sound, bad.own)["content"])


@pytest.mark.timeout(300)
async def test_what_stands_behind_an_address_is_in_range_and_known(bad: Bad) -> None:
    """Page numbers, limits and names of filters of every page and list."""
    wrong, tried = [], 0
    for name, route in named_routes(bad.towns.console.app):
        guard = next(guards(route.dependant))
        if not name.startswith("GET ") or name == "GET /api/v1/feed":
            continue
        role = next((one for one in Role if isinstance(guard, Needs) and one in ALLOWED[guard.action]), None)
        reader = await bad.browser(role or NOBODY)
        path = filled(route.path, bad.own)
        known = [field.alias for field in route.dependant.query_params]
        for key in known:
            for value in (
                "-1",
                "0",
                "99999999999999999999999",
                "x",
                "1.5",
                "",
                "%00",
                "%ff",
                "2027-03-28",
                "'\"<script>",
            ):
                answer = await reader.get(f"{path}?{key}={value}")
                tried += 1
                if answer.status not in TAKEN | REFUSED or "<script>alert" in answer.text:
                    wrong.append((name, key, value, answer.status))
            if (await reader.get(f"{path}?{key}=1&{key}=2")).status not in {404, 422}:
                wrong.append((name, key, "twice"))
        meant = next((key for key in known if key != SEALED), None)  # what is sealed nobody has meant to type
        answer = await reader.get(f"{path}?{meant or 'limit'}x=1")
        if route.path.startswith("/api/"):
            if (answer.status, answer.json.get("reason")) not in {
                (422, "unknown_query"),
                (404, answer.json.get("reason")),
            }:
                wrong.append((name, "unknown", answer.status, answer.text[:200]))
            elif meant and answer.status == 422 and answer.json.get("choices") != [meant]:
                wrong.append((name, "not told what was meant", answer.text[:200]))
        elif answer.status != 422 or (meant and f"?{meant}=1" not in answer.text):
            wrong.append((name, "not told what was meant", answer.status))
    assert not wrong, "\n".join(map(str, wrong))
    assert tried > 200


@pytest.mark.timeout(300)
async def test_a_stale_version_is_refused_with_what_has_changed(bad: Bad) -> None:
    cases, tried = await bad.cases(), []
    start = await bad.rows.all()
    for case in cases:
        body = {name for name, _ in fields(case)}
        is_act = case.route.path.startswith(("/api/v1/alarms/", "/api/v1/dispatches/")) and case.sound.json
        model = case.route.dependant.body_params[0].field_info.annotation if case.route.dependant.body_params else None
        if "{" not in case.route.path or ("version" not in body and not is_act):
            continue
        if is_act and "version" not in getattr(model, "model_fields", ()):
            continue
        await bad.prepared(case)
        sound = next(iter(sent_as(case.sound, bad.own).items()))
        stale = {sound[0]: dict(sound[1]) | {"version": 77 if case.is_api else "77"}}
        answer = await bad.expect(case, "a version that is none any more", {409, 422}, **stale)
        tried.append(case.name)
        if case.is_api and answer.status == 409 and not (answer.json.get("current") or answer.json.get("state")):
            bad.wrong.append(f"{case.name}: 409 without what is so now: {answer.text[:200]}")
        await bad.rows.put_back(start)
    bad.done(10)
    assert tried


@pytest.mark.long_on_postgresql
@pytest.mark.timeout(300)
async def test_a_session_that_is_over_leads_back_to_where_one_was(bad: Bad) -> None:
    wrong = []
    gone = bad.towns.console.browser()
    gone.jar["vaktpost"] = "x" * 43
    for name, route in named_routes(bad.towns.console.app):
        guard = next(guards(route.dependant))
        method, path = name.split(" ")[0], filled(route.path, bad.own)
        if not isinstance(guard, Needs):
            continue
        sent = sent_as(SOUND.get(name), bad.own)
        before = await bad.rows.all()
        answer = await gone.request(method, path, headers={"x-csrf-token": "y" * 43}, **sent)
        if path.startswith("/api/"):
            is_right = answer.status == 401 and answer.json["reason"] == "sign_in"
        elif method == "GET":
            target = path.replace("/", "%2F")
            is_right = (answer.status, answer.header("location")) == (303, f"/sign-in?next={target}")
        elif name == "POST /sign-out":
            is_right = answer.status == 303
        else:
            is_right = answer.status == 419 and "text/html" in (answer.header("content-type") or "")
        if not is_right or changed(before, await bad.rows.all()):
            wrong.append((name, answer.status, answer.header("location"), answer.text[:100]))
    assert not wrong, "\n".join(map(str, wrong))


async def test_a_time_that_the_clock_skips_or_has_twice_is_asked_about_at_its_field(bad: Bad) -> None:
    """28 March 2027, 02:30 is not; 31 October 2027, 02:30 is twice."""
    technician, lead = await bad.browser(Role.TECHNICIAN), await bad.browser(Role.LEAD)
    before = await bad.rows.all()
    sound = sent_as(SOUND["POST /technical/maintenance"], bad.own)["form"]
    for moment, said in (
        ("2027-03-28T02:30", "finnes ikke"),
        ("2027-10-31T02:30", "to ganger"),
        ("2027-02-30T12:00", ""),
    ):
        for name in ("from", "to"):
            form = sound | {name: moment} | ({"to": "2027-11-01T12:00"} if name == "from" else {})
            answer = await technician.post("/technical/maintenance", form=form)
            assert answer.status == 422, (name, moment)
            assert f'id="{name}"' in answer.text
            assert said in answer.text, (name, moment)
    sound = sent_as(SOUND["POST /rota/{team_id}/overrides"], bad.own)["form"]
    for day, said in (("2027-03-28", "finnes ikke"), ("2027-10-31", "to ganger")):
        form = sound | {"begin_day": day, "begin_time": "02:30", "end_day": day, "end_time": "12:00"}
        answer = await lead.post(f"/rota/{bad.own['team_id']}/overrides", form=form)
        assert answer.status == 422, day
        assert said in answer.text, day
    sound = sent_as(SOUND["POST /residents/{resident_id}/visits"], bad.own)["form"]
    for name in ("begin", "end"):
        form = sound | {"day": "2027-03-28", "begin": "01:30", "end": "04:00", name: "02:30"}
        answer = await lead.post(f"/residents/{bad.own['resident_id']}/visits", form=form)
        assert answer.status == 422, name
        assert f'id="{name}"' in answer.text, name
        assert "stilles fram" in answer.text, name
    assert not changed(before, await bad.rows.all())


@pytest.mark.sqlite
async def test_the_description_of_the_api_has_an_example_for_everything(bad: Bad) -> None:
    document = (await bad.towns.console.browser().get("/api/v1/openapi.json")).json
    lacks = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            name = f"{method.upper()} {path}"
            if not operation.get("description") and not operation.get("summary"):
                lacks.append(f"{name}: says nothing of itself")
            for one in operation.get("parameters", ()):
                if one["in"] == "path":
                    lacks += without_example(one, document, f"{name}: {one['name']}")
            for media in operation.get("requestBody", {}).get("content", {}).values():
                lacks += without_example(media, document, f"{name}: its body")
            for code, response in operation["responses"].items():
                if int(code) >= 400 and set(response["content"]) != {"application/problem+json"}:
                    lacks.append(f"{name}: {code} is no problem document")
                for media_type, media in response.get("content", {}).items():
                    if media_type.endswith("json"):
                        lacks += without_example(media, document, f"{name}: {code}")
            if "security" not in operation:
                lacks.append(f"{name}: does not say who may")
    told = "give it one at its field, or by its name in central/console/described.py:"
    assert not lacks, "\n".join([told, *dict.fromkeys(lacks)])


def without_example(node: Any, document: Mapping[str, Any], where: str, seen: tuple[str, ...] = ()) -> list[str]:
    """The places that neither have an example nor can be put together from those of their parts."""
    if any(key in node for key in ("example", "examples", "const", "enum", "default")):
        return []
    if "schema" in node:
        return without_example(node["schema"], document, where, seen)
    if "$ref" in node:
        name = node["$ref"].rpartition("/")[2]
        if name in seen:
            return []
        return without_example(document["components"]["schemas"][name], document, f"{where} {name}", (*seen, name))
    if "properties" in node:
        parts = node["properties"].items()
        return [lack for name, one in parts for lack in without_example(one, document, f"{where}.{name}", seen)]
    for several in ("anyOf", "oneOf", "allOf"):
        if several in node:
            return min((without_example(one, document, where, seen) for one in node[several]), key=len)
    if node.get("type") == "array":
        return without_example(node.get("items", {}), document, where, seen)
    return [f"{where} has no example"] if node.get("type") == "string" else []
