"""What senses, in the health check: drivers, their devices, and what the hub calls for help with. Pure.

Each fault is named once, where it is: what lies behind a dead driver is unknown, not failed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cloud_sync.health import Bound, HealthLine, Outcome
from cloud_sync.vocabulary import Scalar
from gateway.health import limits
from gateway.health.facts import DeviceFacts, DriverFacts, MeasureFacts
from gateway.health.limits import Limit
from gateway.health.lines import MAX_TEXT, slug, under, unknown

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


def judge_driver(facts: DriverFacts) -> HealthLine:
    """Whether a driver runs and its own line, bus or radio is there."""
    params: dict[str, Scalar] = {"driver": facts.name[:MAX_TEXT]}
    deaf = facts.diagnostics.get("silent_restarts_in_a_row")
    next_key = f"check_{facts.type_name}" if facts.type_name in {"ble", "espa", "gpio"} else "check_driver"
    if facts.state == "hung":
        result, found, next_key = Outcome.FAIL, "driver_hung", "restart_hub"
        params["error"] = facts.last_error[:MAX_TEXT]
    elif facts.state in {"parked", "backing_off"}:
        result, found = Outcome.FAIL, f"driver_{facts.state}"
        params["error"] = facts.last_error[:MAX_TEXT]
        if facts.retry_s is not None:
            found, params["retry_s"] = f"{found}_until", round(facts.retry_s)
    elif facts.is_link_up is False:
        result, found = Outcome.FAIL, "link_down"
        params["reason"] = facts.link_reason[:MAX_TEXT]
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
        params={"reason": facts.reason[:MAX_TEXT]},
    )


def judge_devices(devices: Sequence[DeviceFacts], drivers: Sequence[DriverFacts]) -> Iterator[HealthLine]:
    """Up to three lines for each device: heard, signal, battery."""
    alive = {driver.name: driver.is_alive for driver in drivers}
    for device in devices:
        params: dict[str, Scalar] = {"device": device.alias}
        name = f"device.{slug(device.alias)}"
        if device.driver is not None and not alive.get(device.driver, False):
            params["driver"] = device.driver[:MAX_TEXT]
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
