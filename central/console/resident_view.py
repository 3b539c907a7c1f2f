"""A resident as pages show one: facts with source and date, secrets folded, stale ones marked in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import structlog

from central.access import Scope
from central.console.gate import Visit
from central.console.roles import Action
from central.console.routine_view import outcome_words
from central.errors import KeysError, NotFoundError
from central.people.contacts import Agreement, Contact
from central.people.facts import NAMES, Fact, FactKind
from central.people.looking import Basis, Purpose
from central.people.people import Card, NoBasisError
from central.people.services import Service
from central.people.vault import DamagedError, ErasedError
from central.people.visits import PlannedVisit, VisitState
from central.routing.words import clock_words, days_words
from central.sql import Sql
from central.views import AlarmView

log = structlog.get_logger()

ORDER = (
    FactKind.KNOW,
    FactKind.ADDRESS,
    FactKind.PHONE,
    FactKind.ACCESS,
    FactKind.KEY_CODE,
    FactKind.E_LOCK,
    FactKind.DIRECTIONS,
    FactKind.LANGUAGE,
    FactKind.HEALTH,
    FactKind.DOCTOR,
)
"""What one needs first stands first, the way in beside the code that opens it."""
ALARMS_SHOWN = 20
SOON_MS, SOON_SHOWN = 24 * 3_600_000, 3
"""So near and so many are the visits that stand with an alarm."""

_ALARMS = Sql(
    """SELECT id, kind, rank, happened_ms, closed_ms, disposition, outcome, outcome_list, tenant, unit
    FROM alarm
    WHERE resident = :resident AND queue = 'personal' ORDER BY raised_ms DESC, id LIMIT :limit"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FactLine:
    """One fact. `text` None: folded."""

    kind: str
    title: str
    text: str | None
    caption: str
    is_stale: bool
    is_secret: bool
    is_wide: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactLine:
    """Somebody to call."""

    id: str
    name: str
    relation: str
    phone: str
    agreement: str
    document: str
    caption: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DatedLine:
    """Something with a time: a service, a visit, an alarm."""

    id: str
    title: str
    caption: str
    is_over: bool
    rank: int = 6
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidentView:
    """What a page says of a resident."""

    id: str
    name: str
    subtitle: str
    basis: str
    facts: tuple[FactLine, ...]
    contacts: tuple[ContactLine, ...]
    services: tuple[DatedLine, ...]
    visits: tuple[DatedLine, ...]
    soon: tuple[DatedLine, ...]
    """Who comes next, for whoever answers an alarm: the visit they may let it wait for, or that will not be made."""

    @property
    def has_secrets(self) -> bool:
        """Some of it is folded, and reading it is an entry of its own."""
        return any(fact.is_secret for fact in self.facts)


def keeps_where(visit: Visit) -> bool | Scope:
    """Where whoever asks keeps residents' records; False: nowhere."""
    return visit.may(Action.KEEP_RESIDENTS) and visit.scope_for(Action.KEEP_RESIDENTS)


def day_text(visit: Visit, at_ms: int) -> str:
    """A date as people write it, with its year."""
    zone = ZoneInfo(visit.desk.services.settings.time_zone)
    return date_text(visit, datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone).date())


def date_text(visit: Visit, day: date) -> str:
    """The same of a day."""
    return f"{day.day}.{day.month}.{day.year}" if visit.words.language == "nb" else f"{day.day} {day:%b} {day.year}"


def fact_line(visit: Visit, fact: Fact) -> FactLine:
    """One fact with where it comes from and since when."""
    t = visit.words
    is_stale = fact.is_stale(visit.now_ms())
    return FactLine(
        kind=fact.kind.value,
        title=t(f"fact.{fact.kind.value}"),
        text=fact.text,
        caption=source_text(visit, fact.source, fact.as_of_ms, is_stale=is_stale),
        is_stale=is_stale,
        is_secret=fact.is_secret,
        is_wide=fact.kind is FactKind.KNOW,
    )


def source_text(visit: Visit, source: str, as_of_ms: int, *, is_stale: bool = False) -> str:
    """Who says so, and as of which day."""
    key = "resident.stale" if is_stale else "resident.from"
    named = visit.words.either(f"fact_source.{source}", source)
    return visit.words(key, source=named, date=day_text(visit, as_of_ms))


