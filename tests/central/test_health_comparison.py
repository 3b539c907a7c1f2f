"""Health checks beside one another: what was, what is, and what no answer means."""

from __future__ import annotations

import json
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from central.commands import HealthCheck
from central.health import compare, to_plain
from central.health_report import ALL_OK, DEVIATES, NO_ANSWER, report
from cloud_sync.health import HealthLine, HealthResult, Outcome
from cloud_sync.health_texts import HealthWords

OSLO = ZoneInfo("Europe/Oslo")
AT = 1_600_000_000_000


def line(line_id: str, value: Any, result: Outcome = Outcome.OK) -> HealthLine:
    return HealthLine(
        id=line_id,
        result=result,
        text_key="clock",
        value=value,
        unit="s",
        next_key="" if result is Outcome.OK else "set_clock",
    )


def answered(at_ms: int, *lines: HealthLine, left_out: int = 0) -> HealthCheck:
    result = HealthResult(started_ms=at_ms, took_ms=90, lines=lines, left_out=left_out).to_plain()
    return check(at_ms, "answered", result)


def check(at_ms: int, state: str, result: dict[str, Any] | None = None) -> HealthCheck:
    return HealthCheck(
        id=f"{at_ms:016x}",
        hub="0" * 16,
        actor="system",
        state=state,
        asked_ms=at_ms,
        answered_ms=at_ms + 200 if state == "answered" else None,
        result=result,
    )


def told(*checks: HealthCheck) -> dict[str, Any]:
    plain = to_plain(compare(checks), hub="0" * 16, label="Solbakken 214")
    return dict(json.loads(json.dumps(plain)))


def test_each_line_stands_beside_what_it_was_the_last_time_it_was_told() -> None:
    plain = told(
        answered(AT + 3000, line("clock", 3), line("program", 1)),
        check(AT + 2500, "no_answer"),
        answered(AT + 2000, line("clock", 2)),
        answered(AT + 1000, line("clock", 1), line("program", 9, Outcome.WARN)),
    )
    clock, program = plain["result"]["lines"]
    assert clock["previous"] == {"value": 2, "result": "ok", "at_ms": AT + 2000}
    assert program["previous"] == {"value": 9, "result": "warn", "at_ms": AT + 1000}
    assert clock["series"] == [[AT + 1000, 1.0], [AT + 2000, 2.0], [AT + 3000, 3.0]]
    assert plain["last_known"] == {"at_ms": AT + 2000, "outcome": "ok"}


def test_no_answer_is_unknown_and_tells_what_was_known_last() -> None:
    plain = told(check(AT + 2000, "no_answer"), answered(AT, line("clock", 1)))
    assert (plain["state"], plain["outcome"], plain["result"]) == ("no_answer", "unknown", None)
    assert plain["last_known"]["at_ms"] == AT
    assert plain["last_known"]["result"]["lines"][0]["id"] == "clock"


@pytest.mark.parametrize(
    "result",
    [None, {}, {"lines": "all good"}, {"lines": [1]}, {"error": {"reason": "failed", "detail": "OSError"}}],
)
def test_an_answer_that_cannot_be_read_is_unknown(result: dict[str, Any] | None) -> None:
    plain = told(check(AT + 1, "answered", result), answered(AT, line("clock", 1)))
    assert plain["outcome"] == "unknown"
    assert plain["result"] is None


def test_a_check_that_still_runs_is_passed_over() -> None:
    assert told(check(AT + 1, "waiting"), answered(AT, line("clock", 1)))["outcome"] == "ok"


def test_a_hub_that_was_never_asked_is_unknown() -> None:
    plain = told()
    assert (plain["state"], plain["outcome"], plain["last_known"]) == ("never", "unknown", None)


def test_a_line_that_is_no_longer_told_is_named() -> None:
    before = answered(AT, line("clock", 1), line("uplink.reserve", 1))
    assert told(answered(AT + 1, line("clock", 1)), before)["gone"] == ["uplink.reserve"]
    assert told(check(AT + 1, "no_answer"), before)["gone"] == []
    assert told(answered(AT + 1, line("clock", 1), left_out=1), before)["gone"] == []


def say(*checks: HealthCheck, language: str = "en") -> tuple[str, int]:
    return report(told(*checks), language=language, zone=OSLO)


def test_the_status_tells_scripts_what_the_table_tells_people() -> None:
    good, bad = line("clock", 1), line("clock", -7200, Outcome.FAIL)
    assert say(answered(AT, good))[1] == ALL_OK
    assert say(answered(AT, bad))[1] == DEVIATES
    assert say(answered(AT, line("clock", None, Outcome.UNKNOWN)))[1] == DEVIATES
    assert say(answered(AT))[1] == DEVIATES
    assert say(check(AT, "no_answer"))[1] == NO_ANSWER
    assert say(check(AT, "no_link"))[1] == NO_ANSWER
    assert say(check(AT, "failed", {"error": {"reason": "failed", "detail": "OSError"}}))[1] == DEVIATES


def test_no_answer_reads_as_such_in_both_languages_and_never_as_good() -> None:
    checks = (check(AT + 60_000, "no_answer"), answered(AT, line("clock", 1)))
    norwegian, _ = say(*checks, language="nb")
    english, _ = say(*checks)
    assert "Ikke svar. Sist kjent 13.09. 14:26: OK." in norwegian
    assert "No answer. Last known 13.09. 14:26: OK." in english
    assert HealthWords("en").say("health_check.column_result") not in english
    assert "never answered" in say(check(AT, "no_answer"))[0]


def test_the_report_shows_the_last_value_and_the_next_step() -> None:
    shown, _ = say(answered(AT + 1, line("clock", -7200, Outcome.FAIL)), answered(AT, line("clock", 1)))
    row = next(text for text in shown.splitlines() if text.startswith("X Fault"))
    assert row.split("Clock")[1].split("  ")[-1].strip() == "1 s"
    assert "Let the hub set its clock" in shown


def test_json_is_what_the_comparison_says() -> None:
    checks = (answered(AT, line("clock", 1)),)
    shown, status = report(told(*checks), language="nb", zone=OSLO, as_json=True)
    assert json.loads(shown) == told(*checks)
    assert status == ALL_OK
