"""Text messages to whoever is on call, as a measure: number after number, until it stops or the limits are reached.

One text tells of all alarms that are new to a number. Everybody who got one is told when nobody need come any more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NoReturn

from cloud_sync.modem import ModemError, Reason, Texting
from config.local_response import OnCallSettings
from gateway.clock import HubClock
from gateway.local_response.measure import Desk, MeasureError, Readiness
from gateway.local_response.policy import Call
from gateway.local_response.words import LocalTime, Words

SEND_WITHIN_S = 60.0
RETRY_S = 5.0
HOUR_S = 3600.0
_TURNS = "on_call/turns"
MAX_TEXT = 150
"""Characters: one SMS, whatever the modem's alphabet makes of a few of them."""


class OnCall:
    """Texts the numbers of the settings through the hub's modem."""

    name = "on_call"

    def __init__(
        self,
        settings: OnCallSettings,
        words: Words,
        *,
        clock: HubClock,
        local_time: LocalTime,
        texting: Callable[[], Texting | None],
        is_registered: Callable[[], tuple[bool | None, str]],
    ) -> None:
        self._settings = settings
        self._words = words
        self._boot_s = clock.boot_s
        self._local_time = local_time
        self._texting = texting
        self._is_registered = is_registered
        self._next_s: dict[Call, float] = {}
        self._passed_over: dict[Call, int] = {}
        """How often a number was passed over because it could not be texted: that uses up no turn."""
        self._sent_s: deque[float] = deque(maxlen=settings.limit_per_hour)

    async def follow(self, desk: Desk, /) -> NoReturn:
        while True:
            wait_s = await self._see_to(desk)
            await desk.changed(wait_s)

    def readiness(self) -> Readiness:
        if self._texting() is None:
            return Readiness(is_ready=False, reason="there is no modem")
        is_registered, reason = self._is_registered()
        return Readiness(is_ready=is_registered, reason=reason)

    async def test(self) -> str:
        """Nobody's phone rings for a test: whether a text could be sent is known without sending one."""
        readiness = self.readiness()
        if readiness.is_ready is not True:
            raise MeasureError(readiness.reason or "the modem is not ready")
        return f"the modem is on the network; {len(self._settings.numbers)} numbers, none was texted"

    # inside

    async def _see_to(self, desk: Desk) -> float | None:
        due: dict[int, list[Call]] = {}
        for call in desk.wish.calls:
            if self._is_due(desk, call):
                due.setdefault(self._place(desk, call), []).append(call)
        for place, calls in due.items():
            await self._text(desk, place, [call for call in calls if call in desk.wish.calls])
        are_all_told = await self._call_off_all(desk)
        standing = set(desk.wish.calls)
        self._next_s = {call: at_s for call, at_s in self._next_s.items() if call in standing}
        self._passed_over = {call: count for call, count in self._passed_over.items() if call in standing}
        waits = [at_s - self._boot_s() for call, at_s in self._next_s.items() if not self._is_spent(desk, call)]
        if not are_all_told:
            waits.append(RETRY_S)
        return max(0.05, min(waits)) if waits else None

    def _is_spent(self, desk: Desk, call: Call) -> bool:
        return desk.count(call, _TURNS) >= len(self._settings.numbers) * self._settings.rounds

    def _is_due(self, desk: Desk, call: Call) -> bool:
        if self._is_spent(desk, call):
            return False
        if call not in self._next_s:
            # Texted by an earlier run, nobody knows when: a whole pause from now.
            pause_s = self._settings.next_after_s if desk.count(call, _TURNS) else 0.0
            self._next_s[call] = self._boot_s() + pause_s
        return self._boot_s() >= self._next_s[call]

    def _place(self, desk: Desk, call: Call) -> int:
        """Whose turn it is, by place in the settings."""
        return (desk.count(call, _TURNS) + self._passed_over.get(call, 0)) % len(self._settings.numbers)

    async def _text(self, desk: Desk, place: int, calls: list[Call]) -> None:
        if not calls:
            return
        key, now_s = f"{self.name}/{place}", self._boot_s()
        if self._is_over_limit():
            desk.failed(f"{self._settings.limit_per_hour} texts were sent within an hour: no more for now")
            self._next_s.update(dict.fromkeys(calls, now_s + RETRY_S))
            return
        for call in calls:  # noted first: an alarm that ends while its text is under way must be called off
            desk.note(call, key)
        error = await self._send(place, self._words_for(calls))
        if error is None or error.reason is Reason.TIMEOUT:  # after a timeout it may have gone out
            self._sent_s.append(self._boot_s())
        if error is None:
            desk.worked()
        else:
            desk.failed(f"the modem: {error}")
        for call in calls:
            if error is None:
                desk.note(call, _TURNS)
                self._next_s[call] = self._boot_s() + self._settings.next_after_s
                continue
            if error.reason is not Reason.TIMEOUT:
                desk.unnote(call, key)
            self._passed_over[call] = self._passed_over.get(call, 0) + 1
            self._next_s[call] = self._boot_s() + RETRY_S

    async def _call_off_all(self, desk: Desk) -> bool:
        """Tell everybody who was texted that nobody need come. False when somebody could not be told yet.

        Whoever cannot be told keeps nobody else from being told, and a call that has become due goes first.
        """
        words, are_all_told = self._words, True
        for ended in desk.wish.ended:
            text = words.text("stopped", device=words.device(ended.device), end=words.end(ended.why))
            are_told = True
            for place in range(len(self._settings.numbers)):
                key = f"{self.name}/{place}"
                if not desk.count(ended, key):
                    continue
                if any(self._is_due(desk, call) for call in desk.wish.calls):
                    return True  # they are waited for no longer than now
                error = await self._send(place, text)
                if error is not None:
                    desk.failed(f"the modem: {error}")
                    are_told = False
                    continue
                desk.worked()
                desk.settle(ended, key)
            if are_told:
                desk.settle(ended, _TURNS)
            are_all_told = are_all_told and are_told
        return are_all_told

    def _words_for(self, calls: list[Call]) -> str:
        """One text for all of them: the most urgent in words, the others counted."""
        first = calls[0]
        text = self._words.fill(
            self._settings.template,
            device=first.device,
            alarm_class=first.alarm_class,
            cause=first.cause,
            time=self._local_time(first.since_s),
        )
        more = f" {self._words.text('more', count=len(calls) - 1)}" if len(calls) > 1 else ""
        return text[: MAX_TEXT - len(more)] + more

    async def _send(self, place: int, text: str) -> ModemError | None:
        texting = self._texting()
        if texting is None:
            return ModemError(Reason.NO_MODEM, "there is no modem")
        try:
            await texting.text(self._settings.numbers[place], text[:MAX_TEXT], deadline_s=SEND_WITHIN_S, is_urgent=True)
        except ModemError as error:
            return error
        return None

    def _is_over_limit(self) -> bool:
        while self._sent_s and self._boot_s() - self._sent_s[0] >= HOUR_S:
            self._sent_s.popleft()
        return len(self._sent_s) >= self._settings.limit_per_hour
