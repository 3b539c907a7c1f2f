"""What may be said aloud, word for word, and the recordings that `scripts/phrases.py` makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gateway.local_response.policy import Phrase

FOLDER = Path(__file__).parent
LANGUAGES = ("en", "nb")

WORDS: Mapping[Phrase, Mapping[str, str]] = {
    Phrase.NOT_THROUGH: {
        "en": "Your alarm has not got through yet. We keep trying.",
        "nb": "Alarmen din har ikke kommet fram ennå. Vi prøver fortsatt.",
    },
    Phrase.NO_ANSWER: {
        "en": "Your alarm has been received. Nobody has answered it yet. We keep trying.",
        "nb": "Alarmen din er mottatt. Ingen har svart ennå. Vi prøver fortsatt.",
    },
    Phrase.RECEIVED: {
        "en": "Your alarm has now been received. We are waiting for an answer.",
        "nb": "Alarmen din er nå mottatt. Vi venter på svar.",
    },
    Phrase.TAKEN: {
        "en": "Somebody has taken your alarm.",
        "nb": "Noen har tatt alarmen din.",
    },
    Phrase.ON_THE_WAY: {
        "en": "Help is on the way.",
        "nb": "Hjelp er på vei.",
    },
    Phrase.CUT_OFF: {
        "en": "There is no contact with the response centre at the moment. We keep trying.",
        "nb": "Vi har ikke kontakt med responssenteret nå. Vi prøver fortsatt.",
    },
    Phrase.BACK: {
        "en": "Contact with the response centre is back.",
        "nb": "Kontakten med responssenteret er tilbake.",
    },
    Phrase.TEST: {
        "en": "This is a test of the loudspeaker. You need not do anything.",
        "nb": "Dette er en test av høyttaleren. Du trenger ikke gjøre noe.",
    },
}

REASSURING = frozenset({Phrase.TAKEN, Phrase.ON_THE_WAY})
"""Only ever said when central has said so of every alarm at home."""


def recording(phrase: Phrase, language: str) -> Path:
    """The file to play."""
    return FOLDER / language / f"{phrase.value}.wav"
