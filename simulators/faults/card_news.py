"""What central was told of the card: a fault that only `status` knows of is one that nobody goes to see to."""

from __future__ import annotations

import json

from cloud_sync.vocabulary import BY_WORD
from gateway.journal import Trouble
from simulators.faults.trial import Trial

TOLD_WITHIN_S = 30.0
"""Technical events travel in company, after alarms and care: they may take a moment longer than what woke them."""
_TROUBLE, _RECOVERED = (BY_WORD[word].code for word in ("journal_trouble", "journal_recovered"))
_Row = tuple[str, int, int, str]


class CardNews:
    """The technical events about the journal's files that reach central from now on."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self._before = set(_rows(trial))

    async def of_trouble(self, fault: str, *, is_lasting: bool = False) -> None:
        """Wait until it was told of trouble; if it is not, that is complained of. `is_lasting`: of what goes on."""

        async def is_so() -> bool:
            rows = self._since()
            return bool(_in_trouble(rows)) if is_lasting else any(kind == _TROUBLE for _, _, kind, _ in rows)

        try:
            await self._trial.until(is_so, "central was not told", within_s=TOLD_WITHIN_S)
        except AssertionError as error:
            self._trial.complain(f"{fault}: {error}")

    async def of_its_end(self, fault: str) -> None:
        """Wait until it was told that whatever lasted is over, of the hub as it runs now."""
        left: dict[str, str] = {}

        async def is_so() -> bool:
            status = await self._trial.status()
            if status is None:
                return False
            left.clear()
            left.update(_in_trouble([row for row in self._since() if row[0] == status["epoch"]]))
            return not left

        try:
            await self._trial.until(is_so, "central was not told that it is over", within_s=TOLD_WITHIN_S)
        except AssertionError as error:
            self._trial.complain(f"{fault}: {error}; as it was told, there is still {left}")

    def _since(self) -> list[_Row]:
        return [row for row in _rows(self._trial) if row not in self._before]


def _rows(trial: Trial) -> list[_Row]:
    """(epoch, number, kind, details) in the order in which the hub told them."""
    found = trial.stage.rows(
        "SELECT epoch, seq, kind, details FROM event WHERE kind IN (?, ?) ORDER BY boot_ms, seq", _TROUBLE, _RECOVERED
    )
    return [(epoch, seq, kind, details) for epoch, seq, kind, details in found]


def _in_trouble(rows: list[_Row]) -> dict[str, str]:
    """The files of which the last that was told is a trouble that lasts, and which."""
    found: dict[str, str] = {}
    for _, _, kind, details in rows:
        told = json.loads(details)
        if kind == _RECOVERED:
            found.pop(told["file"], None)
        elif Trouble(file=told["file"], what=told["what"]).is_lasting:
            found[told["file"]] = told["what"]
    return found
