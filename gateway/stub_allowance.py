"""How many stubs may leave within an hour. Pure: time comes in.

A fault that raises alarm after alarm must not cost a text message for each, nor keep the modem busy when somebody else
calls. So there is a bound for the hour; but the first ones of every device go whatever the others did.
"""

from __future__ import annotations

from collections import Counter, deque

HOUR_S = 3600.0
PER_HOUR = 60
FIRST_OF_EACH = 2


class StubAllowance:
    """What was sent within the last hour, and by whom."""

    def __init__(self, per_hour: int = PER_HOUR) -> None:
        self._per_hour = per_hour
        self._sent: deque[tuple[float, str]] = deque()
        self._of_each: Counter[str] = Counter()

    def allows(self, device: str, now_s: float) -> bool:
        """Whether one more of this device may go now."""
        self._forget(now_s)
        return len(self._sent) < self._per_hour or self._of_each[device] < FIRST_OF_EACH

    def sent(self, device: str, now_s: float) -> None:
        """The network has one."""
        self._sent.append((now_s, device))
        self._of_each[device] += 1

    def next_s(self, now_s: float) -> float | None:
        """When something that is not allowed now may be; None when nothing stands in the way."""
        self._forget(now_s)
        return self._sent[0][0] + HOUR_S if self._sent else None

    def _forget(self, now_s: float) -> None:
        while self._sent and now_s - self._sent[0][0] >= HOUR_S:
            _, device = self._sent.popleft()
            self._of_each[device] -= 1
            if not self._of_each[device]:
                del self._of_each[device]
