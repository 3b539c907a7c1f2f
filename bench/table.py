"""The figures as they come in, beside their budgets."""

from __future__ import annotations

from typing import Any


class Table:
    """Rows as they come in; one that misses its *must* is marked."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def section(self, title: str) -> None:
        """A headline."""
        print(f"\n{title}", flush=True)

    def add(
        self,
        what: str,
        value: float,
        unit: str,
        must: float | None = None,
        aim: float | None = None,
        *,
        more_is_better: bool = False,
    ) -> None:
        """One figure."""

        def is_within(limit: float | None) -> bool | None:
            return None if limit is None else value >= limit if more_is_better else value <= limit

        row = {"what": what, "value": round(value, 3), "unit": unit, "must": must, "aim": aim}
        self.rows.append(row | {"is_met": is_within(must), "is_aim_met": is_within(aim)})
        mark = {(True, True): "aim ", (True, False): "must", (False, False): "MISS"}.get(
            (is_within(must) is True, is_within(aim) is True), "    "
        )
        limits = "" if must is None else f"  must {must:g}  aim {aim:g}"
        print(f"  {mark if must is not None else '    '} {what:<66} {value:>10.2f} {unit:<7}{limits}", flush=True)

    @property
    def judged(self) -> int:
        """How many rows have a budget."""
        return sum(row["is_met"] is not None for row in self.rows)

    @property
    def missed(self) -> list[str]:
        """Rows that miss what they must."""
        return [str(row["what"]) for row in self.rows if row["is_met"] is False]
