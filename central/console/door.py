"""Coming in and going out: sign-in by password or one-time link, own settings, sign-out."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy.ext.asyncio import AsyncConnection

from central import event_log
from central.console.accounts import THEMES, Account, LinkGoneError, WrongPasswordError
from central.console.catalogue import LANGUAGES
from central.console.coming_back import Sealed, brought_back, sign_in_page
from central.console.gate import (
    LANGUAGE_COOKIE,
    THEME_COOKIE,
    Needs,
    Open,
    SignInNeededError,
    Visit,
    access_now,
    bare_visit,
)
from central.console.rendering import page
from central.console.roles import Action
from central.console.signin import ThrottledError
from central.errors import IncompleteError
from central.store import Priority
from central.views import Actor

router = APIRouter(include_in_schema=False)
Anybody = Annotated[Visit, Depends(Open())]
SignedIn = Annotated[Visit, Depends(Needs(Action.SIGNED_IN))]

_YEAR_S = 365 * 24 * 3600
_LOCAL = re.compile(r"/(?![/\\])[\x21-\x7e]*")
_SAID = frozenset({"ended", "signed_out"})


def local_path(path: str) -> str:
    """A path on this console, or the start: nobody is sent to another site after signing in."""
    return path if _LOCAL.fullmatch(path) and "\\" not in path else "/"


def address_of(request: Request) -> str:
    """Who asks, as far as the network knows."""
    return request.client.host if request.client else "unknown"


async def log_act(visit: Visit, what: str, actor: Actor, content: dict[str, str] | None = None) -> None:
    """Something a person did that is not about an alarm, into the event log."""
    services = visit.desk.services
    now = services.clock.now_ms()

    async def work(connection: AsyncConnection) -> None:
        await event_log.append(connection, now, what, actor, content=content)

    await services.store.transact(Priority.PEOPLE, work)


async def let_in(visit: Visit, request: Request, response: Response, account: Account) -> str:
    """A new session in a new cookie; the one the browser came with ends. Returns its token."""
    desk = visit.desk
    token = await desk.sessions.start(account, before=request.cookies.get(desk.session_cookie))
    hours = desk.services.settings.console.session_hours
    response.set_cookie(
        desk.session_cookie,
        token,
        max_age=int(hours * 3600),
        path="/",
        secure=desk.is_https,
        httponly=True,
        samesite="strict",
    )
    await log_act(visit, "signed_in", Actor(id=account.id, name=account.name, role=account.role.value))
    return token


@router.get("/sign-in")
async def ask(visit: Anybody, next: str = "/", said: str = "") -> Response:  # noqa: A002  # its name in the address
    """The form."""
    if visit.session is not None:
        return RedirectResponse(local_path(next), 303)
    return sign_in_page(visit, next_path=local_path(next), said=said if said in _SAID else "")


@router.post("/sign-in")
async def sign_in(
    request: Request,
    visit: Anybody,
    name: Annotated[str, Form(max_length=128)],
    password: Annotated[str, Form(max_length=1024)],
    next_path: Annotated[str, Form(alias="next", max_length=512)] = "/",
    sealed: Sealed = "",
) -> Response:
    """By name and password. What they had written when their session was over comes back to them."""
    target = local_path(next_path)
    try:
        account = await visit.desk.signin.by_password(name, password, address_of(request))
    except ThrottledError as error:
        wait = visit.words.count("signin.wait", max(1, round(error.wait_s)))
        answer = sign_in_page(visit, next_path=target, name=name, fault=wait, sealed=sealed, status=429)
        answer.headers["Retry-After"] = str(max(1, round(error.wait_s)))
        return answer
    except WrongPasswordError:
        fault = visit.words("signin.wrong")
        return sign_in_page(visit, next_path=target, name=name, fault=fault, sealed=sealed, status=401)
    if sealed:
        cookie = Response()
        session = await visit.desk.sessions.find(await let_in(visit, request, cookie, account))
        if session is None:
            raise SignInNeededError("sign_in")
        response = await brought_back(
            bare_visit(visit.desk, request, session, await access_now(visit.desk, session)), sealed
        )
        response.raw_headers += [header for header in cookie.raw_headers if header[0] == b"set-cookie"]
        return response
    response = RedirectResponse(target, 303)
    await let_in(visit, request, response, account)
    return response


@router.get("/link/{token}")
async def link_page(request: Request, visit: Anybody, token: str, next: str = "/") -> Response:  # noqa: A002  # its name in the address
    """One button: opening the link does not use it up, so a mail program's preview cannot."""
    visit.desk.signin.check_address(address_of(request))
    try:
        account = await visit.desk.accounts.look_at_link(token)
    except LinkGoneError:
        return _link_gone(visit, request)
    return page(visit, "link.html", token=token, name=account.name, next_path=local_path(next), here="/")


