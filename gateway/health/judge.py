"""From facts to lines, pure: which outcome, what was found, and what to do next.

Each fault is named once, where it is: what lies behind a dead driver is unknown, not failed. What was not found out is
unknown, with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TypeVar

from cloud_sync.health import Bound, HealthLine, Outcome
from cloud_sync.vocabulary import Scalar
from gateway.health import limits
from gateway.health.facts import (
    ClockFacts,
    DeviceFacts,
    DriverFacts,
    Expectation,
    JournalFacts,
    KeyFacts,
    MeasureFacts,
    ProbedFacts,
    SettingsFacts,
    TestFacts,
    UplinkFacts,
    WaitingFacts,
)
from gateway.health.limits import MIB, Limit

DAY_MS = 86_400_000
_MAX_TEXT = 160

T = TypeVar("T", int, float)


_LINK_NEXT = {
    ("ble", "deaf"): "replace_radio",
    ("ble", "powered_off"): "switch_radio_on",
    ("ble", "no_adapter"): "plug_in_radio",
    ("ble", "no_bluez"): "start_bluetooth",
    ("ble", "no_bus"): "start_bluetooth",
    ("ble", "access_denied"): "allow_bluetooth",
    ("espa", "line_lost"): "plug_in_serial",
    ("espa", "no_poll"): "check_panel_polls",
    ("espa", "no_answer"): "check_panel_answers",
}
"""What to do first, by what the driver says of its line."""


def slug(name: str) -> str:
    """A name as a part of a line id."""
    return re.sub(r"[^a-z0-9_-]", "-", name.lower()).lstrip("-_")[:36] or "x"


def over(value: float, limit: Limit) -> Outcome:
    """How a value comes out that should be small."""
    return Outcome.FAIL if value >= limit.fail else Outcome.WARN if value >= limit.warn else Outcome.OK


def under(value: float, limit: Limit) -> Outcome:
    """How a value comes out that should be large."""
    return Outcome.FAIL if value < limit.fail else Outcome.WARN if value < limit.warn else Outcome.OK


def unknown(
    line_id: str,
    text_key: str,
    *,
    found_key: str,
    next_key: str = "ask_again",
    unit: str = "",
    limit: Scalar = None,
    params: dict[str, Scalar] | None = None,
) -> HealthLine:
    """A line about which nothing could be found out."""
    return HealthLine(
        id=line_id,
        result=Outcome.UNKNOWN,
        text_key=text_key,
        unit=unit,
        limit=limit,
        found_key=found_key,
        next_key=next_key,
        params=params or {},
    )


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
            params={"error": (facts.error or "")[:_MAX_TEXT]},
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


def judge_driver(facts: DriverFacts) -> HealthLine:
    """Whether a driver runs and its own line, bus or radio is there."""
    params: dict[str, Scalar] = {"driver": facts.name[:_MAX_TEXT]}
    deaf = facts.diagnostics.get("silent_restarts_in_a_row")
    next_key = f"check_{facts.type_name}" if facts.type_name in {"ble", "espa", "gpio"} else "check_driver"
    if facts.state == "hung":
        result, found, next_key = Outcome.FAIL, "driver_hung", "restart_hub"
        params["error"] = facts.last_error[:_MAX_TEXT]
    elif facts.state in {"parked", "backing_off"}:
        result, found = Outcome.FAIL, f"driver_{facts.state}"
        params["error"] = facts.last_error[:_MAX_TEXT]
        if facts.retry_s is not None:
            found, params["retry_s"] = f"{found}_until", round(facts.retry_s)
    elif facts.is_link_up is False:
        result, found = Outcome.FAIL, "link_down"
        params["reason"] = facts.link_reason[:_MAX_TEXT]
        next_key = _LINK_NEXT.get((facts.type_name, facts.link_reason), next_key)
    elif facts.state != "running" or facts.is_link_up is None:
        result, found, next_key = Outcome.UNKNOWN, "driver_starting", "ask_again"
    elif isinstance(deaf, int) and deaf >= limits.RADIO_SILENCE_RESTARTS:
        result, found = Outcome.WARN, "radio_deaf"
        params["times"] = deaf
    else:
        result, found, next_key = Outcome.OK, "driver_runs", ""
    return HealthLine(
        id=f"driver.{slug(facts.name)}",
        result=result,
        text_key="driver",
        value=None if facts.heard_s_ago is None else round(facts.heard_s_ago, 1),
        unit="" if facts.heard_s_ago is None else "s",
        found_key=found,
        next_key=next_key,
        params=params,
    )


_MEASURES = {
    "lamp_and_buzzer": ("measure_lamp_and_buzzer", "check_lamp_and_buzzer"),
    "relay": ("measure_relay", "check_relay"),
    "pager": ("measure_pager", "check_pager"),
    "on_call": ("measure_on_call", "check_on_call"),
    "voice": ("measure_voice", "check_voice"),
}


def judge_measure(facts: MeasureFacts) -> HealthLine:
    """Whether one way of calling for help on the spot would work."""
    result = {True: Outcome.OK, False: Outcome.FAIL, None: Outcome.UNKNOWN}[facts.is_ready]
    found = {True: "measure_ready", False: "measure_fails", None: "measure_untried"}[facts.is_ready]
    text_key, next_key = _MEASURES.get(facts.name, ("measure_any", "test_measures"))
    return HealthLine(
        id=f"local.{slug(facts.name)}",
        result=result,
        text_key=text_key,
        found_key=found,
        next_key="" if facts.is_ready else next_key if facts.is_ready is False else "test_measures",
        params={"reason": facts.reason[:_MAX_TEXT]},
    )


def judge_devices(devices: Sequence[DeviceFacts], drivers: Sequence[DriverFacts]) -> Iterator[HealthLine]:
    """Up to three lines for each device: heard, signal, battery."""
    alive = {driver.name: driver.is_alive for driver in drivers}
    for device in devices:
        params: dict[str, Scalar] = {"device": device.alias}
        name = f"device.{slug(device.alias)}"
        if device.driver is not None and not alive.get(device.driver, False):
            params["driver"] = device.driver[:_MAX_TEXT]
            yield unknown(
                f"{name}.heard",
                "device_heard",
                found_key="driver_down",
                next_key="mend_driver",
                unit="s",
                params=params,
            )
            continue
        heard = _judge_heard(name, device, params)
        yield heard
        if device.rssi_dbm is not None:
            yield _judge_signal(name, device.rssi_dbm, params)
        if device.battery_pct is not None or device.is_battery_low is not None:
            yield _judge_battery(name, device, params)


def _judge_heard(name: str, device: DeviceFacts, params: dict[str, Scalar]) -> HealthLine:
    silent_s = device.watched_s if device.heard_s_ago is None else min(device.heard_s_ago, device.watched_s)
    is_overdue = device.missing_after_s is not None and silent_s > device.missing_after_s
    result, found, next_key = Outcome.OK, "device_heard", ""
    if device.is_told_missing or is_overdue:
        result, found, next_key = Outcome.FAIL, "device_missing", "visit_device"
    elif device.level == "unknown":
        result, found, next_key = Outcome.UNKNOWN, "level_unknown", "ask_again"
    elif device.heard_s_ago is None and device.level is None:
        if device.missing_after_s is None:
            found = "device_silent_is_normal"
        else:
            result, found, next_key = Outcome.UNKNOWN, "device_not_heard_yet", "wait_or_try_device"
    elif device.level is not None:
        found = f"level_{device.level}" if device.level in {"at_rest", "active"} else "device_heard"
    return HealthLine(
        id=f"{name}.heard",
        result=result,
        text_key="device_heard",
        value=None if device.heard_s_ago is None else round(device.heard_s_ago, 1),
        unit="s",
        limit=device.missing_after_s,
        found_key=found,
        next_key=next_key,
        params=params | {"watched_s": round(device.watched_s)},
    )


def _judge_signal(name: str, rssi_dbm: int, params: dict[str, Scalar]) -> HealthLine:
    result = under(rssi_dbm, limits.SIGNAL_DBM)
    return HealthLine(
        id=f"{name}.signal",
        result=result,
        text_key="device_signal",
        value=rssi_dbm,
        unit="dBm",
        limit=limits.SIGNAL_DBM.warn,
        bound=Bound.LEAST,
        next_key="" if result is Outcome.OK else "move_device",
        params=params,
    )


def _judge_battery(name: str, device: DeviceFacts, params: dict[str, Scalar]) -> HealthLine:
    warn_pct = max(limits.BATTERY_PCT.warn, device.battery_low_pct)
    if device.battery_pct is None:
        result = Outcome.WARN if device.is_battery_low else Outcome.OK
        found = "battery_says_low" if device.is_battery_low else "battery_says_good"
    else:
        result, found = under(device.battery_pct, Limit(warn_pct, limits.BATTERY_PCT.fail)), ""
    return HealthLine(
        id=f"{name}.battery",
        result=result,
        text_key="device_battery",
        value=device.battery_pct,
        unit="%",
        limit=warn_pct,
        bound=Bound.LEAST,
        found_key=found,
        next_key="" if result is Outcome.OK else "change_battery",
        params=params,
    )


def judge_uplink(facts: UplinkFacts | ProbedFacts) -> HealthLine:
    """A round trip to central and back over one path, made now or by the last probe."""
    if isinstance(facts, ProbedFacts):
        return _judge_probed(facts)
    limit = limits.ROUND_TRIP_MS
    params: dict[str, Scalar] = {"uplink": facts.name[:_MAX_TEXT]}
    if facts.answered_s_ago is not None:
        params["answered_s"] = round(facts.answered_s_ago)
    if facts.round_trip_ms is not None:
        result = over(facts.round_trip_ms, limit)
        found, next_key = "round_trip", "" if result is Outcome.OK else "check_line_quality"
    elif facts.is_up:
        result, found, next_key = Outcome.FAIL, "no_receipt", "check_central"
    else:
        result, found, next_key = Outcome.FAIL, "no_connection", "check_network"
        params["error"] = facts.last_error[:_MAX_TEXT]
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
    params: dict[str, Scalar] = {"uplink": facts.name[:_MAX_TEXT]}
    if facts.answered_at is not None:
        params["at"] = facts.answered_at
    if facts.awaited_s is not None:
        params["awaited_s"] = round(facts.awaited_s)
    if not facts.is_up:
        result, found, next_key = Outcome.FAIL, "no_connection", "check_modem"
        params["error"] = facts.last_error[:_MAX_TEXT]
    elif facts.is_overdue:
        result, found, next_key = Outcome.FAIL, "probe_unanswered", "check_modem"
    elif facts.awaited_s is not None and facts.last_error:
        result, found, next_key = Outcome.FAIL, "probe_not_sent", "check_modem"
        params["error"] = facts.last_error[:_MAX_TEXT]
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
    key_name, params = slug(facts.name), {"key": facts.name[:_MAX_TEXT]}
    now_ms = clock.wall_ms if clock is not None and clock.is_trusted else None
    is_certificate = facts.ends_ms is not None
    limit = limits.CERTIFICATE_LEFT_D if is_certificate else limits.KEY_AGE_D
    text_key = "certificate" if is_certificate else "key"
    since_ms = facts.ends_ms if is_certificate else facts.created_ms
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
        params={name: version[:_MAX_TEXT] for name, version in facts.system.items()},
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
    params: dict[str, Scalar] = {"problem": mode.problem[:_MAX_TEXT]}
    if mode.is_safe:
        left_s = max(0.0, mode.trial_after_s - (facts.running_s or 0.0))
        params |= {
            "crashes": mode.crashes,
            "left_out": ", ".join(mode.left_out)[:_MAX_TEXT] or "-",
            "trial_s": round(left_s),
        }
    return HealthLine(
        id="mode",
        result=Outcome.FAIL,
        text_key="mode",
        found_key="safe_mode" if mode.is_safe else "last_good_settings",
        next_key="leave_safe_mode" if mode.is_safe else "mend_settings",
        params=params,
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
