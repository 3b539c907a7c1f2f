"""Which hubs there are: enrolment, names, keys. Whether they are heard is `central.presence`."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy.ext.asyncio import AsyncConnection

from central import event_log, feed
from central.access import EVERYTHING, IN_SCOPE, Scope
from central.clock import Clock
from central.errors import NotFoundError
from central.keys import CentralKeys
from central.sql import Row, RowsSql, Sql
from central.store import Priority, Store
from central.views import SYSTEM, Actor
from central.wakeup import Wakeup
from cloud_sync import signing
from cloud_sync.enrolment import Claim, Grant
from cloud_sync.errors import ForgedError, MalformedError
from cloud_sync.identity import Lane, new_id
from cloud_sync.ranges import SeqRanges
from cloud_sync.seal import SealSuite
from cloud_sync.trust import EnrolmentCode

MAX_CACHED = 200_000
_WORST_FIRST = ("silent", "late", "new", "present")


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What is needed to verify a hub's frames."""

    id: bytes
    public_key: Ed25519PublicKey
    suite: SealSuite
    is_active: bool

    @property
    def text(self) -> str:
        """Sixteen hex digits."""
        return self.id.hex()


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What is in memory about a hub's signs of life."""

    presence: str
    presence_ms: int
    heard_ms: int | None
    paths: Mapping[str, int]
    waiting: Mapping[str, int]
    has_link: bool


@dataclass(frozen=True, slots=True, order=True)
class Listed:
    """A hub's name, where thousands of them are listed."""

    label: str
    id: str


