"""Makes the spoken phrases anew with espeak-ng: `make phrases`. The recordings are kept in the repository.

Each is 11,025 Hz mono with 16 bits, half of what espeak-ng gives, with a short silence before it (amplifiers wake up
late) and the same loudness as the others. (aplay plays no WAV file in mu-law.) The same text and the same version of
espeak-ng give the same bytes.
"""

from __future__ import annotations

import array
import hashlib
import io
import json
import shutil
import subprocess
import sys
import wave

from gateway.local_response.phrases import FOLDER, LANGUAGES, WORDS, recording

VOICES = {"en": "en-gb", "nb": "nb"}
WORDS_PER_MINUTE = 135
RATE_HZ = 11_025
LEAD_S = 0.35
TAIL_S = 0.25
PEAK = 29_000
QUIET = 150


def main() -> int:
    engine = shutil.which("espeak-ng")
    if engine is None:
        print("espeak-ng is missing. On Debian: apt-get install espeak-ng", file=sys.stderr)
        return 1
    made: dict[str, str] = {}
    for phrase, words in WORDS.items():
        for language in LANGUAGES:
            target = recording(phrase, language)
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(_finished(_spoken(engine, VOICES[language], words[language])))
            made[f"{language}/{target.name}"] = hashlib.sha256(words[language].encode()).hexdigest()[:16]
            print(f"{target.relative_to(FOLDER)}  {target.stat().st_size} bytes  {words[language]}")
    (FOLDER / "made.json").write_text(json.dumps(made, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return 0


def _spoken(engine: str, voice: str, text: str) -> bytes:
    command = [engine, "--stdout", "-v", voice, "-s", str(WORDS_PER_MINUTE), "-a", "160", "--", text]
    return subprocess.run(command, check=True, capture_output=True, timeout=30).stdout


def _finished(raw: bytes) -> bytes:
    """At our rate and loudness, with silence around it."""
    with wave.open(io.BytesIO(_with_length(raw))) as spoken:
        if spoken.getsampwidth() != 2 or spoken.getnchannels() != 1:
            raise SystemExit("espeak-ng gave something else than 16 bit mono")
        rate_hz = spoken.getframerate()
        samples = array.array("h", spoken.readframes(spoken.getnframes()))
    if rate_hz != 2 * RATE_HZ:
        raise SystemExit(f"espeak-ng gave {rate_hz} Hz instead of {2 * RATE_HZ}")
    samples = _halved(_without_silence(samples))
    peak = max((abs(sample) for sample in samples), default=0) or 1
    loud = array.array("h", (round(sample * PEAK / peak) for sample in samples))
    silence = array.array("h", [0])
    whole = silence * round(LEAD_S * RATE_HZ) + loud + silence * round(TAIL_S * RATE_HZ)
    out = io.BytesIO()
    with wave.open(out, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(RATE_HZ)
        wav.writeframes(whole.tobytes())
    return out.getvalue()


def _with_length(raw: bytes) -> bytes:
    """A stream has no length in its header; a file has."""
    at = raw.index(b"data")
    size = len(raw) - at - 8
    return raw[:4] + (len(raw) - 8).to_bytes(4, "little") + raw[8 : at + 4] + size.to_bytes(4, "little") + raw[at + 8 :]


def _without_silence(samples: array.array[int]) -> array.array[int]:
    """From the first to the last sample that can be heard."""
    loud = [at for at, sample in enumerate(samples) if abs(sample) > QUIET]
    return samples[loud[0] : loud[-1] + 1] if loud else samples


def _halved(samples: array.array[int]) -> array.array[int]:
    """Every other sample, after a short mean that keeps out what lies above the new limit."""
    last = len(samples) - 1
    return array.array(
        "h",
        (
            (samples[max(0, at - 1)] + 2 * samples[at] + samples[min(last, at + 1)]) // 4
            for at in range(0, len(samples), 2)
        ),
    )


if __name__ == "__main__":
    raise SystemExit(main())
