"""Routine cards: a few ordered lines that say what to do, written for the substitute on night duty.

The product ships one for every kind of alarm. A tenant writes its own over them: for a kind, for a service, for a
criterion that the responder has chosen, or for a criterion in one of these. The nearest one stands on the alarm.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection

from central import event_log
from central.access import Scope
from central.clock import Clock
from central.console.catalogue import LANGUAGES, words
from central.errors import Conflict, IncompleteError, NotFoundError
from central.lifecycle import CENTRAL_KINDS, CLEARED_BY, AlarmKind, Meaning, alarm_kind, meaning_of
from central.people.tenants import check_tenant, tenants
from central.routines.criteria import current, parsed
from central.routing.services import SERVICES, service_of
from central.sql import Row, Sql
from central.store import Priority, Store
from central.views import Actor
from cloud_sync.vocabulary import KINDS, AlarmClass

log = structlog.get_logger()

MAX_LINES = 8
MAX_LINE = 240
MAX_WHY = 256

Line = Annotated[str, Field(min_length=1, max_length=MAX_LINE)]
Lines = Annotated[tuple[Line, ...], Field(max_length=MAX_LINES)]

_COLUMNS = "id, version, tenant, kind, service, criterion, content, state, written_ms, written_by, why"
_ACTIVE = Sql(f"SELECT {_COLUMNS} FROM routine_card WHERE state = 'active' ORDER BY tenant, kind, service, criterion")  # noqa: S608
_OF_TENANT = Sql(f"SELECT {_COLUMNS} FROM routine_card WHERE state = 'active' AND tenant = :tenant")  # noqa: S608
_ONE = Sql(f"SELECT {_COLUMNS} FROM routine_card WHERE id = :id ORDER BY version DESC LIMIT 100")  # noqa: S608
_HOLDER = Sql(
    """SELECT id FROM routine_card WHERE state = 'active' AND tenant = :tenant AND kind = :kind AND service = :service
       AND criterion = :criterion"""
)
_ADD = Sql(
    f"""INSERT INTO routine_card ({_COLUMNS}) VALUES (:id, :version, :tenant, :kind, :service, :criterion, :content,
        'active', :now, :by, :why)"""  # noqa: S608  # our own names
)
_RETIRE = Sql("UPDATE routine_card SET state = :state WHERE id = :id AND state = 'active' RETURNING id")


class CardText(BaseModel):
    """The lines, in one language or in both."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    nb: Lines = ()
    en: Lines = ()

    def lines(self, language: str) -> tuple[str, ...]:
        """In this language; in the other one where only that was written: better than a card of nobody's."""
        first, second = (self.en, self.nb) if language == "en" else (self.nb, self.en)
        return first or second


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a card is for. At least one of them; a kind belongs to a service of its own."""

    kind: str = ""
    service: str = ""
    criterion: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardRow:
    """A version of a tenant's own card."""

    id: str
    version: int
    tenant: str
    subject: Subject
    text: CardText
    state: str
    written_ms: int
    written_by: str
    why: str

    @property
    def is_active(self) -> bool:
        """It holds now."""
        return self.state == "active"


class StaleCardError(Conflict):
    """Somebody has written a newer version meanwhile. `theirs` is that; nothing was changed."""

    def __init__(self, theirs: CardRow, yours: int) -> None:
        current_row = {"version": theirs.version, "state": theirs.state, "text": theirs.text.model_dump(mode="json")}
        super().__init__("stale_card", state=f"version {theirs.version}", current=current_row, yours={"version": yours})
        self.theirs = theirs


class InvalidCardError(IncompleteError):
    """A card that cannot be used: what is wrong, by field."""

    def __init__(self, faults: Mapping[str, str], choices: tuple[str, ...] = ()) -> None:
        field, reason = next(iter(faults.items()))
        super().__init__(reason, field, choices)
        self.faults = dict(faults)


def card_kinds() -> tuple[AlarmKind, ...]:
    """Every kind of alarm that comes before a person, the urgent first."""
    found = [alarm_kind(kind.word) for kind in KINDS if meaning_of(kind) in {Meaning.PERSONAL, Meaning.TECHNICAL}]
    found = [kind for kind in (*found, *CENTRAL_KINDS.values()) if kind.word not in CLEARED_BY]
    return tuple(sorted(found, key=lambda kind: (kind.alarm_class is AlarmClass.TECHNICAL, kind.rank)))


