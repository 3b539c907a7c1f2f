"""The hub's durable, sealed queue: what was appended is on the card until central has it."""

from gateway.journal.journal import Journal, open_journal
from gateway.journal.reports import (
    FileState,
    JournalOpening,
    LaneCount,
    Memory,
    ProbeResult,
    StoredRecord,
    Trouble,
)
from gateway.journal.settings import JournalSettings

__all__ = [
    "FileState",
    "Journal",
    "JournalOpening",
    "JournalSettings",
    "LaneCount",
    "Memory",
    "ProbeResult",
    "StoredRecord",
    "Trouble",
    "open_journal",
]
