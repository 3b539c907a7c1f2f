"""The hub itself, in the health check: card, clock, keys, settings. Pure.

What was not found out is unknown, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from cloud_sync.health import Bound, HealthLine, Outcome
from cloud_sync.vocabulary import Scalar
from gateway.health import limits
from gateway.health.facts import ClockFacts, Expectation, JournalFacts, KeyFacts, SettingsFacts
from gateway.health.limits import MIB
from gateway.health.lines import MAX_TEXT, over, slug, under, unknown

DAY_MS = 86_400_000

T = TypeVar("T", int, float)


def judge_journal(facts: JournalFacts) -> list[HealthLine]:
    """Write, sync and read back; and the space that is left."""
    write_limit = limits.JOURNAL_WRITE_MS
    if facts.error is not None or facts.write_ms is None:
        write = HealthLine(
            id="journal.write",
            result=Outcome.FAIL,
            text_key="journal_write",
            value=None,
            unit="ms",
            limit=write_limit.warn,
            found_key="write_failed",
            next_key="check_card",
            params={"error": (facts.error or "")[:MAX_TEXT]},
        )
    else:
        result = over(facts.write_ms, write_limit)
        write = HealthLine(
            id="journal.write",
            result=result,
            text_key="journal_write",
            value=round(facts.write_ms, 1),
            unit="ms",
            limit=write_limit.warn,
            found_key="written" if facts.read_ms is not None else "",
            next_key="" if result is Outcome.OK else "replace_card",
            params={} if facts.read_ms is None else {"read_ms": round(facts.read_ms, 1)},
        )
    return [write, _judge_space(facts)]


def _judge_space(facts: JournalFacts) -> HealthLine:
    if not facts.total_bytes:
        return unknown("journal.space", "journal_space", found_key="no_answer", unit="MiB", next_key="check_card")
    free_mib = facts.free_bytes / MIB
    result = under(free_mib, limits.JOURNAL_FREE_MIB)
    found = "space_left"
    if 0 < facts.reserve_bytes < facts.reserve_wanted_bytes or (facts.reserve_wanted_bytes and not facts.reserve_bytes):
        result, found = Outcome.FAIL, "reserve_used"
    return HealthLine(
        id="journal.space",
        result=result,
        text_key="journal_space",
        value=round(free_mib, 1 if free_mib < 100 else None),
        unit="MiB",
        limit=limits.JOURNAL_FREE_MIB.warn,
        bound=Bound.LEAST,
        found_key=found,
        next_key="" if result is Outcome.OK else "free_space",
        params={"free_pct": round(100 * facts.free_bytes / facts.total_bytes)},
    )


def judge_clock(facts: ClockFacts) -> HealthLine:
    """The system's clock against central's signed one."""
    limit = limits.CLOCK_S
    result, found, next_key = Outcome.OK, "clock_agrees", ""
    if facts.offset_ms is not None:
        result = over(abs(facts.offset_ms) / 1000, limit)
        if result is not Outcome.OK:
            found, next_key = "clock_apart", "set_clock"
    elif facts.is_trusted:
        found = "clock_by_network"
    else:
        result, found, next_key = Outcome.WARN, "clock_untrusted", "set_clock"
    return HealthLine(
        id="clock",
        result=result,
        text_key="clock",
        value=None if facts.offset_ms is None else round(-facts.offset_ms / 1000, 2),
        unit="s",
        limit=limit.warn,
        found_key=found,
        next_key=next_key,
    )


def judge_key(facts: KeyFacts, clock: ClockFacts | None) -> HealthLine:
    """The age of a key, or how long a certificate still lasts."""
    key_name, params = slug(facts.name), {"key": facts.name[:MAX_TEXT]}
    now_ms = clock.wall_ms if clock is not None and clock.is_trusted else None
    is_certificate = facts.ends_ms is not None
    limit = limits.CERTIFICATE_LEFT_D if is_certificate else limits.KEY_AGE_D
    text_key = "certificate" if is_certificate else "key"
    since_ms = facts.ends_ms if is_certificate else facts.created_ms
    if facts.damage:
        return HealthLine(
            id=f"key.{key_name}",
            result=Outcome.FAIL,
            text_key=text_key,
            value=None,
            unit="d",
            limit=limit.warn,
            found_key="spare_in_use",
            next_key="replace_card",
            params=params | {"error": facts.damage[:MAX_TEXT]},
        )
    if now_ms is None or since_ms is None:
        return unknown(
            f"key.{key_name}",
            text_key,
            found_key="no_time" if now_ms is None else "age_not_known",
            next_key="set_clock" if now_ms is None else "renew_key",
            unit="d",
            limit=limit.warn,
            params=dict(params),
        )
    days = (since_ms - now_ms) / DAY_MS if is_certificate else max(0.0, (now_ms - since_ms) / DAY_MS)
    result = under(days, limit) if is_certificate else over(days, limit)
    return HealthLine(
        id=f"key.{key_name}",
        result=result,
        text_key=text_key,
        value=int(days // 1),
        unit="d",
        limit=limit.warn,
        bound=Bound.LEAST if is_certificate else Bound.MOST,
        next_key="" if result is Outcome.OK else "renew_key",
        params=dict(params),
    )


def judge_settings(facts: SettingsFacts, expected: Expectation) -> Iterator[HealthLine]:
    """That the program runs, and that version and settings are those that are expected."""
    yield HealthLine(
        id="program",
        result=Outcome.FAIL if facts.running_s is None else Outcome.OK,
        text_key="program",
        value=None if facts.running_s is None else round(facts.running_s),
        unit="s",
        found_key="program_stopped" if facts.running_s is None else "program_runs",
        next_key="start_program" if facts.running_s is None else "",
        params={name: version[:MAX_TEXT] for name, version in facts.system.items()},
    )
    if not facts.mode.is_full:
        yield _judge_mode(facts)
    for name, value, wanted, next_key in (
        ("software", facts.software, expected.software, "confirm_software"),
        ("settings", facts.config_hash, expected.config_hash, "confirm_settings"),
    ):
        is_other = bool(wanted) and value != wanted
        yield HealthLine(
            id=name,
            result=Outcome.WARN if is_other else Outcome.OK,
            text_key=name,
            value=value[:64],
            limit=wanted[:64] or None,
            bound=Bound.SAME,
            found_key="changed_since_last" if is_other else "same_as_last" if wanted else "",
            next_key=next_key if is_other else "",
        )


def _judge_mode(facts: SettingsFacts) -> HealthLine:
    """Less runs here than was set up: nobody should have to find that out by a missing alarm."""
    mode = facts.mode
    params: dict[str, Scalar] = {"problem": mode.problem[:MAX_TEXT]}
    if mode.is_safe:
        left_s = max(0.0, mode.trial_after_s - (facts.running_s or 0.0))
        params |= {
            "crashes": mode.crashes,
            "left_out": ", ".join(mode.left_out)[:MAX_TEXT] or "-",
            "trial_s": round(left_s),
        }
    return HealthLine(
        id="mode",
        result=Outcome.FAIL,
        text_key="mode",
        found_key="safe_mode" if mode.is_safe else "last_good_settings" if mode.is_last_good else "file_missing",
        next_key="leave_safe_mode" if mode.is_safe else "mend_settings",
        params=params,
    )
