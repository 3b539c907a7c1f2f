"""A stub answer is believed only when central signed it for this purpose, and any bytes are read or refused."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from cloud_sync import signing
from cloud_sync.errors import ForgedError, MalformedError, WireError
from cloud_sync.identity import EventId, Lane
from cloud_sync.stub import Stub, from_text, open_stub, to_text
from cloud_sync.stub_answer import AnswerState, StubAnswer, open_answer
from cloud_sync.trust import TrustBundle

GOLDEN = json.loads((Path(__file__).resolve().parents[1] / "golden/wire.json").read_text())
TRUST = TrustBundle.read(bytes.fromhex(GOLDEN["trust_bundle"]))
CENTRAL = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(GOLDEN["keys"]["central_ed25519"]))
HUB_KEY = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(GOLDEN["keys"]["hub_ed25519"]))
SIGNER = bytes.fromhex("3132333435363738")
HUB, EPOCH = bytes(range(8)), bytes(range(8, 16))


@given(
    lane=st.sampled_from(Lane),
    seq=st.integers(0, 2**64 - 1),
    central_ms=st.integers(0, 2**64 - 1),
    version=st.integers(0, 2**32 - 1),
    state=st.sampled_from(AnswerState),
)
def test_what_central_writes_fits_one_sms_and_is_read_as_it_was_meant(lane, seq, central_ms, version, state):
    answer = StubAnswer(hub=HUB, epoch=EPOCH, lane=lane, seq=seq, central_ms=central_ms, version=version, state=state)
    text = to_text(answer.signed(SIGNER, CENTRAL))
    assert len(text) < 160
    assert open_answer(from_text(text), TRUST) == answer
    assert answer.event == EventId(HUB, EPOCH, lane, seq)


@pytest.mark.parametrize("name", sorted(GOLDEN["stub_answers"]))
def test_the_published_answers_are_read(name):
    answer = open_answer(bytes.fromhex(GOLDEN["stub_answers"][name]), TRUST)
    assert answer.state.name.lower() == name
    assert answer.central_ms == 1_795_312_322_500


@given(st.integers(0, 110), st.integers(1, 255))
def test_a_changed_byte_is_noticed(at, by):
    blob = bytearray.fromhex(GOLDEN["stub_answers"]["taken"])
    blob[at] ^= by
    with pytest.raises(WireError):
        open_answer(bytes(blob), TRUST)


def test_an_answer_of_another_signer_or_for_another_purpose_is_forged():
    answer = StubAnswer(hub=HUB, epoch=EPOCH, lane=Lane.CARE, seq=1, central_ms=1, version=1, state=AnswerState.TAKEN)
    with pytest.raises(ForgedError):
        open_answer(answer.signed(SIGNER, HUB_KEY), TRUST)
    with pytest.raises(ForgedError, match="unknown_signer"):
        open_answer(answer.signed(bytes(8), CENTRAL), TRUST)
    right = answer.signed(SIGNER, CENTRAL)
    other = signing.sign_blob(CENTRAL, signing.Label.STUB, right[64:])
    with pytest.raises(ForgedError, match="stub-answer"):
        open_answer(other, TRUST)


@given(st.binary(max_size=200) | st.binary(min_size=111, max_size=111).map(lambda raw: raw[:64] + b"\x01" + raw[65:]))
def test_any_bytes_are_read_or_refused_as_an_answer(data):
    with contextlib.suppress(WireError):
        open_answer(data, TRUST)


def test_an_unknown_state_is_refused_also_when_central_signed_it():
    right = StubAnswer(
        hub=HUB, epoch=EPOCH, lane=Lane.CARE, seq=1, central_ms=1, version=1, state=AnswerState.MACHINE
    ).signed(SIGNER, CENTRAL)
    blob = signing.sign_blob(CENTRAL, signing.Label.STUB_ANSWER, right[64:-1] + b"\x07")
    with pytest.raises(MalformedError, match="stub_answer_state"):
        open_answer(blob, TRUST)


def test_a_probe_is_no_event():
    probe = open_stub(Stub.probe(HUB, EPOCH, 5).signed(HUB_KEY), HUB_KEY.public_key())
    assert probe.is_probe
    assert (probe.event.seq, probe.wall_ms) == (0, 5)