class Ear(Protocol):
    """Who knows which hubs are heard."""

    def heard(self, hub: str) -> Heard | None:
        """None: not known yet."""
        ...

    def presence(self, hub: str) -> str | None:
        """The word alone; None: not known yet."""
        ...

    def alive(self, since_ms: int) -> set[str]:
        """Those that were heard since then."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HubView:
    """A hub as people see it. `presence` is new, present, late or silent; times are ms UTC."""

    id: str
    label: str
    state: str
    enrolled_ms: int
    software: str
    config_hash: str
    presence: str
    presence_ms: int  # since when
    heard_ms: int | None  # last sign of life in this run of central
    paths: Mapping[str, int]  # uplink name → last heard, ms UTC
    waiting: Mapping[str, int]  # lane word → events the hub has not got a receipt for
    has_link: bool  # whether a command or a reply can reach it now
    is_critical: bool
    gaps: Mapping[str, int]  # lane word → records it dropped for want of space
    sms_heard_ms: int | None  # last stub or probe by SMS, ms UTC; None: never
    sms_probe_ms: int | None  # last probe by SMS that was answered


_VERIFY = Sql("SELECT public_key, suite, state FROM hub WHERE id = :hub")
_VIEW_COLUMNS = (
    "SELECT id, label, state, enrolled_ms, software, config_hash, presence, presence_ms, is_critical, s.heard_ms,"
    " s.probe_ms FROM hub LEFT JOIN hub_sms s ON s.hub = hub.id"
)
_ALL = Sql(_VIEW_COLUMNS)
_SOME = RowsSql(f"{_VIEW_COLUMNS} WHERE hub.id IN (VALUES {{rows}})", 1)
_LISTED = Sql(f"SELECT hub.id, hub.label, hub.presence FROM hub WHERE {IN_SCOPE('hub')}")  # noqa: S608  # our own names
_FIRST = Sql(
    f"""SELECT hub.label, hub.id, count(*) OVER () FROM hub WHERE {IN_SCOPE("hub")}
    ORDER BY hub.label, hub.id LIMIT :most"""  # noqa: S608
)
_ONE = Sql(f"{_VIEW_COLUMNS} WHERE id = :hub OR label = :hub ORDER BY CASE WHEN id = :hub THEN 0 ELSE 1 END LIMIT 2")
_NAMES = Sql("SELECT id, label FROM hub")
_GAPS = Sql("SELECT hub, lane, gaps FROM high_water WHERE gaps <> '[]'")
_GAPS_OF = RowsSql("SELECT hub, lane, gaps FROM high_water WHERE hub IN (VALUES {rows}) AND gaps <> '[]'", 1)
_RENAME = Sql("UPDATE hub SET label = :label WHERE id = :hub RETURNING id")
_CODE = Sql(
    "INSERT INTO enrolment_code (secret_hash, label, created_ms, expires_ms, created_by)"
    " VALUES (:secret, :label, :now, :expires, :created_by)"
)
_FIND_CODE = Sql("SELECT label, expires_ms, used_ms, hub FROM enrolment_code WHERE secret_hash = :secret")
_USE_CODE = Sql(
    "UPDATE enrolment_code SET used_ms = :now, hub = :hub WHERE secret_hash = :secret AND used_ms IS NULL"
    " AND expires_ms > :now RETURNING label"
)
_ENROL = Sql(
    "INSERT INTO hub (id, label, public_key, suite, enrolled_ms, software, presence_ms)"
    " VALUES (:id, :label, :public_key, :suite, :now, :software, :now)"
)


class Hubs:
    """The hubs of one central."""

    def __init__(self, store: Store, keys: CentralKeys, clock: Clock, wakeup: Wakeup) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._wakeup = wakeup
        self._enrolled: dict[bytes, Enrolled] = {}
        self.ear: Ear | None = None

    async def enrolled(self, hub: bytes) -> Enrolled | None:
        """The hub with this id, or None. Known ones come from memory."""
        known = self._enrolled.get(hub)
        if known is not None:
            return known
        row = await self._store.fetch(lambda connection: _VERIFY.one(connection, hub=hub.hex()))
        if row is None:
            return None
        known = Enrolled(hub, signing.public_from(bytes(row[0])), SealSuite(row[1]), row[2] == "active")
        if len(self._enrolled) < MAX_CACHED:
            self._enrolled[hub] = known
        return known

    def is_at_hand(self, hub: bytes) -> bool:
        """Whether it was heard of lately: answered at once, without asking the database."""
        return hub in self._enrolled

    async def all(self) -> Sequence[HubView]:
        """Every hub, worst first: silent, late, new, present. For pages see `listed`: there may be very many."""

        async def look(connection: AsyncConnection) -> list[HubView]:
            return self._views(await _ALL.rows(connection), await _GAPS.rows(connection))

        views = await self._store.fetch(look)
        return sorted(views, key=lambda view: (_WORST_FIRST.index(view.presence), view.label, view.id))

    async def listed(self, scope: Scope = EVERYTHING) -> Sequence[Listed]:
        """Only the names of those that are seen, in the same order."""
        rows = await self._store.fetch(lambda connection: _LISTED.rows(connection, **scope.parameters))
        ear = self.ear
        found = [
            (_WORST_FIRST.index((ear.presence(hub) if ear else None) or known), label, hub)
            for hub, label, known in rows
        ]
        return [Listed(id=hub, label=label) for _, label, hub in sorted(found)]

    async def first(self, scope: Scope, most: int) -> tuple[Sequence[Listed], int]:
        """The first by their labels, and how many there are."""
        rows = await self._store.fetch(lambda connection: _FIRST.rows(connection, **scope.parameters, most=most))
        return [Listed(label=row[0], id=row[1]) for row in rows], rows[0][2] if rows else 0

    async def some(self, ids: Sequence[str]) -> Sequence[HubView]:
        """These, in this order; one that is gone is left out."""
        keys = [(hub,) for hub in ids]

        async def look(connection: AsyncConnection) -> list[HubView]:
            return self._views(await _SOME.rows(connection, keys), await _GAPS_OF.rows(connection, keys))

        views = {view.id: view for view in await self._store.fetch(look)}
        return [views[hub] for hub in ids if hub in views]

    async def hub(self, hub_id: str) -> HubView:
        """One hub, by id or by label. Raises NotFoundError with the nearest."""
        async with self._store.read() as connection:
            rows = await _ONE.rows(connection, hub=hub_id)
            if not rows:
                names = [name for row in await _NAMES.rows(connection) for name in row if name]
                near = difflib.get_close_matches(hub_id, names, n=1)
                raise NotFoundError("hub", f"{hub_id!r}; did you mean {near[0]!r}?" if near else repr(hub_id))
            if len(rows) > 1 and rows[0][0] != hub_id:
                raise NotFoundError("hub_ambiguous", f"several hubs are called {hub_id!r}: use the id")
            gaps = await _GAPS_OF.rows(connection, [(rows[0][0],)])
        return self._views(rows[:1], gaps)[0]

    def _views(self, rows: Sequence[Row], gaps: Sequence[Row]) -> list[HubView]:
        dropped: dict[str, dict[str, int]] = {}
        for hub, lane, ranges in gaps:
            counts, word = dropped.setdefault(hub, {}), Lane(lane).word
            counts[word] = counts.get(word, 0) + len(SeqRanges(json.loads(ranges)))
        return [self._view(row, dropped.get(row[0], {})) for row in rows]

    def _view(self, row: Row, dropped: Mapping[str, int]) -> HubView:
        hub, label, state, enrolled_ms, software, config_hash, presence, presence_ms, is_critical, *by_sms = row
        heard = self.ear.heard(hub) if self.ear else None
        return HubView(
            id=hub,
            label=label,
            state=state,
            enrolled_ms=enrolled_ms,
            software=software,
            config_hash=config_hash,
            presence=heard.presence if heard else presence,
            presence_ms=heard.presence_ms if heard else presence_ms,
            heard_ms=heard.heard_ms if heard else None,
            paths=heard.paths if heard else {},
            waiting=heard.waiting if heard else {},
            has_link=bool(heard and heard.has_link),
            is_critical=bool(is_critical),
            gaps=dropped,
            sms_heard_ms=by_sms[0],
            sms_probe_ms=by_sms[1],
        )

    async def rename(self, hub_id: str, label: str, actor: Actor = SYSTEM) -> None:
        """Give it a name that people know it by. Raises NotFoundError."""
        now = self._clock.now_ms()
        async with self._store.write(Priority.PEOPLE) as connection:
            if not await _RENAME.one(connection, hub=hub_id, label=label[:64]):
                raise NotFoundError("hub", repr(hub_id))
            await event_log.append(connection, now, "hub_renamed", actor, hub=hub_id, content={"label": label[:64]})
            await feed.publish(connection, now, "hub", hub_id, "renamed")
        self._wakeup.wake()

    async def new_code(self, label: str, created_by: str, *, valid_hours: float = 72) -> str:
        """A one-time enrolment code for a hub that will carry this label."""
        code = EnrolmentCode.generate(self._keys.trust.root)
        now = self._clock.now_ms()
        async with self._store.write(Priority.PEOPLE) as connection:
            await _CODE.rows(
                connection,
                secret=_digest(code.secret),
                label=label[:64],
                now=now,
                expires=now + int(valid_hours * 3_600_000),
                created_by=created_by[:32],
            )
        return str(code)

    async def enrol(self, blob: bytes) -> bytes:
        """Answer a claim with a grant. The same key may claim again: its first answer may have been lost.

        Raises ForgedError (reasons "code_unknown", "code_used", "code_expired") or MalformedError ("suite").
        """
        claim = Claim.read(blob)
        suite = self._keys.suite
        if suite not in claim.suites:
            raise MalformedError("suite", f"this central seals with {suite.name}")
        secret, now = _digest(claim.secret), self._clock.now_ms()
        hub = new_id()

        async with self._store.write(Priority.PEOPLE) as connection:
            label = await _USE_CODE.value(connection, secret=secret, hub=hub.hex(), now=now)
            if label is None:
                hub = await self._again(await _FIND_CODE.one(connection, secret=secret), claim, now)
            else:
                await _ENROL.rows(
                    connection,
                    id=hub.hex(),
                    label=label,
                    public_key=claim.public_key,
                    suite=int(suite),
                    now=now,
                    software=claim.software.replace("\x00", ""),
                )
                content = {"label": label, "suite": int(suite)}
                await event_log.append(connection, now, "hub_enrolled", SYSTEM, hub=hub.hex(), content=content)
                await feed.publish(connection, now, "hub", hub.hex(), "enrolled")
        self._wakeup.wake()
        grant = Grant(hub=hub, public_key=claim.public_key, suite=suite, lineage=self._store.lineage, central_ms=now)
        return grant.signed(self._keys.sign_id, self._keys.sign)

    async def _again(self, code: Row | None, claim: Claim, now: int) -> bytes:
        if code is None:
            raise ForgedError("code_unknown", "this central has not given out such a code")
        _, expires_ms, used_ms, hub = code
        if used_ms is None:
            raise ForgedError("code_expired", f"the code expired {(now - expires_ms) // 60000} minutes ago")
        owner = await self.enrolled(bytes.fromhex(hub))
        if owner is None or signing.raw_public(owner.public_key) != claim.public_key:
            raise ForgedError("code_used", "the code was used by another hub")
        return owner.id


def _digest(secret: bytes) -> str:
    return hashlib.sha256(b"vaktpost/1/code-secret\x00" + secret).hexdigest()
