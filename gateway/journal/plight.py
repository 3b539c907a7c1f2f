"""What is wrong with one file of the journal: told once when it begins, once when it is over. No I/O."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from gateway.journal.database import Fault, fault_of
from gateway.journal.reports import Trouble

HANGING = "hanging"
_TRIES = 3
_log = structlog.get_logger()


class Plight:
    """`word` is the trouble's, None when all is well. Times are the loop's."""

    def __init__(self, file: str, tell: Callable[[Trouble], None], *, hanging_s: float, replace_after_s: float) -> None:
        self.word: str | None = None
        self._is_unreadable = False
        self._file = file
        self._tell = tell
        self._hanging_s = hanging_s
        self._replace_after_s = replace_after_s
        self._since: float | None = None
        self._io_faults = 0
        self._io_since = 0.0

    @property
    def is_hanging(self) -> bool:
        """Whether the card does not answer now."""
        return self.word == HANGING

    @property
    def failing_s(self) -> float | None:
        """For how long nothing has come to the card."""
        return None if self._since is None else max(0.0, asyncio.get_running_loop().time() - self._since)

    @property
    def is_suspect(self) -> bool:
        """Whether it may be this file alone that fails, so that a new one would do."""
        return self._io_faults >= _TRIES and asyncio.get_running_loop().time() - self._io_since >= self._replace_after_s

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Something is being done in this block that must not take long."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        timer = loop.call_later(self._hanging_s, self.hangs, began)
        try:
            yield
        finally:
            timer.cancel()

    def hangs(self, since: float | None = None) -> None:
        """The card does not answer."""
        self._say(HANGING, "the card does not answer", since)

    def fails(self, error: Exception) -> None:
        """Something could not be done."""
        fault = fault_of(error) if isinstance(error, sqlite3.Error) else None
        if fault is Fault.IO or isinstance(error, OSError):
            if not self._io_faults:
                self._io_since = asyncio.get_running_loop().time()
            self._io_faults += 1
        self._say("full" if fault is Fault.FULL else "unwritable", str(error))

    def withholds(self, error: Exception) -> None:
        """Readers fail again and again. Commits may come to the card all the same."""
        if self.word is None and not self._is_unreadable:
            self._is_unreadable = True
            self._begins("unreadable", str(error))

    def gives(self) -> None:
        """Something was read."""
        if self._is_unreadable:
            self._is_unreadable = False
            if self.word is None:
                self._tell(Trouble(file=self._file, what="recovered"))

    def replaced(self) -> None:
        """Another file is in use: faults are counted anew."""
        self._io_faults = 0

    def is_over(self) -> None:
        """Something came to the card."""
        self._io_faults = 0
        self._since = None
        if self.word is not None:
            self.word = None
            self._is_unreadable = False  # it was opened anew; otherwise readers will say so again
            self._tell(Trouble(file=self._file, what="recovered"))

    def _say(self, word: str, detail: str, since: float | None = None) -> None:
        if self._since is None:
            self._since = asyncio.get_running_loop().time() if since is None else since
        if self.word != word:
            self.word = word
            self._begins(word, detail)

    def _begins(self, word: str, detail: str) -> None:
        _log.error("journal_trouble", file=self._file, what=word, detail=detail)
        self._tell(Trouble(file=self._file, what=word, detail=detail))
