"""Display text: the national seven-bit sets that panels in the Nordic countries still write, and the common others."""

from __future__ import annotations

from typing import Literal

Charset = Literal["ascii", "iso646-no", "iso646-se", "latin-1", "cp865", "utf-8"]

TEXT_LIMIT = 128
"""Characters of a record that are looked at; the display text of ESPA 4.4.4 is no longer."""

# ISO 646-NO (NS 4551) and the Swedish set put letters where ASCII has brackets.
_NATIONAL = {
    "iso646-no": str.maketrans("[\\]{|}", "ÆØÅæøå"),
    "iso646-se": str.maketrans("[\\]{|}", "ÄÖÅäöå"),
}
_CONTROLS = dict.fromkeys((*range(0x20), *range(0x7F, 0xA0)), " ")
EIGHT_BIT: frozenset[str] = frozenset({"latin-1", "cp865", "utf-8"})


def decode_text(raw: bytes, charset: Charset) -> str:
    """`raw` as text: total, control characters as spaces, at most TEXT_LIMIT characters."""
    codec = charset if charset in EIGHT_BIT else "ascii"
    text = raw[: 4 * TEXT_LIMIT].decode(codec, errors="replace")
    national = _NATIONAL.get(charset)
    if national is not None:
        text = text.translate(national)
    return text.translate(_CONTROLS).strip()[:TEXT_LIMIT]
