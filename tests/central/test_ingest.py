"""What hubs report is committed exactly once, in any order, over any path, and nothing authentic is thrown away."""

from __future__ import annotations

import asyncio
import random

import pytest

from central import quarantine
from central.errors import NotStoredError
from central.lifecycle import Queue
from central.people.words import event_place, measured_of
from central.quarantine import MAX_PER_SENDER
from central.store import Priority
from cloud_sync import canonical
from cloud_sync.errors import ForgedError, ReplayedError
from cloud_sync.identity import EventId, Lane
from cloud_sync.record import seal_record
from cloud_sync.seal import SealPrivateKey, SealSuite
from cloud_sync.vocabulary import BY_WORD, Event, Stamp
from simulators.frame_hub import FrameHub, Sealed, tampered, unknown_id
from tests.central.conftest import FIRST, Bench, OpenBench

TOTAL = "SELECT count(*) FROM event"


async def test_a_press_becomes_one_alarm_and_a_receipt_that_says_so(bench: Bench, hub: FrameHub) -> None:
    receipt = await bench.tell(hub, hub.seal("pendant_pressed", device="pendant-1", resident="r-7f3a90"))
    assert (receipt.high, receipt.beyond, receipt.unopened) == (1, (), ())
    assert receipt.lineage == bench.store.lineage
    (alarm,) = await bench.alarms.queue()
    assert (alarm.kind.word, alarm.rank, alarm.device, alarm.resident) == (
        "pendant_pressed",
        1,
        "pendant-1",
        "r-7f3a90",
    )
    assert alarm.hub == hub.id.hex()
    assert alarm.hub_label == "Flat 1"
    assert alarm.stage.word == "waiting"


async def test_a_resent_record_has_no_second_effect(bench: Bench, hub: FrameHub) -> None:
    sealed = hub.seal("pendant_pressed")
    for path in ("https", "mqtt", "https"):
        receipt = await bench.send(hub, hub.envelope(sealed), path)
        assert receipt.high == 1
    (alarm,) = await bench.alarms.queue()
    assert alarm.repeats == 0
    assert await bench.value(TOTAL) == 1


async def test_records_in_any_order_doubled_and_over_two_paths_at_once_arrive_exactly_once(
    bench: Bench, hub: FrameHub
) -> None:
    draw = random.Random(7)
    presses = [hub.seal("pendant_pressed", device=f"pendant-{n}", resident=f"r-00000{n}") for n in range(9)]
    bulk = [hub.seal("temperature", device="t", value=20.0 + n) for n in range(60)]
    pieces = [[press] for press in presses * 2] + [bulk[at : at + 7] for at in range(0, 60, 7)] * 2
    draw.shuffle(pieces)
    envelopes = [hub.envelope(*piece, has_header=True) for piece in pieces]
    paths = [draw.choice(["https", "mqtt"]) for _ in envelopes]
    await asyncio.gather(*(bench.send(hub, frame, path) for frame, path in zip(envelopes, paths, strict=True)))
    assert await bench.value(f"{TOTAL} WHERE lane = 1") == 9
    assert await bench.value(f"{TOTAL} WHERE lane = 4") == 60
    queue = await bench.alarms.queue()
    assert sorted(alarm.device for alarm in queue) == sorted(f"pendant-{n}" for n in range(9))
    assert {alarm.repeats for alarm in queue} == {0}
    last = await bench.tell(hub, bulk[0])
    assert (last.high, last.beyond) == (60, ())


async def test_a_receipt_tells_what_lies_beyond_a_hole(bench: Bench, hub: FrameHub) -> None:
    one, _two, three, four, _five, six = [hub.seal("temperature", device="t", value=n) for n in range(6)]
    receipt = await bench.tell(hub, one, six, three, four, has_header=True)
    assert (receipt.high, receipt.beyond) == (1, ((3, 4), (6, 6)))


async def test_lanes_and_epochs_have_marks_of_their_own(bench: Bench, hub: FrameHub) -> None:
    first = hub.now
    old = hub.seal("temperature", device="t", value=1)
    await bench.tell(hub, hub.seal("temperature", device="t", value=2), has_header=True)
    hub.start(before=first)
    receipt = await bench.tell(hub, hub.seal("pendant_pressed"))
    assert (receipt.epoch, receipt.lane, receipt.high) == (hub.now.epoch, Lane.ALARM, 1)
    receipt = await bench.send(hub, hub.envelope(old))
    assert (receipt.epoch, receipt.lane, receipt.high) == (first.epoch, Lane.TELEMETRY, 2)
    assert receipt.to.hub_epoch == hub.now.epoch


