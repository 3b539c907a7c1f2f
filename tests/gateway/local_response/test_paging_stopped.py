"""A pager that is started anew, in the middle of something that can wait: it hears of every call all the same."""

from __future__ import annotations

import asyncio
import contextlib

from config.paging import PagingSettings
from gateway.clock import HubClock
from gateway.local_response.measure import Desk
from gateway.local_response.paging import Paging
from gateway.local_response.words import Words


async def test_a_pager_that_is_stopped_while_it_waits_leaves_nobody_behind_who_takes_the_news() -> None:
    desk = Desk("pager", watched=lambda _: None, on_health=lambda _, __: None)
    paging = Paging(
        PagingSettings(port="socket://127.0.0.1:9", address="550"),
        Words("nb", {}),
        clock=HubClock(),
        local_time=lambda _: "--:--",
        tells_cut_off=False,
    )
    begun = asyncio.Event()

    async def take_back() -> None:
        begun.set()
        await asyncio.Event().wait()

    before = asyncio.all_tasks()
    waiting = asyncio.create_task(paging._while_nobody_calls(desk, take_back()))
    async with asyncio.timeout(10):
        await begun.wait()
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting
    assert asyncio.all_tasks() == before
    desk.poke()
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await desk.changed()
