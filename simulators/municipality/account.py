"""The account of a night: what central's event log and messages and the lamps at home say has happened, in words."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from central.sql import Sql
from central.store import Store
from simulators.municipality import sentences
from simulators.municipality.founding import Ids
from simulators.municipality.hours import SECOND_MS, Hours
from simulators.municipality.script import Told
from simulators.municipality.sentences import CENTRAL, ROOM
from simulators.municipality.town import Town

_LOG = Sql(
    """SELECT l.at_ms, l.what, l.actor, l.actor_name, l.content, a.queue, a.kind, a.resident
    FROM log_entry l LEFT JOIN alarm a ON a.id = l.alarm WHERE l.at_ms >= :begin ORDER BY l.no"""
)
_MESSAGES = Sql(
    """SELECT n.channel, n.team, n.contact, n.what, coalesce(n.sent_ms, n.made_ms), a.resident, c.position
    FROM notification n JOIN alarm a ON a.id = n.alarm LEFT JOIN contact c ON c.id = n.contact
    WHERE n.state IN ('sent', 'unconfirmed', 'delivered') ORDER BY n.made_ms, n.id"""
)
_WHOSE = Sql("SELECT id, resident FROM alarm")
# What stands in the log for other readers: the acts themselves are told from what came of them.
_NOT_TOLD = frozenset(
    {
        "shown",
        "home_reassured",
        "notified",
        "notification_delivered",
        "notification_unconfirmed",
        "nurse_presence",
        "nurse_reset",
        "secret_opened",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lamp:
    """What a home showed from this moment on."""

    at_ms: int
    alarm: str
    state: str


class Account:
    """Reads it."""

    def __init__(self, town: Town, ids: Ids) -> None:
        self._town = town
        self._workers = {account: town.worker(key).name for key, account in ids.accounts.items()}
        self._teams = {team: name for name, team in ids.teams.items()}

    async def read(self, store: Store, begin_ms: int, lamps: Iterable[Lamp]) -> tuple[Told, ...]:
        """Everything since then, in order."""
        async with store.read() as connection:
            entries = await _LOG.rows(connection, begin=begin_ms)
            messages = await _MESSAGES.rows(connection)
            whose = {row[0]: row[1] for row in await _WHOSE.rows(connection)}
        told = [line for row in entries if (line := self._entry(*row)) is not None]
        told += self._technical(entries)
        told += [self._message(*row) for row in messages]
        for lamp in lamps:
            told.append(_told(lamp.at_ms, *sentences.lamp(self._town.named(whose.get(lamp.alarm)), lamp.state)))
        return tuple(sorted(told))

    def _entry(
        self, at_ms: int, what: str, actor: str, actor_name: str, text: str, queue: str | None, kind: str, resident: str
    ) -> Told | None:
        content = json.loads(text)
        if queue is None:
            words = {"nobody_with_sound": sentences.nobody_on_duty, "duty_covered": sentences.duty_covered}.get(what)
            team = self._teams.get(content.get("team", ""), "the house")
            return None if words is None else _told(at_ms, CENTRAL, words(team))
        if queue != "personal" or what in _NOT_TOLD:
            return None
        name = self._town.named(resident)
        if what == "raised":
            return _told(at_ms, *sentences.raised(name, kind))
        who = {"room": ROOM, "hub": name, "system": CENTRAL}.get(actor, actor_name)
        return _told(at_ms, who, self._words(what, name, content))

    def _words(self, what: str, name: str, content: Mapping[str, Any]) -> str:  # one for each word
        match what:
            case "repeated":
                return "pressed again"
            case "claimed":
                return f"took {name}"
            case "returned":
                return f"put {name} back into the queue: {content['why']}"
            case "escalated":
                said = sentences.unseen if content.get("why") == "unseen" else sentences.escalated
                return said(name, content["step"])
            case "nobody_with_sound":
                return sentences.finds_nobody(name, [passed["step"] for passed in content["steps"]])
            case "no_receiver":
                return f"nobody to ask for {name}: passed over at once"
            case "closed":
                return f"closed {name}: {content['disposition']}, {content['outcome']}"
            case "deferred":
                return f"put {name} off to a planned visit"
            case "called":
                return f"called {content['called']} about {name}: {content['result']}"
            case "contact_accepted":
                return f"goes to {name}"
            case "contact_declined":
                return f"cannot go to {name}"
            case "dispatch_sent":
                return f"sent {self._teams.get(content['team'], '?')} to {name}"
            case "offered":
                return f"offered {name} to {self._workers.get(content.get('to_account', ''), '?')}"
            case "offer_accepted":
                return f"accepted {name}"
            case _ if what.startswith("dispatch_"):
                reason = f": {content['reason']}" if content.get("reason") else ""
                return f"{what.removeprefix('dispatch_')} for {name}{reason}"
            case _:
                return f"{what} ({name})"

    def _technical(self, entries: Sequence[Any]) -> Iterator[Told]:
        found: Counter[tuple[int, str, str]] = Counter()
        for at_ms, what, _actor, _name, _content, queue, kind, _resident in entries:
            if queue == "technical" and what in {"raised", "condition_cleared"}:
                found[at_ms // SECOND_MS * SECOND_MS, what, kind] += 1
        for (at_ms, what, kind), count in found.items():
            over = " over" if what == "condition_cleared" else ""
            yield Told(at_ms, CENTRAL, f"technical queue: {count} x {kind}{over}")

    def _message(
        self, channel: str, team: str | None, contact: str | None, what: str, at_ms: int, resident: str, place: int
    ) -> Told:
        name = self._town.named(resident)
        to = f"next of kin {place}" if contact is not None else self._teams.get(team or "", "the house")
        if channel == "console":
            said = sentences.called_out if what == "dispatch" else sentences.asked
            return _told(at_ms, CENTRAL, said(to, name))
        return _told(at_ms, CENTRAL, sentences.text(to, what, name))


def _told(at_ms: int, who: str, what: str) -> Told:
    return Told(at_ms // SECOND_MS * SECOND_MS, who, what)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Where the script and the account do not agree."""

    missing: tuple[Told, ...]
    unexpected: tuple[Told, ...]

    @property
    def is_none(self) -> bool:
        """They agree line by line."""
        return not self.missing and not self.unexpected

    def in_words(self, hours: Hours) -> str:
        """One line each, in the order of time."""
        lines = [(told, "in the script, not in the account") for told in self.missing]
        lines += [(told, "in the account, not in the script") for told in self.unexpected]
        return "\n".join(f"{hours.wall(told.at_ms)}  {told.who}: {told.what}  <- {why}" for told, why in sorted(lines))


