"""What lamp and buzzer at home do: one table from state to pattern, and the sounds that go with a change.

Green is only ever lit by a person's act. No code flashes more than three times a second. The buzzer answers the press,
the receipt and the claim with a chirp, and sounds by itself only when an alarm has not got through.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from enum import StrEnum

import structlog

from drivers.contract import Indicators, Lamp, Pattern
from gateway.local_response.policy import Cause
from gateway.replies import HomeView

OFF = Pattern(colour=None)

LAMP: Mapping[Lamp, Pattern] = {
    Lamp.OFF: OFF,
    Lamp.WAITING: Pattern(colour="yellow", steps=((True, 1.0), (False, 1.0))),
    Lamp.TAKEN: Pattern(colour="green", steps=((True, 1.0),)),
    Lamp.ON_THE_WAY: Pattern(
        colour="green", steps=((True, 1.584), (False, 0.192), (True, 0.192), (False, 0.192), (True, 0.24))
    ),
    Lamp.UNKNOWN: Pattern(
        colour="red", steps=((True, 0.24), (False, 0.24), (True, 0.24), (False, 0.24), (True, 0.24), (False, 1.8))
    ),
}
"""The one table. On the way: two short dark blinks every 2.4 s. Unknown: three short blinks, then 1.8 s dark."""

SILENT = Pattern(colour=None)
LOCAL_ALARM = Pattern(colour=None, steps=((True, 1.0), (False, 1.0)))
"""The alarm has not got through: call whoever is near."""
UNANSWERED = Pattern(colour=None, steps=((True, 0.3), (False, 0.2), (True, 0.3), (False, 1.6)))
"""The alarm has got through, and nobody has taken it."""
BUZZER: Mapping[Cause | None, Pattern] = {None: SILENT, Cause.NO_RECEIPT: LOCAL_ALARM, Cause.NO_CLAIM: UNANSWERED}
CUT_OFF = Pattern(colour="yellow", steps=((True, 0.12), (False, 5.88)))
"""No alarm, and no contact with central: a press would call for help here only, until contact is back."""


class Chirp(StrEnum):
    """A short sound that answers something."""

    PRESSED = "pressed"
    RECEIVED = "received"
    TAKEN = "taken"


_PAUSE = (False, 60.0)
CHIRPS: Mapping[Chirp, Pattern] = {
    Chirp.PRESSED: Pattern(colour=None, steps=((True, 0.08), _PAUSE)),
    Chirp.RECEIVED: Pattern(colour=None, steps=((True, 0.08), (False, 0.12), (True, 0.08), _PAUSE)),
    Chirp.TAKEN: Pattern(colour=None, steps=((True, 0.4), (False, 0.2), (True, 0.8), _PAUSE)),
}

_log = structlog.get_logger()


def chirp_of(before: HomeView, after: HomeView) -> Chirp | None:
    """The sound that belongs to a change of view: the best news in it."""
    if not (before.may_sound or after.may_sound):
        return None
    is_better = {Lamp.UNKNOWN: 0, Lamp.WAITING: 1, Lamp.TAKEN: 2, Lamp.ON_THE_WAY: 2}
    old, new = is_better.get(before.lamp), is_better.get(after.lamp)
    if old is None or new is None or new <= old:
        return None
    return Chirp.TAKEN if new == 2 else Chirp.RECEIVED


class Annunciator:
    """Drives the indicators, where there are any. All calls return at once and never raise."""

    def __init__(self) -> None:
        self._indicators: Indicators | None = None
        self._view = HomeView()
        self._cause: Cause | None = None
        self._owed: Chirp | None = None
        self._is_cut_off = False
        self._is_calling = False
        self._is_healthy = False
        self._troubles: dict[str, str] = {}
        self._quiet: asyncio.TimerHandle | None = None

    def attach(self, indicators: Indicators | None) -> None:
        """The hardware has come (None: has gone). What was last to be shown is shown again."""
        self._indicators = indicators
        self._troubles.clear()
        self.play_again()

    def play_again(self) -> None:
        """Drive all of it anew, as it ought to be."""
        self._play_lamp()
        self._play_buzzer()
        self._play_call()
        self.healthy(self._is_healthy)

    @property
    def has_indicators(self) -> bool:
        """Whether anything is connected."""
        return self._indicators is not None

    def trouble(self, indicator: str) -> str:
        """What is wrong with lamp, buzzer, call or relay; empty when nothing is."""
        if self._indicators is None:
            return ""
        return self._troubles.get(indicator, "") or self._indicators.trouble

    def show(self, view: HomeView) -> None:
        """Show a state, with the sound that belongs to the change."""
        before, self._view = self._view, view
        if view.lamp is not before.lamp:
            self._play_lamp()
        chirp = chirp_of(before, view)
        if chirp is not None:
            self.chirp(chirp)

    def chirp(self, chirp: Chirp) -> None:
        """Sound once. A local alarm goes before any chirp; good news that came meanwhile sounds when it ends."""
        if self._cause is not None:
            self._owed = None if chirp is Chirp.PRESSED else chirp
            return
        pattern = CHIRPS[chirp]
        self._buzz(pattern)
        self._hush()
        length_s = sum(seconds for _, seconds in pattern.steps[:-1])
        self._quiet = asyncio.get_running_loop().call_later(length_s + 0.2, self._play_buzzer)

    def test_chirp(self) -> None:
        """Sound as after a receipt, for somebody who tests the buzzer."""
        self.chirp(Chirp.RECEIVED)

    def local_alarm(self, cause: Cause | None) -> None:
        """Sound for an alarm that nobody answers for, or (None) fall silent."""
        if cause is not self._cause:
            self._cause = cause
            self._hush()
            self._play_buzzer()
            owed, self._owed = self._owed, None
            if owed is not None and cause is None:
                self.chirp(owed)

    def call(self, is_on: bool) -> None:
        """Switch the relay that calls whoever is near: a siren, a corridor lamp."""
        if is_on is not self._is_calling:
            self._is_calling = is_on
            self._play_call()

    def cut_off(self, is_cut_off: bool) -> None:
        """Show, while there is no alarm, that there is no contact with central."""
        if is_cut_off is not self._is_cut_off:
            self._is_cut_off = is_cut_off
            self._play_lamp()

    def healthy(self, is_healthy: bool) -> None:
        """Hold the relay while the hub can do its work."""
        self._is_healthy = is_healthy
        self._drive("relay", lambda indicators: indicators.healthy(is_healthy))

    @property
    def is_healthy(self) -> bool:
        return self._is_healthy

    def _hush(self) -> None:
        if self._quiet is not None:
            self._quiet.cancel()
            self._quiet = None

    def _play_lamp(self) -> None:
        lamp = self._view.lamp
        pattern = CUT_OFF if self._is_cut_off and lamp is Lamp.OFF else LAMP[lamp]
        self._drive("lamp", lambda indicators: indicators.lamp(pattern))

    def _play_buzzer(self) -> None:
        self._buzz(BUZZER[self._cause])

    def _buzz(self, pattern: Pattern) -> None:
        self._drive("buzzer", lambda indicators: indicators.buzzer(pattern))

    def _play_call(self) -> None:
        is_on = self._is_calling
        self._drive("call", lambda indicators: indicators.call(is_on))

    def _drive(self, indicator: str, drive: Callable[[Indicators], None]) -> None:
        if self._indicators is None:
            return
        try:
            drive(self._indicators)
        except Exception as error:  # noqa: BLE001  # an indicator's hardware is never the end of an alarm
            self._troubles[indicator] = f"{type(error).__name__}: {error}"[:200]
            _log.warning("indicator_failed", indicator=indicator, error=error)
        else:
            self._troubles.pop(indicator, None)
