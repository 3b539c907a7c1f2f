"""What somebody has typed about a contact, a service or a visit: kept as typed, read into values, faults by field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from central.console.plan_draft import DraftHours, minute_of
from central.console.typed import Typed
from central.errors import IncompleteError
from central.people.contacts import Contact, Entry, check_reachable, entry_from
from central.people.services import Service
from central.people.visits import PlannedVisit
from central.routing import calendar
from central.routing.plan import WeekHours
from central.routing.words import clock_at, clock_words

MAX_HOURS = 6
GRANTS, WORK_LISTS = "epj", "home_care"
"""Who mostly says what was granted, and who comes when."""
NIGHT_BEFORE, CENTURY = date(1999, 12, 31), date(2100, 1, 1)


class FieldFaults(IncompleteError):  # noqa: N818  # the plural says that there may be several
    """What is wrong, by field: the ends of texts' keys, and what they are filled in with."""

    def __init__(self, faults: Mapping[str, str], values: Mapping[str, str] | None = None) -> None:
        where, reason = next(iter(faults.items()))
        super().__init__(reason, where)
        self.faults = dict(faults)
        self.values = dict(values or {})


@dataclass(slots=True, kw_only=True)
class ContactDraft:
    """Everything in the form of a contact."""

    name: str = ""
    relation: str = ""
    phone: str = ""
    email: str = ""
    language: str = ""
    source: str = "resident"
    services: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    hours: list[DraftHours] = field(default_factory=lambda: [DraftHours()])
    from_day: str = ""
    to_day: str = ""
    document: str = ""
    version: int = 0

    @classmethod
    def of(cls, contact: Contact) -> ContactDraft:
        """As kept."""
        person, agreement = contact.person, contact.agreement
        hours = [
            DraftHours(days=set(one.days), begin=clock_words(one.begin), to=clock_words(one.to % (24 * 60)))
            for one in agreement.hours
        ]
        draft = cls(
            source=contact.source, services=list(agreement.services), kinds=list(agreement.kinds),
            hours=hours or [DraftHours()], document=agreement.document, version=contact.version,
            from_day=agreement.from_day.isoformat() if agreement.from_day else "",
            to_day=agreement.to_day.isoformat() if agreement.to_day else "",
        )  # fmt: skip
        if person is not None:
            draft.name, draft.relation, draft.phone = person.name, person.relation, person.phone
            draft.email, draft.language = person.email, person.language
        return draft

    @classmethod
    def typed(cls, form: Typed) -> ContactDraft:
        """As sent."""
        hours = []
        for number in range(MAX_HOURS):
            if f"h{number}.begin" not in form:
                break
            days = {int(day) for day in form.all(f"h{number}.day") if day in "0123456" and len(day) == 1}
            hours.append(
                DraftHours(days=days, begin=form.text(f"h{number}.begin", 5), to=form.text(f"h{number}.to", 5))
            )
        return cls(
            name=form.text("name", 200), relation=form.text("relation", 100), phone=form.text("phone", 40),
            email=form.text("email", 300), language=form.text("language", 8),
            source=form.text("source", 32) or "resident", services=form.all("service"), kinds=form.all("kind"),
            hours=hours or [DraftHours()], from_day=form.text("from_day", 10), to_day=form.text("to_day", 10),
            document=form.text("document", 100), version=form.version(),
        )  # fmt: skip

    def more_hours(self) -> None:
        """Room for other hours as well."""
        if len(self.hours) < MAX_HOURS:
            self.hours.append(DraftHours())

    def made(self) -> Entry:
        """The contact. Raises FieldFaults."""
        faults: dict[str, str] = {} if self.name else {"name": "missing"}
        hours: list[WeekHours] = []
        for number, one in enumerate(self.hours):
            if not one.begin and not one.to:
                continue
            begin, to = minute_of(one.begin), minute_of(one.to)
            for name, minute in (("begin", begin), ("to", to)):
                if minute is None:
                    faults[f"h{number}-{name}"] = "bad_time"
            if not one.days:
                faults[f"h{number}-day"] = "no_day"
            if begin is not None and to is not None and one.days:
                hours.append(WeekHours(days=tuple(sorted(one.days)), begin=begin, to=to))
        days = {name: _day(getattr(self, name), name, faults) for name in ("from_day", "to_day")}
        first, last = days["from_day"], days["to_day"]
        if first is not None and last is not None and last < first:
            faults["to_day"] = "ends_before_it_begins"
        if faults:
            raise FieldFaults(faults)
        raw = {
            "name": self.name, "relation": self.relation, "phone": self.phone, "email": self.email,
            "language": self.language,
            "agreement": {
                "services": self.services, "kinds": self.kinds,
                "hours": [one.model_dump(mode="json") for one in hours],
                "from_day": first and first.isoformat(), "to_day": last and last.isoformat(),
                "document": self.document,
            },
        }  # fmt: skip
        try:
            entry = entry_from(raw)
            check_reachable(entry)
        except IncompleteError as error:
            where = error.field.removeprefix("contacts.").partition(".")[0]
            raise FieldFaults({where: error.reason}) from None
        return entry