async def test_a_measurement_is_stored_with_its_value_and_raises_nothing(bench: Bench, hub: FrameHub) -> None:
    await bench.tell(hub, hub.seal("temperature", device="t-1", value=21.5, details={"unit": "C"}), has_header=True)
    ((hub_id, epoch, lane, seq, device, value, details, unreadable),) = await bench.rows(
        "SELECT hub, epoch, lane, seq, device, value, details, unreadable FROM event"
    )
    assert (device, details, unreadable) == ("t-1", None, None)
    async with bench.store.read() as connection:
        (read,) = await bench.services.people.words.read(connection, [(event_place(hub_id, epoch, lane, seq), value)])
    assert measured_of(read) == (21.5, {"unit": "C"})
    assert await bench.kinds() == []
    assert await bench.kinds(Queue.TECHNICAL) == []


# ---------------------------------------------------------------------------------------------- what cannot be read


async def test_a_record_whose_header_is_missing_raises_an_alarm_and_is_receipted_as_unopened(
    bench: Bench, hub: FrameHub
) -> None:
    receipt = await bench.tell(hub, hub.seal("pendant_pressed", has_header=False))
    assert (receipt.high, receipt.unopened, receipt.wants_header) == (1, ((1, 1),), True)
    (alarm,) = await bench.alarms.queue()
    assert (alarm.kind.word, alarm.rank) == ("unreadable_alarm", 1)
    assert alarm.device == "pendant-1"  # the stub says so, and is signed
    assert await bench.value("SELECT count(*) FROM event_raw") == 1


async def test_what_waited_for_a_header_is_opened_when_the_header_comes(bench: Bench, hub: FrameHub) -> None:
    readings = [hub.seal("temperature", device="t", value=n) for n in range(40)]
    receipt = await bench.tell(hub, *readings)
    assert receipt.unopened == ((1, 40),)
    press = hub.seal("pendant_pressed", has_header=False)
    await bench.tell(hub, press)
    await bench.reception.receive(hub.heartbeat(has_header=True), "https")
    receipt = await bench.tell(hub, readings[0])
    assert (receipt.high, receipt.unopened, receipt.wants_header) == (40, (), False)
    assert await bench.value(f"{TOTAL} WHERE unreadable IS NOT NULL") == 0
    assert await bench.kinds() == ["pendant_pressed"]
    assert (await bench.alarm_of(press)).kind.word == "pendant_pressed"


async def test_a_resent_record_that_can_be_opened_now_replaces_the_unreadable_one(bench: Bench, hub: FrameHub) -> None:
    press = hub.seal("pendant_pressed", has_header=False)
    await bench.tell(hub, press)
    receipt = await bench.send(hub, hub.envelope(press, has_header=True))
    assert (receipt.high, receipt.unopened) == (1, ())
    assert (await bench.alarm_of(press)).kind.word == "pendant_pressed"
    assert await bench.value(TOTAL) == 1


async def test_one_press_stays_one_alarm_when_its_record_is_read_later_and_whoever_has_it_keeps_it(
    bench: Bench, hub: FrameHub
) -> None:
    press = hub.seal("pendant_pressed", has_header=False, resident="r-7f3a90")
    await bench.tell(hub, press)
    (unread,) = await bench.alarms.queue()
    await bench.change(
        f"UPDATE alarm SET handling = 'claimed', owner = 'u1', owner_name = 'Kari' WHERE id = '{unread.id}'"
    )
    await bench.send(hub, hub.envelope(press, has_header=True))
    (read,) = await bench.alarms.queue()
    assert read.id == unread.id
    assert (read.kind.word, read.device, read.resident) == ("pendant_pressed", "pendant-1", "r-7f3a90")
    assert await bench.value("SELECT owner_name FROM alarm") == "Kari"
    assert await bench.value("SELECT role FROM alarm_event") == "raised"
    await bench.tell(hub, hub.seal("pendant_pressed", resident="r-7f3a90"))  # and the next press repeats it
    assert await bench.value("SELECT repeats FROM alarm") == 1


