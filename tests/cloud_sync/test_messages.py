"""Messages, epoch headers, stubs and trust: what is written is read, what is tampered with is refused."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud_sync import canonical, central_messages, epoch, frames, hub_messages, signing, stub
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
from cloud_sync.enrolment import Claim, Grant
from cloud_sync.epoch import Predecessor, start_epoch
from cloud_sync.errors import ForgedError, MalformedError
from cloud_sync.hub_messages import CommandResult, Envelope, Heartbeat, LampReport, Sender, Trace
from cloud_sync.identity import EventId, Lane
from cloud_sync.seal import EpochKey, SealPrivateKey, SealSuite
from cloud_sync.stub import LocalAction, Stub
from cloud_sync.trust import EnrolmentCode, KeyCertificate, Purpose, TrustBundle, fingerprint
from cloud_sync.vocabulary import KINDS, AlarmClass, Stamp

HUB, EPOCH, CENTRAL = b"hubhubhu", b"epochepo", b"centralk"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))
SENDER = Sender(hub=HUB, sender_epoch=EPOCH, number=9, stamp=Stamp(boot_ms=1, wall_ms=2, is_wall_trusted=False))
ADDRESS = Address(hub=HUB, hub_epoch=EPOCH, central_ms=1_790_000_000_000)
EVENT = EventId(HUB, EPOCH, Lane.ALARM, 4)

FROM_HUB = [
    Envelope(sender=SENDER, epoch=EPOCH, lane=Lane.CARE, records=(b"a", b"b"), epoch_header=b"h", gaps=((3, 9),)),
    Heartbeat(sender=SENDER, uplink="main", waiting={Lane.ALARM: 1}, is_hello=True, software="0.1", config_hash="ab"),
    LampReport(
        sender=SENDER,
        lamp="taken",
        alarms=((b"alarmala", 3, "taken"),),
        traces=(Trace(event=EVENT, judged_ms=0.5, durable_ms=None, sent_ms=2.0, receipt_ms=9.25),),
    ),
    CommandResult(sender=SENDER, command=b"commandc", part=0, is_last=True, sealed=b"x" * 20),
]
FROM_CENTRAL = [
    Receipt(
        to=ADDRESS,
        number=9,
        epoch=EPOCH,
        lane=Lane.ALARM,
        lineage=b"lineagel",
        high=4,
        beyond=((6, 7),),
        unopened=((2, 2),),
        wants_header=True,
    ),
    HeartbeatAnswer(to=ADDRESS, number=9, lineage=b"lineagel"),
    Reply(
        to=ADDRESS,
        alarms=(AlarmReply(alarm=b"alarmala", version=2, state=ReplyState.TAKEN, events=(EVENT,), valid_until_ms=5),),
        is_snapshot=True,
    ),
    Reply(
        to=ADDRESS,
        alarms=(
            AlarmReply(
                alarm=b"alarmala",
                version=2,
                state=ReplyState.WAITING,
                events=(EVENT,),
                valid_until_ms=5,
                local=LocalDeadlines(no_receipt_s=15, no_claim_s=90),
            ),
        ),
        home=LocalDeadlines(no_receipt_s=10, no_claim_s=60),
    ),
    Command(to=ADDRESS, command=b"commandc", number=1, expires_ms=7, name="health_check", arguments={"quick": True}),
]


@pytest.mark.parametrize("message", FROM_HUB, ids=lambda message: type(message).__name__)
def test_a_message_of_a_hub_is_read_as_it_was_written(message):
    raw = frames.split(message.pack(KEY))
    assert raw.sender == HUB
    assert type(message).read(raw.open(KEY.public_key())) == message


@pytest.mark.parametrize("message", FROM_CENTRAL, ids=lambda message: type(message).__name__)
def test_a_message_of_central_is_read_as_it_was_written(message):
    raw = frames.split(message.pack(CENTRAL, KEY))
    assert raw.sender == CENTRAL
    assert type(message).read(raw.open(KEY.public_key())) == message


def test_a_frame_signed_by_another_or_changed_anywhere_is_refused():
    data = FROM_HUB[1].pack(KEY)
    with pytest.raises(ForgedError):
        frames.split(data).open(OTHER.public_key())
    for at in range(4, len(data)):
        changed = bytearray(data)
        changed[at] ^= 1
        with pytest.raises((ForgedError, MalformedError)):
            frames.split(bytes(changed)).open(KEY.public_key())


def test_a_signature_for_one_purpose_does_not_pass_for_another():
    body = canonical.dumps({1: HUB})
    blob = signing.sign_blob(KEY, signing.Label.EPOCH, body)
    with pytest.raises(ForgedError):
        signing.open_blob(KEY.public_key(), signing.Label.STUB, blob)


@pytest.mark.parametrize("suite", SealSuite)
def test_an_epoch_header_carries_its_key_to_central_and_to_nobody_else(suite):
    central = SealPrivateKey.generate(suite)
    before = Predecessor(epoch=b"earliere", last={Lane.ALARM: 3, Lane.TELEMETRY: 100}, is_clean=False)
    header, raw, key = start_epoch(
        hub=HUB,
        hub_key=KEY,
        central=central.public(),
        central_key=CENTRAL,
        before=before,
        boot_id=bytes(16),
        started_ms=1,
        software="0.1",
    )
    read = epoch.open_header(raw, KEY.public_key())
    assert read == header
    assert read.before == before
    sealed = key.seal(1, 1, b"secret", b"")
    assert read.open_key(central).open(1, 1, sealed, b"") == b"secret"
    with pytest.raises(ForgedError):
        read.open_key(SealPrivateKey.generate(suite))
    other = next(one for one in SealSuite if one is not suite)
    with pytest.raises(ForgedError, match="suite"):
        read.open_key(SealPrivateKey.generate(other))


def test_a_sealed_epoch_key_is_bound_to_its_epoch():
    central = SealPrivateKey.generate(SealSuite.X25519)
    header, _, _ = start_epoch(
        hub=HUB,
        hub_key=KEY,
        central=central.public(),
        central_key=CENTRAL,
        before=None,
        boot_id=bytes(16),
        started_ms=1,
        software="0.1",
    )
    moved = epoch.EpochHeader(**{name: getattr(header, name) for name in header.__slots__} | {"epoch": b"anothere"})
    with pytest.raises(ForgedError):
        moved.open_key(central)


def test_a_stub_fits_one_sms_in_the_gsm_alphabet():
    blob = Stub(
        event=EventId(HUB, EPOCH, Lane.ALARM, 2**60),
        wall_ms=2**50,
        device="a" * stub.MAX_ALIAS,
        alarm_class=AlarmClass.PERSONAL,
        action=LocalAction.LAMP_AND_BUZZER,
    )
    text = stub.to_text(blob.signed(KEY))
    assert len(text) < 160
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
    assert stub.open_stub(stub.from_text(text), KEY.public_key()) == blob
    with pytest.raises(ForgedError):
        stub.open_stub(stub.from_text(text), OTHER.public_key())


def test_results_of_commands_are_sealed_and_bound_to_their_command():
    key = EpochKey(bytes(32))
    sealed = CommandResult.seal(SENDER, b"commandc", {"ok": True}, key)
    result = CommandResult(sender=SENDER, command=b"commandc", part=0, is_last=True, sealed=sealed)
    assert result.open(key) == {"ok": True}
    with pytest.raises(ForgedError):
        CommandResult(sender=SENDER, command=b"anotherc", part=0, is_last=True, sealed=sealed).open(key)


def _bundle(root=KEY):
    certificates = [
        KeyCertificate(purpose=Purpose.SIGN, key_id=CENTRAL, key=signing.raw_public(OTHER.public_key()), created_ms=1),
        KeyCertificate(
            purpose=Purpose.SEAL,
            key_id=b"sealkey1",
            key=SealPrivateKey.generate(SealSuite.X25519).public().raw,
            suite=SealSuite.X25519,
            created_ms=1,
        ),
    ]
    return TrustBundle.write(signing.raw_public(root.public_key()), [one.signed(KEY) for one in certificates])


def test_a_hub_believes_the_root_of_its_code_and_what_that_root_certified():
    code = EnrolmentCode.generate(signing.raw_public(KEY.public_key()))
    trust = TrustBundle.read(_bundle(), code.root_fingerprint)
    assert trust.seal_key()[0] == b"sealkey1"
    assert trust.open_frame(FROM_CENTRAL[1].pack(CENTRAL, OTHER))[0] is frames.FrameType.HEARTBEAT_ANSWER
    with pytest.raises(ForgedError, match="unknown_signer"):
        trust.open_frame(FROM_CENTRAL[1].pack(b"stranger", OTHER))
    with pytest.raises(ForgedError, match="root"):
        TrustBundle.read(_bundle(), fingerprint(bytes(32)))
    with pytest.raises(ForgedError):
        TrustBundle.read(_bundle(root=OTHER))


def test_a_claim_proves_its_key_and_a_grant_its_central():
    claim = Claim(
        secret=b"1234567", public_key=signing.raw_public(KEY.public_key()), suites=tuple(SealSuite), software="0.1"
    )
    assert Claim.read(claim.signed(KEY)) == claim
    with pytest.raises(ForgedError):
        Claim.read(claim.signed(OTHER))
    grant = Grant(hub=HUB, public_key=claim.public_key, suite=SealSuite.X25519, lineage=b"lineagel", central_ms=1)
    trust = TrustBundle.read(_bundle())
    assert Grant.read(grant.signed(CENTRAL, OTHER), trust) == grant
    with pytest.raises(ForgedError):
        Grant.read(grant.signed(CENTRAL, KEY), trust)


def test_the_vocabulary_has_no_number_or_word_twice():
    assert len({kind.code for kind in KINDS}) == len({kind.word for kind in KINDS}) == len(KINDS)


def test_limits_hold_on_the_wire():
    with pytest.raises(MalformedError):
        Envelope.read(SENDER.fields() | {10: EPOCH, 11: 1, 12: [b""] * (hub_messages.MAX_RECORDS + 1)})
    with pytest.raises(MalformedError):
        Reply.read(ADDRESS.fields() | {10: [[]] * (central_messages.MAX_REPLIES + 1), 11: False})


@pytest.mark.parametrize(
    "told", [7, [], [[b"alarmala", 15]], [[b"alarmala", 15, 10]], [[b"alarmala", 601, 90]], [["x", 15, 90]], [None]]
)
def test_deadlines_that_nobody_can_follow_are_as_if_they_were_not_there(told):
    alarm = AlarmReply(alarm=b"alarmala", version=1, state=ReplyState.WAITING, events=(EVENT,), valid_until_ms=5)
    whole = Reply(to=ADDRESS, alarms=(alarm,), home=LocalDeadlines(no_receipt_s=10, no_claim_s=60))
    body = dict(frames.split(whole.pack(CENTRAL, KEY)).open(KEY.public_key()))
    found = Reply.read({**body, 12: told, 13: told})
    assert found.alarms == (alarm,)
    assert found.home is None


def test_a_hub_of_an_older_version_reads_a_reply_with_deadlines_as_before():
    deadlines = LocalDeadlines(no_receipt_s=10, no_claim_s=60)
    alarm = AlarmReply(
        alarm=b"alarmala", version=1, state=ReplyState.WAITING, events=(EVENT,), valid_until_ms=5, local=deadlines
    )
    body = frames.split(Reply(to=ADDRESS, alarms=(alarm,), home=deadlines).pack(CENTRAL, KEY)).open(KEY.public_key())
    assert [len(entry) for entry in body[10]] == [5]
    assert set(body) == {1, 2, 3, 10, 11, 12, 13}
