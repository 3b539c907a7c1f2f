"""A cancellation that a failure has overtaken: whoever goes on after failures asks for it.

A task group that is cancelled while one of its tasks fails raises the failure alone. A loop that takes failures as they
come and starts over would then never end. The group takes its own cancelling of its parent back only when the parent
is still inside the block, so one of its tasks has to be awaited there; then `task.cancelling()` tells the truth.

The same holds after a library's `asyncio.wait_for` (aiomqtt waits so for every acknowledgement): on Python 3.11 it
returns what has just come, and the cancellation that came in the same moment is gone.
"""

from __future__ import annotations

import asyncio


def end_if_cancelled() -> None:
    """Raises CancelledError when the running task was asked to end, and was told of a failure instead."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
