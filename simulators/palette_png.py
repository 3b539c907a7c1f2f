"""A picture with a palette of 256 colours instead of true colour: pictures of pages get a third of the size.

Reads and writes PNG of 8 bits per channel without interlacing, which is what a browser's screenshots are.
"""

from __future__ import annotations

import struct
import sys
import zlib
from collections import Counter
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOURS = 256
COMMON = 144
"""Colours that are kept as they are, the most frequent ones; then cells of near colours, by how frequent they are."""
CELLS = 64
"""What is left of the palette goes to what is least like anything in it: a small yellow dot must not become red."""
CHANNELS = {2: 3, 6: 4}
Colour = tuple[int, int, int]
_COARSE = int.from_bytes(bytes((0xF8, 0xF8, 0xF8, 0)), sys.byteorder)
_MIDDLE = int.from_bytes(bytes((4, 4, 4, 0)), sys.byteorder)


class NotAPictureError(ValueError):
    """Not a PNG of the kind that this module reads."""


def with_palette(png: bytes) -> bytes:
    """The same picture with a palette, or the one that came when that is smaller already."""
    width, height, channels, rows = _read(png)
    rgb = b"".join(rows)
    planes = [rgb[n::channels] for n in range(3)]
    packed = bytearray(4 * width * height)
    for n, plane in enumerate(planes):
        packed[n::4] = plane
    pixels = memoryview(packed).cast("I")
    palette, place = _palette(Counter(pixels))
    indexes = bytes(map(place.__getitem__, pixels))
    lines = b"".join(b"\x00" + indexes[at : at + width] for at in range(0, len(indexes), width))
    small = (
        SIGNATURE
        + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0))
        + _chunk(b"PLTE", b"".join(bytes(colour) for colour in palette))
        + _chunk(b"IDAT", zlib.compress(lines, 9))
        + _chunk(b"IEND", b"")
    )
    return min(png, small, key=len)


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(SIGNATURE)
    while at + 8 <= len(png):
        (length,) = struct.unpack_from(">I", png, at)
        yield png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += 12 + length


def _read(png: bytes) -> tuple[int, int, int, list[bytes]]:
    if not png.startswith(SIGNATURE):
        raise NotAPictureError("not a PNG")
    found = list(_chunks(png))
    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", found[0][1])
    if depth != 8 or colour not in CHANNELS or interlace:
        raise NotAPictureError("only 8 bits per channel, true colour, not interlaced")
    channels = CHANNELS[colour]
    raw = zlib.decompress(b"".join(content for name, content in found if name == b"IDAT"))
    return width, height, channels, _unfiltered(raw, width * channels, channels)


def _unfiltered(raw: bytes, stride: int, step: int) -> list[bytes]:
    """The rows, each without its filter (PNG specification, clause 9)."""
    rows: list[bytes] = []
    above = bytes(stride)
    for at in range(0, len(raw), stride + 1):
        kind, row = raw[at], bytearray(raw[at + 1 : at + 1 + stride])
        if kind == 1:
            for x in range(step, stride):
                row[x] = (row[x] + row[x - step]) & 255
        elif kind == 2:
            row = bytearray((a + b) & 255 for a, b in zip(row, above, strict=True))
        elif kind == 3:
            for x in range(stride):
                row[x] = (row[x] + ((row[x - step] if x >= step else 0) + above[x]) // 2) & 255
        elif kind == 4:
            for x in range(stride):
                left, corner = (row[x - step], above[x - step]) if x >= step else (0, 0)
                row[x] = (row[x] + _paeth(left, above[x], corner)) & 255
        above = bytes(row)
        rows.append(above)
    return rows


def _paeth(left: int, above: int, corner: int) -> int:
    guess = left + above - corner
    near_left, near_above, near_corner = abs(guess - left), abs(guess - above), abs(guess - corner)
    if near_left <= near_above and near_left <= near_corner:
        return left
    return above if near_above <= near_corner else corner


def _split(packed: int) -> Colour:
    first, second, third, _ = packed.to_bytes(4, sys.byteorder)
    return first, second, third


def _distance(one: Colour, other: Colour) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))


def _nearest(palette: list[Colour], colour: Colour) -> int:
    return min(range(len(palette)), key=lambda n: _distance(palette[n], colour))


def _least_like(palette: list[Colour], colours: list[Colour], count: int) -> list[Colour]:
    """One after the other the colour that is farthest from all that are in the palette by then."""
    far = {colour: min(_distance(colour, known) for known in palette) for colour in colours}
    chosen: list[Colour] = []
    while far and len(chosen) < count:
        taken = max(far, key=far.__getitem__)
        chosen.append(taken)
        del far[taken]
        for colour, distance in far.items():
            far[colour] = min(distance, _distance(colour, taken))
    return chosen


def _palette(counts: Counter[int]) -> tuple[list[Colour], dict[int, int]]:
    """The palette, and the place in it of every colour of the picture."""
    ranked = [packed for packed, _ in counts.most_common()]
    kept = ranked if len(ranked) <= COLOURS else ranked[:COMMON]
    palette = [_split(packed) for packed in kept]
    place = {packed: n for n, packed in enumerate(kept)}
    rest = ranked[len(kept) :]
    if rest:
        cells: Counter[int] = Counter()
        for packed in rest:
            cells[packed & _COARSE] += counts[packed]
        by_count = [_split(cell | _MIDDLE) for cell, _ in cells.most_common()]
        palette += by_count[:CELLS]
        palette += _least_like(palette, by_count[CELLS:], COLOURS - len(palette))
        for packed in rest:
            place[packed] = _nearest(palette, _split(packed))
    return palette, place
