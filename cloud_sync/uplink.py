"""The one contract of a path from hub to central.

An uplink carries signed frames up and brings signed frames down. It knows nothing of what is in them: a receipt that
comes as an HTTP answer and one that comes over MQTT look the same to the hub.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from cloud_sync.identity import Lane

MEDIA_TYPE = "application/vnd.vaktpost.frames"
FRAMES_PATH = "/hub/v1/frames"
STREAM_PATH = "/hub/v1/stream"


def mqtt_topic_up(hub: bytes, lane: Lane | None) -> str:
    """Where a hub publishes: alarm and care on `alarm`, the rest on `bulk`, signs of life and results on `control`."""
    channel = "control" if lane is None else "alarm" if lane.is_urgent else "bulk"
    return f"vaktpost/1/up/{hub.hex()}/{channel}"


def mqtt_topic_down(hub: bytes, hub_epoch: bytes) -> str:
    """Where a run of a hub listens."""
    return f"vaktpost/1/down/{hub.hex()}/{hub_epoch.hex()}"


class UplinkSession(Protocol):
    """A path that is up. Several tasks may call `send` at once."""

    async def send(self, frame: bytes, /, *, lane: Lane | None, deadline_s: float) -> None:
        """Hand one frame to the path; return when the path has it. Says nothing about central: only a receipt does.

        `lane` None is for signs of life, lamp reports and results. Alarm and care never wait behind anything bulky:
        they have a connection of their own. Raises UplinkError (RefusedError when repeating will not help), also
        after `deadline_s`.
        """

    def frames(self) -> AsyncIterator[bytes]:
        """Frames from central, as they come, unverified. Ends by UplinkError when the path is down."""


class Uplink(Protocol):
    """A path that can be opened. Opening it again after a failure starts from nothing."""

    name: str
    carries_stubs: bool
    """Whether this path takes signed stubs in place of frames, as a text message does.

    Then `open` gets an empty hello and sends nothing, `send` takes one stub and returns when the network has it, and
    `frames` brings stub answers. There are no signs of life on such a path: it is probed on a schedule instead.
    """

    def open(self, hello: bytes, /) -> AbstractAsyncContextManager[UplinkSession]:
        """Connect and announce this run of the hub with a signed hello (a Heartbeat with `is_hello`).

        Raises UplinkError. On leaving, everything is closed; what was not sent is not sent.
        """
