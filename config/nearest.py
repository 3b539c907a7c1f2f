"""The right word that a wrong one was probably meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_FEW = 12


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The most similar of the known words, None when none is similar."""
    words = {each.casefold(): each for each in known}
    plain = word.casefold().replace("-", "_")
    folded = {each.replace("-", "_"): each for each in words}
    near = difflib.get_close_matches(plain, folded, n=1, cutoff=0.55)
    if not near:
        # "smoke" for "smoke-detector", "timeout" for "poll_timeout_s": a part says enough
        near = sorted((each for each in folded if len(plain) > 2 and (plain in each or each in plain)), key=len)[:1]
    return words[folded[near[0]]] if near else None


def suggestion(word: str, known: Iterable[str], *, what: str = "known here") -> str:
    """A hint in words: the nearest one, else all of them when they are few."""
    words = sorted(known)
    near = nearest(word, words)
    if near is not None:
        return f'did you mean "{near}"?'
    if not words:
        return "nothing can stand here"
    shown = ", ".join(words[:_FEW]) + (", ..." if len(words) > _FEW else "")
    return f"{what}: {shown}"
