"""The pages of an administrator and an installer: event log, enrolment codes, user accounts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from sqlalchemy import select, text

from central import event_log
from central.admin import CONSOLE as COMMAND_LINE
from central.console.accounts import StaleAccountError
from central.console.door import log_act
from central.console.elsewhere import LOGGED, check_alarm
from central.console.gate import Needs, Visit
from central.console.hidden_search import HiddenSearch, Sealed, search_in
from central.console.log_words import Names, channel_word, content_text, names_for, nth, what_key
from central.console.names import name_of
from central.console.pages import is_part
from central.console.paging import PageNo, page_of
from central.console.rendering import page
from central.console.roles import Action, Role, role_from
from central.errors import Conflict, IncompleteError, NotFoundError
from central.tables import enrolment_code, log_entry

router = APIRouter(include_in_schema=False)
Reading = Annotated[Visit, Depends(Needs(Action.READ_LOG))]
Making = Annotated[Visit, Depends(Needs(Action.MAKE_CODES))]
Changing = Annotated[Visit, Depends(Needs(Action.CHANGE_USERS, everywhere=True))]
Version = Annotated[int, Form(ge=0, le=2**31 - 1)]

PAGE = 100
LOG_WIDTH = 160
USERS = "/users"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One entry as it is shown."""

    no: int
    at: str
    what: str
    who: str
    alarm: str | None
    hub: str | None
    content: str


def _line(visit: Visit, row: Mapping[Any, Any], content: Mapping[str, Any], names: Names) -> LogLine:
    t = visit.words
    kind = t.either(f"kind.{content.get('kind', '')}", row["what"])
    who = t("log.command_line") if row["actor"] == COMMAND_LINE.id else name_of(visit, row["actor"], row["actor_name"])
    said = t.either(
        what_key(visit, row["what"], content),
        row["what"],
        name=who,
        kind=kind,
        n=nth(content),
        channel=channel_word(visit, content),
    )
    return LogLine(
        no=row["no"],
        at=visit.figures.when(row["at_ms"], visit.now_ms()),
        what=said,
        who=who,
        alarm=row["alarm"],
        hub=row["hub"],
        content=content_text(visit, content, names)[:LOG_WIDTH],
    )


async def _log_page(visit: Visit, before: int | None, alarm: str | None, verdict: event_log.Verdict | None) -> Response:
    query = select(log_entry).order_by(log_entry.c.no.desc()).limit(PAGE + 1)
    if before is not None:
        query = query.where(log_entry.c.no < before)
    seen = visit.scope_for(Action.READ_LOG)
    if alarm is not None:
        await check_alarm(visit, alarm, seen)
        query = query.where(log_entry.c.alarm == alarm)
    if not seen.is_everything:
        query = query.where(text(LOGGED).bindparams(**seen.parameters))
    async with visit.desk.services.store.read() as connection:
        rows = (await connection.execute(query)).mappings().all()
    contents = [json.loads(row["content"]) for row in rows[:PAGE]]
    names = await names_for(visit, contents)
    entries = [_line(visit, row, content, names) for row, content in zip(rows, contents, strict=False)]
    older = entries[-1].no if len(rows) > PAGE else None
    return page(visit, "log.html", entries=entries, older=older, alarm_id=alarm, verdict=verdict)


@router.get("/log")
async def log(
    visit: Reading,
    before: Annotated[int | None, Query(ge=1, le=2**53)] = None,
    alarm: Annotated[str | None, Query(max_length=16)] = None,
) -> Response:
    """The event log, newest first."""
    return await _log_page(visit, before, alarm, None)


@router.post("/log/verify")
async def verify(request: Request, visit: Reading) -> Response:
    """Walk the whole chain."""
    verdict = await event_log.verify(visit.desk.services.store)
    if is_part(request):
        return page(visit, "_verdict.html", verdict=verdict)
    return await _log_page(visit, None, None, verdict)


async def _codes_page(visit: Visit, code: str = "", label: str = "") -> Response:
    query = select(enrolment_code).order_by(enrolment_code.c.created_ms.desc()).limit(50)
    if not visit.scope_for(Action.MAKE_CODES).is_everything:
        query = query.where(enrolment_code.c.created_by == visit.who.account.id)
    async with visit.desk.services.store.read() as connection:
        codes = (await connection.execute(query)).mappings().all()
    return page(visit, "codes.html", codes=codes, code=code, label=label)


@router.get("/codes")
async def codes(visit: Making) -> Response:
    """Which codes were made; the codes themselves are not kept."""
    return await _codes_page(visit)


@router.post("/codes")
async def make_code(visit: Making, label: Annotated[str, Form(max_length=64)] = "") -> Response:
    """A new code, shown in this answer and never again."""
    label = " ".join(label.replace("\x00", "").split())
    code = await visit.desk.services.hubs.new_code(label, visit.who.account.id)
    return await _codes_page(visit, code, label)