async def test_several_presses_of_one_button_that_are_read_later_stay_one_alarm(bench: Bench, hub: FrameHub) -> None:
    presses = [hub.seal("pendant_pressed", has_header=False) for _ in range(3)]
    await bench.tell(hub, *presses)
    assert await bench.kinds() == ["unreadable_alarm"]
    await bench.send(hub, hub.envelope(*presses, has_header=True))
    assert await bench.kinds() == ["pendant_pressed"]
    assert await bench.value("SELECT repeats FROM alarm") == 2
    roles = sorted(role for (role,) in await bench.rows("SELECT role FROM alarm_event"))
    assert roles == ["raised", "repeat", "repeat"]


async def test_what_is_read_after_its_alarm_was_closed_raises_one_of_its_own(bench: Bench, hub: FrameHub) -> None:
    press = hub.seal("pendant_pressed", has_header=False)
    await bench.tell(hub, press)
    await bench.change("UPDATE alarm SET handling = 'closed', closed_ms = 1")
    await bench.send(hub, hub.envelope(press, has_header=True))
    assert await bench.kinds() == ["pendant_pressed"]
    assert await bench.value("SELECT count(*) FROM alarm") == 2


async def test_beside_an_open_alarm_of_the_same_kind_neither_vanishes(bench: Bench, hub: FrameHub) -> None:
    unread = hub.seal("pendant_pressed", has_header=False)
    await bench.tell(hub, unread)
    read = hub.seal("pendant_pressed")
    await bench.send(hub, hub.envelope(read, has_header=True))
    before = await bench.value("SELECT count(*) FROM alarm WHERE closed_ms IS NULL")
    await bench.send(hub, hub.envelope(unread))
    assert await bench.value("SELECT count(*) FROM alarm WHERE closed_ms IS NULL") == before
    assert set(await bench.kinds()) == {"pendant_pressed"}


async def test_a_record_sealed_to_another_key_is_kept_as_it_came(bench: Bench, hub: FrameHub) -> None:
    stranger = SealPrivateKey.generate(SealSuite.X25519_MLKEM768).public()
    hub.start(seal_to=(unknown_id(), stranger))
    sealed = hub.seal("smoke", device="smoke-1")
    receipt = await bench.tell(hub, sealed)
    assert receipt.unopened == ((1, 1),)
    (alarm,) = await bench.alarms.queue()
    assert (alarm.kind.word, alarm.rank, alarm.device) == ("unreadable_alarm", 0, "smoke-1")
    assert await bench.value("SELECT raw FROM event_raw") == sealed.raw


async def test_less_than_the_agreed_suite_is_refused_but_the_alarm_is_not(bench: Bench, hub: FrameHub) -> None:
    seal_id = bench.services.keys.trust.seal_key()[0]
    hub.start(seal_to=(seal_id, SealPrivateKey.generate(SealSuite.X25519).public()))
    receipt = await bench.tell(hub, hub.seal("pendant_pressed"))
    assert receipt.unopened == ((1, 1),)
    assert await bench.value("SELECT unreadable FROM event") == "suite"
    assert await bench.value("SELECT count(*) FROM hub_epoch") == 0
    assert await bench.kinds() == ["unreadable_alarm"]


async def test_a_damaged_record_is_stored_under_its_number(bench: Bench, hub: FrameHub) -> None:
    sealed = hub.seal("bed_absent", device="mat-1")
    raw = sealed.raw[:-20] + bytes(16) + sealed.raw[-4:]
    receipt = await bench.send(hub, hub.envelope(raw, lane=Lane.CARE))
    assert (receipt.high, receipt.unopened) == (1, ((1, 1),))
    assert await bench.value("SELECT unreadable FROM event") == "record_crc"
    (alarm,) = await bench.alarms.queue()
    assert (alarm.kind.word, alarm.rank) == ("unreadable_care", 2)


