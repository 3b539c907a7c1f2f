"""Any bytes on the wire are read or refused; nothing else happens, and nothing grows."""

from __future__ import annotations

import contextlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from cloud_sync import canonical, central_messages, enrolment, epoch, frames, hub_messages, record, stub
from cloud_sync.errors import MalformedError, WireError
from cloud_sync.identity import EventId, Lane
from cloud_sync.ranges import SeqRanges
from cloud_sync.seal import EpochKey
from cloud_sync.trust import EnrolmentCode, TrustBundle
from cloud_sync.vocabulary import KINDS, Event, Stamp

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
HUB = bytes.fromhex("0102030405060708")
EPOCH = bytes.fromhex("1112131415161718")

readers = st.sampled_from(
    [
        record.parse_record,
        record.record_id,
        frames.split,
        lambda data: stub.open_stub(data, KEY.public_key()),
        stub.peek,
        lambda data: epoch.open_header(data, KEY.public_key()),
        TrustBundle.read,
        enrolment.Claim.read,
        lambda data: Event.from_bytes(data, Stamp(boot_ms=0, wall_ms=0, is_wall_trusted=False)),
        lambda data: frames.FrameStream().feed(data),
    ]
)


@given(readers, st.binary(max_size=600))
def test_any_bytes_are_read_or_refused(reader, data):
    with contextlib.suppress(WireError):
        reader(data)


cbor_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.binary(max_size=40)
    | st.text(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.integers(0, 20) | st.text(max_size=3), inner, max_size=8)
    ),
    max_leaves=25,
)
messages = st.sampled_from(
    [
        hub_messages.Envelope,
        hub_messages.Heartbeat,
        hub_messages.LampReport,
        hub_messages.CommandResult,
        central_messages.Receipt,
        central_messages.HeartbeatAnswer,
        central_messages.Reply,
        central_messages.Command,
    ]
)


@given(messages, st.dictionaries(st.integers(0, 20), cbor_values, max_size=10))
def test_any_signed_body_is_read_or_refused(message, body):
    with contextlib.suppress(WireError):
        message.read(body)


@given(st.binary(max_size=300))
def test_the_cbor_reader_refuses_or_returns_and_never_leaks_another_error(data):
    with contextlib.suppress(MalformedError):
        canonical.loads(data)


@pytest.mark.parametrize(
    "bomb", ["81" * 5000, "9bffffffffffffffff", "5bffffffffffffffff", "c24b" + "ff" * 11, "bf0001ff"]
)
def test_cbor_bombs_are_refused(bomb):
    with pytest.raises(MalformedError):
        canonical.loads(bytes.fromhex(bomb))


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=8), st.data())
def test_a_stream_of_frames_survives_any_chunking(sent, data):
    stream = frames.join(sent) + frames.KEEP_ALIVE
    cut = frames.FrameStream()
    got: list[bytes] = []
    at = 0
    while at < len(stream):
        step = data.draw(st.integers(1, len(stream) - at))
        got += cut.feed(stream[at : at + step])
        at += step
    assert got == sent
    assert cut.is_whole


def test_a_frame_length_out_of_bounds_is_refused_before_anything_is_allocated():
    with pytest.raises(MalformedError, match="frame_length"):
        frames.FrameStream().feed(b"\xff\xff\xff\xff")


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 10)), max_size=30))
def test_ranges_behave_like_the_set_they_stand_for(pairs):
    ranges, model = SeqRanges(), set()
    for first, length in pairs:
        ranges.add(first, first + length)
        model |= set(range(first, first + length + 1))
    assert {n for first, last in ranges for n in range(first, last + 1)} == model
    assert len(ranges) == len(model)
    assert ranges.high == next((n - 1 for n in range(1, 100) if n not in model), 0)
    assert all((n in ranges) == (n in model) for n in range(1, 80))
    holes = {n for first, last in ranges.missing(75) for n in range(first, last + 1)}
    assert holes == set(range(1, 76)) - model
    flat = [edge for pair in ranges for edge in pair]
    assert flat == sorted(flat)
    assert SeqRanges(ranges.beyond()) == SeqRanges([p for p in ranges if p[0] > max(ranges.high, 0)])


