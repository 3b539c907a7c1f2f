"""Pictures with a palette: the same picture, smaller."""

from __future__ import annotations

import struct
import zlib

import pytest

from simulators.palette_png import SIGNATURE, NotAPictureError, with_palette


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def picture(rows: list[bytes], kinds: list[int], width: int) -> bytes:
    """True colour; each row with the filter that is named, applied here by the specification's words."""
    filtered = b""
    above = bytes(len(rows[0]))
    for row, kind in zip(rows, kinds, strict=True):
        left = bytes(3) + row[:-3]
        corner = bytes(3) + above[:-3]
        guesses = {
            0: bytes(len(row)),
            1: left,
            2: above,
            3: bytes((a + b) // 2 for a, b in zip(left, above, strict=True)),
            4: bytes(nearest(a, b, c) for a, b, c in zip(left, above, corner, strict=True)),
        }
        filtered += bytes((kind,)) + bytes((a - b) % 256 for a, b in zip(row, guesses[kind], strict=True))
        above = row
    head = struct.pack(">IIBBBBB", width, len(rows), 8, 2, 0, 0, 0)
    return SIGNATURE + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(filtered)) + chunk(b"IEND", b"")


def nearest(left: int, above: int, corner: int) -> int:
    guess = left + above - corner
    return min((left, above, corner), key=lambda value: abs(guess - value))


def painted(png: bytes) -> list[tuple[int, ...]]:
    """The colours of a picture with a palette, row by row."""
    width, _ = struct.unpack_from(">II", png, 16)
    found: dict[bytes, bytes] = {}
    at = len(SIGNATURE)
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        found[png[at + 4 : at + 8]] = png[at + 8 : at + 8 + length]
        at += 12 + length
    colours = [tuple(found[b"PLTE"][n : n + 3]) for n in range(0, len(found[b"PLTE"]), 3)]
    raw = zlib.decompress(found[b"IDAT"])
    return [colours[index] for n, index in enumerate(raw) if n % (width + 1)]


def noise(count: int) -> bytes:
    """Bytes that do not compress, the same every time."""
    return b"".join(zlib.crc32(n.to_bytes(4, "big")).to_bytes(4, "big") for n in range(count))[:count]


def test_few_colours_come_through_every_filter_as_they_were() -> None:
    colours = [bytes((n * 50, 255 - n * 20, n)) for n in range(5)]
    rows = [b"".join(colours[(x * x + y * 3) % 5] for x in range(64)) for y in range(50)]
    made = picture(rows, [y % 5 for y in range(50)], 64)
    small = with_palette(made)
    assert len(small) < len(made)
    assert painted(small) == [tuple(row[n : n + 3]) for row in rows for n in range(0, len(row), 3)]


def test_many_colours_become_near_ones() -> None:
    rows = [noise(3 * 64 * 40)[y * 192 : y * 192 + 192] for y in range(40)]
    small = with_palette(picture(rows, [0] * 40, 64))
    before = [tuple(row[n : n + 3]) for row in rows for n in range(0, 192, 3)]
    far = [
        max(abs(a - b) for a, b in zip(old, new, strict=True)) for old, new in zip(before, painted(small), strict=True)
    ]
    assert max(far) < 120
    assert sum(far) / len(far) < 40


def test_what_is_smaller_already_stays() -> None:
    tiny = picture([bytes(3)], [0], 1)
    assert with_palette(tiny) == tiny


def test_anything_else_is_said_to_be_no_picture() -> None:
    with pytest.raises(NotAPictureError):
        with_palette(b"GIF89a")