@pytest.mark.parametrize("junk", [b"", b"no record", b"VPR\x01" + bytes(200)])
async def test_bytes_that_name_no_record_are_set_aside_once_and_alarm_once(
    bench: Bench, hub: FrameHub, junk: bytes
) -> None:
    good = hub.seal("pendant_pressed")
    for _ in range(3):
        receipt = await bench.send(hub, hub.envelope(junk, good, lane=Lane.ALARM))
        assert (receipt.high, receipt.unopened) == (1, ())
    assert sorted(await bench.kinds()) == ["pendant_pressed", "unreadable_alarm"]
    assert await bench.value("SELECT content FROM quarantine") == junk
    assert await bench.value("SELECT count(*) FROM quarantine") == 1


@pytest.mark.parametrize("lane", [Lane.ALARM, Lane.CARE, Lane.TECHNICAL])
async def test_what_there_is_no_room_for_is_counted_and_told_of_and_what_may_be_an_alarm_rings_each_time(
    bench: Bench, hub: FrameHub, lane: Lane
) -> None:
    strange = [f"no record {number}".encode() for number in range(MAX_PER_SENDER + 5)]
    for _ in range(2):  # the hub has no receipt for any of them, and sends them again
        for junk in strange:
            await bench.send(hub, hub.envelope(junk, lane=lane))
    assert await bench.value("SELECT count(*) FROM quarantine WHERE length(content) > 0") == MAX_PER_SENDER
    kind = {Lane.ALARM: "unreadable_alarm", Lane.CARE: "unreadable_care"}.get(lane)
    assert await bench.kinds() == ([kind] if kind else [])
    for alarm in await bench.alarms.queue():
        assert (alarm.repeats, alarm.sound_no) == (len(strange) - 1, len(strange))
    ((folded, repeats),) = await bench.rows("SELECT kind, repeats FROM alarm WHERE queue = 'technical'")
    assert (folded, repeats) == ("unreadable_records", (5 if kind else len(strange)) - 1)


async def test_when_not_even_digests_have_room_it_is_told_of_once_a_minute(
    bench: Bench, hub: FrameHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "MAX_PER_SENDER", 1)
    monkeypatch.setattr(quarantine, "MAX_NOTED_PER_SENDER", 1)
    for number in range(6):
        await bench.send(hub, hub.envelope(f"no record {number}".encode(), lane=Lane.ALARM))
    (alarm,) = await bench.alarms.queue()
    assert alarm.repeats == 2  # kept, noted, and the first of those that there is no room for
    await bench.alarms.close((await bench.alarms.claim(alarm.id, FIRST)).id, FIRST, "false_alarm", "mis_press")
    bench.clock.advance(61)
    await bench.send(hub, hub.envelope(b"no record 7", lane=Lane.ALARM))
    assert await bench.kinds() == ["unreadable_alarm"]  # an alarm again, not silence


async def test_one_hub_without_room_keeps_no_other_hub_and_no_other_lane_silent(
    bench: Bench, hub: FrameHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "MAX_PER_SENDER", 0)
    monkeypatch.setattr(quarantine, "MAX_NOTED_PER_SENDER", 0)
    other = await bench.enrolled("Flat 2")
    for number in range(2):
        for sender, lane in ((hub, Lane.ALARM), (other, Lane.ALARM), (hub, Lane.CARE)):
            woken = bench.reception._ingest._wakeup.count
            await bench.send(sender, sender.envelope(f"no record {number}".encode(), lane=lane))
            assert number or bench.reception._ingest._wakeup.count > woken  # whoever waits for work looks at once
    found = sorted((alarm.kind.word, alarm.hub, alarm.repeats) for alarm in await bench.alarms.queue())
    assert found == sorted(
        [
            ("unreadable_alarm", hub.id.hex(), 0),
            ("unreadable_alarm", other.id.hex(), 0),
            ("unreadable_care", hub.id.hex(), 0),
        ]
    )


async def test_a_record_of_another_hub_epoch_or_lane_is_not_believed(bench: Bench, hub: FrameHub) -> None:
    other = await bench.enrolled("Flat 2")
    first = hub.now
    old = hub.seal("pendant_pressed")
    hub.start(before=first)
    care = hub.seal("bed_absent", device="mat-1")
    strangers: list[Sealed] = [other.seal("pendant_pressed"), old, care]
    receipt = await bench.send(hub, hub.envelope(*strangers, lane=Lane.ALARM, epoch=hub.now.epoch))
    assert (receipt.high, receipt.beyond) == (0, ())
    assert await bench.value(TOTAL) == 0
    assert await bench.value("SELECT count(*) FROM quarantine") == 3
    assert await bench.kinds() == ["unreadable_alarm"]


