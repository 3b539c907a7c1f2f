"""When a modem is told to start anew: it turns everything down, or finds no network, and that may be its own fault.

Pure: times come in. Starting anew takes a modem off the air for half a minute, so it is done seldom.
"""

from __future__ import annotations

from cloud_sync.modem.errors import Reason

REFUSALS = 4
"""So many messages in a row that could have gone."""
NO_NETWORK_S = 900.0
AGAIN_S = 3600.0
"""Not more often than this: what a restart does not cure, the next one will not cure either."""
_OWN_FAULTS = {Reason.REFUSED, Reason.DENIED, Reason.TIMEOUT, Reason.STORAGE_FULL, Reason.NO_NETWORK}
"""Not a number that nobody has, nor a network that says itself that it is busy."""


class Stuck:
    """What a modem was seen to fail at since it last worked."""

    def __init__(self) -> None:
        self._refusals = 0
        self._out_since_s: float | None = None
        self._restarted_s: float | None = None

    def sent(self) -> None:
        """The network has taken a message."""
        self._refusals = 0

    def refused(self, reason: Reason, hindrance: Reason | None) -> None:
        """A message did not go, although nothing was known (`hindrance` is None) that would have kept it."""
        if hindrance is None and reason in _OWN_FAULTS:
            self._refusals += 1

    def stands(self, hindrance: Reason | None, now_s: float) -> None:
        """What it lacks now, whenever it was asked."""
        if hindrance is not Reason.NO_NETWORK:
            self._out_since_s = None
        elif self._out_since_s is None:
            self._out_since_s = now_s

    def why(self, now_s: float) -> str:
        """In words why it should start anew; "" when it should not, or not again so soon."""
        if self._restarted_s is not None and now_s - self._restarted_s < AGAIN_S:
            return ""
        if self._refusals >= REFUSALS:
            return f"it turned {self._refusals} messages down one after the other"
        if self._out_since_s is not None and now_s - self._out_since_s >= NO_NETWORK_S:
            return f"it has found no network for {round((now_s - self._out_since_s) / 60)} minutes"
        return ""

    def restarted(self, now_s: float) -> None:
        """It was told to."""
        self._refusals, self._out_since_s, self._restarted_s = 0, None, now_s
