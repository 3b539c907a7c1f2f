"""Telling a new frame from a copy, an old one and a replayed one: pure, one `Freshness` for each device.

A device says one thing many times, because nobody tells it that it was heard. What is a copy depends on what it sends:

- **With a key** the counter in the frame decides. A higher one is new. The same frame again is a copy for
  `AUTHENTIC_COPY_S`. A lower counter means a new battery, a device that lost its memory, or somebody who plays back a
  recording; these cannot be told apart. An alarm is therefore believed and marked as suspect, and its counter adopted,
  so that the device works again from there; anything else is refused, because believing an old "door closed" would
  hide an open door. The same counter again after `AUTHENTIC_COPY_S` is treated like a lower one: it is what a pendant
  sends whose battery gives out at each press.
- **Without a key** nothing can be believed more than anything else. The same press (same packet id, same buttons) is a
  copy while copies come less than `COPY_GAP_S` apart, but for no longer than `COPY_SPAN_S`: a device without a packet
  id, or one that always starts from the same, must be able to call again. A frame in which all buttons are 'none' ends
  the press.

What is remembered over a restart is the highest counter, in a pair of keys (see `remember`). Both are tied to the key:
a device that is given a new one starts anew.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
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
        started_boot_s: float,
        remembered: Callable[[str], int | str | None],
    ) -> None:
        self._alarm_key, self._other_key = f"counter/{alias}/alarm", f"counter/{alias}/other"
        self._is_keyed = key is not None
        self._fingerprint = hashlib.sha256(key).hexdigest()[:8] if key is not None else ""
        self._started_boot_s = started_boot_s
        marks = [self._parse(remembered(name)) for name in (self._alarm_key, self._other_key)]
        self._generation, self.counter = max(marks) if self._is_keyed else (0, -1)
        self._was_remembered = self.counter >= 0
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
        if frame.counter > self.counter:
            self._accept(frame.counter, service_data, now_s)
            return Verdict.NEW
        if frame.counter == self.counter:
            # The frame that was the last one before a restart may still be on the air.
            is_fresh_start = self._was_remembered and now_s - self._started_boot_s < AUTHENTIC_COPY_S
            if is_fresh_start or not tells_news:
                return Verdict.COPY
        if not is_alarming(frame):
            return Verdict.STALE
        self._generation += 1
        self._accept(frame.counter, service_data, now_s)
        return Verdict.SUSPECT

    def _accept(self, counter: int, service_data: bytes, now_s: float) -> None:
        self.counter = counter
        self._was_remembered = False
        self._accepted[service_data] = now_s
        self._accepted.move_to_end(service_data)
        if len(self._accepted) > FRAMES_KEPT:
            self._accepted.popitem(last=False)

    def new_presses(self, frame: Frame, now_s: float, *, is_suspect: bool = False) -> tuple[Press, ...]:
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
        if not is_suspect and now_s - last_s < COPY_GAP_S and now_s - first_s < COPY_SPAN_S:
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
        own, and at start the further one counts: first by how often a counter has gone back, then by the counter.
        """
        if not self._is_keyed:
            return {}
        mark = f"{self._fingerprint}:{self._generation}:{self.counter}"
        return {self._alarm_key if is_alarm else self._other_key: mark}

    def _parse(self, mark: int | str | None) -> tuple[int, int]:
        if not isinstance(mark, str):
            return 0, -1
        fingerprint, _, numbers = mark.partition(":")
        generation, _, counter = numbers.partition(":")
        if fingerprint != self._fingerprint or not (generation.isdecimal() and counter.isdecimal()):
            return 0, -1
        return int(generation), int(counter)


def is_alarming(frame: Frame) -> bool:
    """Whether a frame may become an alarm."""
    return bool(frame.presses) or any(is_alarming_reading(each) for each in frame.readings)


def is_alarming_reading(reading: Reading) -> bool:
    return reading.fact in ALARMING and reading.value is ALARMING[reading.fact]
