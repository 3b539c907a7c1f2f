"""A tenant's outcomes as they are kept: every version of the list, and the words that an alarm was closed with.

A list never changes: an edit is a new version. A closed alarm names tenant and version, `00aa11bb22cc33dd/3`, so that
it says for ever what it said then; without a name the words are those that come with the product. An alarm may be
closed by any list that held since it was raised: whoever had its form open before an edit loses nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from sqlalchemy.ext.asyncio import AsyncConnection

from central import event_log
from central.access import Scope
from central.console.catalogue import words
from central.errors import Conflict, IncompleteError
from central.lifecycle import KindOfHelp
from central.outcomes import Outcome, OutcomeFault, OutcomeList, faults_of
from central.people.tenants import check_tenant
from central.routines.listed import Lists
from central.sql import Row, Sql
from central.store import Priority
from central.views import Actor, AlarmView

MAX_WHY = 256

_NONE = frozenset({"mis_press", "no_contact"})
_PRACTICAL = frozenset({"practical_help", "door_alarm", "confused", "repeated_calls"})
_SHIPPED = (
    "fall", "anxiety", "no_contact", "mis_press", "practical_help", "confused", "chest_pain", "stroke_signs",
    "breathing", "palpitations", "seizure", "nausea", "burn", "medication", "general_decline", "door_alarm",
    "diabetes", "repeated_calls", "other",
)  # fmt: skip
"""The default list: that of a public response-centre routine."""

_COLUMNS = "tenant, version, content, written_ms, written_by, why"
_NEWEST = Sql(f"SELECT {_COLUMNS} FROM outcome_list WHERE tenant = :tenant ORDER BY version DESC LIMIT 1")  # noqa: S608
_AT = Sql(f"SELECT {_COLUMNS} FROM outcome_list WHERE tenant = :tenant AND version = :version")  # noqa: S608
_BEFORE = Sql(
    f"""SELECT {_COLUMNS} FROM outcome_list WHERE tenant = :tenant AND version < :before
    ORDER BY version DESC LIMIT :limit"""  # noqa: S608  # words of our own
)
_SINCE = Sql(
    f"""SELECT {_COLUMNS} FROM outcome_list WHERE tenant = :tenant AND version >= (
       SELECT coalesce(max(version), 0) FROM outcome_list WHERE tenant = :tenant AND written_ms <= :since)
    ORDER BY version DESC LIMIT 100"""  # noqa: S608  # words of our own
)
_ADD = Sql(
    """INSERT INTO outcome_list (tenant, version, content, written_ms, written_by, why)
    VALUES (:tenant, :version, :content, :now, :by, :why) ON CONFLICT DO NOTHING RETURNING version"""
)
_USED = Sql(
    "SELECT 1 FROM alarm WHERE queue = 'personal' AND tenant = :tenant AND outcome = :code AND outcome IS NOT NULL"
    " LIMIT 1"
)
_REF = re.compile(r"([0-9a-f]{16})/([1-9]\d{0,8})")

Named = tuple[str, str]
"""A list as alarms name it, and a code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRow:
    """A version of a tenant's list. Version 0: nobody has written one."""

    tenant: str | None
    version: int
    content: OutcomeList
    written_ms: int = 0
    written_by: str = ""
    why: str = ""

    @property
    def ref(self) -> str:
        """How an alarm names it."""
        return f"{self.tenant}/{self.version}" if self.version else ""

    @property
    def is_shipped(self) -> bool:
        """What can be chosen is what comes with the product."""
        return self.content.offered == shipped().outcomes


class StaleOutcomesError(Conflict):
    """Somebody has written a newer version meanwhile. `theirs` is that; nothing was changed."""

    def __init__(self, theirs: ListRow, yours: int) -> None:
        current = {"version": theirs.version, **theirs.content.model_dump(mode="json")}
        super().__init__("stale_outcomes", state=f"version {theirs.version}", current=current, yours={"version": yours})
        self.theirs = theirs


class InvalidOutcomesError(IncompleteError):
    """It is no list that alarms could be closed by. `faults` says where and why."""

    def __init__(self, faults: Sequence[OutcomeFault]) -> None:
        super().__init__(f"outcomes_{faults[0].reason}", faults[0].where)
        self.faults = tuple(faults)


@cache
def shipped() -> OutcomeList:
    """The list that comes with the product, in the catalogue's words."""
    return OutcomeList(outcomes=tuple(_in_catalogue(code, _usual(code)) for code in _SHIPPED))


def _usual(code: str) -> KindOfHelp:
    if code in _NONE:
        return KindOfHelp.NONE
    return KindOfHelp.PRACTICAL if code in _PRACTICAL else KindOfHelp.HEALTH


def _in_catalogue(code: str, usual: KindOfHelp) -> Outcome:
    return Outcome(code=code, nb=words("nb")(f"outcome.{code}"), en=words("en")(f"outcome.{code}"), help=usual)


async def current(connection: AsyncConnection, tenant: str | None) -> ListRow:
    """What holds now for a tenant."""
    row = await _NEWEST.one(connection, tenant=tenant) if tenant else None
    return _row(row) if row else ListRow(tenant=tenant, version=0, content=shipped())


