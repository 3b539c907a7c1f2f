"""Lamp, buzzer and relay as measures of local response: the annunciator does what is wished."""

from __future__ import annotations

from typing import NoReturn

from gateway.annunciator import Annunciator
from gateway.local_response.measure import Desk, MeasureError, Readiness


class LampAndBuzzer:
    """The buzzer while an alarm that may sound is not answered for; the lamp's flash while the home is cut off."""

    name = "lamp_and_buzzer"

    def __init__(self, annunciator: Annunciator, *, shows_cut_off: bool) -> None:
        self._annunciator = annunciator
        self._shows_cut_off = shows_cut_off

    async def follow(self, desk: Desk, /) -> NoReturn:
        while True:
            wish = desk.wish
            self._annunciator.local_alarm(wish.sound)
            self._annunciator.cut_off(wish.is_cut_off and self._shows_cut_off)
            trouble = self._annunciator.trouble("buzzer") or self._annunciator.trouble("lamp")
            if trouble:
                self._annunciator.play_again()
                raise MeasureError(trouble)
            desk.worked()
            await desk.changed()

    def readiness(self) -> Readiness:
        if not self._annunciator.has_indicators:
            return Readiness(is_ready=False, reason="no lamp and no buzzer are connected")
        trouble = self._annunciator.trouble("buzzer") or self._annunciator.trouble("lamp")
        return Readiness(is_ready=not trouble, reason=trouble)

    async def test(self) -> str:
        if not self._annunciator.has_indicators:
            raise MeasureError("no lamp and no buzzer are connected")
        self._annunciator.test_chirp()
        if trouble := self._annunciator.trouble("buzzer"):
            raise MeasureError(trouble)
        return "chirped"


class Relay:
    """A siren or a corridor lamp on an output of its own."""

    name = "relay"

    def __init__(self, annunciator: Annunciator, *, is_sounding: bool) -> None:
        self._annunciator = annunciator
        self._is_sounding = is_sounding

    async def follow(self, desk: Desk, /) -> NoReturn:
        while True:
            wish = desk.wish
            self._annunciator.call(wish.sound is not None if self._is_sounding else bool(wish.calls))
            if trouble := self._annunciator.trouble("call"):
                self._annunciator.play_again()
                raise MeasureError(trouble)
            desk.worked()
            await desk.changed()

    def readiness(self) -> Readiness:
        if not self._annunciator.has_indicators:
            return Readiness(is_ready=False, reason="its driver is not there")
        trouble = self._annunciator.trouble("call")
        return Readiness(is_ready=not trouble, reason=trouble)

    async def test(self) -> str:
        return "not exercised: it may be a siren"
