"""Staff paging as a measure: a page for every alarm that the hub acts for, and one that takes it back.

A call goes before everything else: a paging system that does not take a page back must not keep the next call waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, NoReturn

from config.paging import PagingSettings
from drivers.espa.calls import PageCall
from drivers.espa.pager import Pager, PagerError
from gateway.clock import HubClock
from gateway.local_response.measure import Desk, Ended, MeasureError, Readiness, Wish
from gateway.local_response.policy import Call
from gateway.local_response.words import LocalTime, Words

PAGE_WITHIN_S = 10.0
"""So long one page is tried before it is looked at whether it is still wished."""
RETRY_S = 2.0


class Paging:
    """Pages staff through ESPA 4.4.4. What a page says is the installation's template: place and class, no names."""

    name = "pager"

    def __init__(
        self, settings: PagingSettings, words: Words, *, clock: HubClock, local_time: LocalTime, tells_cut_off: bool
    ) -> None:
        self._settings = settings
        self._words = words
        self._clock = clock
        self._local_time = local_time
        self._tells_cut_off = tells_cut_off
        self._pager = Pager(settings, now_s=clock.boot_s, on_link=self._link_changed)
        self._desk: Desk | None = None
        self._paged: dict[Call, tuple[str, float]] = {}
        self._refused_s: dict[Call, float] = {}
        """When a call was last not taken, although the line lives."""
        self._has_told_cut_off = False

    async def follow(self, desk: Desk, /) -> NoReturn:
        self._desk = desk
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pager.run(), name="pager-line")
            while True:
                wait_s = await self._see_to(desk)
                await desk.changed(wait_s)

    def readiness(self) -> Readiness:
        return Readiness(is_ready=self._pager.is_up, reason=self._pager.reason)

    async def test(self) -> str:
        text = self._words.text("test")
        try:
            await self._page(text, call_type=self._settings.call_type, priority="3")
            await self._page(text, call_type=self._settings.cancel_call_type, priority="3")
        except PagerError as error:
            raise MeasureError(str(error)) from None
        state = self._pager.last_call_state
        return f"paged and taken back, marked as a test{f'; the paging system said: {state}' if state else ''}"

    # inside

    async def _see_to(self, desk: Desk) -> float | None:
        """Page what is to be paged now. Returns when to look again."""
        try:
            refused = await self._call_all(desk)
            for ended in desk.wish.ended:
                if desk.count(ended, self.name):
                    if not await self._while_nobody_calls(desk, self._take_back(ended)):
                        return 0.0
                    desk.settle(ended, self.name)
            if not await self._while_nobody_calls(desk, self._tell_cut_off(desk.wish)):
                return 0.0
        except PagerError as error:
            desk.failed(str(error))
            return RETRY_S
        if refused is not None:
            desk.failed(str(refused))
        elif self._pager.is_up is not False:
            desk.worked()
        self._refused_s = {call: at_s for call, at_s in self._refused_s.items() if call in desk.wish.calls}
        self._paged = {call: paged for call, paged in self._paged.items() if call in desk.wish.calls}
        return self._until_next_s(desk)

    async def _call_all(self, desk: Desk) -> PagerError | None:
        """Page every call that is due. One that is refused holds up none of the others; returns why it was."""
        refused: PagerError | None = None
        for call in desk.wish.calls:
            if self._is_due(desk, call):
                try:
                    await self._call(desk, call)
                except PagerError as error:
                    if self._pager.is_up is not True:
                        raise
                    refused, self._refused_s[call] = error, self._clock.boot_s()
        return refused

    async def _while_nobody_calls(self, desk: Desk, paging: Coroutine[Any, Any, None]) -> bool:
        """See to what is less urgent than a call. False: a call has come meanwhile, and that was broken off."""
        job, has_news = asyncio.ensure_future(paging), False
        try:
            while not job.done():
                if any(self._is_due(desk, call) for call in desk.wish.calls):
                    return False
                changing = asyncio.ensure_future(desk.changed())
                try:
                    await asyncio.wait({job, changing}, return_when=asyncio.FIRST_COMPLETED)
                finally:  # one that is left behind would take the news from whoever comes next
                    changing.cancel()
                    await asyncio.wait({changing})
                    has_news = has_news or not changing.cancelled()
            job.result()
        finally:
            job.cancel()
            await asyncio.wait({job})
            if has_news:
                desk.poke()  # it was taken here, and whoever waits for it next has to look too
        return True

    async def _call(self, desk: Desk, call: Call) -> None:
        # Noted first: an alarm that ends while its page is under way must have it taken back.
        desk.note(call, self.name)
        text = self._text(call)
        try:
            await self._page(text, call_type=self._settings.call_type)
        except PagerError:
            desk.unnote(call, self.name)
            raise
        self._paged[call] = (text, self._clock.boot_s())
        self._refused_s.pop(call, None)

    def _is_due(self, desk: Desk, call: Call) -> bool:
        now_s, count = self._clock.boot_s(), desk.count(call, self.name)
        if count == 0:
            return now_s - self._refused_s.get(call, -RETRY_S) >= RETRY_S
        if count > self._settings.repeats:
            return False
        if call not in self._paged:  # an earlier run paged it, nobody knows when
            self._paged[call] = (self._text(call), now_s)
        return now_s - self._paged[call][1] >= self._settings.repeat_s

    def _until_next_s(self, desk: Desk) -> float | None:
        now_s = self._clock.boot_s()
        waits = [
            max(0.05, paged_s + self._settings.repeat_s - now_s)
            for call, (_, paged_s) in self._paged.items()
            if desk.count(call, self.name) <= self._settings.repeats
        ]
        waits += [max(0.05, refused_s + RETRY_S - now_s) for refused_s in self._refused_s.values()]
        return min(waits, default=None)

    def _text(self, call: Call) -> str:
        return self._words.fill(
            self._settings.template,
            device=call.device,
            alarm_class=call.alarm_class,
            cause=call.cause,
            time=self._local_time(call.since_s),
        )

    async def _take_back(self, ended: Ended) -> None:
        """The display text of a cancel names the place and why; the call type says what it is."""
        place = self._words.device(ended.device)
        text = self._words.text("stopped", device=place, end=self._words.end(ended.why))
        await self._page(text, call_type=self._settings.cancel_call_type)

    async def _tell_cut_off(self, wish: Wish) -> None:
        is_over = self._has_told_cut_off and wish.has_contact
        is_news = self._tells_cut_off and wish.is_cut_off and not self._has_told_cut_off
        if is_over or is_news:
            text = self._words.text("cut_off" if is_news else "back")
            await self._page(text, call_type=self._settings.call_type, priority="3")
            self._has_told_cut_off = is_news

    async def _page(self, text: str, *, call_type: str, priority: str | None = None) -> None:
        settings = self._settings
        call = PageCall(
            address=settings.address,
            text=text,
            beep=settings.beep,
            call_type=call_type,
            transmissions=settings.transmissions,
            priority=settings.priority if priority is None else priority,
        )
        await self._pager.page(call, deadline_s=PAGE_WITHIN_S)

    def _link_changed(self, is_up: bool, reason: str) -> None:
        if self._desk is None:
            return
        if is_up:
            self._desk.worked()
            self._desk.poke()
        else:
            self._desk.failed(reason)
