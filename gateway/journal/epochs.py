"""The runs of the daemon that the journal knows: their numbers, names, and how they ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from cloud_sync.epoch import Predecessor
from cloud_sync.identity import Lane
from gateway.journal.database import EpochRow, ForeignError
from gateway.journal.ledger import Ledger
from gateway.journal.numbering import epoch_range, seq_of


class EpochBook:
    """Numbers rise in the order of the starts, and are the same in both files."""

    def __init__(self) -> None:
        self._rows: dict[int, EpochRow] = {}
        self._numbers: dict[bytes, int] = {}
        self.last_run = 0
        """The number of the run before, which is not always the greatest: salvage may bring back unknown epochs."""

    def merge(self, rows: Iterable[EpochRow]) -> None:
        """Take what a file holds. Raises ForeignError when one number means two epochs: a file from elsewhere."""
        rows = list(rows)
        for row in rows:
            known = self._rows.get(row.number)
            if (known is not None and known.epoch != row.epoch) or self._numbers.get(
                row.epoch, row.number
            ) != row.number:
                raise ForeignError(f"epoch {row.epoch.hex()} is numbered otherwise than in the other file")
        for row in rows:
            known = self._rows.get(row.number, row)
            self._rows[row.number] = replace(row, header=row.header or known.header, ended=row.ended or known.ended)
            self._numbers[row.epoch] = row.number

    def number_of(self, epoch: bytes) -> int | None:
        """Its number, if it is known here."""
        return self._numbers.get(epoch)

    def name_of(self, number: int) -> bytes | None:
        """The epoch with this number."""
        row = self._rows.get(number)
        return None if row is None else row.epoch

    def add(self, epoch: bytes, header: bytes) -> EpochRow:
        """Number a new one."""
        row = EpochRow(number=max(self._rows, default=0) + 1, epoch=epoch, header=header)
        self._rows[row.number] = row
        self._numbers[epoch] = row.number
        return row

    def forget(self, numbers: Iterable[int]) -> None:
        """Leave these out."""
        for number in numbers:
            del self._numbers[self._rows.pop(number).epoch]

    def rows(self, headers: Mapping[int, bytes]) -> list[EpochRow]:
        """All of them, with what is known of their headers."""
        return [replace(row, header=row.header or headers.get(number, b"")) for number, row in self._rows.items()]

    def numbers(self) -> list[int]:
        """All numbers, in order."""
        return sorted(self._rows)

    def previous(self, ledgers: Mapping[Lane, Ledger], known: Iterable[Lane]) -> Predecessor | None:
        """The run before: how far each lane came, where something is known of it."""
        number = self.last_run or max(self._rows, default=0)
        row = self._rows.get(number)
        if row is None:
            return None
        last = dict(row.ended or {})
        for lane, ledger in ledgers.items():
            found = _last_of(ledger, number)
            if found or lane in known:
                last[lane] = max(last.get(lane, 0), found)
        return Predecessor(epoch=row.epoch, last=last, is_clean=row.ended is not None)

    def unused(self, ledgers: Iterable[Ledger]) -> list[int]:
        """Epochs of which nothing is left, apart from the last run."""
        ledgers = list(ledgers)
        return [
            number
            for number in self._rows
            if number != (self.last_run or max(self._rows)) and not any(_has(ledger, number) for ledger in ledgers)
        ]


def _has(ledger: Ledger, number: int) -> bool:
    span = epoch_range(number)
    sets = (ledger.present, ledger.gaps, *ledger.kept.values())
    return any(spans.overlaps(*span) for spans in sets)


def _last_of(ledger: Ledger, number: int) -> int:
    first, last = epoch_range(number)
    highs = [high for spans in (ledger.present, ledger.settled, ledger.gaps) for _, high in spans.within(first, last)]
    if first <= ledger.high <= last:
        highs.append(ledger.high)
    return seq_of(max(highs, default=0))
