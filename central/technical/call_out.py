"""Calling the technicians out: a fault that cannot wait and that nobody has taken reaches somebody who answers for it.

Such faults are those of rank 4: at a critical resident, or in what carries alarms; and area incidents with critical
residents. All that waits for one team is one call-out, however much it is: whoever is called looks at the page. It goes
up `central.technical.ladder` until somebody takes a fault at a console or answers by SMS. All other faults wait for the
day.

Nothing is remembered between looks: what is due is a row with a time and a fence, so that any number of processes may
look and one of them calls; a look that dies half way has done nothing, and the next one does it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from central.alarms.rows import LOUD
from central.clock import Clock
from central.errors import NotStoredError
from central.escalation.telling import tell
from central.settings import CallOutSettings
from central.sql import Sql
from central.store import Priority, Store
from central.technical import called
from central.technical.called import BY_CONSOLE, BY_SMS, WHAT, CallOutRow
from central.technical.duty import DutyBook, DutyContact, duty_book
from central.technical.ladder import FAULTS, Rung, rungs
from central.wakeup import Wakeup
from cloud_sync.identity import new_id

log = structlog.get_logger()

_MOST = 500
_GRAVE = f"{LOUD} AND a.rank <= 4"
_INCIDENT = "i.state = 'open' AND i.critical > 0"

# Where something waits and since when, whatever the number.
_WAITING = Sql(
    f"""SELECT a.tenant, a.unit, min(a.raised_ms), max(a.raised_ms) FROM alarm a
    WHERE {_GRAVE} AND a.handling = 'waiting' GROUP BY a.tenant, a.unit
    UNION ALL SELECT i.tenant, i.unit, i.opened_ms, i.opened_ms FROM incident i
    WHERE {_INCIDENT} AND i.owner IS NULL"""  # noqa: S608  # our own names
)
_HELD = Sql(
    f"""SELECT a.tenant, a.unit, a.owner, a.owner_name, a.claimed_ms FROM alarm a
    WHERE {_GRAVE} AND a.handling <> 'waiting'
    UNION ALL SELECT i.tenant, i.unit, i.owner, i.owner_name, i.claimed_ms FROM incident i
    WHERE {_INCIDENT} AND i.owner IS NOT NULL ORDER BY 5 LIMIT :limit"""  # noqa: S608  # our own names
)
# The most urgent ones, for whoever is called to look at; an incident by the worst alarm in it.
_WORST = Sql(
    f"""SELECT a.id, a.tenant, a.unit, 0 FROM alarm a WHERE {_GRAVE} AND a.handling = 'waiting'
    ORDER BY a.rank, a.raised_ms, a.id LIMIT :limit"""  # noqa: S608  # our own names
)
_WORST_INCIDENTS = Sql(
    f"""SELECT (SELECT a.id FROM alarm a WHERE a.incident = i.id AND a.closed_ms IS NULL
         ORDER BY a.rank, a.raised_ms, a.id LIMIT 1), i.tenant, i.unit, 1
    FROM incident i WHERE {_INCIDENT} AND i.owner IS NULL ORDER BY i.opened_ms, i.id LIMIT :limit"""  # noqa: S608
)
# A claim that only ran out, because the page was left for the road, is no word that somebody else shall come.
_RELEASED = Sql("SELECT 1 FROM log_entry WHERE alarm = :alarm AND what IN ('released', 'undone') AND at_ms >= :since")
_BEGIN = Sql(
    """INSERT INTO call_out (id, team, tenant, alarm, state, due_ms, began_ms)
    VALUES (:id, :team, :tenant, :alarm, 'due', :due, :now) ON CONFLICT DO NOTHING RETURNING id"""
)
_RUN = Sql(
    """UPDATE call_out SET state = 'running', round = :round, round_ms = :round_ms, no = :no, due_ms = :due,
       alarm = :alarm, answered_ms = NULL, answered_by = NULL, answered_name = NULL, answered_via = NULL
    WHERE id = :id"""
)
_IN_VAIN = Sql(
    """UPDATE call_out SET state = 'unanswered', round = :round, round_ms = :round_ms, due_ms = :due, alarm = :alarm,
       unanswered_ms = coalesce(unanswered_ms, :now), answered_ms = NULL, answered_by = NULL, answered_name = NULL,
       answered_via = NULL WHERE id = :id"""
)
_LATER = Sql("UPDATE call_out SET due_ms = :due, answered_via = :via WHERE id = :id")


@dataclass(slots=True, kw_only=True)
class Standing:
    """What concerns one team now."""

    oldest_ms: int | None = None
    newest_ms: int = 0
    alarms: list[str] = field(default_factory=list)
    has_incident: bool = False
    holder: tuple[str, str] | None = None
    """Who took something of it last."""
    tenant: str | None = None

    @property
    def waits(self) -> bool:
        """Something has nobody."""
        return self.oldest_ms is not None

    @property
    def is_over(self) -> bool:
        """Nothing waits and nobody has anything."""
        return not self.waits and self.holder is None


class Move(StrEnum):
    """What happens to a call-out next."""

    NOTHING = "nothing"
    STEP = "step"  # the next of the ladder
    ROUND = "round"  # from its beginning
    ANSWERED = "answered"  # somebody took it at a console
    KEEP = "keep"  # somebody has it still
    END = "end"


def due(row: CallOutRow, now: int, settings: CallOutSettings) -> bool:
    """Whether its time has come. One that was written under a clock that was ahead holds nothing up."""
    longest = {
        "due": settings.first_after_s,
        "running": settings.answer_within_s,
        "unanswered": max(settings.again_after_s, settings.answer_within_s),
        "answered": settings.answer_holds_s,
    }
    return row.due_ms <= now or row.due_ms > now + longest[row.state] * 1000


def next_move(
    row: CallOutRow, standing: Standing, now: int, settings: CallOutSettings, *, is_released: bool = False
) -> Move:
    """The rules, without any I/O."""
    is_due = due(row, now, settings)
    if standing.is_over:
        return Move.END
    if standing.holder is not None and not standing.waits:
        if row.state != "answered" or (row.answered_via == BY_SMS and row.answered_by != standing.holder[0]):
            return Move.ANSWERED
        return Move.KEEP if is_due or row.answered_via == BY_SMS else Move.NOTHING
    since = row.answered_ms if row.state == "answered" else row.round_ms
    is_new = standing.newest_ms >= (since or 0) and standing.newest_ms + settings.first_after_s * 1000 <= now
    match row.state:
        case "due":
            return Move.ROUND if is_due else Move.NOTHING
        case "running":
            return Move.STEP if is_due else Move.NOTHING
        case "unanswered":
            return Move.ROUND if is_due or is_new else Move.NOTHING
        case _:
            return Move.ROUND if is_due or is_new or is_released else Move.NOTHING


class CallOut:
    """The call-outs of one database. Any number of processes may look; one of them tells."""

    def __init__(self, store: Store, clock: Clock, wakeup: Wakeup, settings: CallOutSettings | None = None) -> None:
        self._store = store
        self._clock = clock
        self._wakeup = wakeup
        self._settings = settings or CallOutSettings()

    async def look(self) -> int:
        """Move every call-out on that is due. Returns how many were. Raises NotStoredError."""
        rows, standings = await self._store.fetch(self._standing)
        moved = 0
        for team in sorted({*standings, *(row.team for row in rows)}):
            row = next((one for one in rows if one.team == team), None)
            try:
                moved += await self._one(team, row, standings.get(team, Standing()))
            except NotStoredError:
                raise
            except Exception:  # a fault over one team must not keep the others waiting; the auditor sees that it stands
                log.exception("call_out_not_moved", team=team)
        if moved:
            log.info("call_outs_moved", count=moved)
            self._wakeup.wake()
        return moved

    async def _one(self, team: str, row: CallOutRow | None, standing: Standing) -> bool:
        if row is None:
            if not standing.waits or not await self._begun(team, standing):
                return False
            rows, standings = await self._store.fetch(self._standing)
            row = next((one for one in rows if one.team == team), None)
            if row is None:
                return False
            standing = standings.get(team, Standing())
        if not await self._store.fetch(lambda connection: self._moves(connection, row, standing)):
            return False
        work = self._mover(row)
        return await self._store.transact(Priority.UPKEEP, work)

    async def _begun(self, team: str, standing: Standing) -> bool:
        now = self._clock.now_ms()

        async def work(connection: AsyncConnection) -> bool:
            begun = await _BEGIN.one(
                connection,
                id=new_id().hex(),
                team=team,
                tenant=standing.tenant,
                alarm=standing.alarms[0] if standing.alarms else "",
                due=(standing.oldest_ms or now) + round(self._settings.first_after_s * 1000),
                now=now,
            )
            return begun is not None

        return await self._store.transact(Priority.UPKEEP, work)

    def _mover(self, row: CallOutRow) -> Callable[[AsyncConnection], Awaitable[bool]]:
        async def work(connection: AsyncConnection) -> bool:
            locked = await called.lock(connection, row.id)
            if locked is None or locked.fence != row.fence + 1 or locked.ended_ms is not None:
                return False  # another process was first, or an answer: the next look sees what it did
            _, standings = await self._standing(connection)
            standing = standings.get(row.team, Standing())
            now = self._clock.now_ms()
            move = await self._move(connection, locked, standing, now)
            await self._do(connection, locked, standing, move, now)
            return move is not Move.NOTHING

        return work

    async def _moves(self, connection: AsyncConnection, row: CallOutRow, standing: Standing) -> bool:
        return await self._move(connection, row, standing, self._clock.now_ms()) is not Move.NOTHING

    async def _move(self, connection: AsyncConnection, row: CallOutRow, standing: Standing, now: int) -> Move:
        is_released = False
        if row.state == "answered" and row.answered_via == BY_CONSOLE and standing.waits:
            since = row.answered_ms or 0
            is_released = standing.has_incident or any(
                [await _RELEASED.one(connection, alarm=one, since=since) is not None for one in standing.alarms[:20]]
            )
        return next_move(row, standing, now, self._settings, is_released=is_released)

    async def _do(self, connection: AsyncConnection, row: CallOutRow, standing: Standing, move: Move, now: int) -> None:
        holds_ms = round(self._settings.answer_holds_s * 1000)
        match move:
            case Move.END:
                await called.end(connection, row, now)
            case Move.ANSWERED:
                by, name = standing.holder or ("", "")
                await called.answer(connection, row, now, by=by, name=name, via=BY_CONSOLE, until_ms=now + holds_ms)
            case Move.KEEP:
                await _LATER.rows(connection, id=row.id, due=now + holds_ms, via=BY_CONSOLE)
            case Move.ROUND:
                await self._call(connection, row, standing, row.round + 1, 0, now)
            case Move.STEP:
                await self._call(connection, row, standing, row.round, row.no + 1, now)
            case Move.NOTHING:
                return

    async def _call(
        self, connection: AsyncConnection, row: CallOutRow, standing: Standing, number: int, no: int, now: int
    ) -> None:
        """The first step from this one on that can reach anybody; when none can, all have been called in vain."""
        team = (await duty_book(connection, now)).teams.get(row.team)
        steps = rungs(team)[no:] if team is not None else ()
        rung = next((one for one in steps if one.called), None)
        passed = [one for one in steps if one.why in FAULTS and (rung is None or one.no < rung.no)]
        round_ms = now if number != row.round or row.round_ms is None else row.round_ms
        alarm = standing.alarms[0] if standing.alarms else row.alarm
        place = {"id": row.id, "round": number, "round_ms": round_ms, "alarm": alarm}
        answer_ms, again_ms = (
            round(seconds * 1000) for seconds in (self._settings.answer_within_s, self._settings.again_after_s)
        )
        if rung is None:
            await _IN_VAIN.rows(connection, **place, due=max(now + answer_ms, round_ms + again_ms), now=now)
        else:
            await _RUN.rows(connection, **place, no=rung.no, due=now + answer_ms)
            await _tell(connection, row, rung, number, alarm, now)
        said = replace(row, round=number, alarm=alarm)
        for one in passed:
            await called.note(connection, said, "call_out_passed", now, {"step": one.step, "why": one.why})
        if rung is None:
            await called.note(connection, said, "call_out_unanswered", now, {})
            return
        for who in rung.called:
            content = {"step": rung.step} | ({"account": who.account} if who.account else {})
            await called.note(connection, said, "technician_called", now, content)

    async def _standing(self, connection: AsyncConnection) -> tuple[Sequence[CallOutRow], Mapping[str, Standing]]:
        rows = await called.open_rows(connection)
        waiting, held = await _WAITING.rows(connection), await _HELD.rows(connection, limit=_MOST)
        found: dict[str, Standing] = {}
        if not (waiting or held):
            return rows, found
        book = await duty_book(connection, self._clock.now_ms())
        for tenant, unit, oldest_ms, newest_ms in waiting:
            if one := _of(book, found, tenant, unit):
                one.oldest_ms = oldest_ms if one.oldest_ms is None else min(one.oldest_ms, oldest_ms)
                one.newest_ms = max(one.newest_ms, newest_ms)
        for tenant, unit, owner, owner_name, _ in held:
            if one := _of(book, found, tenant, unit):
                one.holder = (owner or "", owner_name or "")
        if waiting:
            worst = await _WORST.rows(connection, limit=_MOST)
            for alarm, tenant, unit, is_incident in [*worst, *await _WORST_INCIDENTS.rows(connection, limit=_MOST)]:
                if (one := _of(book, found, tenant, unit)) and alarm is not None:
                    one.alarms.append(alarm)
                    one.has_incident = one.has_incident or bool(is_incident)
        return rows, found


def _of(book: DutyBook, found: dict[str, Standing], tenant: str | None, unit: str | None) -> Standing | None:
    team: DutyContact | None = book.of(tenant, unit)
    return None if team is None else found.setdefault(team.team, Standing(tenant=tenant))


async def _tell(connection: AsyncConnection, row: CallOutRow, rung: Rung, number: int, alarm: str, now: int) -> None:
    for who in rung.called:
        for channel in who.ways:
            key = f"call-out:{row.id}:{number}:{rung.no}:{channel}:{who.account or row.team}"
            await tell(
                connection, key, who.to, channel, WHAT, now, alarm=alarm, number=number, step=rung.no,
                account=who.account, call_out=row.id,
            )  # fmt: skip
