import json
from pathlib import Path
from typing import Any

import pytest

from drivers.espa.codec import (
    BLOCK_LIMIT,
    GAP_S,
    Damaged,
    Delivered,
    Elsewhere,
    Ended,
    Fragment,
    Heard,
    Overheard,
    Polled,
    Selected,
    Slave,
    checksum,
)

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "espa.json").read_text(encoding="utf-8"))
BLOCK = bytes.fromhex(GOLDEN["blocks"][0]["octets"])
SELECT = b"\x041\x052\x05"


def named(cases: list[dict[str, Any]]) -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in cases]


def deliveries(heard: list[Heard]) -> list[Delivered]:
    return [one for one in heard if isinstance(one, Delivered)]


@pytest.mark.parametrize("case", named(GOLDEN["blocks"]))
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_golden_block_is_read_whatever_its_chunks(case: dict[str, Any], size: int) -> None:
    octets = bytes.fromhex(case["octets"])
    slave = Slave()
    heard: list[Heard] = []
    for start in range(0, len(octets), size):
        heard += slave.feed(octets[start : start + size], 0.0)
    (delivered,) = deliveries(heard)
    assert len(heard) == 1
    assert delivered.block.header == case["header"]
    assert dict(delivered.block.records) == {name: bytes.fromhex(text) for name, text in case["records"].items()}
    assert f"{checksum(delivered.block.raw):02x}" == case["bcc"]


@pytest.mark.parametrize("case", named(GOLDEN["talks"]))
def test_a_golden_talk_is_answered_as_written(case: dict[str, Any]) -> None:
    slave = Slave()
    said = b""
    owed: Delivered | None = None
    for kind, text in case["steps"]:
        if kind == "hears":
            for heard in slave.feed(bytes.fromhex(text), 0.0):
                said += heard.reply
                owed = heard if isinstance(heard, Delivered) else owed
        elif kind == "delivered":
            assert owed is not None
            said += slave.answer(owed.number, is_accepted=text == "accept")
            owed = None
        else:
            assert said == bytes.fromhex(text)
            said = b""
    assert said == b""
    assert owed is None


def test_a_block_is_not_answered_before_somebody_says_so() -> None:
    slave = Slave()
    (delivered,) = slave.feed(BLOCK, 0.0)
    assert delivered.reply == b""
    assert isinstance(delivered, Delivered)
    assert slave.answer(delivered.number, is_accepted=True) == b"\x06"
    assert slave.answer(delivered.number, is_accepted=True) == b""


@pytest.mark.parametrize("said", [b"\x04", b"2\x05", b"\x01"], ids=["EOT", "ENQ", "SOH"])
def test_an_answer_is_void_once_the_master_has_gone_on(said: bytes) -> None:
    slave = Slave()
    (delivered,) = deliveries(slave.feed(BLOCK, 0.0))
    slave.feed(said, 0.0)
    assert slave.answer(delivered.number, is_accepted=True) == b""


def test_an_old_answer_does_not_fit_a_new_block_nor_a_new_line() -> None:
    slave = Slave()
    (first,) = deliveries(slave.feed(BLOCK, 0.0))
    (second,) = deliveries(slave.feed(BLOCK, 0.0))
    assert slave.answer(first.number, is_accepted=True) == b""
    slave.restart()
    (third,) = deliveries(slave.feed(BLOCK, 0.0))
    assert slave.answer(second.number, is_accepted=True) == b""
    assert slave.answer(third.number, is_accepted=True) == b"\x06"


def test_noise_between_block_and_answer_does_not_void_the_answer() -> None:
    slave = Slave()
    (delivered,) = deliveries(slave.feed(BLOCK, 0.0))
    slave.feed(b"\xff\x00x", 0.0)
    assert slave.answer(delivered.number, is_accepted=True) == b"\x06"