async def test_a_kind_from_the_future_is_kept_and_a_person_looks(bench: Bench, hub: FrameHub) -> None:
    event = Event(kind=BY_WORD["pendant_pressed"], stamp=hub.stamp(), device="x")
    body = canonical.load_map(event.to_bytes()) | {1: 9999}
    event_id = EventId(hub.id, hub.now.epoch, Lane.ALARM, 1)

    class Future(Event):
        def to_bytes(self) -> bytes:
            return canonical.dumps(body)

    future = Future(kind=event.kind, stamp=event.stamp, device="x")
    raw = seal_record(event_id, future, hub.now.key, epoch_header=hub.now.blob)
    receipt = await bench.send(hub, hub.envelope(raw, lane=Lane.ALARM))
    assert receipt.unopened == ((1, 1),)
    assert await bench.value("SELECT unreadable FROM event") == "kind"
    assert await bench.kinds() == ["unreadable_alarm"]


async def test_numbers_beyond_any_sense_do_not_stop_an_alarm(bench: Bench, hub: FrameHub) -> None:
    far = Stamp(boot_ms=2**63 - 1, wall_ms=2**63 - 1, is_wall_trusted=True)
    event = Event(
        kind=BY_WORD["pendant_pressed"],
        stamp=far,
        device="a\x00b",
        resident="r-7f3a90\x00",
        value=2**63 - 1,
        details={"a\x00": "\x00"},
        device_time_ms=2**64 - 1,
        count=2**64 - 1,
    )
    receipt = await bench.tell(hub, hub.seal("pendant_pressed", event=event))
    assert (receipt.high, receipt.unopened) == (1, ())
    assert await bench.kinds() == ["pendant_pressed"]


# ---------------------------------------------------------------------------------------------- gaps, forks, times


async def test_a_gap_counts_as_stored_is_kept_and_is_shown(bench: Bench, hub: FrameHub) -> None:
    run = hub.now
    run.seqs[Lane.TELEMETRY] = 100
    late = hub.seal("temperature", device="t", value=1)
    receipt = await bench.tell(hub, late, has_header=True, gaps=[(1, 100)])
    assert (receipt.high, receipt.beyond) == (101, ())
    assert (await bench.services.hubs.hub(hub.id.hex())).gaps == {"telemetry": 100}
    assert await bench.kinds(Queue.TECHNICAL) == ["records_dropped"]
    await bench.tell(hub, late, gaps=[(1, 100)])
    (alarm,) = await bench.alarms.queue(Queue.TECHNICAL)
    assert alarm.repeats == 0  # told twice is one gap


async def test_what_did_arrive_is_no_gap(bench: Bench, hub: FrameHub) -> None:
    await bench.tell(hub, hub.seal("temperature", device="t", value=1), has_header=True)
    await bench.send(hub, hub.envelope(lane=Lane.TELEMETRY, gaps=[(1, 3)]))
    assert (await bench.services.hubs.hub(hub.id.hex())).gaps == {"telemetry": 2}


async def test_two_runs_that_name_one_predecessor_are_a_technical_alarm(bench: Bench, hub: FrameHub) -> None:
    first = hub.now
    await bench.tell(hub, hub.seal("pendant_pressed"))
    twin = hub.clone()
    hub.start(before=first)
    await bench.tell(hub, hub.seal("pendant_pressed"))
    assert await bench.kinds(Queue.TECHNICAL) == []
    twin.start(before=first)
    receipt = await bench.tell(twin, twin.seal("fall", device="watch-1"))
    assert receipt.high == 1  # never a refusal
    assert await bench.kinds(Queue.TECHNICAL) == ["epoch_forked"]
    assert "fall" in await bench.kinds()


async def test_a_run_after_a_run_is_no_fork(bench: Bench, hub: FrameHub) -> None:
    for _ in range(4):
        before = hub.now
        await bench.tell(hub, hub.seal("temperature", device="t", value=1), has_header=True)
        hub.start(before=before)
    assert await bench.kinds(Queue.TECHNICAL) == []