def shipped(kind: str, language: str) -> tuple[str, ...]:
    """The card that comes with the product."""
    t = words(language)
    if t.has(f"card.{kind}"):
        return t.lines(f"card.{kind}")
    try:
        is_technical = alarm_kind(kind).alarm_class is AlarmClass.TECHNICAL
    except KeyError:  # a word of a newer central
        is_technical = False
    return t.lines("card.technical" if is_technical else "card.unreadable_alarm")


def lines_of(text: str) -> tuple[str, ...]:
    """One line per step, as somebody types them; numbers and dashes before them are nobody's words."""
    found = []
    for raw in text.replace("\x00", "").splitlines():
        line = " ".join(raw.split())
        head, _, rest = line.partition(" ")
        if rest and (head in {"-", "*", "•", "\u2013"} or (head[:-1].isdecimal() and head[-1] in ".)")):
            line = rest
        if line:
            found.append(line)
    return tuple(found)


def text_faults(nb: Sequence[str], en: Sequence[str]) -> dict[str, str]:
    """What is wrong with lines, by language."""
    if not nb and not en:
        return {"nb": "no_lines"}
    faults = {}
    for language, lines in zip(LANGUAGES, (nb, en), strict=True):
        if len(lines) > MAX_LINES:
            faults[language] = "too_many_lines"
        elif any(len(line) > MAX_LINE for line in lines):
            faults[language] = "line_too_long"
    return faults


def nearest(rows: Sequence[CardRow], kind: str, criterion: str = "") -> CardRow | None:
    """The one that fits an alarm best: a chosen criterion before the kind, the kind before its service."""
    service = service_of(kind)
    wanted = [Subject(kind=kind), Subject(service=service)]
    if criterion:
        chosen = (Subject(kind=kind), Subject(service=service), Subject())
        wanted = [Subject(kind=one.kind, service=one.service, criterion=criterion) for one in chosen] + wanted
    by_subject = {row.subject: row for row in rows}
    return next((by_subject[one] for one in wanted if one in by_subject), None)


async def card_for(connection: AsyncConnection, tenant: str | None, kind: str, criterion: str = "") -> CardRow | None:
    """The tenant's own card for an alarm; None: the shipped one. `criterion` as the alarm names it."""
    if tenant is None:
        return None
    found = parsed(criterion)
    rows = [row for row in map(_row, await _OF_TENANT.rows(connection, tenant=tenant)) if row is not None]
    return nearest(rows, kind, found[1] if found else "")


