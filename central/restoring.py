"""Copies of the database, and what has to be done to one that was put back before central may run on it.

A database from a backup has forgotten what hubs were told since. With a new lineage hubs see that, and offer again
every alarm and care record of the last days; what is there already has no second effect.
"""

from __future__ import annotations

import os
import secrets
import socket
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from central import event_log
from central.admin import CONSOLE
from central.alarms import Alarms
from central.clock import Clock
from central.errors import CentralError
from central.lifecycle import CENTRAL_KINDS
from central.opening import Source
from central.people.words import Words
from central.raising import raise_technical
from central.settings import CentralSettings
from central.sql import Sql
from central.store import Store, open_store
from central.wakeup import Wakeup

_LAST = Sql("SELECT max(received_ms) FROM event")
_LAST_LOG = Sql("SELECT max(at_ms) FROM log_entry")
_LINEAGE = Sql("UPDATE central_state SET value = :value WHERE name = 'lineage'")
_BASE = Sql(
    "INSERT INTO central_state (name, value) VALUES ('command_base', :value)"
    " ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)
_CLAIMS = Sql("UPDATE alarm SET lease_until_ms = 0 WHERE closed_ms IS NULL AND owner IS NOT NULL")
_OPEN = Sql("SELECT count(*) FROM alarm WHERE closed_ms IS NULL AND queue = 'personal'")
_SESSIONS = Sql("UPDATE session SET ended_ms = :now WHERE ended_ms IS NULL")
_LINKS = Sql("UPDATE login_link SET used_ms = :now WHERE used_ms IS NULL")
_CODES = Sql("UPDATE enrolment_code SET used_ms = :now WHERE used_ms IS NULL")


@dataclass(frozen=True, slots=True, kw_only=True)
class BackedUp:
    """A copy of the database."""

    file: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What a database that was put back is like."""

    lineage_before: str
    lineage: str
    last_ms: int | None
    """The newest that it knows."""
    open_alarms: int
    returned: int = 0
    """Claims of that time, given back to the queue."""


def back_up(settings: CentralSettings, target: Path) -> BackedUp:
    """Copy the database while central runs, whole and checked. Raises CentralError; nothing is overwritten."""
    source = _file_of(settings)
    if source is None:
        raise CentralError("the database is PostgreSQL: back it up with pg_dump, and put it back with pg_restore.")
    if not source.exists():
        raise CentralError(f"{source}: there is no database.")
    if target.exists():
        raise CentralError(f"{target} is there already; nothing was written.")
    part = target.with_name(f"{target.name}.part")
    try:
        part.unlink(missing_ok=True)
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with closing(sqlite3.connect(source, timeout=30)) as live, closing(sqlite3.connect(part)) as copy:
            live.backup(copy)  # one snapshot; whoever writes is not held up
            verdict = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, without companions
        if verdict != "ok":
            raise CentralError(f"the copy is damaged, and perhaps the database is: {verdict}")
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.rename(target)
        _sync_folder(target.parent)
    except (OSError, sqlite3.Error) as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise CentralError(f"the copy could not be made: {error}") from None
    return BackedUp(file=str(target), size_bytes=target.stat().st_size)


async def restored(settings: CentralSettings, clock: Clock) -> Restored:
    """Make a database that was put back ready to run on. Raises CentralError, touching nothing, while central runs."""
    if _is_running(settings.admin_socket):
        raise CentralError("central is running. Stop it, put the database back, and then say so.")
    file = _file_of(settings)
    if file is not None and not file.exists():
        raise CentralError(f"{file}: there is no database. Put the backup there first.")
    async with open_store(settings.database_url, clock) as store:
        found = await _renew(store, clock)
        return replace(found, returned=await Alarms(store, clock, Wakeup(), Words.of(settings)).sweep())


async def _renew(store: Store, clock: Clock) -> Restored:
    now, lineage = clock.now_ms(), secrets.token_hex(8)
    before = store.lineage.hex()

    async def work(connection: AsyncConnection) -> Restored:
        last_ms = max(await _LAST.value(connection) or 0, await _LAST_LOG.value(connection) or 0) or None
        await _LINEAGE.rows(connection, value=lineage)
        await _BASE.rows(connection, value=str(now // 1000))  # above every number that hubs have seen
        await _CLAIMS.rows(connection)
        for ending in (_SESSIONS, _LINKS, _CODES):  # some of them were ended since
            await ending.rows(connection, now=now)
        said = {"lineage": lineage, "lineage_before": before, "last_ms": last_ms or 0}
        await event_log.append(connection, now, "central_restored", CONSOLE, content=said)
        source = Source(hub="", happened_ms=now, details=None if last_ms is None else f'{{"last_ms": {last_ms}}}')
        await raise_technical(connection, CENTRAL_KINDS["central_restored"], source, now)
        count = await _OPEN.value(connection)
        return Restored(lineage_before=before, lineage=lineage, last_ms=last_ms, open_alarms=count)

    async with store.write() as connection:
        return await work(connection)


def _is_running(admin_socket: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(2)
        try:
            client.connect(str(admin_socket))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError:
            return True
    return True


def _file_of(settings: CentralSettings) -> Path | None:
    kind, _, path = settings.database_url.partition(":///")
    return Path(path) if kind.startswith("sqlite") else None


def _sync_folder(path: Path) -> None:
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
