"""Noticing silence: a device that is not heard any more, and a resident of whom nothing is heard.

Silence is counted only while we listened. What is remembered is a little coarser than what is known (a tenth of the
window, a minute of activity), and the rules use what is remembered: so memory is written seldom, and a restart changes
nothing. The price is that silence is told up to that much later.
"""

from __future__ import annotations

from collections.abc import Callable

from cloud_sync.identity import Lane
from cloud_sync.vocabulary import Scalar
from gateway.triage.conditions import Condition
from gateway.triage.draft import Draft, key_of
from gateway.triage.moments import LOOK_AGAIN_MS, Moment, Now, recall, was_trusted
from gateway.triage.rules import DeviceRules

MIN_SLOT_MS = 60_000
CLOCK_GRACE_MS = 300_000
"""After a start without a clock, wait so long for one before a resident's silence of unknown length is told."""


class Heard:
    """When a device was last heard, and whether that is too long ago.

    `silent_ms` is the silence before `since`, from earlier boots and earlier slots. The time in which the machine was
    off, or the driver's own line was down, does not count: nobody listened.
    """

    __slots__ = ("_is_listening", "_missing", "_silent_ms", "_since", "_slot_ms", "_window_ms", "key")

    def __init__(
        self, device: DeviceRules, missing: Condition, window_ms: int, now: Now, is_listening: Callable[[], bool]
    ) -> None:
        self.key = key_of(device.alias, "heard", Lane.TELEMETRY)
        self._missing = missing
        self._window_ms = window_ms
        self._slot_ms = max(MIN_SLOT_MS, window_ms // 10)
        self._since = now.moment()
        self._silent_ms = 0
        self._is_listening = is_listening

    def hear(self, now: Now, draft: Draft) -> None:
        """The device gave a sign of life."""
        if now.boot_ms - self._since.at_ms >= self._slot_ms or self._silent_ms or self._missing.is_on:
            self.begin(now, draft)
            self._missing.observe(now, draft, is_on=False)

    def begin(self, now: Now, draft: Draft) -> None:
        """Count from now on."""
        self._since, self._silent_ms = now.moment(), 0
        draft.touch(self)

    def due_ms(self, _now: Now) -> int | None:
        if self._missing.is_on:
            return None
        return self._since.at_ms + max(0, min(self._slot_ms, self._window_ms + self._slot_ms - self._silent_ms))

    def run(self, now: Now, draft: Draft) -> None:
        if not self._is_listening():
            self.begin(now, draft)
            return
        self._silent_ms += max(0, now.boot_ms - self._since.at_ms)
        self._since = now.moment()
        draft.touch(self)
        if self._silent_ms >= self._window_ms + self._slot_ms:
            self._missing.observe(now, draft, is_on=True)

    def dump(self) -> str:
        return f"{self._silent_ms}|{self._since.text}"

    def restore(self, text: str, now: Now) -> None:
        silent, _, since = text.partition("|")
        if silent.isdecimal():
            self._silent_ms = int(silent)
            moment = recall(since, now, assumed_ms=0)
            # Of another boot only what was counted then is known to have been listened to.
            self._since = moment if since.startswith(f"{now.boot_id}:") else now.moment()


class Activity:
    """When a resident last showed activity, on whichever device; raises `inactivity` when that is too long ago.

    Unlike the delay of a condition, the time counts at every hour; only telling waits for the hours of the rule.
    """

    __slots__ = ("_after_ms", "_inactive", "_is_settled", "_last", "key")

    def __init__(self, device: DeviceRules, inactive: Condition, after_ms: int, now: Now) -> None:
        self.key = key_of(device.alias, "activity", Lane.TELEMETRY)
        self._inactive = inactive
        self._after_ms = after_ms
        self._last = now.moment()
        self._is_settled = True

    def note(self, now: Now, draft: Draft) -> None:
        """Somebody moved."""
        if now.boot_ms - self._last.at_ms >= MIN_SLOT_MS or self._inactive.is_on or not self._is_settled:
            self._last, self._is_settled = now.moment(), True
            draft.touch(self)
            self._inactive.observe(now, draft, is_on=False, value=False)

    def due_ms(self, now: Now) -> int | None:
        if self._inactive.is_on:
            return None
        hours = self._inactive.meaning.hours
        elapsed_ms = self._elapsed_ms()
        if hours is None or not now.is_trusted:
            return elapsed_ms
        tells_ms = now.boot_ms if now.opened_ms(hours) is not None else now.opens_ms(hours)
        if elapsed_ms <= now.boot_ms and tells_ms <= now.boot_ms:
            return now.boot_ms
        return min(max(elapsed_ms, tells_ms), now.boot_ms + LOOK_AGAIN_MS)

    def run(self, now: Now, draft: Draft) -> None:
        draft.touch(self)
        if not self._is_settled and now.is_trusted and was_trusted(self._last.text):
            self._last, self._is_settled = recall(self._last.text, now, assumed_ms=self._after_ms), True
        hours = self._inactive.meaning.hours
        is_time = hours is None or not now.is_trusted or now.opened_ms(hours) is not None
        if is_time and self._elapsed_ms() <= now.boot_ms:
            silent: dict[str, Scalar] = {"silent": "unknown"}
            if self._is_settled:
                silent = {"silent_s": (now.boot_ms - self._last.at_ms) // 1000}
            self._inactive.observe(now, draft, is_on=True, value=True, details=silent)

    def dump(self) -> str:
        return self._last.text

    def restore(self, text: str, now: Now) -> None:
        last = recall(text, now, assumed_ms=self._after_ms + MIN_SLOT_MS)
        self._is_settled = last.is_known
        if not last.is_known:
            # The wall clock usually comes with the network, and settles it: a neighbourhood without power must not
            # wake the responders with every hub at once.
            last = Moment(at_ms=last.at_ms + CLOCK_GRACE_MS, text=text, is_known=False)
        self._last = last

    def _elapsed_ms(self) -> int:
        return self._last.at_ms + self._after_ms + MIN_SLOT_MS