@given(st.lists(st.integers(1, 3000), max_size=60))
def test_the_replay_window_lets_each_number_through_once(numbers):
    window, seen, high = frames.ReplayWindow(), set(), 0
    for number in numbers:
        expected = number not in seen and number > high - frames.ReplayWindow.SIZE
        assert window.accept(number) is expected
        seen.add(number)
        high = max(high, number)
        window = frames.ReplayWindow.from_bytes(window.to_bytes())


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=60)
)
stamps = st.builds(Stamp, boot_ms=st.integers(0, 2**60), wall_ms=st.integers(0, 2**60), is_wall_trusted=st.booleans())
events = st.builds(
    Event,
    kind=st.sampled_from(KINDS),
    stamp=stamps,
    device=st.from_regex(r"[a-z0-9][a-z0-9-]{0,15}", fullmatch=True),
    resident=st.none() | st.just("r-7f3a90"),
    value=scalars,
    details=st.dictionaries(st.text(min_size=1, max_size=12), scalars, max_size=4),
    device_time_ms=st.none() | st.integers(0, 2**50),
    rule=st.none() | st.text(max_size=20),
    count=st.integers(1, 10**6),
)


@given(events, st.sampled_from(Lane), st.integers(1, 2**62))
def test_a_sealed_event_opens_to_itself(event, lane, seq):
    key = EpochKey(bytes(32))
    raw = record.seal_record(EventId(HUB, EPOCH, lane, seq), event, key)
    parsed = record.parse_record(raw)
    assert parsed.id == EventId(HUB, EPOCH, lane, seq) == record.record_id(raw)
    assert parsed.open(key) == event


@given(events, st.data())
def test_one_changed_byte_never_opens(event, data):
    key = EpochKey(bytes(32))
    raw = bytearray(record.seal_record(EventId(HUB, EPOCH, Lane.ALARM, 7), event, key))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(WireError):
        record.parse_record(bytes(raw)).open(key)


@given(st.lists(st.binary(max_size=64), min_size=1, max_size=5), events)
def test_records_are_carved_out_of_any_rubble(rubble, event):
    key = EpochKey(bytes(32))
    raws = [record.seal_record(EventId(HUB, EPOCH, Lane.CARE, seq), event, key) for seq in range(1, len(rubble) + 1)]
    data = b"".join(junk + raw for junk, raw in zip(rubble, raws, strict=True)) + raws[0][:-3]
    assert [found.raw for found in record.carve(data)] == raws


@given(st.binary(min_size=32, max_size=32))
def test_an_enrolment_code_survives_being_typed(root):
    code = EnrolmentCode.generate(root)
    assert EnrolmentCode.parse(str(code).lower().replace("-", " ").replace("o", "0").replace("i", "1")) == code


@given(st.integers(0, 39), st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"))
def test_one_wrong_character_in_a_code_is_noticed(at, letter):
    text = str(EnrolmentCode(bytes(7), bytes(range(16)))).replace("-", "")
    wrong = text[:at] + letter + text[at + 1 :]
    if wrong != text:
        with pytest.raises(MalformedError):
            assert EnrolmentCode.parse(wrong) == EnrolmentCode(bytes(7), bytes(range(16)))


@given(st.text(max_size=60))
def test_any_text_is_a_code_or_refused(text):
    with contextlib.suppress(MalformedError):
        EnrolmentCode.parse(text)


plain_values = st.one_of(st.integers(0, 2**64 - 1), st.booleans(), st.binary(max_size=80))


@given(st.dictionaries(st.integers(0, 300), plain_values, max_size=8))
def test_a_plain_map_is_written_the_same_on_the_quick_way(fields):
    rising = dict(sorted(fields.items()))
    assert canonical.dumps_plain(rising) == canonical.dumps(rising)
