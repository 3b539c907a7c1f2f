"""What people write and devices measure: sealed wherever it stands, read with a reason, gone with the key."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from sqlalchemy import Text

from central import event_log
from central.access import EVERYTHING
from central.errors import NotFoundError
from central.lifecycle import Queue
from central.people.keeping import AlarmOpenError
from central.people.words import Place, is_sealed
from central.sql import Sql
from central.tables import metadata
from central.views import Actor, Legible
from cloud_sync.errors import WireError
from cloud_sync.record import parse_record

LEAD = Actor(id="lead", name="Lead One", role="lead")
FIRST = Actor(id="first", name="Operator One", role="responder")
SECOND = Actor(id="second", name="Operator Two", role="responder")
DONE = ("visit_now", "fall")

SEALED = {
    "access_entry.reason", "alarm.note", "dispatch.reason", "event.value", "handover.note", "incident.note",
    "log_entry.content", "maintenance.why",
}  # fmt: skip
CLEAR = {
    # the machinery, and what is sealed for central by others
    "central_state.value", "hub_epoch.before_last", "hub_heard.content", "high_water.stored", "high_water.unopened",
    "high_water.gaps", "alarm.fold_key", "audit_mark.content",
    # the equipment
    "event.details", "alarm.value", "alarm.details", "command.arguments", "command.result", "command_part.content",
    "health_check.result",
    # the municipality's own words about nobody, and choices of accounts
    "tenant.settings", "unit.settings", "plan.content", "alarm_plan.snapshot", "routine_card.content",
    "criteria_list.content", "outcome_list.content", "user_account.settings", "contact.agreement",
}  # fmt: skip


class Pen:
    """Writes a canary that no other text has, and remembers all of them."""

    def __init__(self) -> None:
        self.written: list[str] = []

    def __call__(self, where: str) -> str:
        self.written.append(f"kanari-{where}-Ragnhild")
        return self.written[-1]

    def found_in(self, held: bytes) -> list[str]:
        """Those that can be read there, in clear or as base64."""
        return [
            text
            for text in self.written
            if text.encode() in held or any(base64.b64encode(text.encode()[n:])[:-4] in held for n in range(3))
        ]


def test_whoever_adds_a_text_says_whether_it_may_be_about_somebody() -> None:
    texts = {
        f"{table.name}.{column.name}"
        for table in metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, Text)
    }
    assert texts == SEALED | CLEAR


async def _fill(town: Any, pen: Pen) -> tuple[Any, dict[str, str]]:
    """Every text that can be written about somebody, written. Returns the hub, and the alarms by what they are."""
    bench, keeping = town.bench, town.people.keeping
    for account in (FIRST, SECOND, LEAD):
        await bench.change(
            "INSERT INTO user_account (id, name, role, created_ms) VALUES"
            f" ('{account.id}', '{account.name}', '{account.role}', 0)"
        )
    await bench.change("INSERT INTO team (id, kind, name) VALUES ('patrol0000000000', 'patrol', 'Patrol')")
    hub = await bench.enrolled()
    found = {}
    # Before anybody is known to live there.
    nobody = await bench.press(hub, resident=None, value=pen("value-of-nobody"), details={"said": pen("details")})
    await bench.alarms.claim(nobody.id, FIRST)
    await bench.alarms.close(nobody.id, FIRST, *DONE, pen("note-about-nobody"))
    found["nobody"] = nobody.id
    resident = await town.resident("r-1", hub=hub.id.hex())

    sealed = hub.seal("limit_exceeded", resident=resident, value=pen("value"), details={"unit": pen("unit")})
    await bench.tell(hub, sealed)
    own = (await bench.alarm_of(sealed)).id
    found["own"] = own
    await bench.alarms.claim(own, FIRST)
    await bench.alarms.offer(own, FIRST, to_account=SECOND.id, note=pen("offer"))
    sent = await bench.alarms.dispatch(own, FIRST, "patrol0000000000")
    await bench.alarms.dispatch_step(sent.id, FIRST, "declined", pen("declined"))
    await bench.alarms.take_over(own, LEAD, pen("taken-over"))
    await bench.alarms.close(own, FIRST, *DONE, pen("note"), override=pen("override"))

    await bench.tell(hub, hub.seal("temperature", resident=None, value=21.25, details={"room": pen("room")}))
    await bench.tell(hub, hub.seal("test_alarm", resident=resident, value=pen("tested")))
    await bench.tell(hub, hub.seal("battery_low", device="p-1", resident=resident, value=12))
    fault = await bench.alarms.take_next(FIRST, Queue.TECHNICAL)
    assert fault is not None
    await bench.alarms.close(fault.id, FIRST, "resolved", "device_replaced", pen("note-of-a-fault"))
    found["fault"] = fault.id

    maintenance = bench.services.maintenance
    for reach, ref in (("resident", resident), ("hub", hub.id.hex()), ("device", f"{hub.id.hex()}:p-1")):
        until = bench.clock.now_ms() + 3_600_000
        words = {"reach": reach, "ref": ref, "sort": "absence", "to_ms": until, "why": pen(f"away-{reach}")}
        await maintenance.announce(LEAD, EVERYTHING, **words)
    await town.people.break_glass(SECOND, EVERYTHING, resident, pen("reason"))
    await town.people.search(SECOND, EVERYTHING, "ragnhild", reason=pen("search"))
    await keeping.erase(LEAD, await town.resident("r-2"))  # somebody else, elsewhere
    return hub, found


async def _all_sealed(town: Any) -> list[str]:
    """The owner of every sealed text that the database holds."""
    owners = []
    async with town.bench.store.read() as connection:
        for table in metadata.tables.values():
            for column in table.columns:
                if f"{table.name}.{column.name}" not in SEALED:
                    continue
                for (text,) in await Sql(f"SELECT {column.name} FROM {table.name}").rows(connection):
                    owners += [part.split(":")[0] for part in (text or "").split("sealed:1:")[1:]]
    return owners


async def test_nothing_that_is_said_of_a_resident_can_be_read_in_the_database_nor_opened_once_they_are_erased(
    town: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    pen = Pen()
    hub, alarms = await _fill(town, pen)
    bench = town.bench
    assert pen.found_in(await town.held()) == []
    own = await bench.read(alarms["own"])
    assert (own.alarm.note, own.alarm.value) == ("kanari-note-Ragnhild", "kanari-value-Ragnhild")
    assert own.alarm.details == {"unit": "kanari-unit-Ragnhild"}
    assert own.sent[0].reason == "kanari-declined-Ragnhild"
    typed = {entry.what: entry.content for entry in own.timeline}
    assert typed["taken_over"]["reason"] == "kanari-taken-over-Ragnhild"
    assert typed["dispatch_declined"]["reason"] == "kanari-declined-Ragnhild"
    assert typed["closed"]["override"] == "kanari-override-Ragnhild"
    nobody = await bench.read(alarms["nobody"])
    assert (nobody.alarm.note, nobody.alarm.value) == (
        "kanari-note-about-nobody-Ragnhild",
        "kanari-value-of-nobody-Ragnhild",
    )
    assert (await bench.read(alarms["fault"])).alarm.note == "kanari-note-of-a-fault-Ragnhild"
    whys = {one.reach.value: one.why for one in await bench.services.maintenance.all(EVERYTHING)}
    assert whys == {reach: f"kanari-away-{reach}-Ragnhild" for reach in ("resident", "hub", "device")}
    _, looks, _ = await town.people.access_log(LEAD, EVERYTHING, "r-1")
    assert {"kanari-reason-Ragnhild", "kanari-search-Ragnhild"} <= {look.reason for look in looks}

    await town.people.keeping.erase(LEAD, "r-1")
    held = await town.held()
    assert pen.found_in(held) == []
    for alarm in alarms.values():
        read = await bench.read(alarm)
        assert (read.alarm.words, read.alarm.note, read.alarm.value) in {
            (Legible.ERASED, None, None),
            (Legible.ERASED, None, 12),  # the battery
        }
        assert not any(is_sealed(value) for entry in read.timeline for value in entry.content.values())
    assert all(one.words is Legible.ERASED for one in await bench.services.maintenance.all(EVERYTHING))
    _, looks, _ = await town.people.access_log(LEAD, EVERYTHING, "r-1")
    assert {look.reason for look in looks if look.words is Legible.ERASED} == {""}
    owners = set(await _all_sealed(town))
    assert owners == {"r-1", f"hub/{hub.id.hex()}/0"}
    rows = await bench.rows("SELECT resident, wrapped FROM resident_key WHERE wrapped IS NOT NULL")
    assert [row[0] for row in rows] == []
    assert (await event_log.verify(bench.store)).is_whole
    said = capsys.readouterr()
    assert [text for text in pen.written if text in said.out + said.err] == []


async def test_the_record_as_it_came_is_no_way_back_to_what_was_erased(town: Any) -> None:
    hub = await town.bench.enrolled()
    resident = await town.resident(hub=hub.id.hex())
    sealed = hub.seal("fall", resident=resident, value="på badet")
    await town.bench.tell(hub, sealed)
    ((raw,),) = await town.bench.rows("SELECT raw FROM event_raw")
    assert sealed.raw not in bytes(raw)
    with pytest.raises(WireError):
        parse_record(bytes(raw))


async def test_a_list_has_no_words_and_reading_one_alarm_is_noted_once(town: Any) -> None:
    hub = await town.bench.enrolled()
    resident = await town.resident(hub=hub.id.hex())
    alarm = await town.bench.press(hub, resident=resident, value="på badet")
    (listed,) = await town.bench.alarms.queue()
    assert (listed.value, listed.note) == (None, None)
    before = await town.looks(resident)
    for _ in range(3):
        assert (await town.bench.read(alarm.id)).alarm.value == "på badet"
    assert (await town.looks(resident))[len(before) :] == [("Operator One", "words", alarm.id)]


async def test_the_words_of_a_closed_alarm_take_a_basis_and_the_entry_says_which(town: Any) -> None:
    hub = await town.bench.enrolled()
    resident = await town.resident(hub=hub.id.hex())
    alarm = await town.bench.press(hub, resident=resident, value=7)
    await town.bench.alarms.claim(alarm.id, FIRST)
    await town.bench.alarms.close(alarm.id, FIRST, *DONE, "Hun falt.")
    assert (await town.bench.read(alarm.id)).alarm.note == "Hun falt."
    town.bench.clock.advance(31 * 60)
    for actor in (FIRST, SECOND):
        sealed = (await town.bench.read(alarm.id, actor)).alarm
        assert (sealed.words, sealed.note, sealed.value) == (Legible.SEALED, None, None)
    assert (await town.bench.read(alarm.id, LEAD, keeps=True)).alarm.value == 7
    await town.people.break_glass(SECOND, EVERYTHING, resident, "kin_called")
    assert (await town.bench.read(alarm.id, SECOND)).alarm.note == "Hun falt."
    _, looks, _ = await town.people.access_log(LEAD, EVERYTHING, resident)
    noted = [(look.actor_name, look.purpose.value) for look in reversed(looks) if look.what == ("words",)]
    assert noted == [("Operator One", "alarm"), ("Lead One", "administration"), ("Operator Two", "break_glass")]


async def test_the_entry_is_written_in_the_transaction_that_reads_the_words(town: Any) -> None:
    hub = await town.bench.enrolled()
    alarm = await town.bench.press(hub, resident=await town.resident(hub=hub.id.hex()), value=7)
    await town.bench.refuse_inserts("access_entry")
    with pytest.raises(Exception, match="refused"):
        await town.bench.read(alarm.id)
    await town.bench.take_inserts_again("access_entry")


async def test_a_sealed_note_that_was_moved_to_another_alarm_does_not_open_and_is_no_error(town: Any) -> None:
    hub = await town.bench.enrolled()
    resident = await town.resident(hub=hub.id.hex())
    alarms = []
    for device in ("a", "b"):
        sealed = hub.seal("fall", device=device, resident=resident)
        await town.bench.tell(hub, sealed)
        alarm = (await town.bench.alarm_of(sealed)).id
        await town.bench.alarms.claim(alarm, FIRST)
        await town.bench.alarms.close(alarm, FIRST, *DONE, f"om {device}")
        alarms.append(alarm)
    await town.bench.change(
        f"UPDATE alarm SET note = (SELECT o.note FROM alarm o WHERE o.id = '{alarms[0]}') WHERE id = '{alarms[1]}'"
    )
    assert (await town.bench.read(alarms[0])).alarm.note == "om a"
    moved = (await town.bench.read(alarms[1])).alarm
    assert (moved.words, moved.note) == (Legible.DAMAGED, None)


async def test_an_alarm_about_somebody_who_was_erased_is_answered_and_its_words_are_the_homes(town: Any) -> None:
    hub = await town.bench.enrolled()
    resident = await town.resident(hub=hub.id.hex())
    await town.people.keeping.erase(LEAD, resident)
    alarm = await town.bench.press(hub, resident=resident, value="på badet")
    assert (await town.bench.read(alarm.id)).alarm.value == "på badet"
    with pytest.raises(AlarmOpenError):
        await town.people.keeping.forget(LEAD, hub.id.hex())
    await town.bench.alarms.claim(alarm.id, FIRST)
    await town.bench.alarms.close(alarm.id, FIRST, *DONE, "Hun bor her ennå.")
    assert (await town.bench.read(alarm.id)).alarm.note == "Hun bor her ennå."
    assert await town.people.keeping.forget(LEAD, hub.id.hex()) == 1
    assert (await town.bench.read(alarm.id, LEAD, keeps=True)).alarm.words is Legible.ERASED
    assert await town.people.keeping.forget(LEAD, hub.id.hex()) == 0
    again = await town.bench.press(hub, resident=resident, value="i gangen")
    assert (await town.bench.read(again.id)).alarm.value == "i gangen"  # with the home's next key
    with pytest.raises(NotFoundError):
        await town.people.keeping.forget(LEAD, "00" * 8)


async def test_a_home_with_two_residents_forgets_what_is_nobodys_with_the_last_of_them(town: Any) -> None:
    hub = await town.bench.enrolled()
    for resident in ("r-1", "r-2"):
        await town.resident(resident, hub=hub.id.hex())
    await town.bench.tell(hub, hub.seal("temperature", resident=None, value=21.5), has_header=True)
    where = f"SELECT count(*) FROM resident_key WHERE resident = 'hub/{hub.id.hex()}/0' AND wrapped IS NOT NULL"
    await town.people.keeping.erase(LEAD, "r-1")
    assert await town.bench.value(where) == 1
    await town.people.keeping.erase(LEAD, "r-2")
    assert await town.bench.value(where) == 0


async def test_a_key_that_does_not_open_keeps_the_measurement_out_and_the_alarm_in(town: Any) -> None:
    hub = await town.bench.enrolled()
    resident = await town.resident(hub=hub.id.hex())
    await town.bench.press(hub, resident=None, device="x", value=1)
    await town.bench.change("UPDATE resident_key SET master = '0000000000000000'")
    alarm = await town.bench.press(hub, resident=resident, value="på badet")
    assert (alarm.kind.word, alarm.is_open) == ("pendant_pressed", True)
    assert (await town.bench.read(alarm.id)).alarm.value == "på badet"  # the home has a key that opens
    await town.bench.change("UPDATE resident_key SET master = '0000000000000000'")
    again = await town.bench.press(hub, resident=resident, value="i gangen", device="pendant-2")
    assert (again.kind.word, again.is_open) == ("pendant_pressed", True)
    assert (await town.bench.read(again.id)).alarm.value is None


async def test_what_was_written_about_an_incident_is_sealed_and_can_be_erased(town: Any) -> None:
    bench, incidents = town.bench, town.bench.services.incidents
    await bench.change(
        "INSERT INTO incident (id, cell, kind, state, count, critical, opened_ms, last_ms)"
        " VALUES ('1c1c1c1c1c1c1c1c', 'operator:x', 'hub_silent', 'open', 20, 0, 0, 0)"
    )
    found = await incidents.one("1c" * 8, EVERYTHING)
    noted = await incidents.note(found.id, FIRST, EVERYTHING, "Ringte Ragnhild.", version=found.version)
    assert (noted.note, noted.words) == ("Ringte Ragnhild.", Legible.OPENED)
    assert b"Ringte Ragnhild" not in await town.held()
    (listed,) = await incidents.open(EVERYTHING)
    assert (listed.note, listed.words) == (None, Legible.SEALED)
    assert await town.people.keeping.forget(LEAD, found.id) == 1
    gone = await incidents.one(found.id, EVERYTHING)
    assert (gone.note, gone.words) == (None, Legible.ERASED)
    mine = await incidents.claim(found.id, FIRST, EVERYTHING)
    await incidents.close(found.id, FIRST, EVERYTHING, "power_restored", "Enda en linje.", version=mine.version)
    assert (await event_log.verify(bench.store)).is_whole


async def test_a_digest_in_the_log_cannot_be_tried_without_the_key(town: Any) -> None:
    hub = await town.bench.enrolled()
    resident = await town.resident(hub=hub.id.hex())
    alarm = await town.bench.press(hub, resident=resident)
    await town.bench.alarms.claim(alarm.id, FIRST)
    await town.bench.alarms.close(alarm.id, FIRST, *DONE, "fall")
    digest = (await town.bench.alarms.alarm(alarm.id)).timeline[-1].content["note_digest"]
    assert digest != event_log.digest_of("fall")
    async with town.bench.store.write() as connection:
        pen = await town.people.words.pen(connection, resident, hub.id.hex(), 0)
    assert digest == pen.digest("fall")
    assert pen.seal(Place("alarm", alarm.id, "note"), "") == ""
