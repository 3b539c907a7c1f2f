"""An answer by SMS: how it is read, who may give it how often, and that each number's answers come one at a time.

A code of four digits is safe only while few can be tried. Wrong ones are counted as the messages that answer them, so
no answer of a number is judged before the one ahead of it is committed, however many come at once.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from central.clock import Clock
from central.metrics import Metrics
from central.notify.addresses import Contacts
from central.notify.numbers import same_form
from central.security import SecurityLog
from central.sql import Sql
from central.store import Priority, Store
from central.wakeup import Wakeup

PATH = "sms"
MOST_REPLIES = 6
"""To one question: whoever writes more is a machine."""
MOST_WRONG = 4
"""Wrong codes; then no yes from this number counts until it is asked anew."""
_SUSPECT = frozenset({"unasked", "too_many", "wrong", "locked"})
_YES, _NO = ("1", "ja", "yes", "j", "y"), ("2", "nei", "no", "n")
_SAID = re.compile(
    rf"(?:(?P<before>\d{{2,6}})\s+)?(?P<word>{'|'.join((*_YES, *_NO))})(?:[\s,.:;-]+(?P<after>\d{{2,6}}))?[\s.!]*"
)
_ANSWERED = Sql("UPDATE notification SET answer = :answer, answered_ms = :now WHERE id = :id")
_ONE_AT_A_TIME = Sql("SELECT pg_advisory_xact_lock(hashtextextended(:mark, 0))")
"""Until the end of the transaction. Nobody who holds anything else waits for it, so it can be waited for in no ring."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a text says. `word` None: nothing that is understood."""

    word: str | None = None
    code: str = ""


def read(text: str) -> Said:
    """Yes or no, and perhaps a code. Upper and lower case, a full stop and blanks do not matter."""
    found = _SAID.fullmatch(" ".join(text.split()).casefold())
    if found is None or (found["before"] and found["after"]):
        return Said()
    return Said("yes" if found["word"] in _YES else "no", found["before"] or found["after"] or "")


async def keep_answer(connection: AsyncConnection, question: str, said: str, now: int) -> None:
    """It stands with the message that asked."""
    await _ANSWERED.rows(connection, id=question, answer=said, now=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerParts:
    """What any answer by SMS touches."""

    store: Store
    clock: Clock
    contacts: Contacts
    metrics: Metrics
    security: SecurityLog
    wakeup: Wakeup


class Answers:
    """What comes back from those who were asked something by SMS."""

    def __init__(self, parts: AnswerParts) -> None:
        self._parts = parts

    async def _judge(self, number: str, work: Callable[[AsyncConnection, str, int], Awaitable[str]]) -> str:
        """`work` with the mark of a number, alone with it. Raises NotStoredError: it is to come again."""
        parts = self._parts

        async def alone(connection: AsyncConnection) -> str:
            mark = await parts.contacts.number_mark(connection, same_form(number))
            if parts.store.dialect.is_shared:  # elsewhere one writes at a time
                await _ONE_AT_A_TIME.rows(connection, mark=mark)
            return await work(connection, mark, parts.clock.now_ms())

        return await parts.store.transact(Priority.PEOPLE, alone)

    def _tell(self, what: str, *, counted: str, about: str) -> None:
        if what in _SUSPECT:
            self._parts.security.note(f"sms_{what}", hub=None, path=PATH, detail=f"an answer to a {about}")
        self._parts.metrics.count(f"{counted}.{what}")
        self._parts.wakeup.wake()
