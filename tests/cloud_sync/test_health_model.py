"""The result of a health check on its way: strict where it is written, lenient and bounded where it is read."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_sync import canonical
from cloud_sync.errors import MalformedError
from cloud_sync.health import (
    MAX_BYTES,
    MAX_LINES,
    Bound,
    HealthLine,
    HealthResult,
    Outcome,
    deviations_first,
    expectation,
    tally,
    worst,
)
from cloud_sync.health_table import render
from cloud_sync.health_texts import LANGUAGES, MINUS, HealthWords, texts


def line(line_id: str = "clock", result: Outcome = Outcome.OK, **rest: Any) -> HealthLine:
    rest.setdefault("next_key", "" if result is Outcome.OK else "ask_again")
    return HealthLine(id=line_id, result=result, text_key=rest.pop("text_key", "clock"), **rest)


def result(*lines: HealthLine) -> HealthResult:
    return HealthResult(started_ms=1_795_300_000_000, took_ms=180, lines=lines)


def flat_battery() -> HealthLine:
    return line(
        "device.pendant-1.battery",
        Outcome.FAIL,
        text_key="device_battery",
        value=8,
        unit="%",
        limit=20,
        bound=Bound.LEAST,
        next_key="change_battery",
        params={"device": "pendant-1"},
    )


def test_a_result_comes_back_as_it_was_written_through_cbor_and_json() -> None:
    written = result(
        line(value=0.25, unit="s", limit=2, found_key="clock_agrees"),
        flat_battery(),
        line("uplink.main", Outcome.UNKNOWN, text_key="uplink"),
    )
    by_wire = canonical.loads(canonical.dumps(written.to_plain()))
    assert HealthResult.from_plain(by_wire) == written
    assert HealthResult.from_plain(json.loads(json.dumps(written.to_plain()))) == written
    assert by_wire["version"] == 1
    assert by_wire["result"] == "fail"


def test_nothing_looked_at_is_unknown_and_never_good() -> None:
    assert worst([]) is Outcome.UNKNOWN
    assert HealthResult.from_plain({"version": 1, "started_ms": 1, "took_ms": 1, "lines": []}).outcome is (
        Outcome.UNKNOWN
    )


def test_the_worst_line_names_the_outcome() -> None:
    lines = [line("a"), line("b", Outcome.UNKNOWN), line("c", Outcome.WARN), line("d", Outcome.FAIL)]
    assert [worst(lines[:count]) for count in (1, 2, 3, 4)] == [
        Outcome.OK,
        Outcome.UNKNOWN,
        Outcome.WARN,
        Outcome.FAIL,
    ]
    assert [one.id for one in deviations_first(lines)] == ["d", "c", "b", "a"]
    assert tally(lines) == dict.fromkeys(Outcome, 1)


@pytest.mark.parametrize("word", ["fine", "OK", "", None, True, 1, ["ok"]])
def test_an_outcome_of_another_version_counts_as_unknown(word: object) -> None:
    read = HealthLine.from_plain({"id": "x", "result": word, "text_key": "clock"})
    assert read.result is Outcome.UNKNOWN
    assert read.next_key == "ask_again"


def test_what_a_newer_hub_adds_is_passed_over() -> None:
    plain = result(line()).to_plain() | {"mood": "good"}
    plain["lines"][0] |= {"colour": "green", "value": {"nested": 1}}
    read = HealthResult.from_plain(plain)
    assert read.lines[0].result is Outcome.OK
    assert read.lines[0].value is None


def test_two_lines_of_one_name_are_neither_written_nor_read() -> None:
    with pytest.raises(ValueError, match="same id"):
        result(line(), line()).to_plain()
    plain = result(line()).to_plain()
    plain["lines"].append({"id": "clock", "result": "fail"})
    with pytest.raises(MalformedError):
        HealthResult.from_plain(plain)


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "Clock"},
        {"id": "a..b"},
        {"id": "x" * 200},
        {"text_key": "two words"},
        {"unit": "miles per hour"},
        {"value": float("nan")},
        {"value": [1]},
        {"params": {"driver": object()}},
        {"params": {f"p{n}": n for n in range(13)}},
        {"result": Outcome.WARN, "next_key": ""},
    ],
)
def test_the_writer_refuses_what_could_not_be_read_back(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        replace(line(value=1.0, unit="s"), **changes)


def test_a_refusal_of_the_hub_is_told_with_its_reason() -> None:
    with pytest.raises(MalformedError, match="came too late"):
        HealthResult.from_plain({"error": {"reason": "expired", "detail": "the command came too late"}})


def test_a_result_too_long_for_a_message_keeps_its_deviations_and_says_what_it_left_out() -> None:
    many = [line(f"device.d-{n}.heard", params={"device": f"d-{n}" * 12}) for n in range(900)]
    broken = line("driver.panel", Outcome.FAIL, text_key="driver")
    plain = result(*many, broken).to_plain()
    assert len(canonical.dumps(plain)) <= MAX_BYTES
    read = HealthResult.from_plain(plain)
    assert read.line("driver.panel") is not None
    assert read.left_out == 901 - len(read.lines) > 0
    assert read.outcome is Outcome.FAIL


def test_no_more_lines_are_read_than_a_hub_writes() -> None:
    plain = {"started_ms": 1, "took_ms": 1, "lines": [{"id": f"a{n}", "result": "ok"} for n in range(MAX_LINES + 1)]}
    with pytest.raises(MalformedError):
        HealthResult.from_plain(plain)
    lines = [line(f"a{n}") for n in range(MAX_LINES + 5)]
    assert len(result(*lines).to_plain()["lines"]) <= MAX_LINES


def test_the_next_check_expects_what_the_last_one_found() -> None:
    last = result(line("software", value="vaktpost 0.1.0"), line("settings", value="abc123"))
    assert expectation(last) == {"expected_software": "vaktpost 0.1.0", "expected_config": "abc123"}
    assert expectation(None) == {}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=6),
    max_leaves=20,
)
LINE = st.fixed_dictionaries(
    {"id": st.sampled_from(["a", "uplink.main", "device.x.heard", "A b", ""]) | JSON},
    optional={
        key: JSON | st.text(max_size=10)
        for key in ("result", "value", "unit", "limit", "bound", "text_key", "found_key", "next_key", "params")
    },
)


@given(
    JSON
    | st.fixed_dictionaries(
        {"started_ms": st.integers(0, 10**13), "took_ms": st.integers(0, 9999), "lines": st.lists(LINE, max_size=4)}
    )
)
def test_whatever_comes_is_read_as_a_result_or_refused(plain: Any) -> None:
    try:
        read = HealthResult.from_plain(plain)
    except MalformedError:
        return
    again = read.to_plain()
    assert HealthResult.from_plain(again) == read
    for language in LANGUAGES:
        assert render(read, HealthWords(language), last={})


# the words


def test_every_text_is_there_in_both_languages_with_the_same_places() -> None:
    for key, entry in texts().items():
        assert set(entry) == set(LANGUAGES), key
        places = [set(re.findall(r"\{(\w+)\}", entry[language])) for language in LANGUAGES]
        assert places[0] == places[1], key


def test_a_line_reads_as_a_person_would_say_it() -> None:
    battery = flat_battery()
    norwegian, english = HealthWords("nb"), HealthWords("en")
    assert norwegian.what(battery) == "pendant-1: batteri"
    assert norwegian.limit(battery) == "minst 20 %"
    assert english.limit(battery) == "at least 20 %"
    assert norwegian.next_step(battery) == "Bytt batteri ved neste besøk."


@pytest.mark.parametrize(
    ("value", "unit", "norwegian", "english"),
    [
        (11.25, "ms", "11,25 ms", "11.25 ms"),
        (1234.5, "ms", "1234 ms", "1234 ms"),
        (-88, "dBm", f"{MINUS}88 dBm", f"{MINUS}88 dBm"),
        (0.25, "s", "0,2 s", "0.2 s"),
        (41.0, "s", "41 s", "41 s"),
        (400, "s", "6 min", "6 min"),
        (-7200.0, "s", f"{MINUS}2 t", f"{MINUS}2 h"),
        (93_600, "s", "26 t", "26 h"),
        (34, "d", "34 døgn", "34 d"),
        (41.5, "C", "41,5 °C", "41.5 °C"),
        (None, "ms", "\N{EN DASH}", "\N{EN DASH}"),
        ("9f2c", "", "9f2c", "9f2c"),
    ],
)
def test_values_carry_their_unit(value: Any, unit: str, norwegian: str, english: str) -> None:
    assert HealthWords("nb").amount(value, unit) == norwegian
    assert HealthWords("en").amount(value, unit) == english


def test_a_line_of_a_newer_hub_goes_by_its_id_and_still_says_what_to_do() -> None:
    strange = line("radar.north", Outcome.WARN, text_key="radar", found_key="echo", next_key="tilt_radar")
    words = HealthWords("en")
    assert words.what(strange) == "radar.north"
    assert words.next_step(strange)


def test_the_table_shows_deviations_first_and_says_a_shared_next_step_once() -> None:
    silent = [
        line(
            f"device.room-{n}.heard",
            Outcome.UNKNOWN,
            text_key="device_heard",
            found_key="driver_down",
            next_key="mend_driver",
            params={"device": f"room-{n}", "driver": "panel"},
        )
        for n in (1, 2, 3)
    ]
    down = line(
        "driver.panel",
        Outcome.FAIL,
        text_key="driver",
        found_key="link_down",
        next_key="check_espa",
        params={"driver": "panel", "reason": "line_lost"},
    )
    said = render(result(line(value=0.1, unit="s"), *silent, down), HealthWords("en"), width=100)
    rows = said.splitlines()
    assert [row.split()[1] for row in rows if row[:1] in {"X", "!", "?"}] == ["Fault"] + ["Unknown"] * 3
    assert "the line is cut" in said
    assert said.count("Mend panel first.") == 1
    assert said.index("Driver panel") < said.index("room-1") < said.index("Clock")
