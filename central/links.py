"""The open ways down to hubs: held HTTPS answers and MQTT topics.

Several may be open to one run of a hub, and several runs of one hub (a clone, a restart): all are told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

MAX_WAITING = 256


class Link:
    """One way down. Frames that a slow or dead peer does not take break it: on reconnect it gets a snapshot."""

    def __init__(self, hub: bytes, epoch: bytes, path: str) -> None:
        self.hub = hub
        self.epoch = epoch
        self.path = path
        self._frames: asyncio.Queue[bytes | None] = asyncio.Queue(MAX_WAITING)
        self.is_broken = False

    def put(self, frame: bytes) -> None:
        """Hand over a frame; never waits."""
        if self.is_broken:
            return
        try:
            self._frames.put_nowait(frame)
        except asyncio.QueueFull:
            self.close()

    def close(self) -> None:
        """No more frames: whoever serves the link ends it."""
        self.is_broken = True
        if self._frames.full():
            self._frames.get_nowait()
        self._frames.put_nowait(None)

    async def next(self, timeout_s: float) -> bytes | None:
        """The next frame, or None when there was none in time (or the link is broken: see `is_broken`)."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._frames.get()
        except TimeoutError:
            return None


class HubLinks:
    """Who can be reached now."""

    def __init__(self) -> None:
        self._links: dict[bytes, list[Link]] = {}
        self.is_closing = False

    @contextmanager
    def open(self, hub: bytes, epoch: bytes, path: str) -> Iterator[Link]:
        """Register a way down for as long as the block lasts."""
        link = Link(hub, epoch, path)
        self.add(link)
        try:
            yield link
        finally:
            self.remove(link)

    def add(self, link: Link) -> None:
        """Register."""
        self._links.setdefault(link.hub, []).append(link)
        if self.is_closing:
            link.close()

    def remove(self, link: Link) -> None:
        """Forget; again is no error."""
        left = [other for other in self._links.get(link.hub, []) if other is not link]
        if left:
            self._links[link.hub] = left
        else:
            self._links.pop(link.hub, None)

    def of(self, hub: bytes) -> list[Link]:
        """Every open way to any run of this hub."""
        return [link for link in self._links.get(hub, []) if not link.is_broken]

    def hubs(self) -> list[bytes]:
        """All hubs with an open way down."""
        return list(self._links)

    def has_link(self, hub: str) -> bool:
        """Whether any run of this hub has an open way down."""
        return bool(self.of(bytes.fromhex(hub)))

    def close_all(self) -> None:
        """Central stops, or cannot store: it must look dead."""
        for links in list(self._links.values()):
            for link in links:
                link.close()
