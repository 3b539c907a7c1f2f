"""What an entry of the event log says of itself, in the reader's words: names for ids, and no code's own words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, union_all

from central.console.gate import Visit
from central.console.routine_view import outcome_in, outcome_words
from central.people.words import is_sealed
from central.routines.outcomes import Named
from central.tables import user_account
from central.tables_people import team, tenant, unit

UNTOLD = frozenset(
    {
        "kind",
        "what",
        "happened_ms",
        "gone_ms",
        "note_digest",
        "reason_digest",
        "console",
        "suite",
        "dispatch",
        "offer",
        "outcome_list",
    }
)
"""Stands beside the entry already, or tells a person nothing."""
SECTIONS = {
    "called": "call",
    "result": "call",
    "service": "granted",
    "channel": "channel",
    "role": "role",
    "fact": "fact",
    "disposition": "disposition",
    "help": "help",
    "cause": "home_response",
    "why": "home_response",
    "measures": "home_measure",
}
"""Where the words of a value stand, for keys whose value alone says it."""
_NAMED = frozenset({"team", "tenant", "unit", "account", "to_team", "to_account", "from", "device"})
"""In the place of a device may stand a team: whose consoles did not show an alarm."""
_TABLES = (team, tenant, unit, user_account)


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Of teams, municipalities, units and accounts, by id; and of outcomes, as the entries name them."""

    known: Mapping[str, str]
    outcomes: Mapping[Named, str]

    def of(self, value: object) -> str:
        """The name, or what is written where the thing is no more."""
        return self.known.get(str(value), str(value))


async def names_for(visit: Visit, contents: Sequence[Mapping[str, Any]]) -> Names:
    """The names of everything that these entries mention."""
    outcomes = await outcome_words(visit, {outcome_in(content) for content in contents})
    wanted = {str(value) for content in contents for key, value in content.items() if key in _NAMED and value}
    if not wanted:
        return Names(known={}, outcomes=outcomes)
    named = (select(table.c.id, table.c.name).where(table.c.id.in_(sorted(wanted))) for table in _TABLES)
    async with visit.desk.services.store.read() as connection:
        rows = (await connection.execute(union_all(*named))).all()
    return Names(known={row[0]: row[1] for row in rows}, outcomes=outcomes)


def what_key(visit: Visit, what: str, content: Mapping[str, Any]) -> str:
    """The key of what happened, with its reason where there are words for it."""
    because = f"what.{what}_{content.get('why')}"
    return because if visit.words.has(because) else f"what.{what}"


def nth(content: Mapping[str, Any]) -> int:
    """The how manieth time it came."""
    repeats = content.get("repeats")
    return repeats + 1 if isinstance(repeats, int) else 1


def channel_word(visit: Visit, content: Mapping[str, Any]) -> str:
    """The way by which somebody was told, for entries about that."""
    word = str(content.get("channel") or "")
    return visit.words.either(f"channel.{word}", word)


def content_text(visit: Visit, content: Mapping[str, Any], names: Names) -> str:
    """All of an entry that is worth reading, in one line."""
    said = (
        names.outcomes.get(outcome_in(content), str(value)) if key == "outcome" else _told(visit, key, value, names)
        for key, value in content.items()
        if key not in UNTOLD and value
    )
    return ", ".join(text for text in said if text)


def _told(visit: Visit, key: str, value: object, names: Names) -> str:
    t = visit.words
    for known in (f"{SECTIONS.get(key, key)}.{value}", f"detail.{key}_{value}"):
        if isinstance(value, str) and t.has(known):
            return t(known)
    if key == "why":
        return ""  # it is in what the entry says
    label = t.either(f"detail.{key}", key)
    if is_sealed(value):
        return f"{label} ({t('words.on_alarm')})"
    if key == "steps" and isinstance(value, list):
        return ", ".join(_step(visit, step) for step in value if isinstance(step, Mapping))
    if key == "device" and str(value) in names.known:
        return names.of(value)
    if key in _NAMED:
        return f"{label} {names.of(value)}"
    if value is True:
        return label
    if isinstance(value, int | float):
        return f"{label} {visit.figures.number(value)}"
    if isinstance(value, Mapping):
        return content_text(visit, value, names)
    if isinstance(value, list):
        return f"{label} {', '.join(t.either(f'{SECTIONS.get(key, key)}.{one}', str(one)) for one in value)}"
    return f"{label} {value}"


def _step(visit: Visit, step: Mapping[str, Any]) -> str:
    t = visit.words
    why = str(step.get("why", ""))
    number = step.get("step", 0)
    shown = number + 1 if isinstance(number, int) else 1
    return t("detail.passed", n=shown, why=t.either(f"what.{why}", why).lower())
