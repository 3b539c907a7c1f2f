"""What people write and devices measure about a resident, outside of the record: sealed in the row where it stands.

A sealed text says whose key opens it, `sealed:1:<owner>:<base64>`, and is bound to its table, row and column. The owner
is the resident; where nobody is named it is the only one in the hub's home, and else the home itself, by a key of its
own (`hub/<id>/<number>`). So is what comes about somebody who was erased. An incident has a key of its own as well
(`incident/<id>`). All lie in the keyring of residents, are wrapped under the master key, and can be destroyed.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from central.errors import KeysError
from central.people.master import MasterFiles, MasterKeys
from central.people.residents import is_pseudonym
from central.people.vault import DamagedError, ErasedError, ResidentKey, Vault
from central.settings import CentralSettings
from central.sql import Sql
from central.views import Legible

log = structlog.get_logger()

_MARK = "sealed:1:"
_SOLE = Sql("SELECT min(pseudonym) FROM resident WHERE hub = :hub AND state = 'active' HAVING count(*) = 1")
_IS_KNOWN = Sql("SELECT 1 FROM resident_key WHERE resident = :owner")
_OTHERS = Sql("SELECT 1 FROM resident WHERE hub = :hub AND pseudonym <> :resident AND state <> 'erased' LIMIT 1")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a text stands."""

    table: str
    row: str
    column: str

    @property
    def ref(self) -> str:
        """The row, as the seal is bound to it."""
        return f"{self.table}/{self.row}"


def note_of(alarm: str) -> Place:
    """Where the note of an alarm's outcome stands."""
    return Place("alarm", alarm, "note")


def offer_note(offer: str) -> Place:
    """Where it stands what somebody writes to whom an alarm is offered."""
    return Place("handover", offer, "note")


def sent_reason(dispatch: str) -> Place:
    """Where it stands why a patrol cannot come, or need not."""
    return Place("dispatch", dispatch, "reason")


def typed_in_log(alarm: str) -> Place:
    """In an entry of the event log about an alarm. The chain binds it to its entry."""
    return Place("log_entry", alarm, "content")


def incident_note(incident: str) -> Place:
    """Where the note of an incident stands."""
    return Place("incident", incident, "note")


def maintenance_why(period: str) -> Place:
    """Where it stands why a home is quiet."""
    return Place("maintenance", period, "why")


def access_reason(actor: str) -> Place:
    """Where somebody's own reason to look stands. It is copied to each entry that rests on it."""
    return Place("access_entry", actor, "reason")


def event_place(hub: str, epoch: str, lane: int, seq: int) -> Place:
    """Where a hub's event stands, with what was measured."""
    return Place("event", f"{hub}/{epoch}/{lane}/{seq}", "measured")


@dataclass(frozen=True, slots=True, repr=False)
class Read:
    """A text that was asked for, and what became of it."""

    text: str
    legible: Legible


_NOTHING = Read("", Legible.NOTHING)


@dataclass(frozen=True, slots=True, repr=False)
class Pen:
    """Seals for one owner, in one transaction."""

    key: ResidentKey

    def seal(self, place: Place, text: str) -> str:
        """The text as it may stand there. Of nothing comes nothing."""
        if not text:
            return ""
        sealed = self.key.seal_bytes(place.ref, place.column, text.encode())
        return f"{_MARK}{self.key.resident}:{base64.b64encode(sealed).decode()}"

    def seal_raw(self, place: Place, raw: bytes) -> bytes:
        """The same of bytes."""
        return f"{_MARK}{self.key.resident}:".encode() + self.key.seal_bytes(place.ref, place.column, raw)

    def digest(self, text: str) -> str:
        """What may stand in the log for a text. Without the key nobody can try whether it was this or that."""
        return self.key.digest(text)


def is_sealed(text: object) -> bool:
    """Whether this is a sealed text."""
    return isinstance(text, str) and text.startswith(_MARK)