async def test_the_time_of_a_press_is_corrected_to_centrals_clock(bench: Bench, hub: FrameHub) -> None:
    sent = Stamp(boot_ms=500_000, wall_ms=1_000, is_wall_trusted=False)
    pressed = Stamp(boot_ms=440_000, wall_ms=0, is_wall_trusted=False)
    sealed = hub.seal("pendant_pressed", stamp=pressed)
    await bench.send(hub, hub.envelope(sealed, sender=hub.sender(stamp=sent)))
    alarm = await bench.alarm_of(sealed)
    assert alarm.happened_ms == bench.clock.now_ms() - 60_000


async def test_the_time_of_an_earlier_boot_comes_from_a_wall_clock_that_is_trusted(bench: Bench, hub: FrameHub) -> None:
    first = hub.now
    now = bench.clock.now_ms()
    old = hub.seal(
        "pendant_pressed", stamp=Stamp(boot_ms=9_000_000, wall_ms=now - 5_000 - 120_000, is_wall_trusted=True)
    )
    hub.boot_id = bytes(16)
    hub.start(before=first)
    sender = hub.sender(stamp=Stamp(boot_ms=1_000, wall_ms=now - 5_000, is_wall_trusted=True))
    await bench.send(hub, hub.envelope(old, sender=sender))
    assert (await bench.alarm_of(old)).happened_ms == now - 120_000


# ---------------------------------------------------------------------------------------------- who is not believed


async def test_an_alarm_of_an_unknown_hub_is_set_aside_and_raises_a_technical_alarm_at_once(bench: Bench) -> None:
    stranger = FrameHub(bench.services.keys.trust)
    stranger.id = unknown_id()
    stranger.start()
    frame = stranger.envelope(stranger.seal("pendant_pressed"))
    with pytest.raises(ForgedError, match="unknown_hub"):
        await bench.reception.receive(frame, "https")
    (alarm,) = await bench.alarms.queue(Queue.TECHNICAL)
    assert (alarm.kind.word, alarm.rank, alarm.hub) == ("unknown_hub", 4, stranger.id.hex())
    assert await bench.value("SELECT content FROM quarantine") == frame


async def test_a_flood_of_unknown_hubs_does_not_fill_the_database(bench: Bench, hub: FrameHub) -> None:
    for _ in range(120):
        stranger = FrameHub(bench.services.keys.trust)
        stranger.key, stranger.id = hub.key, unknown_id()
        stranger.run = hub.run
        with pytest.raises(ForgedError):
            await bench.reception.receive(stranger.envelope(b"x", lane=Lane.ALARM), "https")
    assert await bench.value("SELECT count(*) FROM quarantine") <= 50
    assert len(await bench.alarms.queue(Queue.TECHNICAL)) <= 50


async def test_a_revoked_hub_is_treated_as_unknown(bench: Bench, hub: FrameHub, open_bench: OpenBench) -> None:
    await bench.change(f"UPDATE hub SET state = 'revoked' WHERE id = '{hub.id.hex()}'")
    with pytest.raises(ForgedError, match="unknown_hub"):
        await bench.reception.receive(hub.envelope(hub.seal("pendant_pressed")), "https")
    assert await bench.kinds() == []


async def test_a_tampered_frame_changes_nothing_and_is_a_security_event(bench: Bench, hub: FrameHub) -> None:
    with pytest.raises(ForgedError, match="signature"):
        await bench.reception.receive(tampered(hub.envelope(hub.seal("pendant_pressed"))), "https")
    assert await bench.value(TOTAL) == 0
    await bench.services.security.flush()
    (seen,) = await bench.services.security.recent()
    assert (seen.reason, seen.hub, seen.count) == ("signature", hub.id.hex(), 1)
    assert bench.services.metrics.counts["refused.signature"] == 1


async def test_a_message_in_the_name_of_another_hub_is_refused(bench: Bench, hub: FrameHub) -> None:
    other = await bench.enrolled("Flat 2")
    impostor = hub.clone()
    impostor.start()
    impostor.id = other.id
    with pytest.raises(ForgedError):
        await bench.reception.receive(impostor.envelope(impostor.seal("pendant_pressed")), "https")
    assert await bench.value(TOTAL) == 0


