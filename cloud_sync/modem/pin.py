"""The PIN of the SIM card: a wrong one is tried once in its life, so that no restart can block the card."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from cloud_sync.modem.state import Sim

MARK = "sim-pin-tried"
REFUSED = 9
MAX_OPEN = 2
"""So often a PIN is tried without a word about how it went (the power may go in that moment); a card has three."""


class Pin:
    """A PIN in a file, and how trying it went; that is kept in `state_dir` over restarts.

    It is kept with the file's time of change: somebody who writes the right PIN into the file has it tried again.
    """

    def __init__(self, file: Path | None, state_dir: Path | None) -> None:
        self._file = file
        self._mark = state_dir / MARK if state_dir is not None else None
        self._tried: tuple[str, int] | None = None

    async def usable(self) -> tuple[str, Sim, str]:
        """The PIN when it may be tried; "" otherwise, with what is to be said of the card, and why."""
        return await asyncio.to_thread(self._usable)

    async def trying(self) -> None:
        """It is about to be tried."""
        await asyncio.to_thread(lambda: self._note(self._count() + 1))

    async def refused(self) -> None:
        """The card said no."""
        await asyncio.to_thread(self._note, REFUSED)

    async def accepted(self) -> None:
        """The card said yes."""
        await asyncio.to_thread(self._note, 0)

    def _usable(self) -> tuple[str, Sim, str]:
        if self._file is None:
            return "", Sim.PIN_WANTED, "the SIM card wants a PIN, and the settings name no pin_file"
        try:
            text = self._file.read_text(encoding="ascii").strip()
            count = self._count()
        except (OSError, UnicodeDecodeError) as error:
            return "", Sim.PIN_WANTED, f"{self._file} cannot be read: {getattr(error, 'strerror', None) or 'no PIN'}"
        if not text.isdigit() or not 4 <= len(text) <= 8:
            return "", Sim.PIN_WANTED, f"{self._file} holds no PIN: four to eight digits are expected"
        if count >= MAX_OPEN:
            why = f"the SIM card has refused the PIN in {self._file}; correct the file to have it tried again"
            return "", Sim.PIN_REFUSED, why
        return text, Sim.READY, ""

    def _stamp(self) -> str:
        return str(self._file.stat().st_mtime_ns) if self._file is not None else ""

    def _count(self) -> int:
        if self._tried is None and self._mark is not None:
            with contextlib.suppress(OSError, ValueError):
                stamp, count = self._mark.read_text(encoding="ascii").split()
                self._tried = (stamp, int(count))
        return self._tried[1] if self._tried is not None and self._tried[0] == self._stamp() else 0

    def _note(self, count: int) -> None:
        with contextlib.suppress(OSError):
            self._tried = (self._stamp(), count)
            if self._mark is not None:
                self._mark.write_text(f"{self._tried[0]} {count}\n", encoding="ascii")
