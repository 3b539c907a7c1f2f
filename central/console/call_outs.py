"""Call-outs of technicians in a reader's words: who was called when and by what, who answered, and what nobody did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from central.access import Scope
from central.console.gate import Visit
from central.technical.calls import OpenCallOut, open_call_outs


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOutLine:
    """One call-out as it is shown. `lines`: who was called, in order."""

    team: str
    sign: str
    state: str
    lines: tuple[str, ...]


async def call_out_lines(visit: Visit, scope: Scope) -> Sequence[CallOutLine]:
    """Those that are not over, of the teams that are seen."""
    now = visit.now_ms()
    found = await visit.desk.services.store.fetch(lambda connection: open_call_outs(connection, scope, now))
    return [_line(visit, one) for one in found]


async def unanswered_lines(visit: Visit, scope: Scope) -> tuple[str, ...]:
    """What stands above every queue while everybody has been called in vain."""
    now = visit.now_ms()
    found = await visit.desk.services.store.fetch(lambda connection: open_call_outs(connection, scope, now))
    return tuple(
        visit.words(
            "call_out.queue", team=one.team.name, time=visit.figures.short_clock(one.row.unanswered_ms),
            phone=one.team.phone or visit.words("call_out.no_phone"),
        )
        for one in found
        if one.row.unanswered_ms is not None
    )  # fmt: skip


def _line(visit: Visit, one: OpenCallOut) -> CallOutLine:
    t, f, row, now = visit.words, visit.figures, one.row, visit.now_ms()
    if row.answered_ms is not None:
        sign, state = "ok", t("call_out.answered", name=row.answered_name or "", time=f.when(row.answered_ms, now))
    elif row.unanswered_ms is not None:
        sign, state = "fail", t("call_out.unanswered", time=f.when(row.unanswered_ms, now))
    else:
        sign, state = "warn", t("call_out.running")
    calls = []
    for call in one.calls:
        word = f"said_{call.answer}" if call.answer else f"is_{call.state}"
        became = t.either(f"call_out.{word}", call.state)
        who, way = call.name or t("call_out.telephone"), t.either(f"channel.{call.channel}", call.channel)
        calls.append(t("call_out.call", time=f.short_clock(call.made_ms), who=who, way=way, became=became))
    return CallOutLine(team=one.team.name, sign=sign, state=state, lines=tuple(calls))
