"""Blocking work on the card, in threads that no exit waits for: a card that hangs must not hold the process back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


async def hop(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call `work` in a thread of its own. Whoever stops waiting does not know the outcome; the work goes on."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def done(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # what `work` returned, None too

    def run() -> None:
        result: T | None = None
        error: BaseException | None = None
        try:
            result = work(*args, **kwargs)
        except StopIteration as stop:  # cannot be put into a future
            error = RuntimeError(repr(stop))
        except BaseException as failure:  # noqa: BLE001  # it is the caller's, whatever it is
            error = failure
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(done, result, error)

    threading.Thread(target=run, name=f"card-{getattr(work, '__name__', 'work')}", daemon=True).start()
    return await future
