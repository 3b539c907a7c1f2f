"""One SQLite file: how it is opened, what it must be, what it holds at the start, what its errors mean. Blocking."""

from __future__ import annotations

import json
import sqlite3
import struct
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import cache
from pathlib import Path
from typing import Any

from cloud_sync.identity import ID_LENGTH, Lane
from gateway.errors import JournalRefusedError
from gateway.journal import directory
from gateway.journal.numbering import MAX_EPOCH_NUMBER, Range, epoch_range
from gateway.journal.statements import LANE_SQL

VERSION = 1
APPLICATION_ID = 0x56504A31  # "VPJ1"
PAGE_SIZE = 4096
CACHE_KIB = 512
LOG_LIMIT = 16 * 1024 * 1024
BUSY_S = 2.0
_SQL = Path(__file__).parent / "sql"
_MAGIC = b"SQLite format 3\x00"
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


@dataclass(frozen=True, slots=True)
class Shape:
    """Which of the two files it is."""

    name: str
    lanes: tuple[Lane, ...]
    has_memo: bool
    checkpoint_pages: int
    """After how many pages of log SQLite copies them by itself, in the middle of a commit; 0 for never."""

    @property
    def file(self) -> str:
        """Its name in the directory."""
        return f"{self.name}.db"

    @property
    def beside(self) -> str:
        """The one that stands in for it while the file there is of a newer version."""
        return f"{self.name}.beside.db"


ALARM = Shape("alarm", (Lane.ALARM, Lane.CARE), has_memo=True, checkpoint_pages=0)
BULK = Shape("bulk", (Lane.TECHNICAL, Lane.TELEMETRY), has_memo=False, checkpoint_pages=1000)

