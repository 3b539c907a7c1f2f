"""Where a key stands in a TOML file: the reader of the standard library does not say.

A best effort for messages to people: headers and plain `key = value` lines are understood; what stands inside an
inline table or a multi-line value gets the line of what it stands in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

Path = tuple[str | int, ...]

_HEADER = re.compile(r"^\s*(\[\[?)\s*(.+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"""^\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")
_PART = re.compile(r"""[\w-]+|"[^"]*"|'[^']*'""")


class Lines:
    """The line of every key of one file."""

    def __init__(self, text: str) -> None:
        self._lines: dict[Path, int] = {}
        counts: dict[tuple[str, ...], int] = {}
        here: Path = ()
        for number, line in enumerate(text.splitlines(), start=1):
            header = _HEADER.match(line)
            if header is not None:
                names = tuple(_names(header[2]))
                if header[1] == "[[":
                    counts[names] = counts.get(names, -1) + 1
                    for deeper in [each for each in counts if len(each) > len(names) and each[: len(names)] == names]:
                        del counts[deeper]
                here = _placed(names, counts)
                self._lines.setdefault(here, number)
                continue
            key = _KEY.match(line)
            if key is not None:
                self._lines.setdefault((*here, *_names(key[1])), number)

    def of(self, path: Sequence[str | int]) -> int | None:
        """The line of this key, or of the nearest table around it."""
        for length in range(len(path), 0, -1):
            number = self._lines.get(tuple(path[:length]))
            if number is not None:
                return number
        return None


def dotted(path: Sequence[str | int]) -> str:
    """`("devices", 0, "alias")` as people write it: `devices[0].alias`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def parts(key: str) -> Path:
    """The reverse of `dotted`."""
    found: list[str | int] = []
    for piece in key.split("."):
        name, *indexes = piece.split("[")
        if name:
            found.append(name)
        found.extend(int(index.rstrip("]")) for index in indexes)
    return tuple(found)


def _names(text: str) -> list[str]:
    return [each.strip("\"'") for each in _PART.findall(text)]


def _placed(names: tuple[str, ...], counts: Mapping[tuple[str, ...], int]) -> Path:
    """The names of a header with the index of every list of tables among them."""
    path: list[str | int] = []
    for length in range(1, len(names) + 1):
        path.append(names[length - 1])
        if names[:length] in counts:
            path.append(counts[names[:length]])
    return tuple(path)
