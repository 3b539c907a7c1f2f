"""The JSON API of when a hub was heard: by local days, five minutes a letter."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import ConfigDict, Field

from central.availability import KEPT_DAYS, SLOT_MS
from central.availability_days import Day, Mark, days_of
from central.console.api import PROBLEMS, HubId
from central.console.api_base import Out
from central.console.elsewhere import hub_seen
from central.console.gate import Needs, Visit
from central.console.roles import Action

SHOWN_DAYS = 14
router = APIRouter(prefix="/api/v1", responses=dict(PROBLEMS), tags=["hubs"])
Seeing = Annotated[Visit, Depends(Needs(Action.SEE_HUBS))]
Days = Annotated[int, Query(ge=1, le=KEPT_DAYS, description="How many local days, today with them.")]


class AvailabilityDayOut(Out):
    """A local day. `marks` has a letter for each five minutes from midnight on; a day has 276 to 300 of them.

    `h` heard, `m` not heard although central listened, `u` unknown (central did not listen, or keeps nothing of it),
    `b` before the hub was enrolled, `a` not over yet. `percent` is the share of `h` in `h` and `m`, rounded down to a
    tenth; null where neither is known.
    """

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "day": "2026-11-21",
                "begin_ms": 1795215600000,
                "marks": "h" * 38 + "m" * 5 + "h" * 245,
                "heard": 283,
                "missed": 5,
                "unknown": 0,
                "percent": 98.2,
            }
        },
    )

    day: dt.date
    begin_ms: int
    marks: str
    heard: int
    missed: int
    unknown: int
    percent: float | None

    @classmethod
    def of(cls, day: Day) -> AvailabilityDayOut:
        """As kept."""
        return cls(
            day=day.date,
            begin_ms=day.begin_ms,
            marks=day.marks,
            heard=day.count(Mark.HEARD),
            missed=day.count(Mark.MISSED),
            unknown=day.count(Mark.UNKNOWN),
            percent=None if day.tenths is None else day.tenths / 10,
        )


class AvailabilityOut(Out):
    """When a hub was heard, today first."""

    hub: str
    zone: str = Field(examples=["Europe/Oslo"])
    slot_ms: int = Field(examples=[SLOT_MS])
    days: list[AvailabilityDayOut]


async def days_seen(visit: Visit, hub_id: str, since_ms: int, count: int) -> list[Day]:
    """Of a hub that is seen, as the clock of this console cuts them."""
    services = visit.desk.services
    zone, now = visit.figures.zone, visit.now_ms()
    return await days_of(services.store, hub_id, zone=zone, since_ms=since_ms, now_ms=now, count=count)


@router.get("/hubs/{hub_id}/availability")
async def availability(visit: Seeing, hub_id: HubId, days: Days = SHOWN_DAYS) -> AvailabilityOut:
    """When it was heard. Time in which central did not listen counts neither for it nor against it."""
    found = await hub_seen(visit, hub_id, Action.SEE_HUBS)
    seen = await days_seen(visit, found.id, found.enrolled_ms, days)
    return AvailabilityOut(
        hub=found.id,
        zone=visit.figures.zone.key,
        slot_ms=SLOT_MS,
        days=[AvailabilityDayOut.of(day) for day in seen],
    )