def difference(written: Iterable[Told], told: Iterable[Told]) -> Difference:
    """Line by line: a line that comes twice has to be told twice."""
    first, second = Counter(written), Counter(told)
    return Difference(
        missing=tuple(sorted((first - second).elements())), unexpected=tuple(sorted((second - first).elements()))
    )


COLUMNS: Mapping[str, tuple[str, ...]] = {
    "alarms": tuple(sentences.KINDS.values()),
    "again": ("pressed again",),
    "taken": ("took ",),
    "escalated": ("nobody has answered", "no console has shown"),
    "returned": ("put .. back",),
    "closed": ("closed ",),
    "texts": ("texted ",),
    "technical": ("technical queue",),
}


def by_hour(told: Iterable[Told], hours: Hours) -> str:
    """A table: how much of what in each hour of the wall clock, the hour that comes twice in two rows."""
    table: dict[str, Counter[str]] = {}
    for line in told:
        row = table.setdefault(hours.hour(line.at_ms), Counter())
        if (column := _column(line.what)) is not None:
            row[column] += 1
    head = f"{'hour':<12}" + "".join(f"{name:>11}" for name in COLUMNS)
    lines = [f"{hour:<12}" + "".join(f"{row[name] or '·':>11}" for name in COLUMNS) for hour, row in table.items()]
    return "\n".join([head, *lines])


def _column(what: str) -> str | None:
    if what.startswith("put ") and "back into the queue" in what:
        return "returned"
    return next((name for name, begins in COLUMNS.items() if what.startswith(begins)), None)


def in_words(told: Iterable[Told], hours: Hours) -> str:
    """The account as it is printed: a heading for each hour, a line for each thing that happened."""
    lines: list[str] = []
    heading = ""
    for line in sorted(told, key=_as_read):
        if (hour := hours.hour(line.at_ms)) != heading:
            heading = hour
            lines += ["", f"== {hour} =="]
        lines.append(f"{hours.wall(line.at_ms)[:8]}  {line.who:<20}  {line.what.replace('_', ' ')}")
    return "\n".join(lines)


def _as_read(line: Told) -> tuple[int, int, str, str]:
    """Within a second: what people did, what central made of it, what the homes showed."""
    order = 2 if line.who.startswith("Home of ") else int(line.who == CENTRAL)
    return line.at_ms, order, line.who, line.what
