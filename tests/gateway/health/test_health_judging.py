"""What comes of facts, one at a time. Each case says: these facts, this outcome, found so, do that."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cloud_sync.health import HealthLine, Outcome
from cloud_sync.health_texts import LANGUAGES, NOTHING, HealthWords, texts
from gateway.health import board, central_lines, device_lines, hub_lines
from gateway.health.facts import (
    BoardFacts,
    ClockFacts,
    DeviceFacts,
    DriverFacts,
    Expectation,
    JournalFacts,
    KeyFacts,
    MeasureFacts,
    SettingsFacts,
    TestFacts,
    UplinkFacts,
    WaitingFacts,
)

OK, WARN, FAIL, UNKNOWN = Outcome.OK, Outcome.WARN, Outcome.FAIL, Outcome.UNKNOWN
MIB = 1024 * 1024
NOW_MS = 1_795_300_000_000
DAY_MS = 86_400_000

CARD = JournalFacts(
    write_ms=11.2,
    read_ms=0.4,
    free_bytes=4096 * MIB,
    total_bytes=16_384 * MIB,
    reserve_bytes=4 * MIB,
    reserve_wanted_bytes=4 * MIB,
)
RADIO = DriverFacts(name="bluetooth", type_name="ble", state="running", is_link_up=True)
PANEL = DriverFacts(name="panel", type_name="espa", state="running", is_link_up=True, heard_s_ago=1.2)
PENDANT = DeviceFacts(
    alias="pendant-1",
    driver="bluetooth",
    heard_s_ago=40.0,
    watched_s=5000.0,
    missing_after_s=93_600.0,
    rssi_dbm=-70,
    battery_pct=80,
)
CORD = DeviceFacts(
    alias="cord-bath", driver="inputs", heard_s_ago=3.0, watched_s=60.0, missing_after_s=None, level="at_rest"
)
PATH = UplinkFacts(name="main", is_up=True, round_trip_ms=38.0, answered_s_ago=3.0)
CLOCK = ClockFacts(is_trusted=True, offset_ms=200.0, wall_ms=NOW_MS)
TESTED = TestFacts(durable_ms=4.0, receipt_ms=20.0, answered_ms=31.0)
RUNS = SettingsFacts(
    software="vaktpost 0.1.0", config_hash="9f2c", system={"python": "3.11.2", "kernel": "6.12"}, running_s=90.0
)


def devices(*those: DeviceFacts, drivers: Sequence[DriverFacts] = (RADIO,)) -> list[HealthLine]:
    return list(device_lines.judge_devices(those, drivers))


def journal(**changes: Any) -> list[HealthLine]:
    return hub_lines.judge_journal(replace(CARD, **changes))


def pendant(**changes: Any) -> list[HealthLine]:
    return devices(replace(PENDANT, **changes))


def radio(**changes: Any) -> list[HealthLine]:
    return [device_lines.judge_driver(replace(RADIO, **changes))]


def wired(**changes: Any) -> list[HealthLine]:
    pins = DriverFacts(name="inputs", type_name="gpio", state="running", is_link_up=True)
    return devices(replace(CORD, **changes), drivers=[pins])


def path(**changes: Any) -> list[HealthLine]:
    return [central_lines.judge_uplink(replace(PATH, **changes))]


def clock(**changes: Any) -> list[HealthLine]:
    return [hub_lines.judge_clock(replace(CLOCK, **changes))]


def key(facts: KeyFacts, facts_of_clock: ClockFacts | None = CLOCK) -> list[HealthLine]:
    return [hub_lines.judge_key(facts, facts_of_clock)]


def aged(days: float) -> KeyFacts:
    return KeyFacts(name="identity", created_ms=round(NOW_MS - days * DAY_MS))


def ending(days: float) -> KeyFacts:
    return KeyFacts(name="tls_ca", created_ms=1, ends_ms=round(NOW_MS + days * DAY_MS))


def waiting(records: int, oldest_s: float | None) -> list[HealthLine]:
    return [central_lines.judge_waiting(WaitingFacts(records=records, oldest_s=oldest_s))]


def sent_through(**changes: Any) -> list[HealthLine]:
    return [central_lines.judge_test(replace(TESTED, **changes))]


def runs(expected: Expectation = Expectation(), **changes: Any) -> list[HealthLine]:  # noqa: B008  # a frozen value
    return list(hub_lines.judge_settings(replace(RUNS, **changes), expected))


def powered(**facts: Any) -> list[HealthLine]:
    return list(board.judge_board(BoardFacts(**facts)))


CASES: dict[str, tuple[list[HealthLine], dict[str, tuple[Outcome, str, str]]]] = {
    # help on the spot
    "pager there": (
        [device_lines.judge_measure(MeasureFacts(name="pager", is_ready=True))],
        {"local.pager": (OK, "measure_ready", "")},
    ),
    "pager silent": (
        [device_lines.judge_measure(MeasureFacts(name="pager", is_ready=False, reason="silent for 30 s"))],
        {"local.pager": (FAIL, "measure_fails", "check_pager")},
    ),
    "voice never heard": (
        [device_lines.judge_measure(MeasureFacts(name="voice", is_ready=None))],
        {"local.voice": (UNKNOWN, "measure_untried", "test_measures")},
    ),
    # the card
    "sound card": (journal(), {"journal.write": (OK, "written", ""), "journal.space": (OK, "space_left", "")}),
    "slow card": (journal(write_ms=50.0), {"journal.write": (WARN, "written", "replace_card")}),
    "worn card": (journal(write_ms=500.0), {"journal.write": (FAIL, "written", "replace_card")}),
    "card almost full": (
        journal(free_bytes=200 * MIB),
        {"journal.space": (WARN, "space_left", "free_space"), "journal.write": (OK, "written", "")},
    ),
    "card full": (
        journal(write_ms=None, read_ms=None, free_bytes=0, error="No space left on device"),
        {"journal.write": (FAIL, "write_failed", "check_card"), "journal.space": (FAIL, "space_left", "free_space")},
    ),
    "reserve given to alarms": (
        journal(reserve_bytes=0),
        {"journal.space": (FAIL, "reserve_used", "free_space"), "journal.write": (OK, "written", "")},
    ),
    "card gone": (
        journal(write_ms=None, error="Input/output error", free_bytes=0, total_bytes=0),
        {"journal.write": (FAIL, "write_failed", "check_card"), "journal.space": (UNKNOWN, "no_answer", "check_card")},
    ),
    # drivers
    "radio on": (radio(), {"driver.bluetooth": (OK, "driver_runs", "")}),
    "radio off": (
        radio(is_link_up=False, link_reason="powered_off"),
        {"driver.bluetooth": (FAIL, "link_down", "switch_radio_on")},
    ),
    **{
        f"line of {type_name} lost, {reason}": (
            [device_lines.judge_driver(replace(RADIO, type_name=type_name, is_link_up=False, link_reason=reason))],
            {"driver.bluetooth": (FAIL, "link_down", next_key)},
        )
        for type_name, reason, next_key in (
            ("ble", "deaf", "replace_radio"),
            ("ble", "no_adapter", "plug_in_radio"),
            ("ble", "no_bluez", "start_bluetooth"),
            ("ble", "access_denied", "allow_bluetooth"),
            ("ble", "scan_refused", "check_ble"),
            ("espa", "line_lost", "plug_in_serial"),
            ("espa", "no_poll", "check_panel_polls"),
            ("espa", "no_answer", "check_panel_answers"),
            ("espa", "", "check_espa"),
            ("gpio", "", "check_gpio"),
            ("own", "no_poll", "check_driver"),
        )
    },
    "driver hangs": (
        radio(state="hung", last_error="it gave no sign of life for 45 s"),
        {"driver.bluetooth": (FAIL, "driver_hung", "restart_hub")},
    ),
    "driver waits for its next try": (
        radio(state="backing_off", last_error="no permission", retry_s=12.3),
        {"driver.bluetooth": (FAIL, "driver_backing_off_until", "check_ble")},
    ),
    "driver parked until its next try": (
        radio(state="parked", last_error="ZeroDivisionError", retry_s=120.0),
        {"driver.bluetooth": (FAIL, "driver_parked_until", "check_ble")},
    ),
    "driver fails": (
        radio(state="backing_off", last_error="no permission"),
        {"driver.bluetooth": (FAIL, "driver_backing_off", "check_ble")},
    ),
    "driver parked": (
        [device_lines.judge_driver(replace(RADIO, state="parked", type_name="own", last_error="no key"))],
        {"driver.bluetooth": (FAIL, "driver_parked", "check_driver")},
    ),
    "pins held by another program": (
        [device_lines.judge_driver(replace(RADIO, name="inputs", type_name="gpio", state="parked", last_error="busy"))],
        {"driver.inputs": (FAIL, "driver_parked", "check_gpio")},
    ),
    "driver starts": (radio(state="starting"), {"driver.bluetooth": (UNKNOWN, "driver_starting", "ask_again")}),
    "driver says nothing yet": (
        radio(is_link_up=None),
        {"driver.bluetooth": (UNKNOWN, "driver_starting", "ask_again")},
    ),
    "radio deaf": (
        radio(diagnostics={"silent_restarts_in_a_row": 3}),
        {"driver.bluetooth": (WARN, "radio_deaf", "check_ble")},
    ),
    "radio in a quiet home": (
        radio(diagnostics={"silent_restarts_in_a_row": 2}),
        {"driver.bluetooth": (OK, "driver_runs", "")},
    ),
    "panel polls": ([device_lines.judge_driver(PANEL)], {"driver.panel": (OK, "driver_runs", "")}),
    "panel cut off": (
        [device_lines.judge_driver(replace(PANEL, is_link_up=False, link_reason="line_lost"))],
        {"driver.panel": (FAIL, "link_down", "plug_in_serial")},
    ),
    # devices
    "pendant in reach": (
        pendant(),
        {
            "device.pendant-1.heard": (OK, "device_heard", ""),
            "device.pendant-1.signal": (OK, "", ""),
            "device.pendant-1.battery": (OK, "", ""),
        },
    ),
    "pendant silent": (
        pendant(heard_s_ago=95_000.0, watched_s=200_000.0),
        {"device.pendant-1.heard": (FAIL, "device_missing", "visit_device")},
    ),
    "pendant told missing": (
        pendant(is_told_missing=True),
        {"device.pendant-1.heard": (FAIL, "device_missing", "visit_device")},
    ),
    "pendant silent while nobody listened": (
        pendant(heard_s_ago=95_000.0, watched_s=60.0),
        {"device.pendant-1.heard": (OK, "device_heard", "")},
    ),
    "pendant not heard yet": (
        pendant(heard_s_ago=None),
        {"device.pendant-1.heard": (UNKNOWN, "device_not_heard_yet", "wait_or_try_device")},
    ),
    "never heard for too long": (
        pendant(heard_s_ago=None, watched_s=93_601.0),
        {"device.pendant-1.heard": (FAIL, "device_missing", "visit_device")},
    ),
    "silence says nothing": (
        pendant(heard_s_ago=None, missing_after_s=None),
        {"device.pendant-1.heard": (OK, "device_silent_is_normal", "")},
    ),
    "weak signal": (pendant(rssi_dbm=-86), {"device.pendant-1.signal": (WARN, "", "move_device")}),
    "signal at its limit": (pendant(rssi_dbm=-85), {"device.pendant-1.signal": (OK, "", "")}),
    "hardly heard": (pendant(rssi_dbm=-96), {"device.pendant-1.signal": (FAIL, "", "move_device")}),
    "battery low": (pendant(battery_pct=19), {"device.pendant-1.battery": (WARN, "", "change_battery")}),
    "battery flat": (pendant(battery_pct=8), {"device.pendant-1.battery": (FAIL, "", "change_battery")}),
    "battery low by its own limit": (
        pendant(battery_pct=35, battery_low_pct=40),
        {"device.pendant-1.battery": (WARN, "", "change_battery")},
    ),
    "device says its battery is low": (
        pendant(battery_pct=None, is_battery_low=True),
        {"device.pendant-1.battery": (WARN, "battery_says_low", "change_battery")},
    ),
    "device says its battery is good": (
        pendant(battery_pct=None, is_battery_low=False),
        {"device.pendant-1.battery": (OK, "battery_says_good", "")},
    ),
    "device behind a dead radio": (
        devices(PENDANT, drivers=[replace(RADIO, is_link_up=False)]),
        {"device.pendant-1.heard": (UNKNOWN, "driver_down", "mend_driver")},
    ),
    "device behind a parked driver": (
        devices(PENDANT, drivers=[replace(RADIO, state="parked")]),
        {"device.pendant-1.heard": (UNKNOWN, "driver_down", "mend_driver")},
    ),
    "cord at rest": (wired(), {"device.cord-bath.heard": (OK, "level_at_rest", "")}),
    "cord pulled": (wired(level="active"), {"device.cord-bath.heard": (OK, "level_active", "")}),
    "cord not read": (wired(level="unknown"), {"device.cord-bath.heard": (UNKNOWN, "level_unknown", "ask_again")}),
    # paths
    "path good": (path(), {"uplink.main": (OK, "round_trip", "")}),
    "path slow": (path(round_trip_ms=500.0), {"uplink.main": (WARN, "round_trip", "check_line_quality")}),
    "path useless": (path(round_trip_ms=2000.0), {"uplink.main": (FAIL, "round_trip", "check_line_quality")}),
    "central mute": (path(round_trip_ms=None), {"uplink.main": (FAIL, "no_receipt", "check_central")}),
    "path down": (
        path(round_trip_ms=None, is_up=False, last_error="refused"),
        {"uplink.main": (FAIL, "no_connection", "check_network")},
    ),
    "nothing waits": (waiting(0, None), {"waiting.alarms": (OK, "nothing_waits", "")}),
    "alarm on its way": (waiting(1, 0.2), {"waiting.alarms": (OK, "alarms_wait", "")}),
    "alarm waits": (waiting(1, 61.0), {"waiting.alarms": (WARN, "alarms_wait", "check_paths")}),
    "alarms wait for long": (waiting(3, 700.0), {"waiting.alarms": (FAIL, "alarms_wait", "check_paths")}),
    # time
    "clock right": (clock(), {"clock": (OK, "clock_agrees", "")}),
    "clock behind": (clock(offset_ms=2000.0), {"clock": (WARN, "clock_apart", "set_clock")}),
    "clock ahead": (clock(offset_ms=-7_200_000.0), {"clock": (FAIL, "clock_apart", "set_clock")}),
    "clock by network": (clock(offset_ms=None), {"clock": (OK, "clock_by_network", "")}),
    "clock set by nobody": (
        clock(offset_ms=None, is_trusted=False),
        {"clock": (WARN, "clock_untrusted", "set_clock")},
    ),
    # keys
    "young key": (key(aged(34)), {"key.identity": (OK, "", "")}),
    "old key": (key(aged(366)), {"key.identity": (WARN, "", "renew_key")}),
    "very old key": (key(aged(731)), {"key.identity": (FAIL, "", "renew_key")}),
    "key and no time": (
        key(aged(34), replace(CLOCK, is_trusted=False)),
        {"key.identity": (UNKNOWN, "no_time", "set_clock")},
    ),
    "key without an age": (
        key(KeyFacts(name="seal", created_ms=None)),
        {"key.seal": (UNKNOWN, "age_not_known", "renew_key")},
    ),
    "certificate lasts": (key(ending(400)), {"key.tls_ca": (OK, "", "")}),
    "certificate ends soon": (key(ending(59)), {"key.tls_ca": (WARN, "", "renew_key")}),
    "certificate has ended": (key(ending(-1)), {"key.tls_ca": (FAIL, "", "renew_key")}),
    # what runs
    "runs": (
        runs(),
        {"program": (OK, "program_runs", ""), "software": (OK, "", ""), "settings": (OK, "", "")},
    ),
    "runs as expected": (
        runs(Expectation(software="vaktpost 0.1.0", config_hash="9f2c")),
        {"software": (OK, "same_as_last", ""), "settings": (OK, "same_as_last", "")},
    ),
    "settings changed": (
        runs(Expectation(software="vaktpost 0.1.0", config_hash="77aa")),
        {"software": (OK, "same_as_last", ""), "settings": (WARN, "changed_since_last", "confirm_settings")},
    ),
    "version changed": (
        runs(Expectation(software="vaktpost 0.0.9")),
        {"software": (WARN, "changed_since_last", "confirm_software"), "settings": (OK, "", "")},
    ),
    "stopped": (runs(running_s=None), {"program": (FAIL, "program_stopped", "start_program")}),
    # the whole way
    "test answered": (sent_through(), {"test": (OK, "test_answered", "")}),
    "test slow": (sent_through(answered_ms=1000.0), {"test": (WARN, "test_answered", "check_line_quality")}),
    "test too slow": (sent_through(answered_ms=5000.0), {"test": (FAIL, "test_answered", "check_line_quality")}),
    "test not answered": (sent_through(answered_ms=None), {"test": (FAIL, "test_not_answered", "check_central")}),
    "test not received": (
        sent_through(answered_ms=None, receipt_ms=None),
        {"test": (FAIL, "test_not_received", "check_paths")},
    ),
    # the board
    "cool": (powered(temperature_c=41.2), {"board.temperature": (OK, "", "")}),
    "warm": (powered(temperature_c=70.0), {"board.temperature": (WARN, "", "cool_board")}),
    "hot": (powered(temperature_c=80.0), {"board.temperature": (FAIL, "", "cool_board")}),
    "power good": (powered(throttled=0), {"board.power": (OK, "power_good", "")}),
    "too little voltage": (powered(throttled=0x50005), {"board.power": (FAIL, "under_voltage", "replace_supply")}),
    "voltage alarm": (powered(is_under_voltage=True), {"board.power": (FAIL, "under_voltage", "replace_supply")}),
    "had too little voltage": (
        powered(throttled=0x10000),
        {"board.power": (WARN, "was_under_voltage", "replace_supply")},
    ),
    "slowed down": (powered(throttled=0x8), {"board.power": (WARN, "slowed_down", "cool_board")}),
    "on battery": (powered(is_mains_on=False, ups_pct=80), {"board.power": (WARN, "on_battery", "check_mains")}),
    "on mains": (powered(is_mains_on=True, ups_pct=100), {"board.power": (OK, "power_good", "")}),
    "a board that tells nothing": (powered(), {}),
}


@pytest.mark.parametrize("name", CASES)
def test_facts_come_out_as(name: str) -> None:
    lines, wanted = CASES[name]
    found = {line.id: (line.result, line.found_key, line.next_key) for line in lines}
    assert {line_id: found[line_id] for line_id in wanted} == wanted
    others = {line_id: came for line_id, came in found.items() if line_id not in wanted}
    assert all(came[0] is OK for came in others.values()), others


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", CASES)
def test_every_line_can_be_read_out(name: str, language: str) -> None:
    words = HealthWords(language)
    for line in CASES[name][0]:
        told = [words.what(line), words.found(line), words.next_step(line)]
        assert words.what(line) != line.id
        assert f"health_found.{line.found_key}" in texts() or not line.found_key
        assert f"health_next.{line.next_key}" in texts() or not line.next_key
        assert not any(NOTHING in text for text in told), "a place in a text was not filled in"


def test_every_text_is_used() -> None:
    folders = ("gateway", "central", "cloud_sync", "drivers")
    sources = [path.read_text() for folder in folders for path in Path(folder).rglob("*.py")]
    spoken = {line.found_key for lines, _ in CASES.values() for line in lines}
    spoken |= {line.next_key for lines, _ in CASES.values() for line in lines}
    program = "\n".join(sources)
    for key_name in texts():
        section, word = key_name.split(".", 1)
        if section in {"health_found", "health_next", "health_what", "health_word"} and word not in spoken:
            assert re.search(rf"""["']{word}["']""", program), f"{key_name} is never said"


def test_a_dead_driver_is_one_fault_and_no_more() -> None:
    drivers = [replace(RADIO, is_link_up=False), PANEL]
    room = DeviceFacts(alias="room-12", driver="panel", heard_s_ago=5.0, watched_s=60.0, missing_after_s=None)
    lines = [*map(device_lines.judge_driver, drivers), *devices(PENDANT, room, drivers=drivers)]
    assert {line.id: line.result for line in lines} == {
        "driver.bluetooth": FAIL,
        "driver.panel": OK,
        "device.pendant-1.heard": UNKNOWN,
        "device.room-12.heard": OK,
    }


@pytest.mark.parametrize("name", ["", "Ærlig Sambånd 4G", "x" * 200, "../..", "a b", "--x", "\n"])
def test_any_name_makes_a_line(name: str) -> None:
    assert central_lines.judge_uplink(replace(PATH, name=name)).id.startswith("uplink.")
