"""Calls that block, over a line to somebody else: in a thread, and cut when nobody waits for them any more.

A time limit of a socket holds between two bytes. Who says a little now and then would keep a thread for ever, and there
are few of them.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


async def blocking(work: Callable[[], T], line: Callable[[], socket.socket | None]) -> T:
    """What `work` returns. When this is cancelled the `line` that it speaks over is cut, and the thread comes free."""
    try:
        return await asyncio.to_thread(work)
    except asyncio.CancelledError:
        held = line()
        if held is not None:
            with suppress(OSError):
                held.shutdown(socket.SHUT_RDWR)
        raise
