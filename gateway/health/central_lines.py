"""The way to central, in the health check: each path, what waits for one, and a test alarm there and back. Pure."""

from __future__ import annotations

from cloud_sync.health import HealthLine, Outcome
from cloud_sync.vocabulary import Scalar
from gateway.health import limits
from gateway.health.facts import ProbedFacts, TestFacts, UplinkFacts, WaitingFacts
from gateway.health.lines import MAX_TEXT, over, slug


def judge_uplink(facts: UplinkFacts | ProbedFacts) -> HealthLine:
    """A round trip to central and back over one path, made now or by the last probe."""
    if isinstance(facts, ProbedFacts):
        return _judge_probed(facts)
    limit = limits.ROUND_TRIP_MS
    params: dict[str, Scalar] = {"uplink": facts.name[:MAX_TEXT]}
    if facts.answered_s_ago is not None:
        params["answered_s"] = round(facts.answered_s_ago)
    if facts.round_trip_ms is not None:
        result = over(facts.round_trip_ms, limit)
        found, next_key = "round_trip", "" if result is Outcome.OK else "check_line_quality"
    elif facts.is_up:
        result, found, next_key = Outcome.FAIL, "no_receipt", "check_central"
    else:
        result, found, next_key = Outcome.FAIL, "no_connection", "check_network"
        params["error"] = facts.last_error[:MAX_TEXT]
    return HealthLine(
        id=f"uplink.{slug(facts.name)}",
        result=result,
        text_key="uplink",
        value=None if facts.round_trip_ms is None else round(facts.round_trip_ms, 1),
        unit="ms",
        limit=limit.warn,
        found_key=found,
        next_key=next_key,
        params=params,
    )


def _judge_probed(facts: ProbedFacts) -> HealthLine:
    params: dict[str, Scalar] = {"uplink": facts.name[:MAX_TEXT]}
    if facts.answered_at is not None:
        params["at"] = facts.answered_at
    if facts.awaited_s is not None:
        params["awaited_s"] = round(facts.awaited_s)
    if not facts.is_up:
        result, found, next_key = Outcome.FAIL, "no_connection", "check_modem"
        params["error"] = facts.last_error[:MAX_TEXT]
    elif facts.is_overdue:
        result, found, next_key = Outcome.FAIL, "probe_unanswered", "check_modem"
    elif facts.awaited_s is not None and facts.last_error:
        result, found, next_key = Outcome.FAIL, "probe_not_sent", "check_modem"
        params["error"] = facts.last_error[:MAX_TEXT]
    elif facts.answered_at is None:
        result, found, next_key = Outcome.UNKNOWN, "probe_not_yet", "wait_for_probe"
    elif facts.is_lost or facts.is_stale:
        result, found, next_key = Outcome.WARN, "probe_answered", "wait_for_probe"
    else:
        result, found, next_key = Outcome.OK, "probe_answered", ""
    return HealthLine(
        id=f"uplink.{slug(facts.name)}",
        result=result,
        text_key="uplink",
        value=None if facts.answered_s_ago is None else round(facts.answered_s_ago),
        unit="s",
        found_key=found,
        next_key=next_key,
        params=params,
    )


def judge_waiting(facts: WaitingFacts) -> HealthLine:
    """Whether alarms wait that central should have."""
    oldest_s = facts.oldest_s or 0.0
    result = over(oldest_s, limits.UNSENT_S) if facts.records else Outcome.OK
    found = "nothing_waits" if not facts.records else "alarms_wait"
    return HealthLine(
        id="waiting.alarms",
        result=result,
        text_key="waiting_alarms",
        value=round(oldest_s, 1),
        unit="s",
        limit=limits.UNSENT_S.warn,
        found_key=found,
        next_key="" if result is Outcome.OK else "check_paths",
        params={"count": facts.records, "in_memory": facts.in_memory_only},
    )


def judge_test(facts: TestFacts) -> HealthLine:
    """A test alarm through everything: journal, wire, central's database, its machine, and the reply back."""
    limit = limits.TEST_EVENT_MS
    params: dict[str, Scalar] = {
        name: round(value, 1)
        for name, value in (("durable_ms", facts.durable_ms), ("receipt_ms", facts.receipt_ms))
        if value is not None
    }
    if facts.answered_ms is not None:
        result = over(facts.answered_ms, limit)
        found, next_key = "test_answered", "" if result is Outcome.OK else "check_line_quality"
    elif facts.receipt_ms is not None:
        result, found, next_key = Outcome.FAIL, "test_not_answered", "check_central"
    else:
        result, found, next_key = Outcome.FAIL, "test_not_received", "check_paths"
    return HealthLine(
        id="test",
        result=result,
        text_key="test",
        value=None if facts.answered_ms is None else round(facts.answered_ms, 1),
        unit="ms",
        limit=limit.warn,
        found_key=found,
        next_key=next_key,
        params=params,
    )
