"""Who is on duty now, at which console, with sound that was heard; and telling everybody when nobody is.

A console counts for as long as its stream was seen within the last `SEEN_MS`. Signs of life come with every beat and
are written together every few seconds; going on and off duty is written at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from central import event_log, feed
from central.clock import Clock
from central.escalation import seen as seeing
from central.escalation.seen import back_again, seen_since
from central.routing.teams import TEAM_LABEL
from central.sql import Row, Sql
from central.store import Priority, Store
from central.views import SYSTEM
from central.wakeup import Wakeup

SEEN_MS = seeing.SEEN_MS
HOUSE = ""

# Technicians hear what has to be mended; an alarm of a person that waits beside them is heard by nobody.
_WITH_SOUND = Sql(
    """SELECT DISTINCT d.team FROM duty d LEFT JOIN team t ON t.id = d.team
    WHERE d.has_sound AND d.seen_ms > :since AND coalesce(t.kind, '') <> 'technical'"""
)
KEPT_MS = 3_600_000
"""So long the teams of a silent console are remembered: when it speaks again, it has them again."""

# A team whose members nobody has named yet has everybody; so has the house while there is no team. Without a choice
# of teams all of them are taken.
_TAKEN = Sql(
    """INSERT INTO duty (account, console, team, account_name, has_sound, since_ms, seen_ms)
    SELECT u.id, :console, coalesce(t.id, ''), u.name, :has_sound, :now, :now
    FROM user_account u LEFT JOIN team t ON t.state = 'active'
       AND (EXISTS (SELECT 1 FROM team_member m WHERE m.team = t.id AND m.account = u.id)
            OR NOT EXISTS (SELECT 1 FROM team_member m WHERE m.team = t.id))
    WHERE u.id = :account AND (CAST(:teams AS VARCHAR(900)) = '' OR :teams LIKE '%,' || t.id || ',%')
    ON CONFLICT (account, console, team) DO UPDATE SET has_sound = excluded.has_sound,
       since_ms = CASE WHEN duty.seen_ms > :alive THEN duty.since_ms ELSE excluded.since_ms END,
       seen_ms = excluded.seen_ms, account_name = excluded.account_name"""
)
_LEFT = Sql(
    """DELETE FROM duty WHERE account = :account AND console = :console
    AND CAST(:teams AS VARCHAR(900)) <> '' AND :teams NOT LIKE '%,' || team || ',%'"""
)
_STILL = Sql(
    """UPDATE duty SET seen_ms = :now, since_ms = CASE WHEN seen_ms > :alive THEN since_ms ELSE :now END
    WHERE account = :account AND console = :console"""
)
_TO_TAKE = Sql(
    f"""SELECT t.id, {TEAM_LABEL}, t.kind,
       (SELECT count(*) FROM team_member m WHERE m.team = t.id AND m.account = :account)
    FROM team t WHERE t.state = 'active' AND (
       EXISTS (SELECT 1 FROM team_member m WHERE m.team = t.id AND m.account = :account)
       OR NOT EXISTS (SELECT 1 FROM team_member m WHERE m.team = t.id)) ORDER BY t.name, t.id"""  # noqa: S608  # our own
)
_OTHERS = Sql(
    """SELECT DISTINCT team, account_name FROM duty WHERE account <> :account AND has_sound AND seen_ms > :since
    ORDER BY account_name"""
)
_IS_ON = Sql(
    "SELECT 1 FROM duty WHERE account = :account AND console = :console AND has_sound AND seen_ms > :since LIMIT 1"
)
_GONE = Sql("DELETE FROM duty WHERE account = :account AND console = :console")
_FORGET = Sql("DELETE FROM duty WHERE seen_ms <= :before")
_ON_DUTY = Sql(
    f"""SELECT t.id, {TEAM_LABEL}, d.account, d.account_name, d.console, d.has_sound, d.since_ms
    FROM team t LEFT JOIN duty d ON d.team IN (t.id, '') AND d.seen_ms > :since
    WHERE t.state = 'active' AND t.kind IN ('centre', 'ward')
    ORDER BY t.name, t.id, d.account_name, d.console"""  # noqa: S608  # our own names
)
_IN_HOUSE = Sql(
    """SELECT DISTINCT '', '', account, account_name, console, has_sound, since_ms FROM duty
    WHERE seen_ms > :since AND team = '' ORDER BY account_name, console"""
)
_TOLD = Sql("SELECT name, content FROM audit_mark WHERE name LIKE 'duty:%'")
_TELL = Sql(
    """INSERT INTO audit_mark (name, at_ms, content) VALUES (:name, :now, :content)
    ON CONFLICT (name) DO UPDATE SET at_ms = excluded.at_ms, content = excluded.content
    WHERE audit_mark.content <> excluded.content RETURNING name"""
)
_DROP = Sql("DELETE FROM audit_mark WHERE name = :name")
COVERED, UNCOVERED = '{"is_covered":true}', '{"is_covered":false}'


@dataclass(frozen=True, slots=True, kw_only=True)
class OnDuty:
    """Somebody at a console."""

    account: str
    name: str
    console: str
    has_sound: bool
    since_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cover:
    """A team and who is on duty for it. Without a team (`team` is empty) it is the whole house."""

    team: str
    name: str
    people: tuple[OnDuty, ...]

    @property
    def is_covered(self) -> bool:
        """Whether somebody would hear an alarm."""
        return any(one.has_sound for one in self.people)


async def teams_with_sound(connection: AsyncConnection, now: int, *, is_here: bool = False) -> frozenset[str]:
    """Ids of the teams for which a console with working sound is on duty; the empty id is the house.

    Just after a restart of central those count that were there before it, unless they are to be here now.
    """
    since = now - SEEN_MS if is_here else await seen_since(connection, now)
    return frozenset(row[0] for row in await _WITH_SOUND.rows(connection, since=since))


async def cover(connection: AsyncConnection, now: int) -> list[Cover]:
    """Every team that answers at consoles, and who is on duty for it."""
    since = await seen_since(connection, now)
    rows = await _ON_DUTY.rows(connection, since=since)
    if not rows:
        rows = await _IN_HOUSE.rows(connection, since=since) or [("", "", None, None, None, False, 0)]
    people: dict[tuple[str, str], list[OnDuty]] = {}
    for team, name, *one in rows:
        found = people.setdefault((team, name), [])
        if one[0] is not None:
            found.append(_person(one))
    return [Cover(team=team, name=name, people=tuple(found)) for (team, name), found in people.items()]


def _person(row: Row) -> OnDuty:
    account, name, console, has_sound, since_ms = row
    return OnDuty(account=account, name=name, console=console, has_sound=bool(has_sound), since_ms=since_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamToTake:
    """A team that somebody may go on duty for."""

    id: str
    name: str
    kind: str
    is_named: bool
    """Somebody has put them into it; otherwise it has nobody by name, and therefore everybody."""
    others: tuple[str, ...]
    """Who is on duty for it with sound besides them."""


class Duty:
    """The duty rows of one central."""

    def __init__(self, store: Store, clock: Clock, wakeup: Wakeup) -> None:
        self._store = store
        self._clock = clock
        self._wakeup = wakeup
        self._seen: set[tuple[str, str]] = set()

    async def begin(self, gone_ms: int) -> None:
        """Central starts, after nobody could be seen since `gone_ms`. Raises NotStoredError."""
        now = self._clock.now_ms()
        await self._store.transact(Priority.PEOPLE, lambda connection: back_again(connection, gone_ms, now))

    async def set(self, account: str, console: str, *, has_sound: bool, teams: Sequence[str] | None = None) -> None:
        """Somebody goes on duty at a console, or (without sound) off it. Raises NotStoredError.

        `teams`: for these of theirs and no others; None: for all of them.
        """
        chosen = f",{','.join(sorted(teams))}," if teams else ""

        async def work(connection: AsyncConnection) -> None:
            now = self._clock.now_ms()
            who = {"account": account, "console": console}
            if has_sound:
                await _LEFT.rows(connection, teams=chosen, **who)
                await _TAKEN.rows(connection, has_sound=True, now=now, alive=now - SEEN_MS, teams=chosen, **who)
            else:
                await _GONE.rows(connection, account=account, console=console)

        self._seen.discard((account, console))
        await self._store.transact(Priority.PEOPLE, work)
        await self.watch()

    async def is_on(self, account: str, console: str) -> bool:
        """Whether a console is on duty with sound: its page may have been opened before somebody went on duty."""

        async def look(connection: AsyncConnection) -> bool:
            since = await seen_since(connection, self._clock.now_ms())
            return await _IS_ON.one(connection, account=account, console=console, since=since) is not None

        return await self._store.fetch(look)

    def seen(self, account: str, console: str) -> None:
        """The stream of a console on duty with sound is alive."""
        self._seen.add((account, console))

    async def renew(self) -> None:
        """Write down who was seen. Raises NotStoredError; then they are written with the next round."""
        seen = sorted(self._seen)

        async def work(connection: AsyncConnection) -> None:
            now = self._clock.now_ms()
            for account, console in seen:
                await _STILL.rows(connection, account=account, console=console, now=now, alive=now - SEEN_MS)
            await _FORGET.rows(connection, before=await seen_since(connection, now) - KEPT_MS)

        if seen:
            await self._store.transact(Priority.UPKEEP, work)
            self._seen.difference_update(seen)
        await self.watch()

    async def cover(self) -> Sequence[Cover]:
        """Every team that answers at consoles, and who is on duty for it."""
        return await self._store.fetch(lambda connection: cover(connection, self._clock.now_ms()))

    async def to_take(self, account: str) -> Sequence[TeamToTake]:
        """The teams that somebody may go on duty for; none while there are no teams."""

        async def look(connection: AsyncConnection) -> list[TeamToTake]:
            since = await seen_since(connection, self._clock.now_ms())
            others: dict[str, list[str]] = {}
            for team, name in await _OTHERS.rows(connection, account=account, since=since):
                others.setdefault(team, []).append(name)
            return [
                TeamToTake(id=team, name=name, kind=kind, is_named=bool(named), others=tuple(others.get(team, ())))
                for team, name, kind, named in await _TO_TAKE.rows(connection, account=account)
            ]

        return await self._store.fetch(look)

    async def watch(self) -> None:
        """When a team loses the last console with sound, or has one again, everybody is told once."""
        if not await self._store.fetch(self._news):
            return

        async def work(connection: AsyncConnection) -> None:
            now = self._clock.now_ms()
            for name, content in await self._news(connection):
                if content is None:
                    await _DROP.rows(connection, name=name)
                elif await _TELL.one(connection, name=name, now=now, content=content):
                    team = name.removeprefix("duty:")
                    what = "duty_covered" if content == COVERED else "nobody_with_sound"
                    await event_log.append(connection, now, what, SYSTEM, content={"team": team})
                    await feed.publish(connection, now, "duty", team, what)

        await self._store.transact(Priority.PEOPLE, work)
        self._wakeup.wake()

    async def _news(self, connection: AsyncConnection) -> list[tuple[str, str | None]]:
        told = {row[0]: row[1] for row in await _TOLD.rows(connection)}
        found = {
            f"duty:{one.team}": COVERED if one.is_covered else UNCOVERED
            for one in await cover(connection, self._clock.now_ms())
        }
        news: list[tuple[str, str | None]] = [
            (name, now) for name, now in found.items() if told.get(name, COVERED) != now
        ]
        return news + [(name, None) for name in told if name not in found]