@dataclass(slots=True, kw_only=True)
class ServiceDraft:
    """Everything in the form of a service. Days are local ones; the last one is the first without it."""

    service: str = ""
    from_day: str = ""
    to_day: str = ""
    plan: str = ""
    source: str = GRANTS
    as_of: str = ""
    version: int = 0

    @classmethod
    def of(cls, service: Service, zone: ZoneInfo, now: int) -> ServiceDraft:
        """As kept, by the same source as of today."""
        return cls(
            service=service.kind,
            from_day=day_of(service.from_ms, zone),
            to_day="" if service.to_ms is None else day_of(service.to_ms, zone),
            plan=service.plan or "",
            source=service.source,
            as_of=day_of(now, zone),
            version=service.version,
        )

    @classmethod
    def typed(cls, form: Typed) -> ServiceDraft:
        """As sent."""
        return cls(
            service=form.text("service", 16), from_day=form.text("from_day", 10), to_day=form.text("to_day", 10),
            plan=form.text("plan", 16), source=form.text("source", 32) or GRANTS, as_of=form.text("as_of", 10),
            version=form.version(),
        )  # fmt: skip

    def span(self, zone: ZoneInfo, now: int, before: Service | None = None) -> tuple[int, int | None]:
        """From when to when. What began today began now; a day that was not touched keeps its time."""
        faults: dict[str, str] = {}
        first, last = _day(self.from_day, "from_day", faults), _day(self.to_day, "to_day", faults)
        if faults:
            raise FieldFaults(faults)
        from_ms = _midnight(first, zone) if first else now
        if first and from_ms <= now < from_ms + 86_400_000:
            from_ms = now
        to_ms = None if last is None else _midnight(last, zone)
        if before is not None:
            if self.from_day == day_of(before.from_ms, zone):
                from_ms = before.from_ms
            if before.to_ms is not None and self.to_day == day_of(before.to_ms, zone):
                to_ms = before.to_ms
        return from_ms, to_ms

    def stated_ms(self, zone: ZoneInfo, now: int) -> int | None:
        """As of when its source has it so; None: nobody says. Raises FieldFaults."""
        faults: dict[str, str] = {}
        day = _day(self.as_of, "as_of", faults)
        if faults:
            raise FieldFaults(faults)
        if day is None:
            return None
        stated = _midnight(day, zone)
        if stated > now:
            raise FieldFaults({"as_of": "in_the_future"})
        return stated


@dataclass(slots=True, kw_only=True)
class VisitDraft:
    """Everything in the form of a visit."""

    day: str = ""
    begin: str = ""
    end: str = ""
    team: str = ""
    source: str = WORK_LISTS
    version: int = 0

    @classmethod
    def of(cls, visit: PlannedVisit, zone: ZoneInfo) -> VisitDraft:
        """As kept."""
        (day, begin), (_, end) = (calendar.local(at, zone) for at in (visit.from_ms, visit.to_ms))
        return cls(
            day=day.isoformat(), begin=clock_words(begin), end=clock_words(end), team=visit.team or "",
            version=visit.version,
        )  # fmt: skip

    @classmethod
    def typed(cls, form: Typed) -> VisitDraft:
        """As sent."""
        return cls(
            day=form.text("day", 10), begin=form.text("begin", 5), end=form.text("end", 5), team=form.text("team", 16),
            source=form.text("source", 32) or WORK_LISTS, version=form.version(),
        )  # fmt: skip

    def times(self, zone: ZoneInfo, now: int) -> tuple[int, int]:
        """From when to when. Raises FieldFaults, also for a time that the clock skips that night."""
        faults: dict[str, str] = {} if self.day else {"day": "missing"}
        day = _day(self.day, "day", faults)
        begin, end = minute_of(self.begin), minute_of(self.end)
        for name, minute in (("begin", begin), ("end", end)):
            if minute is None:
                faults[name] = "bad_time"
        if faults or day is None or begin is None or end is None:
            raise FieldFaults(faults)
        last = day if end > begin else date.fromordinal(day.toordinal() + 1)
        # Where an hour happens twice, the visit lies anywhere in both of them.
        from_ms = _at(zone, day, begin, "begin", is_second=False)
        to_ms = _at(zone, last, end, "end", is_second=True)
        if to_ms <= now:
            raise FieldFaults({"day": "in_the_past"})
        return from_ms, to_ms


def _at(zone: ZoneInfo, day: date, minute: int, where: str, *, is_second: bool) -> int:
    try:
        return calendar.chosen(zone, day, minute, second=is_second)
    except calendar.LocalTimeError as error:
        before, after = (clock_at(at, zone) for at in error.choices)
        raise FieldFaults({where: "no_such_time"}, {"before": before, "after": after}) from None


def day_of(at_ms: int, zone: ZoneInfo) -> str:
    """The local day as a form has it."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone).date().isoformat()


def _day(text: str, where: str, faults: dict[str, str]) -> date | None:
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        faults[where] = "bad_date"
        return None
    if not NIGHT_BEFORE < day < CENTURY:
        faults[where] = "bad_date"
    return day


def _midnight(day: date, zone: ZoneInfo) -> int:
    return calendar.instant(zone, day, 0)
