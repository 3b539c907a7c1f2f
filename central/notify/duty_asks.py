"""What technicians were asked by SMS when they were called out, and is still open: which number, with which code.

As with next of kin a number is known by a keyed hash, and a yes needs the code of the call-out, which only whoever was
called has. One call-out has one code for a number, however often it is called.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from central.notify.asks import KEPT_MS, marked
from central.sql import Sql
from central.technical.called import WHAT

NAMES_CODE = frozenset({WHAT, "fault_code", "fault_unknown"})
"""Messages that end with how to answer; they go to the number that was called and nobody else."""

_OF_NUMBER = Sql(
    f"""SELECT n.id, n.call_out, n.account, coalesce(u.name, t.name, ''), n.team, n.round, n.step, n.code, n.language,
       c.state, c.round, c.answered_by, n.account IS NULL OR u.state = 'active'
    FROM notification n JOIN call_out c ON c.id = n.call_out LEFT JOIN user_account u ON u.id = n.account
       LEFT JOIN team t ON t.id = n.team
    WHERE n.mark = :mark AND n.what = '{WHAT}' AND n.made_ms > :since ORDER BY n.made_ms DESC, n.id"""  # noqa: S608  # a word of our own
)
_CODE = Sql(
    f"""SELECT code FROM notification WHERE mark = :mark AND call_out = :call_out AND what = '{WHAT}'
    AND code IS NOT NULL LIMIT 1"""  # noqa: S608  # a word of our own
)
_REPLIES = Sql(
    """SELECT count(*) FROM notification WHERE call_out = :call_out AND key LIKE :prefix
    AND (CAST(:what AS VARCHAR(32)) = '' OR what = :what)"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call to somebody's number."""

    id: str
    call_out: str
    account: str | None
    name: str
    team: str
    round: int
    step: int
    code: str
    language: str
    state: str
    now_round: int
    answered_by: str | None
    may_answer: bool | None
    """Not an account that was shut out, or is gone, since it was called."""

    @property
    def who(self) -> str:
        """Who answers by this number: an account, or the team."""
        return self.account or self.team

    @property
    def is_theirs(self) -> bool:
        """They have it."""
        return self.state == "answered" and self.answered_by == self.who

    @property
    def is_open(self) -> bool:
        """An answer changes something."""
        return self.is_theirs or self.state in {"running", "unanswered"}


_NAMES = tuple(Call.__dataclass_fields__)


async def calls_of(connection: AsyncConnection, mark: str, now: int) -> Sequence[Call]:
    """All call-outs of late that came to a number, the newest first; of each only the newest call."""
    found: dict[str, Call] = {}
    for row in await _OF_NUMBER.rows(connection, mark=mark, since=now - KEPT_MS):
        one = Call(**dict(zip(_NAMES, row, strict=True)))
        found.setdefault(one.call_out, one)
    return tuple(found.values())


async def code_for(connection: AsyncConnection, ask: str, call_out: str, mark: str, now: int) -> str:
    """Note which number is called now. Returns the code that the message names, and a yes to it."""
    before = await _CODE.value(connection, mark=mark, call_out=call_out)
    return await marked(connection, ask, mark, now, before or "")


def reply_key(call: Call) -> str:
    """Before the number of each message that answers an answer to this call."""
    return f"call-out:{call.call_out}:to:{call.id}:"


async def replies(connection: AsyncConnection, call: Call) -> int:
    """How many answers to this call were answered."""
    return await _count(connection, call, "")


async def wrong_codes(connection: AsyncConnection, calls: Sequence[Call]) -> int:
    """How many wrong codes somebody has tried on these calls."""
    return sum([await _count(connection, one, "fault_wrong") for one in calls])


async def _count(connection: AsyncConnection, call: Call, what: str) -> int:
    return int(await _REPLIES.value(connection, call_out=call.call_out, prefix=f"{reply_key(call)}%", what=what) or 0)
