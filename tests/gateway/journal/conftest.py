"""Records as the hub seals them, and a journal on a real disk to put them into."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from cloud_sync.identity import EventId, Lane, new_id
from cloud_sync.record import seal_record
from cloud_sync.seal import EpochKey
from cloud_sync.vocabulary import BY_WORD, Event, Stamp
from gateway.journal import Journal, JournalSettings, Trouble, open_journal

HUB = bytes.fromhex("00112233445566aa")
WORDS = {
    Lane.ALARM: "pendant_pressed",
    Lane.CARE: "bed_absent",
    Lane.TECHNICAL: "battery_low",
    Lane.TELEMETRY: "temperature",
}


class Run:
    """A run of the daemon: an epoch that seals records."""

    def __init__(self, hub: bytes = HUB) -> None:
        self.hub = hub
        self.epoch = new_id()
        self.header = b"signed header of " + self.epoch + bytes(1300)
        self.key = EpochKey.generate()

    def record(self, lane: Lane, seq: int, *, wall_ms: int = 1_790_000_000_000, with_header: bool = False) -> bytes:
        stamp = Stamp(boot_ms=1000 + seq, wall_ms=wall_ms, is_wall_trusted=True)
        event = Event(kind=BY_WORD[WORDS[lane]], stamp=stamp, device="thing-1", resident="r-7f3a90", value=seq)
        header = self.header if with_header or lane.is_urgent else None
        return seal_record(EventId(self.hub, self.epoch, lane, seq), event, self.key, epoch_header=header)


Opener = Callable[..., AbstractAsyncContextManager[Journal]]


@pytest.fixture
def run() -> Run:
    return Run()


@pytest.fixture
def troubles() -> list[Trouble]:
    return []


@pytest.fixture
def journal_at(tmp_path: Path, troubles: list[Trouble]) -> Opener:
    """Opens the journal of this test; keywords change the settings."""

    def opener(
        hub: bytes = HUB, wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000, **changes: Any
    ) -> AbstractAsyncContextManager[Journal]:
        quick: dict[str, Any] = {"telemetry_commit_s": 0.05, "technical_commit_s": 0.01, "reserve_bytes": 64 * 1024}
        settings = JournalSettings(**(quick | changes))
        return open_journal(tmp_path / "journal", hub, wall_ms=wall_ms, settings=settings, on_trouble=troubles.append)

    return opener


@pytest.fixture
def new_run() -> type[Run]:
    return Run


@pytest.fixture
def hub_id() -> bytes:
    return HUB
