"""What every change of a place has in common: one transaction with one log entry, and words that are checked."""

from __future__ import annotations

from typing import Any
from zoneinfo import available_timezones

from sqlalchemy.ext.asyncio import AsyncConnection

from central import event_log
from central.clock import Clock
from central.console.catalogue import LANGUAGES
from central.errors import IncompleteError, NotFoundError
from central.people.tenants import MAX_NAME
from central.store import Priority, Store
from central.views import Actor


class PlaceChanges:
    """The base of all changes."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def _change(self, actor: Actor, work: Any, content: dict[str, Any], hub: str | None = None) -> None:
        async def change(connection: AsyncConnection) -> None:
            now = self._clock.now_ms()
            done = await work(connection, now)
            what, more = done if isinstance(done, tuple) else (done, {})
            told = {key: value for key, value in (*content.items(), *more.items()) if value is not None}
            await event_log.append(connection, now, what, actor, hub=hub, content=told)

        await self._store.transact(Priority.PEOPLE, change)


def clean_name(name: str, field: str = "name") -> str:
    """A name as it is kept. Raises IncompleteError."""
    name = " ".join(name.replace("\x00", "").split())
    if not name:
        raise IncompleteError("missing", field)
    if len(name) > MAX_NAME:
        raise IncompleteError("too_long", field)
    return name


def check_zone(zone: str) -> str:
    """A time zone that exists. Raises IncompleteError."""
    if zone not in available_timezones():
        raise IncompleteError("unknown_zone", "zone", ("Europe/Oslo", "Arctic/Longyearbyen"))
    return zone


def check_language(language: str) -> str:
    """A language that central speaks. Raises IncompleteError."""
    if language not in LANGUAGES:
        raise IncompleteError("unknown_language", "language", LANGUAGES)
    return language


def one_of(kinds: type[Any], word: str) -> Any:
    try:
        return kinds(word)
    except ValueError:
        raise IncompleteError("unknown_kind", "kind", tuple(str(kind) for kind in kinds)) from None


def only(known: dict[str, Any], wanted: str, what: str) -> Any:
    if wanted not in known:
        raise NotFoundError(what, wanted[:32])
    return known[wanted]
