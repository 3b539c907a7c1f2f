"""Write tests/golden/wire.json: the test vectors of docs/wire-format.md, from fixed keys.

Everything but the sealed epoch key (HPKE draws a random number each time) comes out the same on every run; the test
reads the stored file and writes it anew to compare. Run by hand when the format gets a new version:
`python scripts/wire_vectors.py > tests/golden/wire.json`.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud_sync import signing
from cloud_sync.central_messages import (
    Address,
    AlarmReply,
    Command,
    HeartbeatAnswer,
    LocalDeadlines,
    Receipt,
    Reply,
    ReplyState,
)
from cloud_sync.epoch import EpochHeader, Predecessor, _info
from cloud_sync.hub_messages import CommandResult, Envelope, Heartbeat, LampReport, Sender, Trace
from cloud_sync.identity import EventId, Lane
from cloud_sync.record import seal_record
from cloud_sync.seal import EpochKey, SealPrivateKey, SealSuite
from cloud_sync.stub import LocalAction, Stub, to_text
from cloud_sync.stub_answer import AnswerState, StubAnswer
from cloud_sync.trust import EnrolmentCode, KeyCertificate, Purpose, TrustBundle, fingerprint
from cloud_sync.vocabulary import BY_WORD, AlarmClass, Event, Stamp

HUB_KEY = bytes(range(32))
CENTRAL_KEY = bytes(range(32, 64))
ROOT_KEY = bytes(range(64, 96))
EPOCH_KEY = bytes(range(96, 128))
SEAL_KEY = bytes(range(96))
HUB = bytes.fromhex("0102030405060708")
EPOCH = bytes.fromhex("1112131415161718")
EARLIER = bytes.fromhex("2122232425262728")
SIGNER = bytes.fromhex("3132333435363738")
SEALER = bytes.fromhex("4142434445464748")
LINEAGE = bytes.fromhex("5152535455565758")
ALARM = bytes.fromhex("6162636465666768")
COMMAND = bytes.fromhex("7172737475767778")
STAMP = Stamp(boot_ms=86_400_123, wall_ms=1_795_312_322_456, is_wall_trusted=True)


def vectors(sealed_key: bytes | None = None) -> dict[str, object]:
    """All vectors; `sealed_key` is the random part, taken from the stored file when comparing."""
    hub, central, root = (Ed25519PrivateKey.from_private_bytes(raw) for raw in (HUB_KEY, CENTRAL_KEY, ROOT_KEY))
    sealer = SealPrivateKey(SealSuite.X25519_MLKEM768, SEAL_KEY)
    key = EpochKey(EPOCH_KEY)
    sealed = sealed_key or key.sealed_to(sealer.public(), _info(HUB, EPOCH))
    header = EpochHeader(
        hub=HUB,
        epoch=EPOCH,
        before=Predecessor(epoch=EARLIER, last={Lane.ALARM: 3, Lane.TELEMETRY: 1000}, is_clean=False),
        suite=SealSuite.X25519_MLKEM768,
        central_key=SEALER,
        sealed_key=sealed,
        boot_id=bytes(16),
        started_ms=1_795_312_000_000,
        software="vaktpost 0.1.0",
    ).signed(hub)
    alarm_id, bulk_id = EventId(HUB, EPOCH, Lane.ALARM, 1), EventId(HUB, EPOCH, Lane.TELEMETRY, 2)
    stub = Stub(
        event=alarm_id,
        wall_ms=STAMP.wall_ms,
        device="pendant-1",
        alarm_class=AlarmClass.PERSONAL,
        action=LocalAction.LAMP_AND_BUZZER,
    ).signed(hub)
    probe = Stub.probe(HUB, EPOCH, STAMP.wall_ms).signed(hub)
    answers = {
        state.name.lower(): StubAnswer(
            hub=HUB,
            epoch=EPOCH,
            lane=Lane.ALARM,
            seq=0 if state is AnswerState.MACHINE else 1,
            central_ms=1_795_312_322_500,
            version=0 if state is AnswerState.MACHINE else int(state),
            state=state,
        ).signed(SIGNER, central)
        for state in AnswerState
    }
    pressed = Event(
        kind=BY_WORD["pendant_pressed"],
        stamp=STAMP,
        device="pendant-1",
        resident="r-7f3a90",
        value="press",
        rule="pendant",
    )
    warm = Event(kind=BY_WORD["temperature"], stamp=STAMP, device="room-1", value=21.5)
    alarm = seal_record(alarm_id, pressed, key, stub=stub)
    bulk = seal_record(bulk_id, warm, key)
    sender = Sender(hub=HUB, sender_epoch=EPOCH, number=7, stamp=STAMP)
    to = Address(hub=HUB, hub_epoch=EPOCH, central_ms=1_795_312_322_500)
    certificates = [
        KeyCertificate(
            purpose=Purpose.SIGN, key_id=SIGNER, key=signing.raw_public(central.public_key()), created_ms=1
        ).signed(root),
        KeyCertificate(
            purpose=Purpose.SEAL,
            key_id=SEALER,
            key=sealer.public().raw,
            suite=SealSuite.X25519_MLKEM768,
            created_ms=1,
        ).signed(root),
    ]
    root_public = signing.raw_public(root.public_key())
    reply = AlarmReply(
        alarm=ALARM, version=2, state=ReplyState.TAKEN, events=(alarm_id,), valid_until_ms=1_795_312_412_500
    )
    trace = Trace(event=alarm_id, judged_ms=0.25, durable_ms=4.5, sent_ms=1.0, receipt_ms=9.75)
    frames = {
        "envelope": Envelope(sender=sender, epoch=EPOCH, lane=Lane.ALARM, records=(alarm,), epoch_header=header).pack(
            hub
        ),
        "envelope_bulk": Envelope(
            sender=sender, epoch=EPOCH, lane=Lane.TELEMETRY, records=(bulk,), gaps=((3, 9),)
        ).pack(hub),
        "heartbeat": Heartbeat(
            sender=sender, uplink="main", waiting={Lane.ALARM: 1}, is_hello=True, software="0.1.0", config_hash="9f2c"
        ).pack(hub),
        "lamp_report": LampReport(sender=sender, lamp="taken", alarms=((ALARM, 2, "taken"),), traces=(trace,)).pack(
            hub
        ),
        "command_result": CommandResult(
            sender=sender,
            command=COMMAND,
            part=0,
            is_last=True,
            sealed=CommandResult.seal(sender, COMMAND, {"ok": True}, key),
        ).pack(hub),
        "receipt": Receipt(
            to=to, number=7, epoch=EPOCH, lane=Lane.ALARM, lineage=LINEAGE, high=4, beyond=((6, 7),), unopened=((2, 2),)
        ).pack(SIGNER, central),
        "heartbeat_answer": HeartbeatAnswer(to=to, number=7, lineage=LINEAGE).pack(SIGNER, central),
        "reply": Reply(to=to, alarms=(reply,), is_snapshot=True).pack(SIGNER, central),
        "reply_with_deadlines": Reply(
            to=to,
            alarms=(replace(reply, local=LocalDeadlines(no_receipt_s=15, no_claim_s=90)),),
            is_snapshot=True,
            home=LocalDeadlines(no_receipt_s=10, no_claim_s=60),
        ).pack(SIGNER, central),
        "command": Command(to=to, command=COMMAND, number=1, expires_ms=1_795_312_382_500, name="health_check").pack(
            SIGNER, central
        ),
    }
    return {
        "provenance": "written by scripts/wire_vectors.py from the fixed keys below; hex throughout",
        "keys": {
            "hub_ed25519": HUB_KEY.hex(),
            "central_ed25519": CENTRAL_KEY.hex(),
            "root_ed25519": ROOT_KEY.hex(),
            "seal_mlkem768_seed_x25519": SEAL_KEY.hex(),
            "epoch_aes256": EPOCH_KEY.hex(),
        },
        "sealed_key": sealed.hex(),
        "epoch_header": header.hex(),
        "stub": stub.hex(),
        "stub_text": to_text(stub),
        "probe": probe.hex(),
        "stub_answers": {name: blob.hex() for name, blob in answers.items()},
        "event": pressed.to_bytes().hex(),
        "record_alarm": alarm.hex(),
        "record_telemetry": bulk.hex(),
        "frames": {name: frame.hex() for name, frame in frames.items()},
        "trust_bundle": TrustBundle.write(root_public, certificates).hex(),
        "root_fingerprint": fingerprint(root_public).hex(),
        "enrolment_code": str(EnrolmentCode(bytes(7), fingerprint(root_public))),
    }


if __name__ == "__main__":
    json.dump(vectors(), sys.stdout, indent=1)
    print()
