"""Tells a block that the panel sends again from a resident who calls again.

A panel repeats a block, byte for byte, when no answer reached it: our ACK was lost, came late, or the hub was
restarting. A resident who presses twice may cause the very same bytes. Taking a repeat for a new call costs a second
signal on an alarm that stands already. Taking a new call for a repeat loses it. So a repeat needs evidence:

1. Only the **last** block counts. Any other block in between (the reset before the next call, a call from the next
   room) and the same bytes are a new call.
2. While the first copy is still **waiting** to be made safe nothing was answered, so the same bytes are the panel
   trying again. They join the wait. After `WAITING_LIMIT_S` the first copy is given up, and the next is a new call.
3. The first copy is **confirmed** but the panel shows no sign of having seen our ACK: the same bytes within
   `window_s` are a repeat, answered ACK without a second event. The sign is what the panel says next: a master that
   took an ACK goes on at once. EOT, a poll or a selection within `PROMPT_S` of our ACK means it was taken, and the same
   bytes are then a new call however soon they come. Silence, the same block again or a lost line mean it was not.
4. Answering a repeat starts (3) over with the new ACK, but not the window: that runs from the first confirmation.
5. After a **restart** of the daemon the last committed block comes back from `remember`. Whether its ACK was taken is
   not known, but a panel to which it never came still holds the call and offers it before anything else. So (3) applies
   with the window from its first reception, for one repeat only, and only while the panel has not said that it has
   nothing to send: a **poll** of us after an EOT (without one it may be the second half of a selection), or a second
   idle answer to our own polls, means that the old call is done, and the same bytes are then a new one. A panel that
   polls between two tries has its repeat raised a second time. The digest is keyed with the kernel's boot id: after a
   reboot nothing matches (boot time started over, how long ago is unknown) and the repeat raises the alarm again.
6. A copy that was **refused** is forgotten: the panel must send it again, and that is the call.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2s

PROMPT_S = 0.5
"""A master answers an ACK with its next character at once; ten characters at 300 Bd are 0.4 s. A master whose answer
never came waits for a second or more first."""
WAITING_LIMIT_S = 10.0
REMEMBERED = re.compile(r"^(?P<digest>[0-9a-f]{16})@(?P<at_ms>\d{1,15})$")


class Verdict(StrEnum):
    NEW = "new"
    WAITING = "waiting"
    REPEATED = "repeated"


@dataclass(slots=True, kw_only=True)
class _Last:
    digest: str
    received_at_s: float
    confirmed_at_s: float | None = None
    answered_at_s: float | None = None
    is_restored: bool = False


class LastBlock:
    """What is known of the last block. Times are CLOCK_BOOTTIME seconds, passed in."""

    __slots__ = ("_boot_id", "_last", "_window_s")

    def __init__(self, *, boot_id: str, window_s: float) -> None:
        self._boot_id = boot_id.encode()[:32]
        self._window_s = window_s
        self._last: _Last | None = None

    def digest(self, raw: bytes) -> str:
        return blake2s(raw, key=self._boot_id, digest_size=8).hexdigest()

    def restore(self, remembered: int | str | None) -> None:
        """Take up what an earlier run committed. Anything else than our own writing is no memory."""
        found = REMEMBERED.match(remembered) if isinstance(remembered, str) else None
        if found is None or self._last is not None:
            return
        at_s = int(found["at_ms"]) / 1000
        self._last = _Last(digest=found["digest"], received_at_s=at_s, confirmed_at_s=at_s, is_restored=True)

    def judge(self, raw: bytes, now_s: float) -> Verdict:
        """What this copy is. NEW makes it the last block, waiting to be confirmed."""
        digest = self.digest(raw)
        last = self._last
        if last is not None and last.digest == digest:
            if last.confirmed_at_s is None:
                if 0 <= now_s - last.received_at_s <= WAITING_LIMIT_S:
                    return Verdict.WAITING
            elif 0 <= now_s - last.confirmed_at_s <= self._window_s:
                if last.is_restored:
                    self._last = None
                return Verdict.REPEATED
        self._last = _Last(digest=digest, received_at_s=now_s)
        return Verdict.NEW

    def remember(self) -> str:
        """The last block in writing, to be committed with its event."""
        if self._last is None:
            return ""
        return f"{self._last.digest}@{int(self._last.received_at_s * 1000)}"

    def confirm(self, digest: str, now_s: float) -> None:
        if self._last is not None and self._last.digest == digest and self._last.confirmed_at_s is None:
            self._last.confirmed_at_s = now_s

    def refuse(self, digest: str) -> None:
        if self._last is not None and self._last.digest == digest and self._last.confirmed_at_s is None:
            self._last = None

    def forget(self) -> None:
        """A block came in between that is not itself kept."""
        self._last = None

    def answered(self, digest: str, now_s: float) -> None:
        """Our ACK to this block has gone out."""
        if self._last is not None and self._last.digest == digest:
            self._last.answered_at_s = now_s

    def idle(self, now_s: float) -> None:
        """The panel showed that it has nothing to send."""
        if self._last is not None and self._last.is_restored and self._last.answered_at_s is None:
            self._last = None
            return
        self.went_on(now_s)

    def went_on(self, now_s: float) -> None:
        """The panel said something other than a block."""
        last = self._last
        if last is None or last.answered_at_s is None:
            return
        if now_s - last.answered_at_s <= PROMPT_S:
            self._last = None
        else:
            last.answered_at_s = None