async def test_a_replayed_frame_is_refused_and_counted(bench: Bench, hub: FrameHub) -> None:
    frame = hub.envelope(hub.seal("pendant_pressed"))
    await bench.reception.receive(frame, "https")
    for _ in range(3):
        with pytest.raises(ReplayedError):
            await bench.reception.receive(frame, "https")
    await bench.services.security.flush()
    (seen,) = await bench.services.security.recent()
    assert (seen.reason, seen.count) == ("replayed", 3)


async def test_a_frame_that_a_broker_doubles_is_answered_again_and_counted(bench: Bench, hub: FrameHub) -> None:
    frame = hub.envelope(hub.seal("pendant_pressed"))
    for _ in range(2):
        receipt = await bench.send(hub, frame, "mqtt", may_be_doubled=True)
        assert receipt.high == 1
    assert bench.services.metrics.counts["refused.replayed"] == 1
    (alarm,) = await bench.alarms.queue()
    assert alarm.repeats == 0


async def test_a_replay_is_recognised_after_central_was_started_again(open_bench: OpenBench) -> None:
    async with open_bench() as bench:
        hub = await bench.enrolled()
        frame, beat = hub.envelope(hub.seal("pendant_pressed")), hub.heartbeat()
        await bench.reception.receive(frame, "https")
        await bench.reception.receive(beat, "https")
    async with open_bench() as bench:
        for seen in (frame, beat):
            with pytest.raises(ReplayedError):
                await bench.reception.receive(seen, "https")


async def test_a_message_without_a_place_to_commit_it_gets_no_receipt(bench: Bench, hub: FrameHub) -> None:
    await bench.refuse_inserts("alarm")
    sealed = hub.seal("pendant_pressed")
    with pytest.raises(NotStoredError):
        await bench.tell(hub, sealed)
    assert await bench.value(TOTAL) == 0  # all of it or nothing of it
    await bench.take_inserts_again("alarm")
    assert (await bench.tell(hub, sealed)).high == 1
    assert await bench.kinds() == ["pendant_pressed"]


async def test_a_record_that_trips_a_fault_of_ours_is_stored_as_unreadable_and_the_others_as_they_are(
    bench: Bench, hub: FrameHub, caplog: pytest.LogCaptureFixture
) -> None:
    await bench.refuse_inserts("event", when="NEW.device = 'odd'")
    presses = [hub.seal("pendant_pressed", device=device) for device in ("pendant-1", "odd", "pendant-2")]
    receipt = await bench.tell(hub, *presses)
    assert (receipt.high, receipt.unopened) == (3, ((2, 2),))
    assert sorted(await bench.kinds()) == ["pendant_pressed", "pendant_pressed", "unreadable_alarm"]
    assert await bench.value("SELECT raw FROM event_raw WHERE seq = 2") == presses[1].raw


@pytest.mark.sqlite
async def test_a_database_that_is_full_refuses_and_takes_alarms_again_afterwards(bench: Bench, hub: FrameHub) -> None:
    pages = await bench.value("PRAGMA page_count")
    await bench.store.transact(Priority.UPKEEP, lambda c: c.exec_driver_sql(f"PRAGMA max_page_count = {pages}"))
    sealed = [hub.seal("temperature", device="t", value=n, details={"x": "y" * 200}) for n in range(300)]
    with pytest.raises(NotStoredError):
        for record in sealed:
            await bench.tell(hub, record, has_header=True)
    await bench.store.transact(Priority.UPKEEP, lambda c: c.exec_driver_sql("PRAGMA max_page_count = 1000000"))
    assert (await bench.tell(hub, *sealed, has_header=True)).high == 300


# ---------------------------------------------------------------------------------------------- what events mean


async def test_a_second_press_joins_the_open_alarm_lifts_it_and_sounds_again(bench: Bench, hub: FrameHub) -> None:
    first = await bench.press(hub)
    await bench.press(hub, device="pendant-2", resident="r-111111")
    again = await bench.press(hub)
    assert again.id == first.id
    assert (again.repeats, again.sound_no, again.version) == (1, 2, 2)
    queue = await bench.alarms.queue()
    assert next(alarm.id for alarm in queue) == first.id
    assert len(queue) == 2