async def settle(
    connection: AsyncConnection, alarm: AlarmView, disposition: str, code: str, said: str
) -> tuple[KindOfHelp, str]:
    """The kind of help of a personal alarm that is closed so, and the list that says so. Raises IncompleteError."""
    newest = await current(connection, alarm.tenant)
    try:
        return newest.content.settle(disposition, code, said), newest.ref
    except IncompleteError:
        for row in await _older(connection, alarm, newest):
            try:
                return row.content.settle(disposition, code, said), row.ref
            except IncompleteError:
                continue
        raise


async def _older(connection: AsyncConnection, alarm: AlarmView, newest: ListRow) -> list[ListRow]:
    """What held before the newest list, as long as the alarm is there."""
    if not newest.version or newest.written_ms < alarm.raised_ms:
        return []
    rows = await _SINCE.rows(connection, tenant=alarm.tenant, since=alarm.raised_ms)
    found = [_row(row) for row in rows]
    if found[-1].version == 1 and found[-1].written_ms > alarm.raised_ms:
        found.append(ListRow(tenant=alarm.tenant, version=0, content=shipped()))
    return found[1:]


async def worded(connection: AsyncConnection, wanted: Iterable[Named]) -> Mapping[Named, Outcome]:
    """Outcomes as they were worded in the lists that name them. What nothing is known of is left out."""
    lists: dict[str, OutcomeList | None] = {}
    found = {}
    for ref, code in wanted:
        if ref not in lists:
            lists[ref] = await _named(connection, ref)
        listed = lists[ref]
        outcome = _shipped_word(code) if listed is None else listed.find(code)
        if outcome is not None:
            found[ref, code] = outcome
    return found


async def _named(connection: AsyncConnection, ref: str) -> OutcomeList | None:
    match = _REF.fullmatch(ref)
    row = await _AT.one(connection, tenant=match[1], version=int(match[2])) if match else None
    return _row(row).content if row else None


def _shipped_word(code: str) -> Outcome | None:
    """Of a personal alarm, of a technical one, or of the staff at a room."""
    return _in_catalogue(code, _usual(code)) if code and words("nb").has(f"outcome.{code}") else None


class Outcomes(Lists):
    """The lists of one central."""

    async def of(self, tenant: str, scope: Scope) -> ListRow:
        """What holds now. Raises NotFoundError."""
        return await self._read(tenant, scope, lambda connection: current(connection, tenant))

    async def used(self, tenant: str, codes: Iterable[str]) -> frozenset[str]:
        """Those of the codes that alarms were closed with."""
        return await self._store.fetch(lambda connection: _used(connection, tenant, codes))

    async def versions(self, tenant: str, scope: Scope, *, before: int = 2**31 - 1, limit: int = 50) -> list[ListRow]:
        """All that were written, the newest first. Raises NotFoundError."""

        async def work(connection: AsyncConnection) -> list[ListRow]:
            return [_row(row) for row in await _BEFORE.rows(connection, tenant=tenant, before=before, limit=limit)]

        return await self._read(tenant, scope, work)

    async def write(
        self,
        actor: Actor,
        scope: Scope,
        tenant: str,
        content: OutcomeList | None,
        *,
        replaces: int,
        why: str = "",
    ) -> ListRow:
        """A new version in place of `replaces`; None goes back to the shipped list, and retires what was used.

        Raises NotFoundError, InvalidOutcomesError, StaleOutcomesError.
        """
        now = self._clock.now_ms()

        async def work(connection: AsyncConnection) -> ListRow:
            # The log's counter is locked from here to the commit: whoever writes at the same time waits.
            told = {"tenant": tenant, "list_version": replaces + 1}
            what = "outcomes_written" if content is not None else "outcomes_reset"
            await event_log.append(connection, now, what, actor, content=told)
            await check_tenant(connection, scope, tenant)
            newest = await current(connection, tenant)
            if newest.version != replaces:
                raise StaleOutcomesError(newest, replaces)
            kept = await _used(connection, tenant, [one.code for one in newest.content.outcomes])
            wanted = content or _back_to_shipped(newest.content, kept)
            if faults := faults_of(wanted.outcomes, kept):
                raise InvalidOutcomesError(faults)
            if not await _ADD.one(
                connection,
                tenant=tenant,
                version=replaces + 1,
                content=wanted.model_dump_json(),
                now=now,
                by=actor.id,
                why=why.strip()[:MAX_WHY],
            ):
                raise StaleOutcomesError(await current(connection, tenant), replaces)
            return await current(connection, tenant)

        return await self._store.transact(Priority.PEOPLE, work)


def _back_to_shipped(newest: OutcomeList, kept: frozenset[str]) -> OutcomeList:
    own = [one for one in newest.outcomes if one.code in kept and shipped().find(one.code) is None]
    return OutcomeList(outcomes=(*shipped().outcomes, *(one.model_copy(update={"retired": True}) for one in own)))


async def _used(connection: AsyncConnection, tenant: str, codes: Iterable[str]) -> frozenset[str]:
    return frozenset({code for code in codes if await _USED.one(connection, tenant=tenant, code=code)})


def _row(row: Row) -> ListRow:
    tenant, version, content, written_ms, written_by, why = row
    return ListRow(
        tenant=tenant,
        version=version,
        content=OutcomeList.model_validate_json(content),
        written_ms=written_ms,
        written_by=written_by,
        why=why,
    )