def resident_view(visit: Visit, card: Card, shown: Fact | None = None) -> ResidentView:
    """`shown`: the one secret that was asked for."""
    t, now = visit.words, visit.now_ms()
    known = [shown if shown is not None and fact.kind is shown.kind else fact for fact in card.facts]
    where = [card.unit_name, card.resident.pseudonym]
    year = card.text(FactKind.BORN)
    return ResidentView(
        id=card.resident.pseudonym,
        name=card.name or t("residents.nameless"),
        subtitle=" · ".join([*([year] if year else []), *(part for part in where if part)]),
        basis=basis_text(visit, card.basis),
        facts=tuple(
            fact_line(visit, fact)
            for fact in sorted(known, key=lambda fact: ORDER.index(fact.kind) if fact.kind in ORDER else 0)
            if fact.kind not in {*NAMES, FactKind.BORN}
        ),
        contacts=tuple(_contact_line(visit, contact) for contact in card.contacts),
        services=tuple(
            DatedLine(
                id=service.id,
                title=t.either(f"granted.{service.kind}", service.kind),
                caption=_service_caption(visit, service),
                is_over=service.to_ms is not None and service.to_ms <= now,
                source=source_text(visit, service.source, service.as_of_ms),
            )
            for service in card.services
        ),
        visits=tuple(
            _visit_line(visit, planned, _hours(visit, planned.from_ms, planned.to_ms)) for planned in card.visits
        ),
        soon=tuple(_visit_line(visit, planned, _near(visit, planned)) for planned in soonest(card.visits, now)),
    )


def soonest(visits: Sequence[PlannedVisit], now: int) -> list[PlannedVisit]:
    """The next ones in order, also one that goes on; of those that will not be made as many as there is room for."""
    near = [one for one in visits if one.to_ms > now and one.from_ms < now + SOON_MS]
    first = sorted(near, key=lambda one: (one.state is not VisitState.PLANNED, one.from_ms))[:SOON_SHOWN]
    return sorted(first, key=lambda one: one.from_ms)


def _visit_line(visit: Visit, planned: PlannedVisit, title: str) -> DatedLine:
    parts = (planned.team_name or "", visit.words(f"visit_state.{planned.state.value}"))
    return DatedLine(
        id=planned.id,
        title=title,
        caption=", ".join(part for part in parts if part),
        is_over=planned.to_ms < visit.now_ms() or planned.state is not VisitState.PLANNED,
        source=source_text(visit, planned.source, planned.changed_ms),
    )


def basis_text(visit: Visit, basis: Basis) -> str:
    """Why the record is open."""
    if basis.purpose is Purpose.BREAK_GLASS:
        return visit.words("resident.basis_break_glass", reason=reason_text(visit, basis.reason))
    return visit.words(f"resident.basis_{basis.purpose.value}")


def reason_text(visit: Visit, reason: str) -> str:
    """A reason from the list in this language, one of somebody's own as it was typed."""
    return visit.words.either(f"reason.{reason}", reason)


def _contact_line(visit: Visit, contact: Contact) -> ContactLine:
    t = visit.words
    person, agreement = contact.person, contact.agreement
    services = ", ".join(t.either(f"granted.{one}", one).lower() for one in agreement.services)
    told = t("resident.agreed", services=services) if services else t("resident.not_agreed")
    if services:
        told += "".join(f". {part}" for part in _limits(visit, agreement))
    return ContactLine(
        id=contact.id,
        name=person.name if person else "",
        relation=person.relation if person else "",
        phone=person.phone if person else "",
        agreement=told,
        document=agreement.document,
        caption=source_text(visit, contact.source, contact.as_of_ms),
        version=contact.version,
    )


def _limits(visit: Visit, agreement: Agreement) -> list[str]:
    """At which hours, until when, and of which alarms only, in words."""
    t, said = visit.words, []
    if agreement.hours:
        spans = (
            f"{days_words(one.days, t)} {clock_words(one.begin)}\u2013{clock_words(one.to)}" for one in agreement.hours
        )
        said.append(", ".join(spans).capitalize())
    if agreement.kinds:
        kinds = ", ".join(t.either(f"kind.{one}", one).lower() for one in agreement.kinds)
        said.append(t("resident.only_kinds", kinds=kinds))
    for key, day in (("from_date", agreement.from_day), ("until_date", agreement.to_day)):
        if day is not None:
            said.append(t(f"resident.{key}", date=date_text(visit, day)))
    return said


