"""How events become rows: what was measured of people is sealed, and the record as it came is sealed once more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from central.decoding import Opened
from central.lifecycle import measures_people
from central.people.words import Pen, Words, event_place

_VALUE, _DETAILS = 7, 8
"""Where they are in a row of `event`. Both together are sealed in the place of the first."""

Rows = list[tuple[Any, ...]]


async def sealed_rows(
    connection: AsyncConnection, words: Words, records: Sequence[Opened], *, is_urgent: bool, now: int
) -> tuple[Rows, Rows]:
    """The rows of `event` and of `event_raw`.

    A key that does not open keeps out the measurement, never the event: somebody may need help.
    """
    pens: dict[tuple[str | None, str], Pen | None] = {}
    rows, raws = [], []
    for record in records:
        row, raw = record.row, (*record.row[:4], record.raw)
        if record.event is None or not measures_people(record.event.kind):
            rows.append(row)
            if record.event is None or is_urgent:
                raws.append(raw)
            continue
        hub, epoch, lane, seq, _, _, resident, value, details, *_ = row
        is_measured = value is not None or details is not None
        if not is_measured and not is_urgent:
            rows.append(row)
            continue
        if (resident, hub) not in pens:
            pens[resident, hub] = await words.pen_for_event(connection, resident, hub, now)
        pen, place = pens[resident, hub], event_place(hub, epoch, lane, seq)
        sealed = pen.seal(place, f"[{value or 'null'},{details or 'null'}]") if is_measured and pen else None
        rows.append((*row[:_VALUE], sealed, None, *row[_DETAILS + 1 :]))
        if is_urgent and pen is not None:
            raws.append((*raw[:4], pen.seal_raw(place, record.raw)))
    return rows, raws