class Cards:
    """The cards of one central."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def all(self, scope: Scope) -> Sequence[CardRow]:
        """Those that hold now, of every tenant that somebody may see."""

        async def work(connection: AsyncConnection) -> list[CardRow]:
            seen = {one.id for one in await tenants(connection, scope)}
            rows = [_row(row) for row in await _ACTIVE.rows(connection)]
            return [row for row in rows if row is not None and row.tenant in seen]

        return await self._store.fetch(work)

    async def versions(self, card_id: str, scope: Scope, *, is_reading: bool = True) -> Sequence[CardRow]:
        """All of one card, the newest first. Raises NotFoundError."""

        async def work(connection: AsyncConnection) -> list[CardRow]:
            rows = [row for row in map(_row, await _ONE.rows(connection, id=card_id)) if row is not None]
            if not rows:
                raise NotFoundError("card", card_id[:32])
            await check_tenant(connection, scope, rows[0].tenant, is_reading=is_reading)
            return rows

        return await self._store.fetch(work)

    async def one(self, card_id: str, scope: Scope) -> CardRow:
        """The newest version, for who writes. Raises NotFoundError."""
        return (await self.versions(card_id, scope, is_reading=False))[0]

    async def write(
        self,
        actor: Actor,
        scope: Scope,
        text: CardText,
        *,
        tenant: str,
        subject: Subject,
        why: str = "",
        replaces: tuple[str, int] | None = None,
    ) -> CardRow:
        """A new card, or a new version of the one in `replaces`; that keeps its tenant and what it is for.

        Raises NotFoundError, InvalidCardError, StaleCardError.
        """
        faults = text_faults(text.nb, text.en)
        now = self._clock.now_ms()
        card_id = secrets.token_hex(8) if replaces is None else replaces[0]
        version = 1 if replaces is None else replaces[1] + 1

        async def work(connection: AsyncConnection) -> CardRow:
            place, about = tenant, subject
            # The log's counter is locked from here to the commit: whoever writes a card at the same time waits.
            told = {"card": card_id, "card_version": version}
            await event_log.append(connection, now, "card_written", actor, content=told)
            if replaces is not None:
                newest = await _newest(connection, replaces, scope)
                place, about = newest.tenant, newest.subject
            await check_tenant(connection, scope, place)
            found = faults | (await _subject_faults(connection, place, about) if replaces is None else {})
            if found:
                raise InvalidCardError(found)
            if replaces is not None:
                await _RETIRE.rows(connection, id=card_id, state="replaced")
            await _ADD.rows(
                connection,
                id=card_id,
                version=version,
                tenant=place,
                kind=about.kind,
                service=about.service,
                criterion=about.criterion,
                content=text.model_dump_json(),
                now=now,
                by=actor.id,
                why=why.strip()[:MAX_WHY],
            )
            row = _row((await _ONE.rows(connection, id=card_id))[0])
            assert row is not None  # noqa: S101  # it was written a line ago
            return row

        return await self._store.transact(Priority.PEOPLE, work)

    async def end(self, actor: Actor, scope: Scope, replaces: tuple[str, int]) -> CardRow:
        """Not used any more: the next nearest card stands on alarms again. Raises NotFoundError, StaleCardError."""
        now = self._clock.now_ms()

        async def work(connection: AsyncConnection) -> CardRow:
            told = {"card": replaces[0], "card_version": replaces[1]}
            await event_log.append(connection, now, "card_ended", actor, content=told)
            newest = await _newest(connection, replaces, scope)
            await _RETIRE.rows(connection, id=replaces[0], state="ended")
            return newest

        return await self._store.transact(Priority.PEOPLE, work)


async def _newest(connection: AsyncConnection, replaces: tuple[str, int], scope: Scope) -> CardRow:
    rows = await _ONE.rows(connection, id=replaces[0])
    found = _row(rows[0]) if rows else None
    if found is None:
        raise NotFoundError("card", replaces[0][:32])
    await check_tenant(connection, scope, found.tenant)
    if found.version != replaces[1] or not found.is_active:
        raise StaleCardError(found, replaces[1])
    return found


async def _subject_faults(connection: AsyncConnection, tenant: str, subject: Subject) -> dict[str, str]:
    faults = {}
    if not (subject.kind or subject.service or subject.criterion):
        faults["kind"] = "no_subject"
    elif subject.kind and subject.service:
        faults["service"] = "kind_and_service"
    elif subject.kind and subject.kind not in {kind.word for kind in card_kinds()}:
        faults["kind"] = "unknown_kind"
    elif subject.service and subject.service not in SERVICES:
        faults["service"] = "unknown_service"
    if subject.criterion and (await current(connection, tenant)).content.find(subject.criterion) is None:
        faults["criterion"] = "unknown_criterion"
    if not faults and await _HOLDER.value(
        connection, tenant=tenant, kind=subject.kind, service=subject.service, criterion=subject.criterion
    ):
        faults["kind"] = "card_exists"
    return faults


def _row(row: Row) -> CardRow | None:
    card_id, version, tenant, kind, service, criterion, content, state, written_ms, written_by, why = row
    try:
        text = CardText.model_validate_json(content)
    except ValidationError as error:  # the shipped card is better than no page
        log.warning("card_unreadable", card=card_id, version=version, problems=error.error_count())
        return None
    return CardRow(
        id=card_id,
        version=version,
        tenant=tenant,
        subject=Subject(kind=kind, service=service, criterion=criterion),
        text=text,
        state=state,
        written_ms=written_ms,
        written_by=written_by,
        why=why,
    )