class Words:
    """Sealing and opening, with the keys of a vault."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    @classmethod
    def of(cls, settings: CentralSettings) -> Words:
        """With the master key of a central that does not run."""
        return cls(Vault(MasterKeys(MasterFiles.of(settings))))

    async def pen(self, connection: AsyncConnection, resident: str | None, hub: str, now: int) -> Pen:
        """For what is about this resident, or about whoever is in this home. Raises DamagedError, KeysError."""
        owner = resident if resident is not None and is_pseudonym(resident) else None
        if resident is None and hub:
            owner = await _SOLE.value(connection, hub=hub)
        if owner is not None:
            try:
                return Pen(await self._vault.key_of(connection, owner, now))
            except ErasedError:
                pass
            except (DamagedError, KeysError) as error:
                log.warning("key_does_not_open", resident=owner, reason=str(error))
        return Pen(await self._home_key(connection, hub, now))

    async def _home_key(self, connection: AsyncConnection, hub: str, now: int) -> ResidentKey:
        for number in count():  # one that was erased stays so, and the next takes its place
            try:
                return await self._vault.key_of(connection, f"hub/{hub}/{number}", now)
            except ErasedError:
                continue
        raise AssertionError("unreachable")

    async def incident_pen(self, connection: AsyncConnection, incident: str, now: int) -> Pen | None:
        """For what is written about an incident. None: its words were erased, and no more are kept."""
        try:
            return Pen(await self._vault.key_of(connection, f"incident/{incident}", now))
        except ErasedError:
            return None

    async def pen_for_event(self, connection: AsyncConnection, resident: str | None, hub: str, now: int) -> Pen | None:
        """The same for what a hub tells. None: no key opens, and what was measured cannot be kept."""
        try:
            return await self.pen(connection, resident, hub, now)
        except (DamagedError, KeysError) as error:
            log.warning("measurement_not_kept", hub=hub, reason=str(error))
            return None

    async def read(self, connection: AsyncConnection, texts: Iterable[tuple[Place, str | None]]) -> list[Read]:
        """These texts, in their order. Nothing that does not open is an error: `legible` says what became of it."""
        keys: dict[str, ResidentKey | Legible] = {}
        found = []
        for place, text in texts:
            if not text:
                found.append(_NOTHING)
                continue
            if not is_sealed(text):  # of our own words, or from before there were seals
                found.append(Read(text, Legible.OPENED))
                continue
            owner, _, sealed = text.removeprefix(_MARK).partition(":")
            if owner not in keys:
                keys[owner] = await self._key(connection, owner)
            found.append(_opened(keys[owner], place, sealed))
        return found

    async def _key(self, connection: AsyncConnection, owner: str) -> ResidentKey | Legible:
        try:
            return await self._vault.known_key(connection, owner) or Legible.DAMAGED
        except ErasedError:
            return Legible.ERASED
        except (DamagedError, KeysError) as error:
            log.warning("key_does_not_open", resident=owner, reason=str(error))
            return Legible.DAMAGED

    async def forget_home(self, connection: AsyncConnection, hub: str, now: int, *, with_: str = "") -> int:
        """Destroy what is known of nobody in particular in a home. Returns how many keys there were.

        `with_`: only when this is the last resident there who was not erased.
        """
        if with_ and await _OTHERS.one(connection, hub=hub, resident=with_):
            return 0
        erased = 0
        for number in count():
            owner = f"hub/{hub}/{number}"
            if not await _IS_KNOWN.one(connection, owner=owner):
                break
            erased += await self._vault.erase(connection, owner, now)
        return erased

    async def forget_incident(self, connection: AsyncConnection, incident: str, now: int) -> int:
        """Destroy what was written about an incident. Returns how many keys there were."""
        return int(await self._vault.erase(connection, f"incident/{incident}", now))


def _opened(key: ResidentKey | Legible, place: Place, sealed: str) -> Read:
    if isinstance(key, Legible):
        return Read("", key)
    try:
        opened = key.open_bytes(place.ref, place.column, base64.b64decode(sealed, validate=True))
    except (DamagedError, ValueError) as error:
        log.warning("text_does_not_open", resident=key.resident, place=place.ref, reason=str(error))
        return Read("", Legible.DAMAGED)
    return Read(opened.decode(), Legible.OPENED)


def measured_of(read: Read) -> tuple[Any, dict[str, Any]]:
    """Value and details of an opened measurement."""
    value, details = json.loads(read.text)
    return value, details or {}
