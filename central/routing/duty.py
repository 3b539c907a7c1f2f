"""Duty rotas in the database: whose they are, who is on duty, and warnings about gaps days before.

Every shift and exception belongs to one team. A shift that has begun to be held is ended, never deleted: who was to be
on duty last week stays known.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from central import event_log
from central.access import ACCOUNT_IN_SCOPE, ElsewhereError, Scope
from central.clock import Clock
from central.errors import Conflict, IncompleteError, NotFoundError
from central.routing.calendar import local
from central.routing.plan import DAY_MIN
from central.routing.rota import Gap, Override, Rota, Shift, mask_of, weekdays_of
from central.routing.store import DEFAULT_ZONE
from central.routing.teams import TECHNICAL, Team, every_team
from central.sql import Row, Sql
from central.store import Priority, Store
from central.views import Actor

DAY_MS = 24 * 3_600_000
WARN_DAYS = 14
MOST_NAMED = 50
"""So many of a team are named to who named somebody else."""
LONGEST_OVERRIDE_MS = 366 * DAY_MS
LATEST_MS = 4_102_444_800_000
"""The year 2100: what is typed beyond it is a mistake."""

_ZONES = Sql("SELECT id, zone FROM tenant")
_SHIFTS = Sql(
    """SELECT id, account, weekdays, from_minute, to_minute, from_day, to_day FROM rota_shift WHERE team = :team
       ORDER BY from_minute, from_day, id"""
)
_OVERRIDES = Sql(
    """SELECT id, account, instead_of, from_ms, to_ms, why FROM rota_override WHERE team = :team AND to_ms > :since
       ORDER BY from_ms, id"""
)
_OF_KIND = "(SELECT id FROM team WHERE kind = :kind AND state = 'active')"
_SHIFTS_OF_KIND = Sql(
    f"""SELECT id, account, weekdays, from_minute, to_minute, from_day, to_day, team FROM rota_shift
       WHERE team IN {_OF_KIND} ORDER BY from_minute, from_day, id"""  # noqa: S608  # our own names
)
_OVERRIDES_OF_KIND = Sql(
    f"""SELECT id, account, instead_of, from_ms, to_ms, why, team FROM rota_override
       WHERE to_ms > :since AND team IN {_OF_KIND} ORDER BY from_ms, id"""  # noqa: S608  # our own names
)
_ADD_SHIFT = Sql(
    """INSERT INTO rota_shift (id, team, account, weekdays, from_minute, to_minute, from_day, to_day, written_by)
       VALUES (:id, :team, :account, :weekdays, :from_minute, :to_minute, :from_day, :to_day, :by)"""
)
_END_SHIFT = Sql("UPDATE rota_shift SET to_day = :day WHERE id = :id AND team = :team")
_DROP_SHIFT = Sql("DELETE FROM rota_shift WHERE id = :id AND team = :team")
_ADD_OVERRIDE = Sql(
    """INSERT INTO rota_override (id, team, account, instead_of, from_ms, to_ms, why, written_by)
       VALUES (:id, :team, :account, :instead_of, :from_ms, :to_ms, :why, :by)"""
)
_CUT_OVERRIDE = Sql("UPDATE rota_override SET to_ms = :now WHERE id = :id AND team = :team")
_DROP_OVERRIDE = Sql("DELETE FROM rota_override WHERE id = :id AND team = :team")
# A team without members is everybody, as far as whoever asks sees them.
_PEOPLE = Sql(
    f"""SELECT u.id, u.name FROM user_account u WHERE u.state = 'active' AND (
           u.id IN (SELECT account FROM team_member WHERE team = :team)
           OR (NOT EXISTS (SELECT 1 FROM team_member WHERE team = :team) AND {ACCOUNT_IN_SCOPE}))
       ORDER BY u.name"""  # noqa: S608  # our own names
)
_NAMES = Sql("SELECT id, name FROM user_account")


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamRota:
    """A team's rota, with the names of everybody in it and of those who could be."""

    team: Team
    rota: Rota
    names: Mapping[str, str]
    people: Sequence[tuple[str, str]]


async def rota_of(connection: AsyncConnection, team: str, zone: str, since_ms: int) -> Rota:
    """All shifts of a team and the exceptions that are not over at `since_ms`."""
    shifts = tuple([_shift(row) for row in await _SHIFTS.rows(connection, team=team)])
    overrides = tuple([_override(row) for row in await _OVERRIDES.rows(connection, team=team, since=since_ms)])
    return Rota(zone=ZoneInfo(zone), shifts=shifts, overrides=overrides)


async def rotas_of_kind(connection: AsyncConnection, kind: str, since_ms: int) -> Mapping[str, Rota]:
    """Of every team of a kind, by its id."""
    teams = {team.id: team for team in (await every_team(connection)).values() if team.kind == kind}
    shifts: dict[str, list[Shift]] = {}
    for row in await _SHIFTS_OF_KIND.rows(connection, kind=kind):
        shifts.setdefault(row[7], []).append(_shift(row))
    overrides: dict[str, list[Override]] = {}
    for row in await _OVERRIDES_OF_KIND.rows(connection, kind=kind, since=since_ms):
        overrides.setdefault(row[6], []).append(_override(row))
    return {
        team: Rota(zone=ZoneInfo(zone), shifts=tuple(shifts.get(team, ())), overrides=tuple(overrides.get(team, ())))
        for team, zone in (await zones_of(connection, teams)).items()
    }


