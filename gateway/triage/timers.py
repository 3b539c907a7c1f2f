"""The timers of all watches: each has at most one, setting it anew replaces it."""

from __future__ import annotations

import heapq

from gateway.triage.draft import Watch


class Timers:
    """Ordered by time, then by the key of the watch: the order does not depend on how it came about."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, str]] = []
        self._armed: dict[str, tuple[int, Watch]] = {}

    def arm(self, watch: Watch, due_ms: int | None, *, not_before_ms: int | None = None) -> None:
        """Set, move or (None) stop the timer of a watch."""
        known = self._armed.get(watch.key)
        if due_ms is None:
            if known is not None:
                del self._armed[watch.key]
            return
        if not_before_ms is not None and due_ms < not_before_ms:
            due_ms = not_before_ms
        if known is not None and known[0] == due_ms:
            return
        self._armed[watch.key] = (due_ms, watch)
        heapq.heappush(self._heap, (due_ms, watch.key))

    def next_ms(self) -> int | None:
        """When the earliest timer runs out."""
        self._drop_replaced()
        return self._heap[0][0] if self._heap else None

    def pop(self, boot_ms: int) -> Watch | None:
        """The earliest timer that has run out, which is then set no more."""
        if not self._heap or self._heap[0][0] > boot_ms:
            return None
        self._drop_replaced()
        if not self._heap or self._heap[0][0] > boot_ms:
            return None
        _, key = heapq.heappop(self._heap)
        return self._armed.pop(key)[1]

    def _drop_replaced(self) -> None:
        heap, armed = self._heap, self._armed
        while heap:
            due_ms, key = heap[0]
            known = armed.get(key)
            if known is not None and known[0] == due_ms:
                return
            heapq.heappop(heap)
