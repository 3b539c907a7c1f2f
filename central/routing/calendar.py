"""Local times and instants: what the wall clock shows, and when it shows it, also on the nights when it is changed.

In spring an hour of local time does not exist, in autumn one happens twice. Plans ask the wall clock (`plan.resolve`).
Rotas and people need instants: `instants` gives all that a local time means, `instant` the one at which duty begins.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import structlog

DAY_MIN = 24 * 60
MINUTE_MS = 60_000
LAST_RESORT = "Europe/Oslo"

log = structlog.get_logger()


class LocalTimeError(ValueError):
    """A local time that is no one instant.

    `reason` is `no_such_time` (the clock jumps over it; `choices` are the last minute before and the first after) or
    `twice` (`choices` are both instants).
    """

    def __init__(self, reason: str, choices: tuple[int, int]) -> None:
        super().__init__(reason)
        self.reason = reason
        self.choices = choices


def zone_or_usual(name: str) -> ZoneInfo:
    """A zone by its name; the usual one where this machine does not know it: no alarm waits for a list of zones."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        log.warning("time_zone_unknown", zone=name[:64], reason=type(error).__name__)
        return ZoneInfo(LAST_RESORT)


def instants(zone: ZoneInfo, day: date, minute: int) -> tuple[int, ...]:
    """Every instant (ms UTC) at which the wall clock begins this minute of this day: none, one or two of them.

    Minute 1440 is the midnight after.
    """
    wall = datetime(day.year, day.month, day.day) + timedelta(minutes=minute)  # noqa: DTZ001  # a wall clock has no zone
    found = {_ms(wall.replace(tzinfo=zone, fold=fold)) for fold in (0, 1)}
    return tuple(sorted(at for at in found if local(at, zone) == (wall.date(), wall.hour * 60 + wall.minute)))


def instant(zone: ZoneInfo, day: date, minute: int) -> int:
    """The first instant at which the wall clock has come to this minute, if need be by jumping over it."""
    found = instants(zone, day, minute)
    return found[0] if found else _jump(zone, day, minute)


def chosen(zone: ZoneInfo, day: date, minute: int, *, second: bool | None = None) -> int:
    """The instant somebody means. `second` says which of two. Raises LocalTimeError when that is needed or none is."""
    found = instants(zone, day, minute)
    if not found:
        jump = _jump(zone, day, minute)
        raise LocalTimeError("no_such_time", (jump - MINUTE_MS, jump))
    if len(found) == 1:
        return found[0]
    if second is None:
        raise LocalTimeError("twice", (found[0], found[1]))
    return found[second]


def local(at_ms: int, zone: ZoneInfo) -> tuple[date, int]:
    """The day and the minute of it that the wall clock shows."""
    moment = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone)
    return moment.date(), moment.hour * 60 + moment.minute


def day_bounds(zone: ZoneInfo, day: date) -> tuple[int, int]:
    """When a local day begins and ends: 23, 24 or 25 hours."""
    return instant(zone, day, 0), instant(zone, day + timedelta(days=1), 0)


def change_on(zone: ZoneInfo, day: date) -> int:
    """By how many minutes the clock is put forward (more than 0) or back (less) on this day."""
    begin, end = day_bounds(zone, day)
    return DAY_MIN - (end - begin) // MINUTE_MS


def monday_of(day: date) -> date:
    """The first day of its week."""
    return day - timedelta(days=day.weekday())


def _jump(zone: ZoneInfo, day: date, minute: int) -> int:
    """When the clock jumped over a time that does not exist."""
    wall = datetime(day.year, day.month, day.day) + timedelta(minutes=minute)  # noqa: DTZ001  # as in `instants`
    # With the offset from after the change the time lies before it, with the one from before the change after it.
    low, high = sorted(_ms(wall.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))
    target = (wall.date(), wall.hour * 60 + wall.minute)
    while high - low > MINUTE_MS:
        middle = low + (high - low) // (2 * MINUTE_MS) * MINUTE_MS
        low, high = (middle, high) if local(middle, zone) < target else (low, middle)
    return high


def _ms(moment: datetime) -> int:
    return round(moment.timestamp()) * 1000