async def _users_page(
    visit: Visit, status: int = 200, *, search: HiddenSearch | None = None, number: int = 1, **values: Any
) -> Response:
    texts = dict.fromkeys(("fault", "typed", "link", "link_name", "said", "stale"), "")
    known: dict[str, Any] = texts | {"typed_role": "responder", "chosen": {}} | values
    minutes = f"{visit.desk.services.settings.console.login_link_minutes:g}"
    accounts = visit.desk.accounts
    shown = page_of(await accounts.listed(), USERS, search or HiddenSearch(), number, lambda account: account.name)
    rows = await accounts.some([one.id for one in shown.rows])
    return page(
        visit, "users.html", status, accounts=rows, shown=shown, roles=list(Role), link_minutes=minutes, **known
    )


async def _with_link(visit: Visit, account_id: str) -> Response:
    settings = visit.desk.services.settings
    account = await visit.desk.accounts.one(account_id)
    token = await visit.desk.accounts.new_link(account_id, settings.console.login_link_minutes)
    await log_act(visit, "account_link", visit.actor, {"account": account.id})
    return await _users_page(visit, link=f"{settings.public_url}/link/{token}", link_name=account.name)


@router.get("/users")
async def users(visit: Changing, sealed: Sealed = "", number: PageNo = 1) -> Response:
    """Everybody who has, or had, an account, a hundred at a time."""
    return await _users_page(visit, search=search_in(visit, USERS, sealed), number=number)


@router.post("/users")
async def add_user(
    visit: Changing, name: Annotated[str, Form(max_length=128)] = "", role: Annotated[str, Form()] = ""
) -> Response:
    """A new account and its first link."""
    try:
        account = await visit.desk.accounts.add(name, role_from(role))
    except (IncompleteError, Conflict) as error:
        fault = visit.words(f"users.{error.reason}")
        return await _users_page(visit, error.status, fault=fault, typed=name, typed_role=role)
    except ValueError:
        return await _users_page(visit, 422, fault=visit.words("users.bad_role"), typed=name)
    await log_act(visit, "account_added", visit.actor, {"account": account.id, "role": account.role.value})
    return await _with_link(visit, account.id)


@router.post("/users/{account_id}/link")
async def new_link(visit: Changing, account_id: str) -> Response:
    """Another one-time link: for a forgotten password."""
    _not_oneself(visit, account_id)
    return await _with_link(visit, account_id)


@router.post("/users/{account_id}/role")
async def set_role(visit: Changing, account_id: str, role: Annotated[str, Form()], version: Version = 0) -> Response:
    """Another role."""
    _not_oneself(visit, account_id)
    try:
        wanted = role_from(role)
    except ValueError:
        raise IncompleteError("bad_role", "role", tuple(Role)) from None
    try:
        await visit.desk.accounts.set_role(account_id, wanted, version=version)
    except StaleAccountError as error:
        return await _stale(visit, error, {account_id: wanted.value})
    account = await visit.desk.accounts.one(account_id)
    await log_act(visit, "account_role", visit.actor, {"account": account_id, "role": wanted.value})
    text = visit.words("users.said_role", name=account.name, role=visit.words(f"role.{wanted}").lower())
    return await _users_page(visit, said=text)


@router.post("/users/{account_id}/disable")
async def disable(visit: Changing, account_id: str, version: Version = 0) -> Response:
    """Shut out, at once."""
    return await _set_active(visit, account_id, version, is_active=False)


@router.post("/users/{account_id}/enable")
async def enable(visit: Changing, account_id: str, version: Version = 0) -> Response:
    """Let in again."""
    return await _set_active(visit, account_id, version, is_active=True)


async def _stale(visit: Visit, error: StaleAccountError, chosen: Mapping[str, str] | None = None) -> Response:
    """What the account is now, with what was chosen for it."""
    theirs, t = error.theirs, visit.words
    state = t("users.is_active" if theirs.is_active else "users.disabled").lower()
    text = t("users.stale", name=theirs.name, role=t(f"role.{theirs.role}").lower(), state=state)
    return await _users_page(visit, error.status, stale=text, chosen=chosen or {})


async def _set_active(visit: Visit, account_id: str, version: int, *, is_active: bool) -> Response:
    _not_oneself(visit, account_id)
    try:
        await visit.desk.accounts.set_active(account_id, is_active, version=version)
    except StaleAccountError as error:
        return await _stale(visit, error)
    account = await visit.desk.accounts.one(account_id)
    await log_act(visit, "account_enabled" if is_active else "account_disabled", visit.actor, {"account": account_id})
    text = visit.words("users.said_enable" if is_active else "users.said_disable", name=account.name)
    return await _users_page(visit, said=text)


def _not_oneself(visit: Visit, account_id: str) -> None:
    # The last administrator must not shut themselves out, and nobody makes themselves a link.
    if account_id == visit.who.account.id:
        raise NotFoundError("account", account_id)
