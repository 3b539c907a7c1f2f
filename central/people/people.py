"""Looking at residents: every look that opens something leaves an entry, in the transaction that reads."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from central import event_log
from central.access import Scope
from central.clock import Clock
from central.errors import ActionError, IncompleteError, KeysError, NotFoundError
from central.people import contacts, facts, looking, residents
from central.people.contacts import Contact
from central.people.facts import NAMES, SECRET, Fact, FactKind
from central.people.keeping import ADMINISTRATION, Keeping
from central.people.looking import REASONS, SAME_LOOK_MS, AccessEntry, Basis, Purpose
from central.people.master import MasterFiles, MasterKeys
from central.people.placing import Places, ensure_first
from central.people.residents import Resident, resident_of
from central.people.services import Service, services_of
from central.people.vault import DamagedError, ErasedError, Keyring, ResidentKey, Vault
from central.people.visits import PlannedVisit, visits_of
from central.people.words import Pen, Words, access_reason
from central.settings import CentralSettings
from central.sql import Row, Sql
from central.store import Priority, Store
from central.views import SYSTEM, Actor, AlarmView
from central.wakeup import Wakeup

log = structlog.get_logger()

OPENED = frozenset(FactKind) - SECRET
MIN_REASON = 3
MAX_HITS = 50
MAX_SEEN = 20_000
VISITS_BACK_MS, VISITS_AHEAD_MS = 24 * 3_600_000, 7 * 24 * 3_600_000

_NAME_FACTS = Sql(
    """SELECT resident, id, kind, sealed FROM resident_fact
    WHERE kind IN ('first_name', 'last_name') AND ended_ms IS NULL"""
)
_UNIT_NAMES = Sql("SELECT id, name FROM unit")


class NoBasisError(ActionError):
    """Nothing entitles them to look: no alarm, no visit, no reason given."""

    status = 403


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What is known about a resident, opened for somebody. Secrets are in it without their text."""

    resident: Resident
    basis: Basis
    facts: tuple[Fact, ...]
    contacts: tuple[Contact, ...]
    services: tuple[Service, ...]
    visits: tuple[PlannedVisit, ...]
    unit_name: str

    def text(self, kind: FactKind) -> str:
        """The text of a fact, or nothing."""
        return next((fact.text for fact in self.facts if fact.kind is kind and fact.text), "")

    @property
    def name(self) -> str:
        """First and last name."""
        return " ".join(text for text in (self.text(kind) for kind in NAMES) if text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A resident in a list."""

    resident: Resident
    name: str
    unit_name: str

    def has(self, words: Sequence[str]) -> bool:
        """Whether all these, in small letters, are in its name, pseudonym or unit."""
        text = f"{self.name} {self.resident.pseudonym} {self.unit_name}".casefold()
        return all(word in text for word in words)


_NUMBERS, _MARK_LENGTH = "telephone", 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """What a queue may say before the claim: a first name and the unit, or nothing."""

    first_name: str
    unit_name: str


class People:
    """The residents of one central, for who looks; `keeping` and `places` change them and where they belong."""

    def __init__(self, store: Store, clock: Clock, settings: CentralSettings, wakeup: Wakeup) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings
        self._masters = MasterKeys(MasterFiles.of(settings))
        self.vault = Vault(self._masters)
        self.words = Words(self.vault)
        self.keeping = Keeping(store, clock, self.vault, wakeup)
        self.places = Places(store, clock)
        self._seen: OrderedDict[tuple[str, str], None] = OrderedDict()

    async def open(self) -> None:
        """Find the master key, and see to it that there is a tenant. Raises KeysError."""
        async with self._store.write(Priority.PEOPLE) as connection:
            await self._masters.open(connection)
        await ensure_first(self._store, self._clock, self._settings)

    async def rotate_master(self, actor: Actor) -> tuple[int, str]:
        """Wrap every resident's key under a new master key. Returns how many, and where the old key lies."""
        async with self._store.write(Priority.PEOPLE) as connection:
            count, current = await self.vault.wrap_again(connection)
            await event_log.append(connection, self._clock.now_ms(), "master_rotated", actor, content={"keys": count})
        return count, str(await asyncio.to_thread(self._masters.settle, current))

    # ------------------------------------------------------------------------------------------------ looking

    async def basis(self, actor: Actor, scope: Scope, resident: str, *, keeps: bool = False) -> Basis | None:
        """What entitles them to look now. `keeps`: they keep residents' records."""
        found = await self._store.fetch(
            lambda connection: looking.basis_of(connection, actor, scope, resident, self._clock.now_ms())
        )
        return found or (ADMINISTRATION if keeps else None)

    async def card(self, actor: Actor, scope: Scope, resident: str, *, keeps: bool | Scope = False) -> Card:
        """Everything but the secrets. Raises NotFoundError, NoBasisError, ErasedError.

        `keeps`: whether they keep residents' records, or where they do: elsewhere they need a basis like everybody.
        """

        async def work(connection: AsyncConnection) -> Card:
            now = self._clock.now_ms()
            own = await resident_of(connection, resident, scope)
            basis = await _basis(connection, actor, scope, own, now, keeps)
            return await self._open_card(connection, own, actor, basis, now)

        return await self._store.transact(Priority.PEOPLE, work)

    async def _open_card(
        self, connection: AsyncConnection, own: Resident, actor: Actor, basis: Basis, now: int
    ) -> Card:
        key = await self.vault.known_key(connection, own.pseudonym)
        await looking.note(connection, actor, own.pseudonym, "card,contacts", basis, now, same_ms=SAME_LOOK_MS)
        return Card(
            resident=own,
            basis=await self._said(connection, basis, actor.id),
            facts=await facts.current(connection, key, own.pseudonym, opened=OPENED),
            contacts=() if key is None else await contacts.contacts_of(connection, key, own.pseudonym),
            services=await services_of(connection, own.pseudonym),
            visits=await visits_of(connection, own.pseudonym, after=now - VISITS_BACK_MS, before=now + VISITS_AHEAD_MS),
            unit_name=await _unit_name(connection, own.unit),
        )

    async def _said(self, connection: AsyncConnection, basis: Basis, actor: str) -> Basis:
        """A basis with its reason as it was typed."""
        (read,) = await self.words.read(connection, [(access_reason(actor), basis.reason)])
        return replace(basis, reason=read.text)

    async def _reason(
        self, connection: AsyncConnection, resident: str, actor: Actor, reason: str, now: int
    ) -> tuple[Basis, str]:
        """A reason as it is kept, and what stands for it in the log. Raises ErasedError."""
        key = await self.vault.key_of(connection, resident, now)
        kept = reason if reason in REASONS else Pen(key).seal(access_reason(actor.id), reason)
        return Basis(purpose=Purpose.BREAK_GLASS, reason=kept), key.digest(reason)

    async def open_contact(self, connection: AsyncConnection, contact: str, alarm: str) -> Contact | None:
        """A contact who is about to be told of an alarm by central itself. None: no longer a contact, or erased."""
        resident = await contacts.whose(connection, contact)
        if resident is None:
            return None
        try:
            key = await self.vault.known_key(connection, resident)
        except ErasedError:
            return None
        if key is None:
            return None
        basis = Basis(purpose=Purpose.ALARM, ref=alarm)
        await looking.note(connection, SYSTEM, resident, "contact", basis, self._clock.now_ms())
        return await contacts.one(connection, key, contact)

    async def number_mark(self, connection: AsyncConnection, number: str) -> str:
        """By which a telephone number is known again that is nowhere stored: keyed, so that nobody can try numbers."""
        return (await self.vault.reference_hash(connection, _NUMBERS, number))[:_MARK_LENGTH]

    async def reveal(
        self, actor: Actor, scope: Scope, resident: str, kind: FactKind, *, keeps: bool | Scope = False
    ) -> Fact:
        """One secret. It is an entry of the event log too, with the alarm that it was for. Raises as `card`."""

        async def work(connection: AsyncConnection) -> Fact:
            now = self._clock.now_ms()
            own = await resident_of(connection, resident, scope)
            basis = await _basis(connection, actor, scope, own, now, keeps)
            key = await self.vault.known_key(connection, own.pseudonym)
            found = await facts.current(connection, key, own.pseudonym, opened=frozenset({kind}))
            fact = next((one for one in found if one.kind is kind), None)
            if fact is None:
                raise NotFoundError("fact", kind.value)
            await looking.note(connection, actor, own.pseudonym, kind.value, basis, now)
            alarm = basis.ref if basis.purpose is Purpose.ALARM else None
            content = {"resident": own.pseudonym, "fact": kind.value, "purpose": basis.purpose.value}
            await event_log.append(connection, now, "secret_opened", actor, alarm=alarm, content=content)
            return fact

        return await self._store.transact(Priority.PEOPLE, work)

    async def break_glass(self, actor: Actor, scope: Scope, resident: str, reason: str) -> None:
        """Give a reason: it opens the record for half an hour and is in both logs. Raises IncompleteError."""
        reason = clean_reason(reason)

        async def work(connection: AsyncConnection) -> None:
            now = self._clock.now_ms()
            own = await resident_of(connection, resident, scope)
            basis, digest = await self._reason(connection, own.pseudonym, actor, reason, now)
            await looking.note(connection, actor, own.pseudonym, "opened", basis, now)
            content = {"resident": own.pseudonym, "reason_digest": digest}
            await event_log.append(connection, now, "glass_broken", actor, content=content)

        await self._store.transact(Priority.PEOPLE, work)

    async def history(self, actor: Actor, scope: Scope, resident: str) -> tuple[Fact, ...]:
        """Everything that was ever written about them, for who keeps records; secrets without their text."""

        async def work(connection: AsyncConnection) -> tuple[Fact, ...]:
            now = self._clock.now_ms()
            own = await resident_of(connection, resident, scope)
            key = await self.vault.known_key(connection, own.pseudonym)
            await looking.note(connection, actor, own.pseudonym, "history", ADMINISTRATION, now)
            return await facts.history(connection, key, own.pseudonym, opened=OPENED)

        return await self._store.transact(Priority.PEOPLE, work)

    async def search(
        self, actor: Actor, scope: Scope, words: str, *, reason: str = "", keeps: bool = False
    ) -> tuple[Sequence[Hit], int]:
        """Residents whose name, pseudonym or unit has all these words: the first ones, and how many there are.

        Who does not keep records gives a reason. Each resident in the answer has an entry.
        """
        reason = "" if keeps else clean_reason(reason)
        wanted = words.casefold().split()

        async def read(
            connection: AsyncConnection,
        ) -> tuple[Sequence[Resident], Sequence[Row], Keyring, dict[str, str]]:
            units = {row[0]: row[1] for row in await _UNIT_NAMES.rows(connection)}
            own = await residents.residents_in(connection, scope)
            return own, await _NAME_FACTS.rows(connection), await self.vault.keyring(connection), units

        def find(own: Sequence[Resident], sealed: Sequence[Row], keys: Keyring, units: dict[str, str]) -> list[Hit]:
            names = _names({one.pseudonym for one in own}, sealed, keys)
            hits = [
                Hit(resident=one, name=names.get(one.pseudonym, ""), unit_name=units.get(one.unit or "", ""))
                for one in own
            ]
            hits = [hit for hit in hits if hit.has(wanted)]
            return sorted(hits, key=lambda hit: (hit.name.casefold(), hit.resident.pseudonym))

        # Every name that may be seen is opened: neither where alarms are committed, nor in the thread that hears them.
        found = await asyncio.to_thread(find, *await self._store.fetch(read))
        shown = found[:MAX_HITS]

        async def work(connection: AsyncConnection) -> None:
            now, looked = self._clock.now_ms(), []
            for own in (hit.resident.pseudonym for hit in shown if hit.name):
                try:
                    basis = (await self._reason(connection, own, actor, reason, now))[0] if reason else ADMINISTRATION
                except ErasedError:  # meanwhile
                    basis = Basis(purpose=Purpose.BREAK_GLASS)
                looked.append((own, basis))
            await looking.note_many(connection, actor, looked, "name,search", now)

        await self._store.transact(Priority.PEOPLE, work)
        return shown, len(found)

    async def callers(self, actor: Actor, alarms: Sequence[AlarmView]) -> dict[str, Caller]:
        """By alarm, what its row in a queue may say. The first time that somebody is shown a name is an entry."""
        wanted = [(alarm.id, alarm.resident, alarm.tenant) for alarm in alarms if alarm.resident]
        fresh = [one for one in wanted if (actor.id, one[0]) not in self._seen]
        known = [one for one in wanted if (actor.id, one[0]) in self._seen]

        async def work(connection: AsyncConnection) -> dict[str, Caller]:
            found = await self._callers(connection, fresh)
            looked = [
                (resident, Basis(purpose=Purpose.ALARM, ref=alarm))
                for alarm, resident, _ in fresh
                if found[alarm].first_name
            ]
            await looking.note_many(connection, actor, looked, "first_name", self._clock.now_ms())
            return found

        found = await self._store.fetch(lambda connection: self._callers(connection, known)) if known else {}
        if fresh:
            found |= await self._store.transact(Priority.PEOPLE, work)
        for alarm, _, _ in fresh:
            self._seen[actor.id, alarm] = None
        while len(self._seen) > MAX_SEEN:
            self._seen.popitem(last=False)
        return found

    async def _callers(
        self, connection: AsyncConnection, alarms: Iterable[tuple[str, str, str | None]]
    ) -> dict[str, Caller]:
        """Of the alarm's own municipality: a hub that names somebody of another tells nobody there who that is."""
        units = {row[0]: row[1] for row in await _UNIT_NAMES.rows(connection)}
        known: dict[str, Caller] = {}
        places: dict[str, str | None] = {}
        found: dict[str, Caller] = {}
        for alarm, resident, tenant in alarms:
            if resident not in known:
                own = await residents.known(connection, resident)
                places[resident] = None if own is None else own.tenant
                key = None if own is None else await self._key_or_none(connection, resident)
                name = await self._first_name(connection, key, resident)
                known[resident] = Caller(
                    first_name=name or "", unit_name="" if own is None else units.get(own.unit or "", "")
                )
            is_elsewhere = None not in {tenant, places[resident]} and tenant != places[resident]
            found[alarm] = Caller(first_name="", unit_name="") if is_elsewhere else known[resident]
        return found

    @staticmethod
    async def _first_name(connection: AsyncConnection, key: ResidentKey | None, resident: str) -> str | None:
        """None as well for one that does not open: a queue is shown all the same."""
        try:
            found = await facts.current(connection, key, resident, opened=frozenset({FactKind.FIRST_NAME}))
        except DamagedError as error:
            log.warning("name_does_not_open", resident=resident, reason=str(error))
            return None
        return next((fact.text for fact in found if fact.kind is FactKind.FIRST_NAME), None)

    async def access_log(
        self, actor: Actor, scope: Scope, resident: str, *, before: int | None = None
    ) -> tuple[Resident, tuple[AccessEntry, ...], int | None]:
        """Who has looked at what, newest first. Raises NotFoundError."""

        async def look(connection: AsyncConnection) -> tuple[Resident, tuple[AccessEntry, ...], int | None]:
            own = await resident_of(connection, resident, scope)
            found, older = await looking.entries(connection, own.pseudonym, before=before)
            typed = [(access_reason(entry.actor), entry.reason) for entry in found]
            read = await self.words.read(connection, typed)
            told = (replace(one, reason=said.text, words=said.legible) for one, said in zip(found, read, strict=True))
            return own, tuple(told), older

        del actor  # reading who has looked opens nothing
        return await self._store.fetch(look)

    async def _key_or_none(self, connection: AsyncConnection, resident: str) -> ResidentKey | None:
        try:
            return await self.vault.known_key(connection, resident)
        except ErasedError:
            return None
        except (DamagedError, KeysError) as error:
            log.warning("key_does_not_open", resident=resident, reason=str(error))
            return None


def _names(wanted: Container[str], sealed: Iterable[Row], keys: Keyring) -> dict[str, str]:
    """First and last names of these, by pseudonym."""
    opened: dict[str, ResidentKey | None] = {}
    parts: dict[str, dict[str, str]] = {}
    for resident, fact_id, kind, text in sealed:
        if resident not in wanted:
            continue
        try:
            if resident not in opened:
                opened[resident] = keys.key(resident)
            key = opened[resident]
            if key is not None:
                parts.setdefault(resident, {})[kind] = key.open(fact_id, kind, text)
        except DamagedError as error:  # everybody else can be found all the same
            log.warning("name_does_not_open", resident=resident, reason=str(error))
    return {
        resident: " ".join(found[kind.value] for kind in NAMES if kind.value in found)
        for resident, found in parts.items()
    }


async def _basis(
    connection: AsyncConnection, actor: Actor, scope: Scope, own: Resident, now: int, keeps: bool | Scope
) -> Basis:
    """What they look into this record by. Raises NoBasisError."""
    found = await looking.basis_of(connection, actor, scope, own.pseudonym, now)
    if found is not None:
        return found
    if _keeps(keeps, own):
        return ADMINISTRATION
    raise NoBasisError("no_basis", own.pseudonym)


def _keeps(keeps: bool | Scope, own: Resident) -> bool:
    """Whether this resident's record is theirs to keep: a lead of one municipality is none of another's."""
    return keeps if isinstance(keeps, bool) else keeps.covers(own.tenant, own.unit)


async def _unit_name(connection: AsyncConnection, unit: str | None) -> str:
    return next((row[1] for row in await _UNIT_NAMES.rows(connection) if row[0] == unit), "")


def clean_reason(reason: str) -> str:
    """A reason as it is kept. Raises IncompleteError."""
    reason = " ".join(reason.replace("\x00", "").split())
    if len(reason) < MIN_REASON:
        raise IncompleteError("reason_missing", "reason")
    return reason[:256]