def test_every_single_bit_error_in_a_block_is_refused_or_leaves_no_block() -> None:
    for place in range(len(BLOCK)):
        for bit in range(7):
            damaged = bytearray(BLOCK)
            damaged[place] ^= 1 << bit
            slave = Slave()
            slave.feed(SELECT, 0.0)
            assert deliveries(slave.feed(bytes(damaged), 0.0)) == []
            repeat = deliveries(slave.feed(b"\x04" + SELECT + BLOCK, 5.0))
            assert len(repeat) == 1, f"deaf after byte {place}, bit {bit}"


def test_the_last_byte_of_a_damaged_block_may_begin_the_next() -> None:
    body = BLOCK[:-1]
    heard = Slave().feed(body + BLOCK, 0.0)
    assert [type(one) for one in heard] == [Damaged, Delivered]
    heard = Slave().feed(body + b"\x04" + b"2\x05", 0.0)
    assert [type(one) for one in heard] == [Damaged, Ended, Polled]


def test_a_block_that_never_ends_is_given_up_and_the_next_one_is_read() -> None:
    slave = Slave()
    heard = slave.feed(b"\x011\x02" + b"x" * (3 * BLOCK_LIMIT), 0.0)
    assert [type(one) for one in heard] == [Fragment]
    assert not slave.is_mid_block
    assert len(deliveries(slave.feed(BLOCK, 0.0))) == 1


def test_a_block_that_breaks_off_is_dropped_after_a_gap() -> None:
    slave = Slave()
    slave.feed(BLOCK[:-1], 0.0)
    assert [type(one) for one in slave.feed(b"2\x05", GAP_S + 0.1)] == [Fragment, Polled]
    slave.feed(BLOCK[:-1], 10.0)
    assert [type(one) for one in slave.feed(BLOCK[-1:], 10.0 + GAP_S)] == [Delivered]


def test_another_stations_block_gets_no_answer_from_us_even_when_damaged() -> None:
    slave = Slave()
    heard = slave.feed(b"\x041\x053\x05", 0.0)
    assert [type(one) for one in heard] == [Ended, Elsewhere, Elsewhere]
    damaged = BLOCK[:-1] + bytes([BLOCK[-1] ^ 1])
    heard = slave.feed(damaged + BLOCK, 0.0)
    assert [type(one) for one in heard] == [Fragment, Overheard]
    assert all(one.reply == b"" for one in heard)


def test_the_station_is_a_setting() -> None:
    slave = Slave(station="5")
    assert [type(one) for one in slave.feed(b"\x045\x05", 0.0)] == [Ended, Polled]
    assert [type(one) for one in slave.feed(b"\x041\x055\x05", 0.0)] == [Ended, Elsewhere, Selected]
    assert [type(one) for one in slave.feed(b"\x042\x05", 0.0)] == [Ended, Elsewhere]


def test_parity_left_in_bit_seven_is_stripped_when_asked() -> None:
    with_parity = bytes(octet | (0x80 if octet.bit_count() % 2 else 0) for octet in SELECT + BLOCK)
    assert deliveries(Slave().feed(with_parity, 0.0)) == []
    (delivered,) = deliveries(Slave(strip_high_bit=True).feed(with_parity, 0.0))
    assert delivered.block.record("2") == b"CALL ME 101"


def test_after_refusing_a_block_our_address_is_still_a_selection() -> None:
    slave = Slave()
    slave.feed(SELECT, 0.0)
    (delivered,) = deliveries(slave.feed(BLOCK, 0.0))
    assert slave.answer(delivered.number, is_accepted=False) == b"1\x15"
    assert [type(one) for one in slave.feed(b"2\x05", 0.0)] == [Selected]


def test_a_poll_that_may_be_the_second_half_of_a_selection_is_not_sure() -> None:
    slave = Slave()
    assert slave.feed(b"2\x05", 0.0) == [Polled(reply=b"\x04", is_sure=False)]
    assert slave.feed(b"\x042\x05", 0.1)[-1] == Polled(reply=b"\x04", is_sure=True)
    slave.restart()
    assert slave.feed(b"2\x05", 0.2) == [Polled(reply=b"\x04", is_sure=False)]
