"""Time as triage sees it: a value that comes in, and moments that survive a restart of the process or the machine.

CLOCK_BOOTTIME starts at 0 with the machine. A moment is therefore remembered with boot id, boot time and wall time.
Within one boot the boot time counts; across boots the wall clock does, when it was trusted then and is now; else
nobody knows how long ago it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from cloud_sync.vocabulary import Stamp
from config.hours import Hours

LOOK_AGAIN_MS = 15 * 60 * 1000
"""How far ahead a time of day is trusted: the wall clock may be set meanwhile."""


@dataclass(slots=True)
class Now:
    """The present, given from outside."""

    boot_ms: int
    wall_ms: int
    is_trusted: bool
    boot_id: str
    zone: ZoneInfo

    @property
    def stamp(self) -> Stamp:
        return Stamp(boot_ms=self.boot_ms, wall_ms=self.wall_ms, is_wall_trusted=self.is_trusted)

    def moment(self) -> Moment:
        """Now, to be remembered."""
        text = f"{self.boot_id}:{self.boot_ms}:{self.wall_ms}:{int(self.is_trusted)}"
        return Moment(at_ms=self.boot_ms, text=text)

    def opened_ms(self, hours: Hours) -> int | None:
        """Boot time at which the hours that it is now in began; None outside. Only with a trusted clock."""
        opened = hours.opened_ms(self.wall_ms, self.zone)
        return None if opened is None else self.boot_ms - (self.wall_ms - opened)

    def opens_ms(self, hours: Hours) -> int:
        """Boot time at which the hours begin next."""
        return self.boot_ms + hours.opens_ms(self.wall_ms, self.zone) - self.wall_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A point in time in this boot's milliseconds (negative: before it), and the text it is remembered as."""

    at_ms: int
    text: str
    is_known: bool = True
    """False when nobody knows how long ago it was; `at_ms` is then what was assumed."""


def recall(text: str, now: Now, *, assumed_ms: int) -> Moment:
    """A remembered moment. `assumed_ms` is how long ago it counts as when nobody knows. Never raises."""
    try:
        boot_id, boot_ms, wall_ms, trusted = text.split(":")
        is_trusted = trusted == "1"
        at_ms, then_ms = int(boot_ms), int(wall_ms)
    except ValueError:
        return Moment(at_ms=now.boot_ms - assumed_ms, text=text, is_known=False)
    if boot_id == now.boot_id:
        return Moment(at_ms=min(at_ms, now.boot_ms), text=text)
    if is_trusted and now.is_trusted:
        return Moment(at_ms=now.boot_ms - max(0, now.wall_ms - then_ms), text=text)
    return Moment(at_ms=now.boot_ms - assumed_ms, text=text, is_known=False)


def was_trusted(text: str) -> bool:
    """Whether the wall clock was trusted when this was remembered."""
    return text.endswith(":1")
