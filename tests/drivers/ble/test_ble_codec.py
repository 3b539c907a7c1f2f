"""BTHome vectors, golden ones and those that the simulated devices make."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESCCM

from drivers.ble.codec import Frame, Refused, decode, included_address
from simulators.bthome_device import SimulatedPendant, SimulatedSmokeDetector

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "bthome.json").read_text(encoding="utf-8"))
ADDRESS = bytes.fromhex(GOLDEN["address"].replace(":", ""))


@pytest.mark.parametrize("vector", GOLDEN["vectors"], ids=lambda vector: vector["name"].replace(" ", "_"))
def test_golden_service_data_decodes_as_written_down(vector: dict[str, Any]) -> None:
    cipher = AESCCM(bytes.fromhex(vector["key"]), tag_length=4) if vector["key"] else None
    decoded = decode(bytes.fromhex(vector["service_data"]), address=ADDRESS, cipher=cipher)
    expected = vector["expect"]
    if "refused" in expected:
        assert isinstance(decoded, Refused)
        assert decoded.reason.value == expected["refused"]
        return
    assert isinstance(decoded, Frame)
    assert [[each.fact.value, each.value] for each in decoded.readings] == expected.get("readings", [])
    assert [[each.value, each.nth] for each in decoded.presses] == expected.get("presses", [])
    for name, default in (("packet_id", None), ("counter", None), ("unknown_id", None), ("is_truncated", False)):
        assert getattr(decoded, name) == expected.get(name, default), name


def test_every_golden_vector_says_where_it_is_from() -> None:
    assert all(vector["source"] for vector in GOLDEN["vectors"])


def test_the_simulated_devices_say_what_the_public_format_says() -> None:
    """The encoder of the simulators is held to the same vectors, so that two of our errors cannot agree."""
    by_name = {vector["name"]: vector for vector in GOLDEN["vectors"]}
    pressed, smoke = by_name["a button pressed, encrypted"], by_name["smoke, encrypted"]
    key = bytes.fromhex(pressed["key"])
    pendant = SimulatedPendant(GOLDEN["address"], key, packet_id=6, counter=0)
    assert pendant.press_data().hex() == pressed["service_data"]
    detector = SimulatedSmokeDetector(GOLDEN["address"], key, packet_id=7, counter=1)
    assert detector.service_data(b"\x29\x01").hex() == smoke["service_data"]


def test_the_second_button_of_a_pendant_is_the_second() -> None:
    frame = decode(bytes.fromhex("443a003a04"), address=ADDRESS, cipher=None)
    assert isinstance(frame, Frame)
    assert [(press.nth, press.value) for press in frame.presses] == [(2, "long")]


def test_the_address_inside_is_read_from_the_right_end() -> None:
    assert included_address(bytes.fromhex("42a5808fe6485401641a01")) == ADDRESS
    assert included_address(bytes.fromhex("4001641a01")) is None
    assert included_address(b"\x42\x01") is None
