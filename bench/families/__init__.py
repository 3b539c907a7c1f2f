"""The families of rows, one module each; a module here is a family, and its name is what it is asked for by.

A family has `TITLE`, `ORDER` (its place in the table) and

    async def measure(bench: Bench) -> AsyncIterator[Row]
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from bench.bench import Bench
from bench.errors import BenchError
from bench.rows import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Rows that are measured together."""

    name: str
    title: str
    order: int
    measure: Callable[[Bench], AsyncIterator[Row]]


def families() -> list[Family]:
    """All there are, in the order of the table."""
    found = []
    for each in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{each.name}")
        found.append(Family(name=each.name, title=module.TITLE, order=module.ORDER, measure=module.measure))
    return sorted(found, key=lambda family: (family.order, family.name))


def chosen(names: Sequence[str]) -> list[Family]:
    """Those with these names, or all. Raises BenchError with the nearest right name."""
    known = {family.name: family for family in families()}
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f'did you mean "{near[0]}"?' if near else f"there are: {', '.join(known)}"
            raise BenchError(f'there is no "{name}"; {hint}')
    return [family for family in known.values() if not names or family.name in names]
