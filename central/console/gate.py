"""Who may come through: every route names what it asks for, and is refused unless the table says yes.

`Needs(action)` or `Open()` stands in the dependencies of each route; `central.console.assembly` refuses to start with a
route that has neither. Requests that change something also need the session's token in `X-CSRF-Token` or in the form's
field `csrf`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from fastapi import Request

from central.access import EVERYTHING, Access, Scope, access_of
from central.console.accounts import Accounts
from central.console.catalogue import Words, language_from, words
from central.console.figures import Figures
from central.console.onlookers import Onlookers
from central.console.queries import check_query
from central.console.roles import Action, may
from central.console.sessions import Session, Sessions
from central.console.signin import SignIn
from central.errors import ActionError
from central.services import Services
from central.views import Actor

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
LANGUAGE_COOKIE = "vaktpost_language"
THEME_COOKIE = "vaktpost_theme"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


class SignInNeededError(ActionError):
    """Nobody is signed in, or no longer."""

    status = 401


class ForbiddenError(ActionError):
    """The role does not cover this."""

    status = 403


class StalePageError(ActionError):
    """The page that asks was made for another session: nothing is changed."""

    status = 419


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """The console's own services, beside those of central."""

    services: Services
    accounts: Accounts
    sessions: Sessions
    signin: SignIn
    onlookers: Onlookers

    @property
    def is_https(self) -> bool:
        """Whether browsers come over HTTPS, here or at a reverse proxy."""
        return urlsplit(self.services.settings.public_url).scheme == "https"

    @property
    def session_cookie(self) -> str:
        """With the prefix that binds it to this host, where browsers allow it."""
        return "__Host-vaktpost" if self.is_https else "vaktpost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One request: the desk, who asks (if anybody), and in which language."""

    desk: Desk
    session: Session | None
    words: Words
    theme: str
    access: Access | None = None

    @property
    def figures(self) -> Figures:
        """Times and numbers as this reader reads them."""
        return Figures(self.words, ZoneInfo(self.desk.services.settings.time_zone))

    @property
    def who(self) -> Session:
        """The session, where the route has made sure that there is one."""
        if self.session is None:
            raise SignInNeededError("sign_in")
        return self.session

    @property
    def actor(self) -> Actor:
        """Who does it, for the services."""
        account = self.who.account
        return Actor(id=account.id, name=account.name, role=account.role.value)

    def may(self, action: Action) -> bool:
        """Whether whoever asks may do this."""
        if self.session is None:
            return False
        return may(self.session.account.role, action) if self.access is None else self.access.may(action)

    @property
    def scope(self) -> Scope:
        """Where whoever asks may do anything at all."""
        return EVERYTHING if self.access is None else self.access.scope()

    def scope_for(self, action: Action) -> Scope:
        """Where whoever asks may do this."""
        return EVERYTHING if self.access is None else self.access.scope(action)

    def now_ms(self) -> int:
        """Central's clock."""
        return self.desk.services.clock.now_ms()


async def visit_of(request: Request) -> Visit:
    """The visit of a request, looked up once."""
    known = getattr(request.state, "visit", None)
    if isinstance(known, Visit):
        return known
    desk: Desk = request.app.state.desk
    token = request.cookies.get(desk.session_cookie)
    session = await desk.sessions.find(token)
    if session is None and token and not await desk.sessions.was_ours(token):
        address = request.client.host if request.client else "unknown"
        desk.services.security.note("session_unknown", hub=None, path="console", detail=address)
    access = None if session is None else await access_now(desk, session)
    request.state.visit = visit = bare_visit(desk, request, session, access)
    return visit


async def access_now(desk: Desk, session: Session) -> Access:
    """What the account of a session may do at this moment."""
    account, now = session.account, desk.services.clock.now_ms()
    return await desk.services.store.fetch(lambda connection: access_of(connection, account.id, account.role, now))


def bare_visit(desk: Desk, request: Request, session: Session | None = None, access: Access | None = None) -> Visit:
    """A visit without looking anything up, for error pages too."""
    account = session.account if session else None
    language = language_from(
        account.language if account else None,
        request.cookies.get(LANGUAGE_COOKIE),
        accept=request.headers.get("accept-language", ""),
        default=desk.services.settings.language,
    )
    theme = account.theme if account else request.cookies.get(THEME_COOKIE, "auto")
    return Visit(
        desk=desk,
        session=session,
        words=words(language),
        theme=theme if theme in {"light", "dark"} else "auto",
        access=access,
    )


@dataclass(frozen=True, slots=True)
class Open:
    """A route for everybody: sign-in, files, errors. Changes still have to come from our own pages."""

    async def __call__(self, request: Request) -> Visit:
        """The visit, signed in or not. Raises IncompleteError."""
        check_query(request)
        return await visit_of(request)


@dataclass(frozen=True, slots=True)
class Needs:
    """A route for those who may do this. `everywhere`: it is about all tenants, so not for somebody of some only."""

    action: Action
    everywhere: bool = False

    async def __call__(self, request: Request) -> Visit:
        """The visit. Raises SignInNeededError, ForbiddenError, StalePageError, IncompleteError."""
        visit = await visit_of(request)
        if visit.session is None:
            raise SignInNeededError("sign_in")
        if not visit.may(self.action):
            raise ForbiddenError("role", visit.session.account.role)
        if self.everywhere and not visit.scope_for(self.action).is_everything:
            raise ForbiddenError("everywhere_only", visit.session.account.role)
        if request.method not in SAFE_METHODS:
            _check_token(visit, visit.session, await _csrf(request))
        check_query(request)
        return visit


def _check_token(visit: Visit, session: Session, token: str | None) -> None:
    """Raises StalePageError for a token of another session, ForbiddenError for what no page of ours ever held."""
    if session.is_csrf(token):
        return
    visit.desk.services.security.note("csrf", hub=None, path="console", detail=f"account {session.account.id}")
    if token is None or not _TOKEN.fullmatch(token):
        raise ForbiddenError("csrf")
    raise StalePageError("csrf")


async def _csrf(request: Request) -> str | None:
    header = request.headers.get("x-csrf-token")
    if header is not None:
        return header
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        field = (await request.form()).get("csrf")
        return field if isinstance(field, str) else None
    return None


def is_from_elsewhere(method: str, headers: Mapping[str, str], public_url: str) -> bool:
    """Whether a browser says that another site wrote this request. Looked at before anything else is."""
    if method in SAFE_METHODS:
        return False
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in {"same-origin", "none"}
    origin = headers.get("origin")
    if origin is None:
        return False
    own = {headers.get("host", ""), urlsplit(public_url).netloc}
    return urlsplit(origin).netloc not in own
