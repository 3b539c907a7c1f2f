"""A form as it was sent: its fields as text, the version it was made from, and the button that was pressed."""

from __future__ import annotations

from typing import Any


class Typed:
    """A form as text: without what no field should hold, and no longer than the field is."""

    def __init__(self, form: Any) -> None:
        self._form = form

    def text(self, name: str, longest: int = 128) -> str:
        """One field."""
        value = self._form.get(name, "")
        return " ".join(value.replace("\x00", "").split())[:longest] if isinstance(value, str) else ""

    def all(self, name: str) -> list[str]:
        """Every value of a field."""
        return [str(one)[:64] for one in self._form.getlist(name)]

    def version(self) -> int:
        """The version that it was made from."""
        text = self.text("version", 9)
        return int(text) if text.isascii() and text.isdecimal() else 0

    def __contains__(self, name: str) -> bool:
        return name in self._form


def pressed(order: str) -> tuple[str, tuple[int, ...]]:
    """What a button says, and of which row: `up_step:0.2` is `up_step` of (0, 2). What is no number is left out."""
    verb, _, place = order.partition(":")
    parts = place.split(".") if len(place) < 16 else []
    return verb, tuple(int(part) for part in parts if part.isascii() and part.isdecimal())


def pressed_row(order: str) -> tuple[str, int]:
    """The same in a form of one list: `up:2` is `up` of 2; of no row is of -1."""
    verb, path = pressed(order)
    return verb, path[0] if len(path) == 1 else -1
