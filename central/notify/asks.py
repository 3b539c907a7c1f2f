"""What next of kin were asked by SMS, and is still open: which number, with which code.

A sender's number is easily forged. The code of a question is known only to whoever received the question.

A number is known by a keyed hash, so that nobody can try numbers who has only the database. What cannot wait is asked
of the alarm: a question is open for as long as its alarm waits.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from central.sql import Sql

ASK = "alarm_waits_contact"
NAMES_CODES = frozenset({"kin_which", "kin_code", "kin_wrong", "kin_unknown"})
"""Answers to answers that name the codes of what is open, to the number that was asked and nobody else."""
SAYS_HOW = frozenset({ASK, "kin_code", "kin_unknown"})
"""Messages that end with how to answer."""
KEPT_MS = 7 * 24 * 3600 * 1000
"""So long an answer is still answered, and a code is not used for another question."""

_OF_NUMBER = Sql(
    f"""SELECT n.id, n.alarm, n.contact, n.round, n.step, n.code, n.answer, n.language, n.made_ms,
       coalesce(n.sent_ms, n.made_ms), a.handling, a.owner
    FROM notification n JOIN alarm a ON a.id = n.alarm
    WHERE n.mark = :mark AND n.what = '{ASK}' AND n.made_ms > :since
    ORDER BY n.made_ms DESC, n.id"""  # noqa: S608  # a word of our own
)
_USED = Sql("SELECT code FROM notification WHERE mark = :mark AND code IS NOT NULL AND made_ms > :since")
_MARK = Sql("UPDATE notification SET mark = :mark, code = coalesce(code, :code) WHERE id = :id RETURNING code")
_WRONG = Sql("SELECT count(*) FROM notification WHERE key LIKE :prefix AND what = 'kin_wrong'")
_OPEN_STATES = frozenset({"waiting"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A question to somebody's number."""

    id: str
    alarm: str
    contact: str
    round: int
    step: int
    code: str
    answer: str | None
    language: str
    made_ms: int
    asked_ms: int
    handling: str
    owner: str | None

    @property
    def is_open(self) -> bool:
        """Whether an answer changes anything."""
        return self.handling in _OPEN_STATES


async def asks_of(connection: AsyncConnection, mark: str, now: int) -> Sequence[Ask]:
    """All questions to a number of late, the newest first; of each alarm and person only the newest."""
    names = tuple(Ask.__dataclass_fields__)
    found: dict[tuple[str, str], Ask] = {}
    for row in await _OF_NUMBER.rows(connection, mark=mark, since=now - KEPT_MS):
        one = Ask(**dict(zip(names, row, strict=True)))
        found.setdefault((one.alarm, one.contact), one)
    return tuple(found.values())


async def code_for(connection: AsyncConnection, ask: str, mark: str, now: int, *, alarm: str, contact: str) -> str:
    """Note which number is asked now. Returns the code that the message names, and a yes to it.

    Whoever is asked again about the same alarm has the same code, so that an answer to the first text counts.
    """
    before = [one.code for one in await asks_of(connection, mark, now) if (one.alarm, one.contact) == (alarm, contact)]
    return await marked(connection, ask, mark, now, before[0] if before else "")


async def marked(connection: AsyncConnection, ask: str, mark: str, now: int, code: str) -> str:
    """Note which number is asked, with this code or a new one. Of all that is open to a number no two have the same."""
    if not code:
        used = {row[0] for row in await _USED.rows(connection, mark=mark, since=now - KEPT_MS)}
        code = secrets.choice([one for one in map(str, range(1000, 10_000)) if one not in used])
    return str(await _MARK.value(connection, id=ask, mark=mark, code=code))


async def wrong_codes(connection: AsyncConnection, asks: Sequence[Ask]) -> int:
    """How many wrong codes somebody has tried on these questions."""
    return sum([int(await _WRONG.value(connection, prefix=f"{answer_key(one)}%") or 0) for one in asks])


def answer_key(ask: Ask) -> str:
    """Before the number of each message that answers an answer to this question."""
    return f"{ask.alarm}:kin:{ask.id}:"
