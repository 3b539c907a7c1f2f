"""What the journal tells: what it found, what it holds, what is wrong with it. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cloud_sync.epoch import Predecessor

Memory = Mapping[str, int | str]
"""What drivers and triage remember, by key. An empty text is the same as no entry: that is how one is forgotten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRecord:
    """A record that central has not receipted. `cursor` orders a lane: epochs as they were started, then `seq`."""

    epoch: bytes
    seq: int
    record: bytes
    cursor: int
    was_settled: bool = False
    """Receipted once, and offered again to another lineage: no lamp and no sounder at home is about it any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Something is wrong with a file of the journal, or was and is mended (`journal_trouble`, `journal_recovered`).

    `what`: "damaged" (set aside, a new file is in use) · "foreign" (of another hub or program; likewise) · "newer" (of
    a newer version: untouched, another file beside it is in use) · "missing" (a file that the other one knows of is not
    there) · "full" · "unwritable" · "unreadable" (it takes what is written and does not give it back) · "hanging" (it
    does not answer) · "reserve_released" · "bulk_dropped" (measurements gave way to alarms) · and the good ones
    "salvaged" (`records` were carved from a file that was set aside and are offered by `unsettled` again) · "beside"
    (the newer version's file is gone, or can be used by this one) · "recovered".
    """

    file: str
    what: str
    detail: str = ""
    records: int = 0
    set_aside: str | None = None

    @property
    def is_lasting(self) -> bool:
        """Whether it goes on until it is mended, and is not over as soon as it was told."""
        return not self.is_mended and self.what not in {"missing", "reserve_released", "bulk_dropped"}

    @property
    def is_mended(self) -> bool:
        """Whether this is the good news."""
        return self.what in {"salvaged", "beside", "recovered"}


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalOpening:
    """What was found when the journal was opened."""

    previous: Predecessor | None
    """The epoch before, for the header of the new one. `last` has the lanes that something is known of."""
    memory: Memory = field(default_factory=dict)
    lineage: bytes | None = None
    """The id of central's database that the last receipt came from."""
    floor_ms: int = 0
    """It cannot be earlier than this (ms since 1970, UTC); 0 when nothing is known."""
    troubles: tuple[Trouble, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneCount:
    """What waits for central's receipt in one lane. Counting the past goes on in the background after a start."""

    records: int
    size_bytes: int
    oldest_ms: int | None
    """Wall time of the oldest (ms), trusted or not."""
    is_exact: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """One honest write: to the card and back. `error` is None when it worked."""

    write_ms: float | None
    """Write and fsync."""
    read_ms: float | None
    free_bytes: int
    total_bytes: int
    reserve_bytes: int
    """How much of the reserve for alarms is there."""
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileState:
    """One file of the journal as it is now, for `status` and the health check."""

    name: str
    is_open: bool
    durability: Mapping[str, int | str]
    """What SQLite says when asked (journal_mode, synchronous, page_size, ...), not what was asked for."""
    size_bytes: int
    last_error: str | None
    waiting: int
    """Records in memory that wait for the card."""
    last_commit_ms: float | None
    """How long the last commit took."""
    failing_s: float | None = None
    """For so long nothing has come to the card: what was taken since is in memory only. None: all is well."""
    is_beside: bool = False
    """Whether it stands in for a file of a newer version, which is left alone."""
    set_aside: int = 0
    """How many damaged or foreign ones were set aside and still lie there."""
