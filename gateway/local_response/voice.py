"""Spoken phrases as a measure, through `aplay`: says what is true now, again while it stays true, never more.

What is being said is broken off as soon as it is no longer true. Nothing is spoken for alarms that may not sound.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from pathlib import Path
from typing import NoReturn

from config.local_response import VoiceSettings
from gateway.local_response.measure import Desk, MeasureError, Readiness, Wish
from gateway.local_response.phrases import recording
from gateway.local_response.policy import Phrase

PLAY_WITHIN_S = 20.0
END_WITHIN_S = 2.0
_URGENT = frozenset({Phrase.NOT_THROUGH, Phrase.NO_ANSWER})
"""Said again and again: somebody near may come in meanwhile."""


class Voice:
    """One audio output."""

    name = "voice"

    def __init__(self, settings: VoiceSettings, language: str, *, says_cut_off: bool) -> None:
        self._settings = settings
        self._language = language
        self._says_cut_off = says_cut_off
        self._said: Phrase | None = None
        self._times = 0
        self._said_s = 0.0
        self._error = ""
        self._output = asyncio.Lock()

    async def follow(self, desk: Desk, /) -> NoReturn:
        while True:
            phrase = self._to_say(desk.wish)
            if phrase is not None:
                await self._say(desk, phrase)
                desk.worked()
                continue
            await desk.changed(self._until_again_s())

    def readiness(self) -> Readiness:
        if shutil.which("aplay") is None:
            return Readiness(is_ready=False, reason="aplay is not installed (Debian package alsa-utils)")
        if self._error:
            return Readiness(is_ready=False, reason=self._error)
        return Readiness(is_ready=True if self._said is not None else None, reason="nothing was said yet")

    async def test(self) -> str:
        await self._play(recording(Phrase.TEST, self._language))
        return "said that it is a test"

    # inside

    def _to_say(self, wish: Wish) -> Phrase | None:
        """What is due now; None when nothing is. Books what fell silent."""
        phrase = wish.phrase
        before = self._said
        if phrase is Phrase.CUT_OFF and not self._says_cut_off:
            phrase = None
        if phrase is None:
            if before is Phrase.CUT_OFF:
                return Phrase.BACK if wish.has_contact else None  # an alarm in the middle of an outage ends none
            if before is not None:
                self._said, self._times = None, 0
            return None
        if phrase is Phrase.RECEIVED and before not in {*_URGENT, Phrase.RECEIVED}:
            return None  # it went as it should: the lamp and a chirp have said so
        if phrase is not before:
            return phrase
        if phrase in _URGENT and self._times <= self._settings.repeats:
            return phrase if time.monotonic() - self._said_s >= self._settings.repeat_s else None
        return None

    def _until_again_s(self) -> float | None:
        if self._said not in _URGENT or self._times > self._settings.repeats:
            return None
        return max(0.05, self._said_s + self._settings.repeat_s - time.monotonic())

    async def _say(self, desk: Desk, phrase: Phrase) -> None:
        """Play it, and break off when it is no longer true."""
        self._times = self._times + 1 if phrase is self._said else 1
        self._said, self._said_s = (None if phrase is Phrase.BACK else phrase), time.monotonic()
        playing = asyncio.ensure_future(self._play(recording(phrase, self._language)))
        try:
            while not playing.done():
                changing = asyncio.ensure_future(desk.changed())
                try:
                    await asyncio.wait({playing, changing}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    changing.cancel()
                    await asyncio.wait({changing})
                if phrase is not Phrase.BACK and desk.wish.phrase is not phrase:
                    return
            try:
                playing.result()
            except MeasureError:
                self._said = None if self._said is phrase else self._said
                raise
        finally:
            playing.cancel()
            await asyncio.wait({playing})

    async def _play(self, file: Path) -> None:
        """Raises MeasureError."""
        async with self._output:
            try:
                player = await asyncio.create_subprocess_exec(
                    "aplay",
                    "-q",
                    "-D",
                    self._settings.output,
                    str(file),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.PIPE,
                )
            except OSError as error:
                self._error = f"aplay cannot be run: {error.strerror or error}"
                raise MeasureError(self._error) from None
            try:
                async with asyncio.timeout(PLAY_WITHIN_S):
                    _, said = await player.communicate()
            except TimeoutError:
                self._error = f"the audio output did not finish within {PLAY_WITHIN_S:g} s"
                raise MeasureError(self._error) from None
            finally:
                await _end(player)
        if player.returncode:
            lines = said.decode("utf-8", "replace").strip().splitlines()
            reason = lines[-1] if lines else f"aplay ended with {player.returncode}"
            self._error = f"the audio output {self._settings.output!r} does not work: {reason[:120]}"
            raise MeasureError(self._error)
        self._error = ""


async def _end(player: asyncio.subprocess.Process) -> None:
    if player.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        player.terminate()
    try:
        async with asyncio.timeout(END_WITHIN_S):
            await player.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            player.kill()
        await player.wait()