async def test_a_repeat_in_the_care_lane_rises_by_one_rank_but_never_to_fire(bench: Bench, hub: FrameHub) -> None:
    for expected in (2, 1, 1, 1):
        sealed = hub.seal("bed_absent", device="mat-1")
        await bench.tell(hub, sealed)
        assert (await bench.alarm_of(sealed)).rank == expected


async def test_a_test_alarm_is_answered_by_machine_and_never_queued(bench: Bench, hub: FrameHub) -> None:
    sealed = hub.seal("test_alarm", device="pendant-1", resident=None)
    receipt = await bench.tell(hub, sealed)
    assert receipt.high == 1
    assert await bench.kinds() == []
    alarm = await bench.alarm_of(sealed)
    assert (alarm.queue, alarm.disposition, alarm.stage.word) == (Queue.TEST, "test", "closed")
    detail = await bench.alarms.alarm(alarm.id)
    assert [entry.what for entry in detail.timeline] == ["test_answered"]
    assert await bench.value("SELECT count(*) FROM outbox") == 1


async def test_technical_conditions_are_folded_and_end_when_the_hub_says_so(bench: Bench, hub: FrameHub) -> None:
    for device in ("d-1", "d-1", "d-1", "d-2"):
        await bench.tell(hub, hub.seal("device_missing", device=device, resident=None), has_header=True)
    queue = await bench.alarms.queue(Queue.TECHNICAL)
    assert sorted((alarm.device, alarm.repeats) for alarm in queue) == [("d-1", 2), ("d-2", 0)]
    assert await bench.kinds() == []
    await bench.tell(hub, hub.seal("device_back", device="d-1", resident=None))
    (left,) = await bench.alarms.queue(Queue.TECHNICAL)
    assert left.device == "d-2"
    closed = await bench.alarms.recent()
    assert [(alarm.device, alarm.outcome) for alarm in closed] == [("d-1", "condition_cleared")]


async def test_an_end_that_overtook_its_beginning_still_ends_it(bench: Bench, hub: FrameHub) -> None:
    missing = hub.seal("device_missing", device="d-1", resident=None)
    back = hub.seal("device_back", device="d-1", resident=None)
    await bench.tell(hub, back, has_header=True)
    await bench.tell(hub, missing)
    assert await bench.kinds(Queue.TECHNICAL) == []


async def test_a_device_that_clears_never_closes_a_personal_alarm(bench: Bench, hub: FrameHub) -> None:
    smoke = hub.seal("smoke", device="smoke-1")
    await bench.tell(hub, smoke)
    await bench.tell(hub, hub.seal("alarm_cleared", device="smoke-1"))
    alarm = await bench.alarm_of(smoke)
    assert (alarm.condition, alarm.stage.word, alarm.is_open) == ("cleared", "waiting", True)
    detail = await bench.alarms.alarm(alarm.id)
    assert [entry.what for entry in detail.timeline] == ["raised", "device_cleared"]


async def test_a_hub_with_a_critical_resident_has_its_technical_alarms_ranked_higher(
    bench: Bench, hub: FrameHub
) -> None:
    await bench.change(f"UPDATE hub SET is_critical = true WHERE id = '{hub.id.hex()}'")
    await bench.tell(hub, hub.seal("battery_low", device="d-1", resident=None), has_header=True)
    (alarm,) = await bench.alarms.queue(Queue.TECHNICAL)
    assert alarm.rank == 4


async def test_a_press_after_closing_is_a_new_alarm_that_names_the_old_one(bench: Bench, hub: FrameHub) -> None:
    from tests.central.conftest import FIRST

    first = await bench.press(hub)
    await bench.alarms.claim(first.id, FIRST)
    await bench.alarms.close(first.id, FIRST, "cleared_by_phone", "anxiety")
    second = await bench.press(hub)
    assert second.id != first.id
    assert second.before_alarm == first.id


async def test_every_kind_of_the_vocabulary_can_be_taken_in(bench: Bench, hub: FrameHub) -> None:
    for word in BY_WORD:
        receipt = await bench.tell(hub, hub.seal(word, device=f"d-{word}"[:16]), has_header=True)
        assert receipt.unopened == ()
    assert await bench.value(TOTAL) == len(BY_WORD)
