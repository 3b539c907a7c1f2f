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
from central.sql import Row, Sql
from central.store import Priority, Store
from central.views import SYSTEM
from central.wakeup import Wakeup

SEEN_MS = 15_000
HOUSE = ""

_WITH_SOUND = Sql("SELECT DISTINCT team FROM duty WHERE has_sound AND seen_ms > :since")
# A team whose members nobody has named yet has everybody; so has the house while there is no team.
_SEEN = Sql(
    """INSERT INTO duty (account, console, team, account_name, has_sound, since_ms, seen_ms)
    SELECT u.id, :console, coalesce(t.id, ''), u.name, :has_sound, :now, :now
    FROM user_account u LEFT JOIN team t ON t.state = 'active'
       AND (EXISTS (SELECT 1 FROM team_member m WHERE m.team = t.id AND m.account = u.id)
            OR NOT EXISTS (SELECT 1 FROM team_member m WHERE m.team = t.id))
    WHERE u.id = :account
    ON CONFLICT (account, console, team) DO UPDATE SET seen_ms = excluded.seen_ms, has_sound = excluded.has_sound,
       account_name = excluded.account_name"""
)
_GONE = Sql("DELETE FROM duty WHERE account = :account AND console = :console")
_FORGET = Sql("DELETE FROM duty WHERE seen_ms <= :before")
_ON_DUTY = Sql(
    """SELECT t.id, t.name, d.account, d.account_name, d.console, d.has_sound, d.since_ms
    FROM team t LEFT JOIN duty d ON d.team IN (t.id, '') AND d.seen_ms > :since
    WHERE t.state = 'active' AND t.kind IN ('centre', 'ward') ORDER BY t.name, d.account_name, d.console"""
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


async def teams_with_sound(connection: AsyncConnection, now: int) -> frozenset[str]:
    """Ids of the teams for which a console with working sound is on duty; the empty id is the house."""
    return frozenset(row[0] for row in await _WITH_SOUND.rows(connection, since=now - SEEN_MS))


async def cover(connection: AsyncConnection, now: int) -> list[Cover]:
    """Every team that answers at consoles, and who is on duty for it."""
    rows = await _ON_DUTY.rows(connection, since=now - SEEN_MS)
    if not rows:
        rows = await _IN_HOUSE.rows(connection, since=now - SEEN_MS) or [("", "", None, None, None, False, 0)]
    people: dict[tuple[str, str], list[OnDuty]] = {}
    for team, name, *one in rows:
        found = people.setdefault((team, name), [])
        if one[0] is not None:
            found.append(_person(one))
    return [Cover(team=team, name=name, people=tuple(found)) for (team, name), found in people.items()]


def _person(row: Row) -> OnDuty:
    account, name, console, has_sound, since_ms = row
    return OnDuty(account=account, name=name, console=console, has_sound=bool(has_sound), since_ms=since_ms)


class Duty:
    """The duty rows of one central."""

    def __init__(self, store: Store, clock: Clock, wakeup: Wakeup) -> None:
        self._store = store
        self._clock = clock
        self._wakeup = wakeup
        self._seen: set[tuple[str, str]] = set()

    async def set(self, account: str, console: str, *, has_sound: bool) -> None:
        """Somebody goes on duty at a console, or (without sound) off it. Raises NotStoredError."""

        async def work(connection: AsyncConnection) -> None:
            now = self._clock.now_ms()
            if has_sound:
                await _SEEN.rows(connection, account=account, console=console, has_sound=True, now=now)
            else:
                await _GONE.rows(connection, account=account, console=console)

        self._seen.discard((account, console))
        await self._store.transact(Priority.PEOPLE, work)
        await self.watch()

    def seen(self, account: str, console: str) -> None:
        """The stream of a console on duty with sound is alive."""
        self._seen.add((account, console))

    async def renew(self) -> None:
        """Write down who was seen. Raises NotStoredError; then they are written with the next round."""
        seen = sorted(self._seen)

        async def work(connection: AsyncConnection) -> None:
            now = self._clock.now_ms()
            for account, console in seen:
                await _SEEN.rows(connection, account=account, console=console, has_sound=True, now=now)
            await _FORGET.rows(connection, before=now - SEEN_MS)

        if seen:
            await self._store.transact(Priority.UPKEEP, work)
            self._seen.difference_update(seen)
        await self.watch()

    async def cover(self) -> Sequence[Cover]:
        """Every team that answers at consoles, and who is on duty for it."""
        return await self._store.fetch(lambda connection: cover(connection, self._clock.now_ms()))

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
