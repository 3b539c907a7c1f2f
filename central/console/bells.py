"""What may sound at a console, whichever tab it shows: alarms that wait, one's own, and what is asked of one.

The page decides what does sound: it knows what was opened here. A bell rings until its `sound` has been heard.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from central.console.asked import Asked, Stand
from central.lifecycle import WAITING, Queue
from central.views import AlarmView

OFF_RANK = 2
"""Being called off sounds softer than an alarm: nobody is in danger by it."""


class Why(StrEnum):
    """Why it may sound."""

    WAITING = "waiting"
    MINE = "mine"
    ASKS = "asks"
    OFF = "off"
    ALONE = "alone"
    """Called off, but nobody has the alarm now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bell:
    """One reason to sound. `sound` rises with every repeat."""

    key: str
    alarm: str
    rank: int
    sound: int
    why: Why
    title: str = ""
    place: str = ""

    def to_plain(self) -> dict[str, object]:
        """For the page."""
        return {name: getattr(self, name) for name in self.__slots__}


def bells_of(account: str, alarms: Iterable[tuple[AlarmView, str, str]], asked: Iterable[Asked]) -> tuple[Bell, ...]:
    """Of alarms with their titles and places, and of what is asked of an account."""
    found: dict[str, Bell] = {}
    titles: dict[str, str] = {}
    for alarm, title, place in alarms:
        titles[alarm.id] = title
        is_mine = alarm.owner == account
        if alarm.queue is Queue.PERSONAL and (is_mine or alarm.stage == WAITING):
            why = Why.MINE if is_mine else Why.WAITING
            found[alarm.id] = Bell(
                key=alarm.id,
                alarm=alarm.id,
                rank=alarm.rank,
                sound=alarm.sound_no,
                why=why,
                title=title,
                place=place,
            )
    for one in asked:
        alarm = one.alarm
        was_going = one.sent is not None and one.sent.account == account
        if one.stand is Stand.ASKS:
            key = f"asks-{one.id}"
            found[key] = Bell(
                key=key, alarm=alarm.id, rank=alarm.rank, sound=1, why=Why.ASKS, title=titles.get(alarm.id, "")
            )
        elif one.stand is Stand.OFF and was_going:
            key, is_alone = f"off-{one.id}", alarm.stage == WAITING
            found[key] = Bell(
                key=key,
                alarm=alarm.id,
                rank=alarm.rank if is_alone else OFF_RANK,
                sound=1,
                why=Why.ALONE if is_alone else Why.OFF,
                title=titles.get(alarm.id, ""),
            )
    return tuple(found.values())
