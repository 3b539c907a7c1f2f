"""What lamp and buzzer at home do: one table from state to pattern, and the sounds that go with a change.

Green is only ever lit by a person's act. No code flashes more than three times a second. The buzzer answers the press,
the receipt and the claim with a chirp, and sounds by itself only when an alarm has not got through.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from enum import StrEnum

import structlog

from drivers.contract import Indicators, Lamp, Pattern
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
        self._is_local_alarm = False
        self._is_healthy = False
        self._quiet: asyncio.TimerHandle | None = None

    def attach(self, indicators: Indicators | None) -> None:
        """The hardware has come (None: has gone). What was last to be shown is shown again."""
        self._indicators = indicators
        self._play_lamp()
        self._play_buzzer()
        self.healthy(self._is_healthy)

    def show(self, view: HomeView) -> None:
        """Show a state, with the sound that belongs to the change."""
        before, self._view = self._view, view
        if view.lamp is not before.lamp:
            self._play_lamp()
        chirp = chirp_of(before, view)
        if chirp is not None:
            self.chirp(chirp)

    def chirp(self, chirp: Chirp) -> None:
        """Sound once. A local alarm goes before any chirp."""
        if self._is_local_alarm:
            return
        pattern = CHIRPS[chirp]
        self._buzz(pattern)
        self._hush()
        length_s = sum(seconds for _, seconds in pattern.steps[:-1])
        self._quiet = asyncio.get_running_loop().call_later(length_s + 0.2, self._play_buzzer)

    def local_alarm(self, is_on: bool) -> None:
        """An alarm has not got through (True), or all that may sound have (False)."""
        if is_on is not self._is_local_alarm:
            self._is_local_alarm = is_on
            self._hush()
            self._play_buzzer()

    def healthy(self, is_healthy: bool) -> None:
        """Hold the relay while the hub can do its work."""
        self._is_healthy = is_healthy
        if self._indicators is not None:
            try:
                self._indicators.healthy(is_healthy)
            except Exception as error:  # noqa: BLE001  # the relay's hardware is never the end of an alarm
                _log.warning("indicator_failed", indicator="relay", error=error)

    @property
    def is_healthy(self) -> bool:
        return self._is_healthy

    def _hush(self) -> None:
        if self._quiet is not None:
            self._quiet.cancel()
            self._quiet = None

    def _play_lamp(self) -> None:
        if self._indicators is not None:
            try:
                self._indicators.lamp(LAMP[self._view.lamp])
            except Exception as error:  # noqa: BLE001  # the lamp's hardware is never the end of an alarm
                _log.warning("indicator_failed", indicator="lamp", error=error)

    def _play_buzzer(self) -> None:
        self._buzz(LOCAL_ALARM if self._is_local_alarm else SILENT)

    def _buzz(self, pattern: Pattern) -> None:
        if self._indicators is not None:
            try:
                self._indicators.buzzer(pattern)
            except Exception as error:  # noqa: BLE001  # the buzzer's hardware is never the end of an alarm
                _log.warning("indicator_failed", indicator="buzzer", error=error)