def _shift(row: Row) -> Shift:
    return Shift(
        id=row[0],
        account=row[1],
        weekdays=weekdays_of(row[2]),
        from_minute=row[3],
        to_minute=row[4],
        from_day=date.fromisoformat(row[5]),
        to_day=None if row[6] is None else date.fromisoformat(row[6]),
    )


def _override(row: Row) -> Override:
    return Override(id=row[0], account=row[1], instead_of=row[2], from_ms=row[3], to_ms=row[4], why=row[5])


async def zones_of(connection: AsyncConnection, teams: Mapping[str, Team]) -> Mapping[str, str]:
    """In which zone a team's shifts are meant: its municipality's; that of most whom it serves."""
    zones = {row[0]: row[1] for row in await _ZONES.rows(connection)}
    found = {}
    for team in teams.values():
        served = Counter(zones[tenant] for tenant in sorted(team.tenants) if tenant in zones)
        own = zones.get(team.tenant or "")
        found[team.id] = own or (served.most_common(1)[0][0] if served else DEFAULT_ZONE)
    return found


async def account_names(connection: AsyncConnection) -> Mapping[str, str]:
    """Names of all accounts, also of those that are shut out."""
    return {row[0]: row[1] for row in await _NAMES.rows(connection)}


class Rotas:
    """The duty rotas of one central."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def teams(self, scope: Scope | None, technical: Scope | None = None) -> Sequence[Team]:
        """Every team whose rota somebody reads, by name."""
        teams = await self._store.fetch(every_team)
        read = [team for team in teams.values() if reads(scope, technical, team)]
        return sorted(read, key=lambda team: team.name.casefold())

    async def all(self, scope: Scope) -> Sequence[TeamRota]:
        """Of every team that somebody sees."""
        return await self.some(await self.teams(scope))

    async def some(self, teams: Sequence[Team]) -> Sequence[TeamRota]:
        """Of these teams, in this order."""

        async def work(connection: AsyncConnection) -> list[TeamRota]:
            zones = await zones_of(connection, {team.id: team for team in teams})
            names = await account_names(connection)
            now = self._clock.now_ms()
            return [
                TeamRota(
                    team=team, rota=await rota_of(connection, team.id, zones[team.id], now), names=names, people=()
                )
                for team in teams
            ]

        return await self._store.fetch(work)

    async def one(
        self, scope: Scope | None, team_id: str, since_ms: int | None = None, *, technical: Scope | None = None
    ) -> TeamRota:
        """Of one team, with the exceptions since then. Raises NotFoundError."""

        async def work(connection: AsyncConnection) -> TeamRota:
            team = await _team(connection, scope, team_id, technical)
            zone = (await zones_of(connection, {team.id: team}))[team.id]
            since = self._clock.now_ms() if since_ms is None else since_ms
            return TeamRota(
                team=team,
                rota=await rota_of(connection, team.id, zone, since),
                names=await account_names(connection),
                people=() if scope is None else await _people(connection, scope, team.id),
            )

        return await self._store.fetch(work)

    async def gaps(self, scope: Scope, days: int = WARN_DAYS) -> Sequence[tuple[Team, Gap]]:
        """When nobody is to be on duty in the days to come, over all teams that keep a rota."""
        now = self._clock.now_ms()
        found = [(one.team, gap) for one in await self.all(scope) for gap in one.rota.gaps(now, now + days * DAY_MS)]
        return sorted(found, key=lambda pair: (pair[1].from_ms, pair[0].name))

    async def add_shift(self, actor: Actor, scope: Scope, team_id: str, shift: Shift) -> str:
        """Every week from its first day on. Its id is made here and given back. Raises IncompleteError."""
        shift_id = secrets.token_hex(8)
        now = self._clock.now_ms()
        if not shift.weekdays:
            raise IncompleteError("no_days", "days")
        if shift.to_day is not None and shift.to_day < shift.from_day:
            raise IncompleteError("ends_before", "to_day")
        if not (0 <= shift.from_minute < DAY_MIN and 0 <= shift.to_minute <= DAY_MIN):
            raise IncompleteError("bad_time", "from")

        async def work(connection: AsyncConnection) -> None:
            team = await _team(connection, scope, team_id)
            await _check_person(connection, scope, team.id, shift.account, "account")
            await _ADD_SHIFT.rows(
                connection,
                id=shift_id,
                team=team.id,
                account=shift.account,
                weekdays=mask_of(shift.weekdays),
                from_minute=shift.from_minute,
                to_minute=shift.to_minute,
                from_day=shift.from_day.isoformat(),
                to_day=shift.to_day and shift.to_day.isoformat(),
                by=actor.id,
            )
            content = {"team": team.id, "shift": shift_id, "account": shift.account or ""}
            await event_log.append(connection, now, "shift_added", actor, content=content)

        await self._store.transact(Priority.PEOPLE, work)
        return shift_id

    async def end_shift(self, actor: Actor, scope: Scope, team_id: str, shift_id: str) -> None:
        """Not held any more from today on. Raises NotFoundError, Conflict when somebody else has ended it already."""
        now = self._clock.now_ms()

        async def work(connection: AsyncConnection) -> None:
            team = await _team(connection, scope, team_id)
            zone = (await zones_of(connection, {team.id: team}))[team.id]
            rota = await rota_of(connection, team.id, zone, now)
            shift = next((one for one in rota.shifts if one.id == shift_id), None)
            if shift is None:
                raise NotFoundError("shift", shift_id)
            yesterday = local(now, rota.zone)[0] - timedelta(days=1)
            if shift.to_day is not None and shift.to_day <= yesterday:
                raise Conflict("is_over", current={"to_day": shift.to_day.isoformat()})
            if yesterday < shift.from_day:
                await _DROP_SHIFT.rows(connection, id=shift_id, team=team.id)
            else:
                await _END_SHIFT.rows(connection, id=shift_id, team=team.id, day=yesterday.isoformat())
            content = {"team": team.id, "shift": shift_id}
            await event_log.append(connection, now, "shift_ended", actor, content=content)

        await self._store.transact(Priority.PEOPLE, work)

    async def add_override(self, actor: Actor, scope: Scope, team_id: str, override: Override) -> str:
        """An exception. Its id is made here and given back. Raises IncompleteError."""
        override_id = secrets.token_hex(8)
        now = self._clock.now_ms()
        if override.to_ms <= override.from_ms:
            raise IncompleteError("ends_before", "to")
        if override.to_ms <= now:
            raise IncompleteError("is_over", "to")
        if override.to_ms - override.from_ms > LONGEST_OVERRIDE_MS or override.to_ms > LATEST_MS:
            raise IncompleteError("too_long", "to")
        if override.account is not None and override.account == override.instead_of:
            raise IncompleteError("same_person", "account")

        async def work(connection: AsyncConnection) -> None:
            team = await _team(connection, scope, team_id)
            await _check_person(connection, scope, team.id, override.account, "account")
            if override.instead_of is not None:
                known = await account_names(connection)
                if override.instead_of not in known:
                    raise IncompleteError("no_person", "instead_of")
            await _ADD_OVERRIDE.rows(
                connection,
                id=override_id,
                team=team.id,
                account=override.account,
                instead_of=override.instead_of,
                from_ms=override.from_ms,
                to_ms=override.to_ms,
                why=override.why,
                by=actor.id,
            )
            content = {"team": team.id, "override": override_id, "account": override.account or ""}
            await event_log.append(connection, now, "override_added", actor, content=content)

        await self._store.transact(Priority.PEOPLE, work)
        return override_id

    async def end_override(self, actor: Actor, scope: Scope, team_id: str, override_id: str) -> None:
        """The exception does not hold any more from now on. Raises NotFoundError."""
        now = self._clock.now_ms()

        async def work(connection: AsyncConnection) -> None:
            team = await _team(connection, scope, team_id)
            rota = await rota_of(connection, team.id, DEFAULT_ZONE, now)
            override = next((one for one in rota.overrides if one.id == override_id), None)
            if override is None:
                raise NotFoundError("override", override_id)
            if override.from_ms >= now:
                await _DROP_OVERRIDE.rows(connection, id=override_id, team=team.id)
            else:
                await _CUT_OVERRIDE.rows(connection, id=override_id, team=team.id, now=now)
            content = {"team": team.id, "override": override_id}
            await event_log.append(connection, now, "override_ended", actor, content=content)

        await self._store.transact(Priority.PEOPLE, work)


async def _people(connection: AsyncConnection, scope: Scope, team: str) -> Sequence[tuple[str, str]]:
    """Who can stand in the team's rota."""
    return [(row[0], row[1]) for row in await _PEOPLE.rows(connection, team=team, **scope.parameters)]


async def _check_person(connection: AsyncConnection, scope: Scope, team: str, account: str | None, field: str) -> None:
    if account is None:
        return
    people = tuple(row[0] for row in await _people(connection, scope, team))
    if account not in people:
        raise IncompleteError("no_person", field, people[:MOST_NAMED])


async def _team(connection: AsyncConnection, scope: Scope | None, team_id: str, technical: Scope | None = None) -> Team:
    team = (await every_team(connection)).get(team_id)
    if team is None:
        raise NotFoundError("team", team_id)
    if not reads(scope, technical, team):
        raise ElsewhereError("team", team_id)
    return team


def reads(scope: Scope | None, technical: Scope | None, team: Team) -> bool:
    """Whether a team lies in `scope`, or is a technical one in `technical`. None: not even what is nobody's."""
    own = technical if team.kind == TECHNICAL else None
    return any(one is not None and sees(one, team) for one in (scope, own))


def sees(scope: Scope, team: Team) -> bool:
    """A team is seen by those who see one of the tenants it serves; one that serves nobody yet, by all."""
    return scope.is_everything or not team.tenants or any(scope.covers(tenant) for tenant in team.tenants)
