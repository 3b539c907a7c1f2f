"""The published vectors, read by a second decoder written from docs/wire-format.md, and written anew by ours."""

from __future__ import annotations

import importlib.util
import json
import struct
import zlib
from pathlib import Path

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, MLKEM768X25519PrivateKey, Suite

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = json.loads((ROOT / "tests/golden/wire.json").read_text())


def raw(name):
    return bytes.fromhex(GOLDEN[name])


def public(name):
    return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(GOLDEN["keys"][name])).public_key()


def test_our_writer_still_writes_the_published_bytes():
    spec = importlib.util.spec_from_file_location("wire_vectors", ROOT / "scripts/wire_vectors.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.vectors(raw("sealed_key")) == GOLDEN


def test_the_epoch_header_opens_with_plain_hpke():
    blob = raw("epoch_header")
    public("hub_ed25519").verify(blob[:64], b"vaktpost/1/epoch\x00" + blob[64:])
    header = cbor2.loads(blob[64:])
    assert header[4] == 2
    seed = bytes.fromhex(GOLDEN["keys"]["seal_mlkem768_seed_x25519"])
    key = MLKEM768X25519PrivateKey(
        MLKEM768PrivateKey.from_seed_bytes(seed[:64]), X25519PrivateKey.from_private_bytes(seed[64:])
    )
    suite = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
    info = b"vaktpost/1/epoch-key\x00" + header[1] + header[2]
    assert suite.decrypt(header[6], key, info).hex() == GOLDEN["keys"]["epoch_aes256"]


@pytest.mark.parametrize(("name", "lane", "seq"), [("record_alarm", 1, 1), ("record_telemetry", 4, 2)])
def test_a_record_is_what_the_document_says(name, lane, seq):
    data = raw(name)
    magic, got_lane, hub, epoch, got_seq, header_length, sealed_length = struct.unpack_from(">4sB8s8sQHI", data)
    assert (magic, got_lane, got_seq) == (b"VPR\x01", lane, seq)
    assert len(data) == 35 + header_length + sealed_length + 4
    assert struct.unpack(">I", data[-4:])[0] == zlib.crc32(data[:-4])
    at = 35 + header_length
    nonce = lane.to_bytes(4, "big") + seq.to_bytes(8, "big")
    plain = AESGCM(bytes.fromhex(GOLDEN["keys"]["epoch_aes256"])).decrypt(nonce, data[at:-4], data[:at])
    header = cbor2.loads(data[35:at])
    assert header[1] == 86_400_123
    assert header[3] is True
    if lane == 1:
        assert plain == raw("event")
        assert header[4] == raw("stub")
    else:
        assert cbor2.loads(plain) == {1: 80, 2: "room-1", 4: 21.5}
    assert (hub.hex(), epoch.hex()) == ("0102030405060708", "1112131415161718")


def test_a_stub_is_what_the_document_says():
    blob = raw("stub")
    public("hub_ed25519").verify(blob[:64], b"vaktpost/1/stub\x00" + blob[64:])
    version, _hub, _epoch, lane, seq, _wall, alarm_class, action = struct.unpack_from(">B8s8sBQQBB", blob, 64)
    assert (version, lane, seq, alarm_class, action) == (1, 1, 1, 1, 2)
    assert blob[64 + 36 :] == b"pendant-1"
    assert len(GOLDEN["stub_text"]) < 160


def test_a_probe_is_a_stub_that_names_no_event():
    blob = raw("probe")
    public("hub_ed25519").verify(blob[:64], b"vaktpost/1/stub\x00" + blob[64:])
    _version, _hub, _epoch, lane, seq, _wall, alarm_class, action = struct.unpack_from(">B8s8sBQQBB", blob, 64)
    assert (lane, seq, alarm_class, action, blob[64 + 36 :]) == (1, 0, 6, 0, b"probe")


STATES = {"known": 1, "waiting": 2, "taken": 3, "on_the_way": 4, "closed": 5, "machine": 6}


@pytest.mark.parametrize("name", STATES)
def test_a_stub_answer_is_what_the_document_says(name):
    blob = bytes.fromhex(GOLDEN["stub_answers"][name])
    public("central_ed25519").verify(blob[:64], b"vaktpost/1/stub-answer\x00" + blob[64:])
    body = struct.unpack(">B8s8s8sBQQIB", blob[64:])
    version, signer, hub, epoch, lane, seq, central_ms, alarm_version, state = body
    assert (version, signer.hex(), lane, state) == (1, "3132333435363738", 1, STATES[name])
    assert (hub.hex(), epoch.hex(), central_ms) == ("0102030405060708", "1112131415161718", 1_795_312_322_500)
    assert (seq, alarm_version) == ((0, 0) if name == "machine" else (1, STATES[name]))
    assert len(blob) == 111


@pytest.mark.parametrize("name", sorted(GOLDEN["frames"]))
def test_a_frame_is_what_the_document_says(name):
    data = bytes.fromhex(GOLDEN["frames"][name])
    assert data[:4] == b"VPF\x01"
    key = public("hub_ed25519" if data[4] < 16 else "central_ed25519")
    key.verify(data[13:77], b"vaktpost/1/frame\x00" + data[4:13] + data[77:])
    body = cbor2.loads(data[77:])
    assert body[1].hex() == "0102030405060708"
    assert body[2].hex() == "1112131415161718"
