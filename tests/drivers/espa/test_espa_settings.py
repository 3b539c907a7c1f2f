import re
import time
from typing import Any

import pytest
from pydantic import ValidationError

from drivers.espa.pattern import compile_pattern
from drivers.espa.settings import EspaSettings, network_address

GOOD: dict[str, Any] = {"alias": "panel", "port": "/dev/ttyUSB0"}


def refusal(**settings: Any) -> str:
    with pytest.raises(ValidationError) as raised:
        EspaSettings.model_validate({**GOOD, **settings})
    return str(raised.value)


def test_the_defaults_are_what_most_panels_are_set_to() -> None:
    made = EspaSettings.model_validate(GOOD)
    assert (made.baudrate, made.bytesize, made.parity, made.stopbits, made.station) == (9600, 8, "none", 1, "2")
    assert (made.poll_timeout_s, made.confirm_timeout_s) == (30.0, 2.0)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"baud": 9600}, "baud"),
        ({"port": "ttyUSB0"}, "neither a device path"),
        ({"port": "socket://panel"}, r'should look like "socket://192.0.2.10:4001"'),
        ({"port": "socket://panel:x"}, "should look like"),
        ({"port": "listen://0.0.0.0:4001/x"}, "should look like"),
        ({"station": "10"}, "station"),
        ({"baudrate": 9601}, "9600"),
        ({"charset": "latin-1", "bytesize": 7}, "needs eight data bits"),
        ({"charset": "cp865", "strip_high_bit": True}, "needs eight data bits"),
        ({"allow_from": ["192.0.2.1"]}, "belongs to a listen:// port"),
        ({"mapping": [{"text": "(", "value": "call"}]}, "is not a regular expression"),
        ({"mapping": [{"text": "(a+)+$", "value": "call"}]}, "use a character class"),
        ({"mapping": [{"text": ".*.*.*.*x", "value": "call"}]}, "too many ways"),
        ({"mapping": [{"text": "x", "value": "alarm"}]}, "'emergency'"),
        (
            {"mapping": [{"text": "x", "value": "call", "device": "room-{room}"}]},
            r"\{room\}, which text and address do not",
        ),
        ({"mapping": [{"text": "x", "value": "call", "device": "room-{"}]}, "brace that belongs to no group"),
        ({"mapping": [{"text": "(?P<a>x)", "address": "(?P<a>y)", "value": "call"}]}, "both name a group 'a'"),
        ({"mapping": [{"text": "(?P<unmapped>x)", "value": "call"}]}, "choose another name"),
        ({"mapping": [{"priority": "3", "value": "ignore"}]}, "would swallow real calls"),
        ({"mapping": [{"text": "x", "value": "call", "room": "1"}]}, "mapping.0.room"),
    ],
)
def test_a_wrong_setting_is_refused_in_words(settings: dict[str, Any], words: str) -> None:
    assert re.search(words, refusal(**settings))


@pytest.mark.parametrize(
    "port", ["/dev/serial/by-id/x", "socket://192.0.2.10:4001", "listen://[::]:4001", "socket://[::1]:1"]
)
def test_a_port_is_a_device_or_an_address(port: str) -> None:
    assert EspaSettings.model_validate({**GOOD, "port": port}).port == port


def test_a_network_address_is_taken_apart() -> None:
    assert network_address("listen://[::1]:4001") == ("::1", 4001)


def test_numbers_are_understood_where_a_character_is_meant() -> None:
    made = EspaSettings.model_validate(
        {**GOOD, "station": 3, "mapping": [{"call_type": 1, "priority": [1, "2"], "value": "reset"}]}
    )
    assert made.station == "3"
    assert made.mapping[0].call_type == ("1",)
    assert made.mapping[0].priority == ("1", "2")


@pytest.mark.parametrize(
    "pattern",
    [
        r"^(?P<kind>CALL|EMERGENCY) ROOM (?P<room>\d+)$",
        r"(?i)rom\s*(?P<room>\w{1,8})(?:\s+seng\s?(?P<bed>\d))?",
        r"(?:ROM|ROOM)? ?(?P<room>[0-9A-F]+)",
        r"[]a)(]+\(x\)",
        r"(?=A)(?>A{2,})",
        r"{}\d{2}",
    ],
)
def test_the_patterns_that_installations_need_are_admitted(pattern: str) -> None:
    assert compile_pattern(pattern).pattern == pattern


@pytest.mark.parametrize(
    "pattern",
    [
        r"(a+)+$",
        r"(a*)*b",
        r"(a|a)*b",
        r"(a|aa)+$",
        r"((ab)*c?)*d",
        r"(?:\w+\s?)*$",
        r"(a?){30}",
        r"(?P<x>.*?,){9}P",
    ],
)
def test_the_patterns_that_can_take_for_ever_are_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="character class"):
        compile_pattern(pattern)


@pytest.mark.parametrize("pattern", [r"(?x) a b", r"(?#note)a", r"(a)?(?(1)b|c)"])
def test_what_cannot_be_judged_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="not supported here"):
        compile_pattern(pattern)


@pytest.mark.parametrize("pattern", [r"\w*\w*\w*!", r"^(?P<a>.*)(?P<b>.*)(?P<c>.*)!", r".+?a?.+?a?.+?!"])
def test_the_worst_that_is_admitted_is_still_quick(pattern: str) -> None:
    compiled = compile_pattern(pattern)
    began_s = time.thread_time()
    assert compiled.search("a" * 128) is None
    assert time.thread_time() - began_s < 5.0
