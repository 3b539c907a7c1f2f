"""Phrases through ALSA itself: an output of its `file` plugin, and what came out compared with what lies here."""

from __future__ import annotations

import asyncio
import hashlib
import json
import wave
from array import array
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from config.local_response import VoiceSettings
from gateway.local_response.measure import Desk, MeasureError, Wish
from gateway.local_response.phrases import FOLDER, LANGUAGES, REASSURING, WORDS, recording
from gateway.local_response.policy import Phrase
from gateway.local_response.voice import Voice

RATE_HZ = 11_025
PATIENCE_S = 30.0


def heard(of: Path) -> array[int]:
    """The samples of one of our recordings."""
    with wave.open(str(of)) as recorded:
        assert (recorded.getnchannels(), recorded.getsampwidth(), recorded.getframerate()) == (1, 2, RATE_HZ)
        return array("h", recorded.readframes(recorded.getnframes()))


@pytest.fixture
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where ALSA's output `tape` writes what was played: a file for each, numbered from the second on."""
    tape = tmp_path / "tape.raw"
    setup = tmp_path / "alsa.conf"
    setup.write_text(
        f"""
</usr/share/alsa/alsa.conf>
pcm.tape_sink {{ type file slave.pcm "null" file "{tape}" format "raw" truncate false }}
pcm.tape {{ type plug slave {{ pcm "tape_sink" format S16_LE rate {RATE_HZ} channels 1 }} }}
"""
    )
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(setup))
    return tape


class Speaker:
    """A voice, its desk, and what became of it."""

    def __init__(self, language: str = "nb", *, output: str = "tape", says_cut_off: bool = True) -> None:
        self.health: list[str] = []
        self.voice = Voice(VoiceSettings(output=output, repeat_s=10), language, says_cut_off=says_cut_off)
        self.desk = Desk("voice", watched=lambda _: None, on_health=lambda _, error: self.health.append(error))

    @asynccontextmanager
    async def speaking(self) -> AsyncIterator[asyncio.Task[object]]:
        task = asyncio.create_task(self.voice.follow(self.desk))
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not is_so():
                await asyncio.sleep(0.02)

    async def say(self, phrase: Phrase | None, *, count: int = 1) -> None:
        self.desk.put(Wish(phrase=phrase, is_cut_off=phrase is Phrase.CUT_OFF))
        uses = self.desk.uses
        await self.until(lambda: self.desk.uses >= uses + count)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_what_comes_out_of_the_loudspeaker_is_the_phrase_in_the_homes_language(
    output: Path, language: str
) -> None:
    speaker = Speaker(language)
    async with speaker.speaking():
        await speaker.say(Phrase.NOT_THROUGH)
        await speaker.say(Phrase.RECEIVED)
        await speaker.say(Phrase.ON_THE_WAY)
    phrases = (Phrase.NOT_THROUGH, Phrase.RECEIVED, Phrase.ON_THE_WAY)
    played = [path.read_bytes() for path in sorted(output.parent.glob(f"{output.stem}*"))]
    assert len(played) == len(phrases)
    for phrase, tape in zip(phrases, played, strict=True):
        samples = heard(recording(phrase, language)).tobytes()
        assert tape[: len(samples)] == samples, f"{phrase} was not heard, or not whole"
        assert not any(tape[len(samples) :]), "more was heard"


async def test_what_goes_as_it_should_is_not_spoken_of_until_a_person_has_it(output: Path) -> None:
    speaker = Speaker()
    async with speaker.speaking():
        speaker.desk.put(Wish(phrase=Phrase.RECEIVED))
        await asyncio.sleep(0.3)  # nothing may happen
        assert not output.exists()
        await speaker.say(Phrase.TAKEN)
    said = array("h", output.read_bytes()).tobytes()
    assert heard(recording(Phrase.TAKEN, "nb")).tobytes()[2000:-2000] in said


async def test_an_outage_is_told_once_and_its_end_once_and_not_at_all_unless_asked_for(output: Path) -> None:
    speaker = Speaker()
    async with speaker.speaking():
        await speaker.say(Phrase.CUT_OFF)
        await speaker.say(None)
        speaker.desk.poke()
        await asyncio.sleep(0.2)
    assert speaker.desk.uses == 2
    quiet = Speaker(says_cut_off=False)
    async with quiet.speaking():
        quiet.desk.put(Wish(phrase=Phrase.CUT_OFF, is_cut_off=True))
        await asyncio.sleep(0.2)
    assert quiet.desk.uses == 0


async def test_an_alarm_in_the_middle_of_an_outage_is_not_taken_for_its_end(output: Path) -> None:
    speaker = Speaker()
    async with speaker.speaking():
        await speaker.say(Phrase.CUT_OFF)
        speaker.desk.put(Wish(has_contact=False))
        await asyncio.sleep(0.3)  # nothing may be said
        assert speaker.desk.uses == 1
        await speaker.say(None)
    assert speaker.desk.uses == 2


async def test_what_is_no_longer_true_is_broken_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    player = tmp_path / "aplay"
    player.write_text('#!/bin/sh\necho "$5 begun" >> "$0.log"\nexec sleep 60\n')
    player.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    log = tmp_path / "aplay.log"
    speaker = Speaker()
    async with speaker.speaking():
        speaker.desk.put(Wish(phrase=Phrase.TAKEN))
        await speaker.until(log.exists)
        speaker.desk.put(Wish(phrase=Phrase.NOT_THROUGH))
        await speaker.until(lambda: len(log.read_text().splitlines()) == 2)


async def test_an_output_that_is_not_there_is_said_in_words_and_the_hub_lives_on(output: Path) -> None:
    speaker = Speaker(output="attic")
    speaker.desk.put(Wish(phrase=Phrase.TAKEN))
    with pytest.raises(MeasureError, match="'attic' does not work"):
        await speaker.voice.follow(speaker.desk)
    assert speaker.voice.readiness().is_ready is False
    with pytest.raises(MeasureError):
        await speaker.voice.test()


async def test_without_a_player_the_measure_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    speaker = Speaker()
    assert "alsa-utils" in speaker.voice.readiness().reason
    with pytest.raises(MeasureError, match="cannot be run"):
        await speaker.voice.test()


# what lies here


def test_every_phrase_has_a_recording_of_the_words_that_stand_there_now() -> None:
    made = json.loads((FOLDER / "made.json").read_text())
    words = {
        f"{language}/{phrase.value}.wav": hashlib.sha256(said[language].encode()).hexdigest()[:16]
        for phrase, said in WORDS.items()
        for language in LANGUAGES
    }
    assert made == words, "run make phrases"
    assert set(WORDS) == set(Phrase)
    for name in made:
        samples = heard(FOLDER / name)
        assert RATE_HZ < len(samples) < 10 * RATE_HZ, f"{name} is too short or too long"
        assert max(samples) > 20_000, f"{name} is too quiet"
        assert max(map(abs, samples[: RATE_HZ // 4])) < 200, f"{name} begins without a silence"


@pytest.mark.parametrize("language", LANGUAGES)
def test_only_what_central_has_said_speaks_of_help(language: str) -> None:
    of_help = {"help", "coming", "on the way", "hjelp", "på vei", "kommer"}
    for phrase, said in WORDS.items():
        if phrase not in REASSURING:
            assert not [word for word in of_help if word in said[language].lower()], phrase
