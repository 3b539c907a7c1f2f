"""What is known about a resident: each fact with who says so and when it was true. Nothing is overwritten.

A newer fact of a kind ends the older one, which stays with its author and its end. Facts are sealed; what may be read
without opening anything is that there is one, where it comes from and how old it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy.ext.asyncio import AsyncConnection

from central.errors import IncompleteError
from central.people.vault import ResidentKey
from central.sql import Sql
from cloud_sync.identity import new_id

DAY_MS = 24 * 3_600_000
MAX_TEXT = 2000


class FactKind(StrEnum):
    """What a fact is about, in the order in which it is shown."""

    FIRST_NAME = "first_name"
    LAST_NAME = "last_name"
    BORN = "born"
    ADDRESS = "address"
    DIRECTIONS = "directions"
    PHONE = "phone"
    LANGUAGE = "language"
    ACCESS = "access"
    KEY_CODE = "key_code"
    E_LOCK = "e_lock"
    KNOW = "know"
    HEALTH = "health"
    DOCTOR = "doctor"


SECRET = frozenset({FactKind.KEY_CODE, FactKind.HEALTH})
"""Folded on every page. Opening one is an event of its own."""

NAMES = (FactKind.FIRST_NAME, FactKind.LAST_NAME)
FRESH_DAYS: Mapping[FactKind, int] = {
    FactKind.ACCESS: 365,
    FactKind.KEY_CODE: 365,
    FactKind.E_LOCK: 365,
    FactKind.KNOW: 180,
    FactKind.HEALTH: 180,
    FactKind.PHONE: 730,
    FactKind.ADDRESS: 730,
    FactKind.DIRECTIONS: 730,
    FactKind.DOCTOR: 730,
}
"""How long a fact may stand unconfirmed before it is marked as old. Names, birth and language do not grow old."""

SOURCES = ("resident", "next_of_kin", "home_care", "epj", "population_register", "installer", "import", "other")
"""Who says so."""

_CURRENT = Sql(
    """SELECT id, kind, sealed, source, as_of_ms, written_ms, written_by, ended_ms FROM resident_fact
    WHERE resident = :resident AND ended_ms IS NULL ORDER BY written_ms, id"""
)
_HISTORY = Sql(
    """SELECT id, kind, sealed, source, as_of_ms, written_ms, written_by, ended_ms FROM resident_fact
    WHERE resident = :resident ORDER BY written_ms DESC, id LIMIT 500"""
)
_END = Sql(
    """UPDATE resident_fact SET ended_ms = :now, ended_by = :by
    WHERE resident = :resident AND kind = :kind AND ended_ms IS NULL RETURNING id"""
)
_ADD = Sql(
    """INSERT INTO resident_fact (id, resident, kind, sealed, source, as_of_ms, written_ms, written_by)
    VALUES (:id, :resident, :kind, :sealed, :source, :as_of, :now, :by)"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One fact. `text` None: it is sealed and was not opened."""

    id: str
    kind: FactKind
    text: str | None
    source: str
    as_of_ms: int
    written_ms: int
    written_by: str
    ended_ms: int | None

    def __repr__(self) -> str:
        return f"Fact({self.id}, {self.kind})"  # a text must not get into a log by way of an exception

    @property
    def is_secret(self) -> bool:
        """Folded until somebody wants to see it."""
        return self.kind in SECRET

    def is_stale(self, now: int) -> bool:
        """Nobody has confirmed it for so long that it may have changed."""
        days = FRESH_DAYS.get(self.kind)
        return days is not None and now - self.as_of_ms > days * DAY_MS


async def current(
    connection: AsyncConnection, key: ResidentKey | None, resident: str, *, opened: frozenset[FactKind]
) -> tuple[Fact, ...]:
    """What is known now, in the order of the kinds; only kinds in `opened` with their text."""
    facts = _facts(await _CURRENT.rows(connection, resident=resident), key, opened)
    order = list(FactKind)
    return tuple(sorted(facts, key=lambda fact: order.index(fact.kind)))


async def history(
    connection: AsyncConnection, key: ResidentKey | None, resident: str, *, opened: frozenset[FactKind]
) -> tuple[Fact, ...]:
    """Everything that was ever written, newest first."""
    return tuple(_facts(await _HISTORY.rows(connection, resident=resident), key, opened))


def _facts(rows: Sequence[Sequence[object]], key: ResidentKey | None, opened: frozenset[FactKind]) -> list[Fact]:
    found = []
    for fact_id, word, sealed, source, as_of_ms, written_ms, written_by, ended_ms in rows:
        kind = FactKind(str(word))
        text = None
        if kind in opened and key is not None:
            assert isinstance(sealed, bytes | memoryview)  # noqa: S101  # as the table has it
            text = key.open(str(fact_id), kind, bytes(sealed))
        found.append(
            Fact(
                id=str(fact_id),
                kind=kind,
                text=text,
                source=str(source),
                as_of_ms=_number(as_of_ms),
                written_ms=_number(written_ms),
                written_by=str(written_by),
                ended_ms=None if ended_ms is None else _number(ended_ms),
            )
        )
    return found


def _number(value: object) -> int:
    assert isinstance(value, int)  # noqa: S101  # as the table has it
    return value


def check_source(source: str) -> None:
    """That somebody known says so. Raises IncompleteError."""
    if source not in SOURCES:
        raise IncompleteError("unknown_source", "source", SOURCES)


def check_as_of(as_of_ms: int | None, now: int) -> int:
    """When something was true: now, unless somebody says when. Raises IncompleteError."""
    if as_of_ms is None:
        return now
    if as_of_ms > now + DAY_MS:
        raise IncompleteError("in_the_future", "as_of")
    return as_of_ms


def clean(kind: FactKind, text: str) -> str:
    """A text as it is kept. Raises IncompleteError."""
    text = "\n".join(" ".join(line.split()) for line in text.replace("\x00", "").strip().splitlines())
    if len(text) > MAX_TEXT:
        raise IncompleteError("too_long", kind.value)
    if kind is FactKind.BORN and text and not (len(text) == 4 and text.isascii() and text.isdigit()):
        raise IncompleteError("bad_year", kind.value)
    return text


async def record(
    connection: AsyncConnection,
    key: ResidentKey,
    kind: FactKind,
    text: str,
    *,
    source: str,
    as_of_ms: int,
    by: str,
    now: int,
) -> bool:
    """Write a fact, or with an empty text end the one there is. Returns whether anything has changed."""
    text = clean(kind, text)
    check_source(source)
    before = [
        fact for fact in await current(connection, key, key.resident, opened=frozenset({kind})) if fact.kind is kind
    ]
    if any(fact.text == text and fact.source == source and fact.as_of_ms >= as_of_ms for fact in before):
        return False
    if not text and not before:
        return False
    await _END.rows(connection, resident=key.resident, kind=kind.value, now=now, by=by)
    if text:
        fact_id = new_id().hex()
        await _ADD.rows(
            connection,
            id=fact_id,
            resident=key.resident,
            kind=kind.value,
            sealed=key.seal(fact_id, kind.value, text),
            source=source,
            as_of=as_of_ms,
            now=now,
            by=by,
        )
    return True