def _link_gone(visit: Visit, request: Request) -> Response:
    visit.desk.signin.link_failed(address_of(request))
    title, text = visit.words("link.gone_title"), visit.words("link.gone")
    return page(visit, "error.html", 404, title=title, text=text, is_ours=False)


@router.post("/link")
async def link(
    request: Request,
    visit: Anybody,
    token: Annotated[str, Form(max_length=128)],
    next_path: Annotated[str, Form(alias="next", max_length=512)] = "/",
) -> Response:
    """Use a one-time link up. Who has no password yet is asked for one."""
    visit.desk.signin.check_address(address_of(request))
    try:
        account = await visit.desk.accounts.redeem_link(token)
    except LinkGoneError:
        return _link_gone(visit, request)
    target = local_path(next_path)
    response = RedirectResponse(target if account.has_password or target != "/" else "/password", 303)
    await let_in(visit, request, response, account)
    return response


@router.post("/sign-out")
async def sign_out(visit: SignedIn) -> Response:
    """End the session, and forget what the browser kept of it."""
    await visit.desk.sessions.end(visit.who)
    await log_act(visit, "signed_out", visit.actor)
    response = RedirectResponse("/sign-in?said=signed_out", 303)
    response.delete_cookie(visit.desk.session_cookie, path="/", secure=visit.desk.is_https, samesite="strict")
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response


@router.get("/password")
async def password_page(visit: SignedIn, next: str = "/") -> Response:  # noqa: A002  # its name in the address
    """Choose a password."""
    return page(visit, "password.html", next_path=local_path(next), fault="", fault_field="", here="/password")


@router.post("/password")
async def password(
    request: Request,
    visit: SignedIn,
    new: Annotated[str, Form(max_length=1024)],
    again: Annotated[str, Form(max_length=1024)],
    current: Annotated[str, Form(max_length=1024)] = "",
    next_path: Annotated[str, Form(alias="next", max_length=512)] = "/",
) -> Response:
    """Keep it: whoever is signed in without knowing the old one cannot change it."""
    account, target = visit.who.account, local_path(next_path)

    def refuse(fault: str, field: str) -> Response:
        return page(visit, "password.html", 422, next_path=target, fault=fault, fault_field=field, here="/password")

    if account.has_password:
        try:
            await visit.desk.signin.by_password(account.name, current, address_of(request))
        except (WrongPasswordError, ThrottledError):
            return refuse("wrong", "current")
    if new != again:
        return refuse("differ", "again")
    try:
        await visit.desk.accounts.set_password(account.id, new)
    except IncompleteError as error:
        return refuse(error.reason, "new")
    await log_act(visit, "password_set", visit.actor)
    response = RedirectResponse("/me?said=password" if target == "/" and account.has_password else target, 303)
    await let_in(visit, request, response, account)
    return response


@router.post("/me")
async def me(
    visit: SignedIn,
    language: Annotated[str, Form()] = "",
    theme: Annotated[str, Form()] = "auto",
    keys: Annotated[str, Form()] = "on",
) -> Response:
    """Keep them; the browser keeps language and colours for the sign-in page too."""
    if language not in LANGUAGES:
        raise IncompleteError("unknown_language", "language", LANGUAGES)
    if theme not in THEMES:
        raise IncompleteError("unknown_theme", "theme", THEMES)
    await visit.desk.accounts.set_preferences(
        visit.who.account.id, language=language, theme=theme, has_single_keys=keys != "off"
    )
    response = RedirectResponse("/me?said=saved", 303)
    _keep(visit, response, LANGUAGE_COOKIE, language)
    _keep(visit, response, THEME_COOKIE, theme)
    return response


@router.post("/language")
async def language(
    visit: Anybody,
    language: Annotated[str, Form()],
    next_path: Annotated[str, Form(alias="next", max_length=512)] = "/sign-in",
) -> Response:
    """The language of this browser, before signing in."""
    response = RedirectResponse(local_path(next_path), 303)
    if language in LANGUAGES:
        _keep(visit, response, LANGUAGE_COOKIE, language)
    return response


def _keep(visit: Visit, response: Response, name: str, value: str) -> None:
    response.set_cookie(
        name, value, max_age=_YEAR_S, path="/", secure=visit.desk.is_https, httponly=True, samesite="lax"
    )