MemoryRow = tuple[str, int | str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRow:
    """A run of the daemon. `ended` is None when it did not end in good order."""

    number: int
    epoch: bytes
    header: bytes
    ended: Mapping[Lane, int] | None = None


@dataclass(slots=True, kw_only=True)
class Found:
    """What a file holds, as far as it is kept in memory. Cheap to read, whatever the number of records."""

    hub: bytes | None = None
    epochs: list[EpochRow] = field(default_factory=list)
    present: dict[Lane, list[Range]] = field(default_factory=dict)
    """Per epoch from the first to the last id; there may be holes in between."""
    kept: list[tuple[Lane, int, int, int]] = field(default_factory=list)
    """lane, day, first, last"""
    gaps: list[tuple[Lane, int, int]] = field(default_factory=list)
    memory: list[MemoryRow] = field(default_factory=list)
    memos: list[MemoryRow] = field(default_factory=list)
    """Memory that lies in records' rows and is not in the table yet."""
    meta: dict[str, Any] = field(default_factory=dict)
    is_fresh: bool = False
    """Whether the file was made in the place of one that was set aside: what else is told here is in no file."""
    mean_bytes: dict[Lane, float] = field(default_factory=dict)
    """How long records were lately."""


class Fault(Enum):
    """What to do about an error of SQLite."""

    DAMAGED = auto()  # set aside, salvage, begin anew
    FULL = auto()  # make room
    IO = auto()  # try again; when it stays so while the card is well otherwise, begin anew
    OTHER = auto()  # try again later


def fault_of(error: sqlite3.Error) -> Fault:
    """Sort an error."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    is_no_text = not code and isinstance(error, sqlite3.OperationalError)  # Python's own, of bytes it cannot decode
    if code in _DAMAGE or is_no_text:
        return Fault.DAMAGED
    return _FAULTS.get(code, Fault.OTHER)


_FAULTS = {
    sqlite3.SQLITE_FULL: Fault.FULL,
    sqlite3.SQLITE_IOERR: Fault.IO,
    sqlite3.SQLITE_CANTOPEN: Fault.IO,
    sqlite3.SQLITE_READONLY: Fault.IO,
    sqlite3.SQLITE_PERM: Fault.IO,
}


class NewerError(JournalRefusedError):
    """The file was written by a newer version: not a byte of it is touched."""


class ForeignError(Exception):
    """The file belongs to another hub or another program."""


def damage(what: str) -> sqlite3.DatabaseError:
    """An error as SQLite raises it, for what it takes no notice of: what stands in the file cannot be meant."""
    error = sqlite3.DatabaseError(what)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


_FAR_FUTURE = 1000
"""A version so far ahead is damage."""


def stored_version(path: Path) -> int | None:
    """The schema version, read without SQLite so that nothing is touched. None: no database of ours (yet).

    The newest page 1 may lie in the log only, so its frames are looked at too.
    """
    try:
        with path.open("rb") as file:
            head = file.read(100)
    except FileNotFoundError:
        return None
    if len(head) < 100 or not head.startswith(_MAGIC) or struct.unpack_from(">I", head, 68)[0] != APPLICATION_ID:
        return None
    return max([_version_in(head), *(_version_in(page) for page in _first_pages(Path(f"{path}-wal")))])


def _version_in(head: bytes) -> int:
    return int(struct.unpack_from(">i", head, 60)[0])


def _first_pages(log: Path) -> Iterator[bytes]:
    """The starts of all versions of page 1 in a write-ahead log."""
    try:
        file = log.open("rb")
    except FileNotFoundError:
        return
    with file:
        head = file.read(32)
        if len(head) < 32 or struct.unpack_from(">I", head)[0] & ~1 != 0x377F0682:
            return
        page_size, salts = struct.unpack_from(">I", head, 8)[0], head[16:24]
        while len(frame := file.read(24)) == 24 and frame[8:16] == salts:
            if struct.unpack_from(">I", frame)[0] == 1:
                page = file.read(page_size)
                if page.startswith(_MAGIC):
                    yield page[:100]
            else:
                file.seek(page_size, 1)


def refuse_future(path: Path) -> None:
    """Raises NewerError for a database of a newer version. Touches nothing."""
    version = stored_version(path)
    if version is not None and VERSION < version < VERSION + _FAR_FUTURE:
        raise NewerError(
            f"{path} was written by a newer Vaktpost (journal version {version}, this one knows {VERSION}); "
            "it is not touched: install the newer version again"
        )


def open_database(path: Path, shape: Shape) -> sqlite3.Connection:
    """Open for writing, made if need be, brought to the present version, and made sure of.

    Raises NewerError, ForeignError, sqlite3.Error, OSError.
    """
    refuse_future(path)
    directory.make_directory(path.parent)
    if directory.is_orphaned(path):
        raise damage("its log lies there without it")  # SQLite would delete the log
    is_new = not path.exists()
    directory.make_private(path)
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
    try:
        connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")  # before anything is written
        _pragmas(connection, shape)
        if is_new or connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            connection.execute("PRAGMA journal_mode = WAL")
        _migrate(connection, shape)
        _demand(connection, shape)
        directory.sync_directory(path.parent)  # the names of a new file and of its log
    except UnicodeDecodeError as error:  # what SQLite says of a damaged schema quotes it
        connection.close()
        raise damage("its schema is damaged") from error
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(path: Path, shape: Shape) -> sqlite3.Connection:
    """A second connection of the daemon, for draining and for copying the log back."""
    connection = sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=BUSY_S, isolation_level=None)
    _pragmas(connection, shape)
    return connection


def _pragmas(connection: sqlite3.Connection, shape: Shape) -> None:
    for pragma in (
        "synchronous = FULL",
        f"wal_autocheckpoint = {shape.checkpoint_pages}",
        f"journal_size_limit = {LOG_LIMIT}",  # the log is written over from the start, not cut off and grown again
        "secure_delete = OFF",  # everything is sealed; zeroing would write every deleted page once more
        f"cache_size = -{CACHE_KIB}",
        "temp_store = MEMORY",
        "cell_size_check = ON",
        "trusted_schema = OFF",
    ):
        connection.execute(f"PRAGMA {pragma}")


_DURABILITY = ("journal_mode", "synchronous", "page_size", "wal_autocheckpoint", "user_version")
_SYNCHRONOUS = {0: "off", 1: "normal", 2: "full", 3: "extra"}


def durability(connection: sqlite3.Connection) -> dict[str, int | str]:
    """What a live connection says about itself."""
    values = {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in _DURABILITY}
    return values | {"synchronous": _SYNCHRONOUS.get(values["synchronous"], str(values["synchronous"]))}


def _demand(connection: sqlite3.Connection, shape: Shape) -> None:
    actual = durability(connection)
    wanted = {"journal_mode": "wal", "synchronous": "full", "page_size": PAGE_SIZE}
    wrong = {name: actual[name] for name in wanted if actual[name] != wanted[name]}
    if wrong:
        raise sqlite3.NotSupportedError(f"the database cannot be made durable: {wrong} instead of {wanted}")
    if _schema(connection) != _intended_schema(shape):
        raise damage("the tables are not as they were made")


def _migrate(connection: sqlite3.Connection, shape: Shape) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    owner = connection.execute("PRAGMA application_id").fetchone()[0]
    has_tables = connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()
    if owner != APPLICATION_ID and has_tables:
        raise ForeignError("another program's database")
    if not 0 <= version <= VERSION:  # a newer one in earnest was refused before
        raise damage(f"it cannot be of version {version}")
    for step in range(version + 1, VERSION + 1):
        connection.execute("BEGIN IMMEDIATE")
        for statement in _statements((_SQL / f"{shape.name}-{step:04}.sql").read_text(encoding="utf-8")):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {step}")
        connection.execute("COMMIT")
    if version < VERSION:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # so that older programs see the version, too


def _schema(connection: sqlite3.Connection) -> list[Any]:
    return connection.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY name").fetchall()


@cache
def _intended_schema(shape: Shape) -> list[Any]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        _migrate(connection, shape)
        return _schema(connection)


def _statements(script: str) -> Iterator[str]:
    text = ""
    for line in script.splitlines(keepends=True):
        text += line
        if sqlite3.complete_statement(text):
            yield text
            text = ""


def load(connection: sqlite3.Connection, shape: Shape) -> Found:
    """What a sound file holds. Raises sqlite3.Error."""
    try:
        return _load(connection, shape)
    except (ValueError, TypeError, LookupError, OverflowError) as error:
        raise damage(f"{type(error).__name__}: {error}") from error


def _load(connection: sqlite3.Connection, shape: Shape) -> Found:
    found = Found(meta=dict(meta_entry(*row) for row in connection.execute("SELECT key, value FROM meta")))
    found.hub = found.meta.pop("hub", None)
    found.epochs = [
        epoch_entry(*row) for row in connection.execute("SELECT no, epoch, x'', ended FROM epoch ORDER BY no")
    ]
    found.kept = [(Lane(row[0]), *row[1:]) for row in connection.execute("SELECT lane, day, first, last FROM kept")]
    found.gaps = [(Lane(row[0]), *row[1:]) for row in connection.execute("SELECT lane, first, last FROM gap")]
    found.memory = [memory_entry(*row) for row in connection.execute("SELECT key, value, tick FROM memory")]
    for lane in shape.lanes:
        found.present[lane] = list(_present(connection, lane, found.epochs))
        found.mean_bytes[lane] = connection.execute(LANE_SQL[lane].sizes).fetchone()[0] or 0.0
        if shape.has_memo:
            found.memos.extend(memos(connection, lane, found.meta.get(f"folded/{lane.word}", 0)))
    return found


def meta_entry(key: Any, value: Any) -> tuple[str, Any]:
    """An entry of `meta`. Like the three below it raises ValueError or TypeError for what nobody has written so."""
    if not isinstance(key, str) or not isinstance(value, bytes if key in {"hub", "lineage"} else int):
        raise TypeError("meta")
    return key, value


def epoch_entry(number: Any, epoch: Any, header: Any, ended: Any) -> EpochRow:
    """A run of the daemon."""
    last = None if ended is None else {Lane(int(lane)): int(seq) for lane, seq in json.loads(ended).items()}
    if not isinstance(epoch, bytes) or len(epoch) != ID_LENGTH or not isinstance(header, bytes):
        raise TypeError("epoch")
    if not 0 < number <= MAX_EPOCH_NUMBER:
        raise ValueError("epoch number")
    return EpochRow(number=number, epoch=epoch, header=header, ended=last)


def memory_entry(key: Any, value: Any, tick: Any) -> MemoryRow:
    """What somebody wants remembered."""
    if not isinstance(key, str) or not isinstance(value, (int, str)) or not isinstance(tick, int):
        raise TypeError("memory")
    return key, value, tick


def _present(connection: sqlite3.Connection, lane: Lane, epochs: list[EpochRow]) -> Iterator[Range]:
    for row in epochs:
        span = epoch_range(row.number)
        first = connection.execute(LANE_SQL[lane].first, span).fetchone()[0]
        if first is not None:
            yield first, connection.execute(LANE_SQL[lane].last, span).fetchone()[0]


def memos(connection: sqlite3.Connection, lane: Lane, folded: int) -> Iterator[MemoryRow]:
    """What lies in the rows of a lane after the row `folded`."""
    for (memo,) in connection.execute(LANE_SQL[lane].memos, (folded,)):
        tick, memory = json.loads(memo)
        yield from (memory_entry(key, value, tick) for key, value in memory.items())
