"""Rows as text. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.rows import Row, Verdict

WIDTH = 74


def line(row: Row) -> str:
    """One row: verdict, what, value, budget, peer."""
    text = f"  {row.verdict.value:<4} {row.what:<{WIDTH}} {number(row.value):>9} {row.unit:<4}"
    if row.must is not None and row.aim is not None:
        text += f"  must {row.must:<6g} aim {row.aim:<6g}"
    if row.peer is not None:
        text += f"  {row.peer.name}: {number(row.peer.value)}"
        text += "" if row.ratio is None else f" ({row.ratio:.2f} x)"
    return text.rstrip()


def number(value: float) -> str:
    """Three figures or so, thousands grouped."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value == int(value) else f"{value:.3g}" if abs(value) < 1 else f"{value:.4g}"


def table(sections: Sequence[tuple[str, Sequence[Row]]]) -> str:
    """All rows under their headlines, and how many budgets are missed."""
    lines: list[str] = []
    for title, rows in sections:
        lines += ["", title, *(line(row) for row in rows)]
    judged = [row for _, rows in sections for row in rows if row.verdict is not Verdict.NONE]
    missed = [row for row in judged if row.verdict is Verdict.MISS]
    lines += ["", f"{len(missed)} of {len(judged)} budgets missed"]
    lines += [f"  {row.what}: {number(row.value)} {row.unit}, must {row.must:g}" for row in missed]
    return "\n".join(lines)


def markdown(results: Mapping[str, Any]) -> str:
    """What results.json holds, as the table of docs/performance.md; what misses its budget is bold."""
    lines = ["| | seen | must | aim | peer in the same run |", "| --- | --- | --- | --- | --- |"]
    for facts in results["families"].values():
        noise = f"others took {facts['others_share']:.0%} of the processors"
        lines.append(f"| *{facts['title']}* ({noise}) | | | | |")
        for row in facts["rows"]:
            mark = "**" if row["verdict"] == Verdict.MISS.value else ""
            must, aim = ("" if row[key] is None else f"{row[key]:g}" for key in ("must", "aim"))
            peer = row["peer"]
            beside = "" if peer is None else f"{peer['name']}: {number(peer['value'])}"
            seen = f"{mark}{number(row['value'])} {row['unit']}".rstrip() + mark
            lines.append(f"| {mark}{row['what']}{mark} | {seen} | {must} | {aim} | {beside} |")
    return "\n".join(lines)
