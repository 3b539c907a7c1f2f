"""Telling a new frame from a copy, an old one and a replayed one: pure, one `Freshness` for each device.

A device says one thing many times, because nobody tells it that it was heard. What is a copy depends on what it sends:

- **With a key** the counter in the frame decides. A higher one than any before is new. The same frame again is a copy
  for `AUTHENTIC_COPY_S` from when it was first heard, also over a restart of the hub; over a reboot, which forgets when
  that was, a press is raised again. Any counter at or below the highest means a new battery, a device that lost its
  memory, or somebody who plays back a recording; these cannot be told apart. An alarm is therefore believed and marked
  as suspect; anything else is refused, because believing an old "door closed" would hide an open door. The highest
  counter stays what it was: otherwise one recorded alarm would make all that was recorded after it look new.
- **A count that began anew** is watched beside the highest one. When it has gone on for `PROBATION_S` and nothing with
  a higher counter than the old highest came meanwhile, the old device is gone and the count becomes the device's own. A
  recording cannot do that while the device is in use: what it says itself is higher, and ends the probation.
- **Without a key** nothing can be believed more than anything else. The same press (same packet id, same buttons) is a
  copy while copies come less than `COPY_GAP_S` apart, but for no longer than `COPY_SPAN_S`: a device without a packet
  id, or one that always starts from the same, must be able to call again. A frame in which all buttons are 'none' ends
  the press.

What is remembered over a restart is the highest counter, the count on probation, and which frame was accepted last and
when, in a pair of keys (see `remember`). All are tied to the key: a device that is given a new one starts anew.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from drivers.ble.codec import Frame, Press, Reading
from drivers.contract import Fact

COPY_GAP_S: Final = 5.0
"""Copies of one press come closer together than this. Real buttons repeat for a few tenths of a second up to some
seconds, at intervals well below one; a person who presses again takes a breath."""
COPY_SPAN_S: Final = 30.0
"""After this even an unbroken row of copies is a new press: a button that is held or stuck is a call too."""
AUTHENTIC_COPY_S: Final = 60.0
"""For how long an authenticated frame that is heard again is surely the same transmission. Longer than the half minute
for which bluetoothd keeps a device and what it said."""
PROBATION_S: Final = 86_400.0
"""Long enough for every device in use to have said something: they give a sign of life every few hours at least."""
FRAMES_KEPT: Final = 16
"""How many frames of a device are remembered at once: more than any device sends in turn."""

ALARMING: Final[Mapping[Fact, bool]] = {
    Fact.SMOKE: True,
    Fact.CO: True,
    Fact.GAS: True,
    Fact.HEAT: True,
    Fact.WATER: True,
    Fact.DOOR: True,
    Fact.PRESENCE: False,
}
"""The value with which a state may become an alarm. A press always may."""

_PressKey = tuple[int | None, tuple[tuple[int, int], ...]]

_MARK: Final = re.compile(
    r"^(?P<key>[0-9a-f]{8}):(?P<generation>\d{1,10}):(?P<counter>\d{1,10})"
    r"(?::(?P<boot>[0-9a-f]{8}):(?P<frame>[0-9a-f]{16}):(?P<at_ms>\d{1,15})(?::(?P<line>\d{1,10}):(?P<since_ms>\d{1,15}))?)?$"
)


@dataclass(slots=True)
class _Line:
    """A count that began anew: the last of it, and since when."""

    counter: int
    since_s: float


@dataclass(frozen=True, slots=True)
class _Mark:
    """What an earlier run committed. Times only when it was in this boot."""

    generation: int = 0
    counter: int = -1
    frame: str = ""
    at_s: float = float("-inf")
    line: _Line | None = None


class Verdict(Enum):
    NEW = "new"
    COPY = "copy"
    SUSPECT = "suspect"
    """Authentic, alarming, with a counter that went back: the alarm counts and a security event with it."""
    STALE = "stale"
    """Authentic, not alarming, with a counter that went back: not believed."""


class Freshness:
    """What the hub knows of one device in order to recognise what it has heard before."""

    def __init__(
        self,
        *,
        alias: str,
        key: bytes | None,
        boot_id: str,
        started_boot_s: float,
        remembered: Callable[[str], int | str | None],
    ) -> None:
        self._alarm_key, self._other_key = f"counter/{alias}/alarm", f"counter/{alias}/other"
        self._is_keyed = key is not None
        self._fingerprint = hashlib.sha256(key).hexdigest()[:8] if key is not None else ""
        self._boot = hashlib.sha256(boot_id.encode()).hexdigest()[:8]
        self._started_boot_s = started_boot_s
        marks = [self._parse(remembered(name)) for name in (self._alarm_key, self._other_key)] if self._is_keyed else []
        furthest = max(marks, key=lambda mark: (mark.generation, mark.counter), default=_Mark())
        latest = max(marks, key=lambda mark: (mark.generation == furthest.generation, mark.at_s), default=_Mark())
        self._generation = furthest.generation
        self.counter = furthest.counter
        """The highest that is believed."""
        self._line = latest.line
        self._restored = latest.frame, latest.at_s
        self._last_frame = latest.frame, max(0.0, latest.at_s)
        self._is_new_line = False
        self._accepted: OrderedDict[bytes, float] = OrderedDict()
        self._last_plain: bytes = b""
        self._last_plain_at = self._last_plain_since = float("-inf")
        self._last_press: _PressKey | None = None
        self._presses: OrderedDict[_PressKey, tuple[float, float]] = OrderedDict()
        self._hold_heard_s = float("-inf")

    def is_copy(self, service_data: bytes, now_s: float) -> bool:
        """Whether these bytes need not even be decoded."""
        if self._is_keyed:
            accepted_s = self._accepted.get(service_data)
            return accepted_s is not None and now_s - accepted_s < AUTHENTIC_COPY_S
        if (
            service_data == self._last_plain
            and now_s - self._last_plain_at < COPY_GAP_S
            and now_s - self._last_plain_since < COPY_SPAN_S
        ):
            self._last_plain_at = now_s
            if self._last_press is not None and (press := self._presses.get(self._last_press)) is not None:
                self._presses[self._last_press] = press[0], now_s
            return True
        return False

    def judge(self, frame: Frame, service_data: bytes, now_s: float, *, tells_news: bool) -> Verdict:
        """Decide about a decoded frame that `is_copy` did not recognise, and keep what follows from it.

        `tells_news`: it carries a press, or a state other than the one last known.
        """
        if frame.counter is None:
            self._last_plain = service_data
            self._last_plain_at = self._last_plain_since = now_s
            return Verdict.NEW
        # The device and a recording of it number their packets alike: what one said is no copy of the other.
        self._is_new_line = frame.counter > self.counter and self._line is not None
        if frame.counter > self.counter:
            self.counter, self._line = frame.counter, None
            self._accept(service_data, now_s)
            return Verdict.NEW
        line = self._line
        if frame.counter == (self.counter if line is None else line.counter) and (
            not tells_news or self._was_last_before_restart(frame, service_data, now_s)
        ):
            return Verdict.COPY
        if line is None or frame.counter < line.counter:
            self._line = _Line(frame.counter, now_s)
            self._is_new_line = True
        elif frame.counter > line.counter:
            line.counter = frame.counter
            if now_s - line.since_s >= PROBATION_S:
                self._generation += 1
                self.counter, self._line = frame.counter, None
                self._accept(service_data, now_s)
                return Verdict.NEW
        else:
            self._is_new_line = True  # it began again at the very same count
        if not is_alarming(frame):
            return Verdict.STALE
        self._accept(service_data, now_s)
        return Verdict.SUSPECT

    def _was_last_before_restart(self, frame: Frame, service_data: bytes, now_s: float) -> bool:
        """Whether this is the frame that an earlier run took last, still on the air. In doubt it is not.

        A press must be the same bytes, soon after they were first heard. A state that was last so before the restart,
        byte for byte, is no news either while the hub has just started: some devices repeat it for hours.
        """
        restored, at_s = self._restored
        if not restored or _digest(service_data) != restored:
            return False
        if 0 <= now_s - at_s < AUTHENTIC_COPY_S:
            return True
        return not frame.presses and now_s - self._started_boot_s < AUTHENTIC_COPY_S

    def _accept(self, service_data: bytes, now_s: float) -> None:
        self._last_frame = _digest(service_data), now_s
        self._restored = "", float("-inf")
        self._accepted[service_data] = now_s
        self._accepted.move_to_end(service_data)
        if len(self._accepted) > FRAMES_KEPT:
            self._accepted.popitem(last=False)

    def new_presses(self, frame: Frame, now_s: float) -> tuple[Press, ...]:
        """The presses of a frame that was judged NEW or SUSPECT which are not copies of an earlier one."""
        self._last_press = None
        if not frame.presses:
            if frame.has_buttons:
                self._presses.clear()
            return ()
        presses = frame.presses
        if all(press.is_release for press in presses) and now_s - self._hold_heard_s < AUTHENTIC_COPY_S:
            return ()  # the end of a hold that was heard; without its beginning it is all there is of the call
        if any(press.is_hold for press in presses):
            self._hold_heard_s = now_s
        if self._is_keyed and frame.packet_id is None:
            return presses  # the counter has decided
        key = self._last_press = frame.packet_id, tuple((press.nth, press.code) for press in presses)
        first_s, last_s = self._presses.get(key, (now_s, float("-inf")))
        # A device that has just begun anew has begun its packet ids anew, too.
        if not self._is_new_line and now_s - last_s < COPY_GAP_S and now_s - first_s < COPY_SPAN_S:
            self._presses[key] = first_s, now_s
            return ()
        self._presses[key] = now_s, now_s
        self._presses.move_to_end(key)
        if len(self._presses) > FRAMES_KEPT:
            self._presses.popitem(last=False)
        return presses

    def remember(self, *, is_alarm: bool) -> Mapping[str, int | str]:
        """What to commit with an Observation of the frame judged last.

        Alarms and the rest are committed each in their own order, and an alarm may overtake. So each has a key of its
        own, and at start the further one counts: first by how often a count has ended its probation, then by the
        counter; for what is told with a time, the later one.
        """
        if not self._is_keyed:
            return {}
        frame, at_s = self._last_frame
        mark = f"{self._fingerprint}:{self._generation}:{self.counter}:{self._boot}:{frame}:{int(at_s * 1000)}"
        if self._line is not None:
            mark += f":{self._line.counter}:{int(self._line.since_s * 1000)}"
        return {self._alarm_key if is_alarm else self._other_key: mark}

    def _parse(self, mark: int | str | None) -> _Mark:
        found = _MARK.match(mark) if isinstance(mark, str) else None
        if found is None or found["key"] != self._fingerprint:
            return _Mark()
        generation, counter = int(found["generation"]), int(found["counter"])
        is_this_boot = found["boot"] == self._boot
        line = None
        if found["line"] is not None:
            # After a reboot nobody knows for how long: the probation begins again.
            since_s = int(found["since_ms"]) / 1000 if is_this_boot else self._started_boot_s
            line = _Line(int(found["line"]), since_s)
        at_s = int(found["at_ms"]) / 1000 if is_this_boot else float("-inf")
        return _Mark(generation, counter, found["frame"] or "", at_s, line)


def _digest(service_data: bytes) -> str:
    return hashlib.blake2s(service_data, digest_size=8).hexdigest()


def is_alarming(frame: Frame) -> bool:
    """Whether a frame may become an alarm."""
    return bool(frame.presses) or any(is_alarming_reading(each) for each in frame.readings)


def is_alarming_reading(reading: Reading) -> bool:
    return reading.fact in ALARMING and reading.value is ALARMING[reading.fact]
