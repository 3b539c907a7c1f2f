from functools import reduce
from operator import xor

from hypothesis import given
from hypothesis import strategies as st

from drivers.contract import ALIAS
from drivers.espa.charset import TEXT_LIMIT, decode_text
from drivers.espa.codec import BLOCK_LIMIT, Delivered, Heard, Slave
from drivers.espa.mapping import make_alias
from drivers.espa.redelivery import LastBlock, Verdict

# Bytes that mean something here come up far more often than chance would have them.
octets = st.lists(
    st.one_of(st.sampled_from(b"\x01\x02\x03\x04\x05\x06\x15\x1e\x1f12 "), st.integers(0, 255)), max_size=400
).map(bytes)
texts = st.binary(max_size=40).map(
    lambda text: bytes(octet for octet in text if octet not in b"\x01\x03\x04\x05\x1e\x1f")
)
records = st.lists(st.tuples(st.sampled_from("123456789A"), texts), min_size=1, max_size=8)


def encode(header: str, fields: list[tuple[str, bytes]]) -> bytes:
    body = header.encode() + b"\x02" + b"\x1e".join(name.encode() + b"\x1f" + text for name, text in fields) + b"\x03"
    return b"\x01" + body + bytes([reduce(xor, body)])


def cut(whole: bytes, sizes: list[int]) -> list[bytes]:
    chunks, start = [], 0
    for size in sizes:
        chunks.append(whole[start : start + size])
        start += size
    return [*chunks, whole[start:]]


def hear(slave: Slave, chunks: list[bytes]) -> list[Heard]:
    return [heard for chunk in chunks for heard in slave.feed(chunk, 0.0)]


@given(octets, st.booleans())
def test_any_bytes_are_heard_without_harm_and_nothing_grows(noise: bytes, strip: bool) -> None:
    slave = Slave(strip_high_bit=strip)
    hear(slave, [noise])
    assert slave._body is None or len(slave._body) <= BLOCK_LIMIT


@given(octets, st.lists(st.integers(0, 9), max_size=60))
def test_what_is_heard_does_not_depend_on_the_chunks(noise: bytes, sizes: list[int]) -> None:
    assert hear(Slave(), [noise]) == hear(Slave(), cut(noise, sizes))


@given(octets, st.sampled_from("12345"), records)
def test_after_any_noise_the_next_block_is_read(noise: bytes, header: str, fields: list[tuple[str, bytes]]) -> None:
    slave = Slave()
    hear(slave, [noise])
    # Three EOT: one may be eaten as the checksum of a block that broke off, another may end a selection.
    heard = hear(slave, [b"\x04\x04\x04" + b"1\x052\x05" + encode(header, fields)])
    delivered = [one for one in heard if isinstance(one, Delivered)]
    assert [one.block.records for one in delivered[-1:]] == [tuple(fields)]
    assert slave.answer(delivered[-1].number, is_accepted=True) == b"\x06"


@given(st.binary(max_size=600), st.sampled_from(["ascii", "iso646-no", "iso646-se", "latin-1", "cp865", "utf-8"]))
def test_any_text_is_decoded_short_and_printable(raw: bytes, charset: str) -> None:
    text = decode_text(raw, charset)  # type: ignore[arg-type]
    assert len(text) <= TEXT_LIMIT
    assert all(ord(letter) >= 0x20 for letter in text)


@given(st.text(max_size=80))
def test_an_alias_made_of_any_text_is_an_alias_or_nothing(text: str) -> None:
    alias = make_alias(text)
    assert alias is None or ALIAS.match(alias)


moves = st.lists(
    st.one_of(
        st.tuples(st.just("block"), st.sampled_from([b"A", b"B"])),
        st.tuples(st.sampled_from(["confirm", "refuse", "ack", "eot"]), st.just(b"")),
        st.tuples(st.just("wait"), st.sampled_from([b"\x01", b"\x14"])),
    ),
    max_size=40,
)


@given(moves)
def test_a_block_is_only_ever_taken_for_a_repeat_of_the_one_before_it(steps: list[tuple[str, bytes]]) -> None:
    last = LastBlock(boot_id="boot", window_s=15.0)
    now_s = 100.0
    before: bytes | None = None
    confirmed = False
    for move, value in steps:
        if move == "block":
            verdict = last.judge(value, now_s)
            if verdict is not Verdict.NEW:
                assert value == before
            if verdict is Verdict.REPEATED:
                assert confirmed
            if verdict is Verdict.WAITING:
                assert not confirmed
            if verdict is Verdict.NEW:
                confirmed = False
            before = value
        elif before is not None and move == "confirm":
            last.confirm(last.digest(before), now_s)
            confirmed = True
        elif before is not None and move == "refuse" and not confirmed:
            last.refuse(last.digest(before))
        elif before is not None and move == "ack" and confirmed:
            last.answered(last.digest(before), now_s)
        elif move == "eot":
            last.went_on(now_s)
        elif move == "wait":
            now_s += value[0]