def contact_text(visit: Visit, contact: Contact) -> str:
    """A contact in one line, for whoever wrote another one meanwhile."""
    line = _contact_line(visit, contact)
    return ". ".join(part for part in (line.name, line.relation, line.phone, line.agreement) if part)


def service_text(visit: Visit, service: Service) -> str:
    """The same of a service."""
    parts = (
        visit.words.either(f"granted.{service.kind}", service.kind),
        _service_caption(visit, service),
        source_text(visit, service.source, service.as_of_ms),
    )
    return ", ".join(parts)


def visit_text(visit: Visit, planned: PlannedVisit) -> str:
    """The same of a visit."""
    parts = (
        _hours(visit, planned.from_ms, planned.to_ms),
        planned.team_name or "",
        visit.words(f"visit_state.{planned.state.value}"),
    )
    return ", ".join(part for part in parts if part)


def _service_caption(visit: Visit, service: Service) -> str:
    span = _span(visit, service.from_ms, service.to_ms)
    return f"{span}, {visit.words('resident.own_plan')}" if service.plan else span


def _hours(visit: Visit, from_ms: int, to_ms: int) -> str:
    clock = visit.figures.short_clock
    return f"{day_text(visit, from_ms)}, {clock(from_ms)}\u2013{clock(to_ms)}"


def _near(visit: Visit, planned: PlannedVisit) -> str:
    """A visit within a day: by the clock, and the day as people say it."""
    t, clock, now = visit.words, visit.figures.short_clock, visit.now_ms()
    if planned.from_ms <= now:
        return t("resident.visit_now", until=clock(planned.to_ms))
    is_today = day_text(visit, planned.from_ms) == day_text(visit, now)
    return t(
        "resident.visit_today" if is_today else "resident.visit_tomorrow",
        span=f"{clock(planned.from_ms)}\u2013{clock(planned.to_ms)}",
    )


def _span(visit: Visit, from_ms: int, to_ms: int | None) -> str:
    t = visit.words
    since = day_text(visit, from_ms)
    if to_ms is None and from_ms > visit.now_ms():
        return t("resident.from_date", date=since).lower()
    if to_ms is None:
        return t("resident.since", date=since)
    return t("resident.span", since=since, until=day_text(visit, to_ms))


async def alarms_of(visit: Visit, resident: str) -> tuple[DatedLine, ...]:
    """Alarms about them that the asker may see, newest first."""
    t, now, seen = visit.words, visit.now_ms(), visit.scope_for(Action.PERSONAL)
    rows = await visit.desk.services.store.fetch(
        lambda connection: _ALARMS.rows(connection, resident=resident, limit=ALARMS_SHOWN)
    )
    words = await outcome_words(visit, {(listed, outcome or "") for *_, outcome, listed, _, _ in rows})
    lines = []
    for alarm, kind, rank, happened_ms, closed_ms, disposition, outcome, listed, tenant, unit in rows:
        if not seen.covers(tenant, unit):
            continue
        ended = (
            t("resident.open")
            if closed_ms is None
            else ", ".join(
                word
                for word in (t.either(f"disposition.{disposition}", ""), words.get((listed, outcome or ""), "").lower())
                if word
            )
        )
        lines.append(
            DatedLine(
                id=alarm,
                title=t.either(f"kind.{kind}", kind),
                caption=f"{visit.figures.when(happened_ms, now)}. {ended}",
                is_over=closed_ms is not None,
                rank=rank,
            )
        )
    return tuple(lines)


async def person_for(visit: Visit, alarm: AlarmView, *, goes: bool = False) -> ResidentView | None:
    """The resident of an alarm, opened for who has it or goes there; None for everybody else.

    None as well where nothing is registered.
    """
    concerns = goes or alarm.owner == visit.who.account.id
    if not alarm.resident or not visit.may(Action.SEE_RESIDENTS) or not concerns:
        return None
    people, scope = visit.desk.services.people, visit.scope_for(Action.SEE_RESIDENTS)
    try:
        return resident_view(visit, await people.card(visit.actor, scope, alarm.resident))
    except (NotFoundError, NoBasisError, ErasedError):
        return None  # the alarm is answered all the same; what hubs tell of a resident stands on it anyway
    except (DamagedError, KeysError) as error:
        log.warning("record_does_not_open", resident=alarm.resident, reason=str(error))
        return None
