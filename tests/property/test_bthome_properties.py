"""Any bytes at all may come out of the air."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from hypothesis import given
from hypothesis import strategies as st

from drivers.ble import PLUGIN
from drivers.ble.codec import MAX_LENGTH, Frame, Refusal, Refused, decode
from drivers.ble.device import Device, Tally
from drivers.contract import Fact
from simulators.bthome_device import BTHomeDevice, SimulatedPendant

MAC = "54:48:E6:8F:80:A5"
ADDRESS = bytes.fromhex(MAC.replace(":", ""))
KEY = bytes.fromhex("231d39c1d7cc1ab1aee224cd096db932")
CIPHER = AESCCM(KEY, tag_length=4)

looks_like_bthome = st.builds(
    lambda info, rest: bytes([info]) + rest,
    st.sampled_from([0x40, 0x41, 0x42, 0x43, 0x44, 0x45]),
    st.binary(max_size=64),
)
anything = st.one_of(st.binary(max_size=300), looks_like_bthome)
readings = st.lists(
    st.one_of(
        st.tuples(st.sampled_from([0x1A, 0x20, 0x21, 0x29, 0x2B]), st.sampled_from([b"\x00", b"\x01"])),
        st.tuples(st.sampled_from([0x02, 0x03, 0x0C]), st.binary(min_size=2, max_size=2)),
        st.tuples(st.just(0x3A), st.sampled_from([b"\x00", b"\x01", b"\x04", b"\x80"])),
    ),
    max_size=6,
)


def _device(key: bytes | None) -> tuple[Device, dict[str, object]]:
    rules = PLUGIN.settings.model_validate({"devices": [{"alias": "pendant", "address": MAC}]})
    diagnostics: dict[str, object] = {}
    device = Device(
        rules.devices[0],
        rules,
        key=key,
        boot_id="this-start",
        started_boot_s=0.0,
        remembered=lambda _: None,
        tally=Tally(diagnostics),
        log=structlog.get_logger(),
    )
    return device, diagnostics


@given(anything, st.sampled_from([None, CIPHER]))
def test_no_bytes_make_the_decoder_raise_or_grow(said: bytes, cipher: AESCCM | None) -> None:
    decoded = decode(said, address=ADDRESS, cipher=cipher)
    if isinstance(decoded, Frame):
        assert len(said) <= MAX_LENGTH
        assert len(decoded.readings) + len(decoded.presses) <= len(said) // 2
        assert all(isinstance(each.fact, Fact) for each in decoded.readings)
    else:
        assert isinstance(decoded.reason, Refusal)


@given(anything)
def test_without_the_key_nothing_is_believed_of_a_device_that_has_one(said: bytes) -> None:
    assert isinstance(decode(said, address=ADDRESS, cipher=CIPHER), Refused)


@given(readings, st.sampled_from([None, KEY]), st.integers(0, 2**32 - 2))
def test_what_a_device_says_is_what_is_read(said: list[tuple[int, bytes]], key: bytes | None, counter: int) -> None:
    spoken = BTHomeDevice(MAC, key, counter=counter, packet_id=254)
    data = spoken.service_data(*(bytes([object_id]) + value for object_id, value in said))
    frame = decode(data, address=ADDRESS, cipher=CIPHER if key else None)
    assert isinstance(frame, Frame)
    assert frame.packet_id == 255
    assert frame.counter == (None if key is None else counter + 1)
    assert len(frame.presses) == sum(object_id == 0x3A and value != b"\x00" for object_id, value in said)
    told = sorted(each.object_id for each in frame.readings if each.fact is not Fact.BATTERY)
    assert told == sorted(object_id for object_id, _value in said if object_id not in {0x3A, 0x0C})


@given(readings, st.integers(0, 200), st.integers(0, 7))
def test_a_frame_with_one_bit_turned_is_never_authentic(said: list[tuple[int, bytes]], place: int, bit: int) -> None:
    data = bytearray(BTHomeDevice(MAC, KEY).service_data(*(bytes([each]) + value for each, value in said)))
    data[place % len(data)] ^= 1 << bit
    assert isinstance(decode(bytes(data), address=ADDRESS, cipher=CIPHER), Refused)


@given(st.lists(anything, max_size=30), st.sampled_from([None, KEY]))
def test_a_device_takes_any_junk_and_still_hears_the_press_after_it(junk: list[bytes], key: bytes | None) -> None:
    device, _diagnostics = _device(key)
    for at, said in enumerate(junk):
        device.hear(said, -60, 100.0 + at)
    pressed = device.hear(SimulatedPendant(MAC, key, counter=1, packet_id=7).press_data("triple"), -60, 1000.0)
    assert [each.value for each in pressed if each.fact is Fact.BUTTON] == ["triple"]


orders = st.lists(st.tuples(st.integers(0, 11), st.floats(0.0, 3.0)), max_size=60)


@given(orders, st.sampled_from([KEY, None]))
def test_in_any_order_of_copies_every_press_is_told_and_none_twice_while_its_copies_last(
    order: list[tuple[int, float]], key: bytes | None
) -> None:
    """A radio may lose, repeat and mix up what was sent within half a minute; what is told is what was pressed."""
    device, _diagnostics = _device(key)
    pendant = SimulatedPendant(MAC, key, counter=100)
    sent = [pendant.press_data() for _ in range(12)]
    told: list[int] = []
    now_s, newest = 0.0, -1
    for drawn, wait_s in order:
        # A press cannot be heard before it was made; older ones may still be on the air.
        nth = min(drawn, newest + 1)
        newest = max(newest, nth)
        now_s = min(now_s + wait_s / 10, 4.9)
        told += [nth for each in device.hear(sent[nth], -60, now_s) if each.fact is Fact.BUTTON]
    assert told == list(range(newest + 1))


def refusing(reason: Refusal) -> Callable[[Frame | Refused], bool]:
    return lambda decoded: isinstance(decoded, Refused) and decoded.reason is reason


@given(st.binary(max_size=40))
def test_a_plain_frame_of_a_keyed_device_is_named_as_plaintext(rest: bytes) -> None:
    assert refusing(Refusal.PLAINTEXT)(decode(b"\x44" + rest, address=ADDRESS, cipher=CIPHER))
