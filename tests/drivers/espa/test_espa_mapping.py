from typing import Any

import pytest

from drivers.espa.codec import Block
from drivers.espa.mapping import MappingTable, Meaning, make_alias
from drivers.espa.settings import EspaSettings


def block(text: str = "", *, address: str = "550", call_type: str = "3", priority: str = "3") -> Block:
    fields = (("1", address), ("2", text), ("4", call_type), ("6", priority))
    records = tuple((name, value.encode("latin-1")) for name, value in fields if value)
    return Block(header="1", records=records, raw=b"1\x02\x03")


def meaning(seen: Block, *rules: dict[str, Any], **settings: Any) -> Meaning:
    made = EspaSettings.model_validate({"alias": "panel", "port": "/dev/ttyS0", "mapping": list(rules), **settings})
    return MappingTable(made).meaning(seen)


def test_the_first_rule_that_fits_decides() -> None:
    seen = meaning(
        block("ANROP ROM 12", priority="1"),
        {"text": "^ALARM", "value": "emergency"},
        {"priority": 1, "text": r"ROM (?P<room>\d+)", "value": "assistance", "device": "room-{room}"},
        {"text": "ROM", "value": "call"},
    )
    assert (seen.value, seen.device) == ("assistance", "room-12")
    assert seen.details == {
        "header": "1",
        "call_address": "550",
        "call_type": "3",
        "priority": "1",
        "rule": 2,
        "room": "12",
    }


@pytest.mark.parametrize(
    "condition", [{"call_type": "2"}, {"priority": [1, 2]}, {"header": "2"}, {"address": "^551$"}, {"text": "FALL"}]
)
def test_every_condition_of_a_rule_must_hold(condition: dict[str, Any]) -> None:
    assert meaning(block("ANROP"), {"text": "ANROP", **condition, "value": "emergency"}).details["unmapped"] is True


def test_the_call_address_can_name_the_room() -> None:
    seen = meaning(
        block("ANROP", address="0217"), {"address": r"^02(?P<bed>\d\d)$", "value": "call", "device": "bed-{bed}"}
    )
    assert (seen.device, seen.details["bed"]) == ("bed-17", "17")


def test_a_block_that_no_rule_fits_is_a_call_from_the_panel_with_its_text() -> None:
    seen = meaning(block("HJELP 7"), {"text": "ANROP", "value": "call"})
    assert (seen.value, seen.device) == ("call", "panel")
    assert seen.details["unmapped"] is True
    assert seen.details["text"] == "HJELP 7"


def test_a_block_without_any_record_is_a_call_too() -> None:
    seen = meaning(Block(header="5", records=(), raw=b"5\x02\x03"))
    assert (seen.value, seen.details) == ("call", {"header": "5", "unmapped": True, "text": ""})


def test_a_room_that_cannot_be_named_falls_back_to_the_panel_and_keeps_the_text() -> None:
    rule = {"text": r"ROM ?(?P<room>\d*)", "value": "emergency", "device": "room-{room}"}
    seen = meaning(block("ALARM ROM "), rule)
    assert (seen.value, seen.device, seen.details["text"]) == ("emergency", "panel", "ALARM ROM")


def test_a_mapped_block_does_not_carry_its_text() -> None:
    rule = {"text": r"ROM (?P<room>\d+)", "value": "call", "device": "room-{room}"}
    assert "text" not in meaning(block("SECOND NORDMANN ROM 4"), rule).details


def test_norwegian_letters_in_seven_bits_are_read_and_make_an_alias() -> None:
    rule = {"text": r"^NØDSTRØM (?P<room>\w+)", "value": "call", "device": "{room}"}
    seen = meaning(block("N\\DSTR\\M B]T{"), rule | {"text": r"^NØDSTRØM (?P<room>\S+)"}, charset="iso646-no")
    assert (seen.device, seen.details["room"]) == ("baatae", "BÅTæ")


@pytest.mark.parametrize(
    ("text", "alias"),
    [
        ("room-101", "room-101"),
        ("Room 1.01 / Bed B", "room-1-01-bed-b"),
        ("--", None),
        ("", None),
        ("Ærøy Å", "aeroey-aa"),
    ],
)
def test_an_alias_is_made_of_what_a_panel_writes(text: str, alias: str | None) -> None:
    assert make_alias(text) == alias


def test_two_long_names_never_meet_in_one_alias() -> None:
    first, second = make_alias("room-sunnsiden-vest-1"), make_alias("room-sunnsiden-vest-2")
    assert first is not None
    assert second is not None
    assert first != second
    assert len(first) <= 16
