"""People who are not at a console are told: at least once, never twice under one key, and given up loudly."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from central.escalation.tick import Escalation
from central.lifecycle import CENTRAL_KINDS, Queue
from central.metrics import Metrics
from central.notify.channel import Carrier, ChannelError, Message
from central.notify.letters import EmailCarrier
from central.notify.outgoing import Outgoing
from central.notify.phones import SmsCarrier
from central.opening import Source
from central.people.contacts import entry_from
from central.raising import raise_technical
from central.routing.plan import Channel as Way
from central.routing.plan import Plan, ReceiverKind, Step, Variant
from central.settings import EmailSettings, SmsSettings
from central.sms_http import HttpProvider
from central.sql import Sql
from central.technical.call_out import CallOut
from central.wakeup import Wakeup
from simulators.frame_hub import FrameHub
from simulators.mail_server import MailServer
from simulators.sms_provider import SmsOperator
from tests.central.conftest import FIRST, Bench

PATROL, CENTRE = "d" * 16, "e" * 16
TOKEN, SECRET = "a token of some length", b"a secret of thirty-two characters"
PHONE, ADDRESS = "+4790000002", "vakt@kommune.example"


class Desk:
    """Outgoing with a real provider and a real mail server at the other end."""

    def __init__(self, bench: Bench, sms: SmsOperator, mail: MailServer, channels: dict[str, Carrier]) -> None:
        self.bench, self.sms, self.mail, self.channels = bench, sms, mail, channels
        self.out = self.another()

    def another(self) -> Outgoing:
        return Outgoing(
            store=self.bench.store,
            clock=self.bench.clock,
            metrics=Metrics(),
            wakeup=Wakeup(),
            channels=self.channels,
            contacts=self.bench.services.people,
            public_url="https://vakt.example",
            give_up_ms=60_000,
        )

    async def send(self) -> None:
        for channel in ("sms", "email"):
            await self.out.send_due(channel)

    async def states(self) -> list[tuple[Any, ...]]:
        rows = await self.bench.rows(
            "SELECT channel, what, state, attempts FROM notification WHERE channel <> 'console'"
            " ORDER BY made_ms, channel, what"
        )
        return [tuple(row) for row in rows]


@pytest.fixture
async def desk(bench: Bench, tmp_path: Path, stack: AsyncExitStack) -> Desk:
    operator = SmsOperator("+4759000000", secret=SECRET, token=TOKEN)
    await stack.enter_async_context(operator.running())
    mail = await stack.enter_async_context(MailServer().running())
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "secret").write_bytes(SECRET)
    sms = SmsSettings(
        number="+4759000000",
        inbound_secret_file=tmp_path / "secret",
        outbound_url=operator.url,
        outbound_token_file=tmp_path / "token",
        timeout_s=2,
    )
    email = EmailSettings(host="127.0.0.1", port=mail.port, tls="none", sender="vaktpost@kommune.example", timeout_s=2)
    return Desk(bench, operator, mail, {"sms": SmsCarrier(HttpProvider(sms)), "email": EmailCarrier(email)})


@pytest.fixture(autouse=True)
async def patrol(bench: Bench) -> None:
    """A patrol with a telephone and a letter box, then the same again for ever."""
    async with bench.store.write() as connection:
        for team, kind in ((PATROL, "patrol"), (CENTRE, "centre")):
            await Sql(
                "INSERT INTO team (id, kind, name, phone, email) VALUES (:id, :kind, :name, :phone, :email)"
            ).rows(connection, id=team, kind=kind, name=f"Of {kind}", phone=PHONE, email=ADDRESS)
    await plan(bench, (Way.SMS, Way.EMAIL), (Way.SMS,))


async def plan(bench: Bench, *ways: tuple[Way, ...]) -> None:
    steps = tuple(Step(receiver=ReceiverKind.TEAM, team=PATROL, channels=one, patience_s=90) for one in ways)
    content = Plan(name="Test", variants=(Variant(name="always", steps=steps),)).model_dump_json()
    async with bench.store.write() as connection:
        await Sql("DELETE FROM plan").rows(connection)
        await Sql(
            "INSERT INTO plan (id, version, service, name, content, state, written_ms, written_by)"
            " VALUES ('1111111111111111', 1, '*', 'Test', :content, 'active', 0, 'test')"
        ).rows(connection, content=content)


async def words(bench: Bench, alarm: str) -> list[str]:
    return [entry.what for entry in (await bench.alarms.alarm(alarm)).timeline]


async def test_an_alarm_reaches_a_telephone_and_a_letter_box_without_a_word_about_whom(
    desk: Desk, bench: Bench, hub: FrameHub
) -> None:
    alarm = await bench.press(hub, resident="r-000001")
    await desk.send()
    (text,) = desk.sms.received
    assert text.to == PHONE
    assert text.text == f"Vaktpost: en alarm venter, og ingen har tatt den. https://vakt.example/alarms/{alarm.id}"
    (letter,) = desk.mail.letters
    assert (letter.sender, letter.to) == ("vaktpost@kommune.example", (ADDRESS,))
    assert letter.content["Subject"] == "Vaktpost: En alarm venter"
    for said in (text.text, letter.text, str(letter.content)):
        assert "pendant" not in said
        assert "r-000001" not in said
        assert "Flat 1" not in said
    assert [state for _, _, state, _ in await desk.states()] == ["sent", "sent"]
    assert (await words(bench, alarm.id)).count("notified") == 2
    await desk.send()
    assert len(desk.sms.received) == len(desk.mail.letters) == 1


async def test_technicians_are_called_out_in_words_that_anybody_may_read(
    desk: Desk, bench: Bench, hub: FrameHub
) -> None:
    await bench.change(f"UPDATE team SET kind = 'technical' WHERE id = '{CENTRE}'")
    now = bench.clock.now_ms()
    async with bench.store.write() as connection:
        source = Source(hub=hub.id.hex(), happened_ms=now)
        alarm = await raise_technical(connection, CENTRAL_KINDS["unknown_hub"], source, now)
    bench.clock.advance(bench.services.settings.call_out.first_after_s)
    await CallOut(bench.store, bench.clock, Wakeup()).look()
    await desk.send()
    (text,), (letter,) = desk.sms.received, desk.mail.letters
    code = await bench.value("SELECT code FROM notification WHERE code IS NOT NULL")
    assert text.text == (
        "Vaktpost: et teknisk varsel som ikke kan vente, står uten at noen tekniker har tatt det."
        f" https://vakt.example/alarms/{alarm} Svar 1 {code} hvis du tar det, 2 {code} hvis du ikke kan."
    )
    assert "Svar 1" not in letter.text
    assert letter.content["Subject"] == "Vaktpost: Et teknisk varsel som ikke kan vente"
    assert (await words(bench, alarm)).count("notified") == 2


async def test_many_processes_that_send_at_once_say_it_once(desk: Desk, bench: Bench, hub: FrameHub) -> None:
    await bench.press(hub)
    await asyncio.gather(*(desk.another().send_due("sms") for _ in range(5)))
    assert len(desk.sms.received) == 1


async def test_a_carrier_that_fails_is_asked_again_with_growing_pauses(desk: Desk, bench: Bench, hub: FrameHub) -> None:
    desk.sms.statuses.extend([503, 503])
    await bench.press(hub)
    waits = []
    for _ in range(40):
        before = desk.sms.refused
        await desk.out.send_due("sms")
        if desk.sms.refused > before or desk.sms.received:
            waits.append(bench.clock.now_ms())
        if desk.sms.received:
            break
        bench.clock.advance(1)
    assert [later - earlier for earlier, later in itertools.pairwise(waits)] == [2_000, 4_000]
    assert ("sms", "alarm_waits", "sent", 3) in await desk.states()


async def test_what_can_never_be_sent_is_a_technical_alarm_and_the_next_step_begins_at_once(
    desk: Desk, bench: Bench, hub: FrameHub
) -> None:
    desk.sms.statuses.append(400)
    alarm = await bench.press(hub)
    await desk.out.send_due("sms")
    assert ("sms", "alarm_waits", "given_up", 1) in await desk.states()
    assert await bench.kinds(Queue.TECHNICAL) == ["notification_failed"]
    assert await Escalation(bench.store, bench.clock, Wakeup()).tick() == 1
    assert "notification_given_up" in await words(bench, alarm.id)
    await desk.out.send_due("sms")
    assert len(desk.sms.received) == 1
    assert await bench.kinds(Queue.TECHNICAL) == []


async def test_the_last_step_is_not_hurried_by_a_carrier_that_says_no(desk: Desk, bench: Bench, hub: FrameHub) -> None:
    await plan(bench, (Way.SMS,))
    desk.sms.statuses.extend([400] * 9)
    await bench.press(hub)
    await desk.out.send_due("sms")
    assert await Escalation(bench.store, bench.clock, Wakeup()).tick() == 0


async def test_a_carrier_that_is_away_for_too_long_is_given_up(desk: Desk, bench: Bench, hub: FrameHub) -> None:
    desk.sms.statuses.extend([503] * 50)
    await bench.press(hub)
    for _ in range(70):
        await desk.out.send_due("sms")
        bench.clock.advance(1)
    assert ("sms", "alarm_waits", "given_up") in [row[:3] for row in await desk.states()]


async def test_a_channel_that_is_not_set_up_is_said_to_be_missing(desk: Desk, bench: Bench, hub: FrameHub) -> None:
    del desk.channels["sms"]
    await bench.press(hub)
    await desk.out.send_due("sms")
    assert await bench.value("SELECT fault FROM notification WHERE channel = 'sms'") == "no_channel"
    assert await bench.kinds(Queue.TECHNICAL) == ["notification_failed"]


async def test_who_was_called_hears_that_nobody_need_come_and_who_was_not_hears_nothing(
    desk: Desk, bench: Bench, hub: FrameHub
) -> None:
    alarm = await bench.press(hub)
    await desk.out.send_due("sms")
    await bench.alarms.claim(alarm.id, FIRST)
    await desk.send()
    assert [text.text for text in desk.sms.received][1:] == ["Vaktpost: alarmen er tatt, du trenger ikke komme."]
    assert desk.mail.letters == []
    assert [row[:3] for row in await desk.states()] == [
        ("email", "alarm_waits", "cancelled"),
        ("sms", "alarm_waits", "sent"),
        ("sms", "taken", "sent"),
    ]


class Slow:
    """Lets something happen while a message is on its way."""

    def __init__(self, meanwhile: Any) -> None:
        self.meanwhile = meanwhile

    async def send(self, _address: str, _message: Message, *, reference: str) -> str:
        await self.meanwhile()
        return f"out-{reference}"


async def test_what_was_said_while_somebody_took_it_is_taken_back(desk: Desk, bench: Bench, hub: FrameHub) -> None:
    alarm = await bench.press(hub)
    desk.channels["sms"] = Slow(lambda: bench.alarms.claim(alarm.id, FIRST))
    await desk.out.send_due("sms")
    assert ("sms", "alarm_waits", "sent", 1) in await desk.states()
    assert ("sms", "taken", "pending", 0) in await desk.states()


async def test_a_process_that_dies_while_it_sends_loses_nothing(desk: Desk, bench: Bench, hub: FrameHub) -> None:
    await bench.press(hub)
    started = asyncio.Event()
    working = desk.channels["sms"]

    async def hang() -> None:
        started.set()
        await asyncio.Event().wait()

    desk.channels["sms"] = Slow(hang)
    dying = asyncio.create_task(desk.another().send_due("sms"))
    async with asyncio.timeout(5):
        await started.wait()
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    desk.channels["sms"] = working
    await desk.out.send_due("sms")
    assert desk.sms.received == []
    bench.clock.advance(31)
    await desk.out.send_due("sms")
    assert len(desk.sms.received) == 1


async def test_a_receipt_is_kept_and_one_that_says_no_makes_the_plan_go_on(
    desk: Desk, bench: Bench, hub: FrameHub
) -> None:
    alarm = await bench.press(hub)
    await desk.out.send_due("sms")
    reference = await bench.value("SELECT provider_ref FROM notification WHERE channel = 'sms'")
    assert await desk.out.delivered("out-of-nowhere") is False
    assert await desk.out.delivered(reference) is True
    assert ("sms", "alarm_waits", "delivered", 1) in await desk.states()
    bench.clock.advance(91)
    ticking = Escalation(bench.store, bench.clock, Wakeup())
    await plan(bench, (Way.SMS,))
    second = await bench.press(hub, device="pendant-2")
    await desk.out.send_due("sms")
    newest = await bench.value(f"SELECT provider_ref FROM notification WHERE alarm = '{second.id}'")
    assert await desk.out.delivered(newest, "expired") is True
    assert await bench.value(f"SELECT state FROM notification WHERE alarm = '{second.id}'") == "given_up"
    assert await ticking.tick() == 1
    assert "notification_delivered" in await words(bench, alarm.id)


@pytest.mark.sqlite
async def test_a_mail_server_that_refuses_or_hangs_is_told_apart(desk: Desk) -> None:
    channel = desk.channels["email"]
    letter = Message(subject="x", text="y")
    desk.mail.answers.extend(["550 nobody of that name", "451 later"])
    for is_final in (True, False):
        with pytest.raises(ChannelError) as caught:
            await channel.send(ADDRESS, letter, reference="r")
        assert caught.value.is_final is is_final
    desk.mail.is_deaf = True
    with pytest.raises(ChannelError, match=r"timeout|unreachable"):
        await channel.send(ADDRESS, letter, reference="r")


async def test_a_contact_who_cannot_be_opened_does_not_hold_up_the_others(desk: Desk, bench: Bench) -> None:
    kin = Step(receiver=ReceiverKind.CONTACTS, channels=(Way.EMAIL,), patience_s=90)
    content = Plan(name="Test", variants=(Variant(name="always", steps=(kin, kin)),)).model_dump_json()
    keeping, tenant = bench.services.people.keeping, await bench.value("SELECT id FROM tenant")
    async with bench.store.write() as connection:
        await Sql("UPDATE plan SET content = :content").rows(connection, content=content)
    for who in ("r-1", "r-2"):
        await keeping.register(FIRST, tenant=tenant, pseudonym=who)
        entry = {"name": "Somebody", "email": f"{who}@nord.example", "agreement": {"services": ["TA"]}}
        await keeping.add_contact(FIRST, who, entry_from(entry), source="resident")
        await bench.press(await bench.enrolled(who), resident=who)
    async with bench.store.write() as connection:
        await Sql("UPDATE contact SET sealed = :sealed WHERE resident = 'r-1'").rows(connection, sealed=bytes(60))
    await desk.out.send_due("email")
    assert [letter.to for letter in desk.mail.letters] == [("r-2@nord.example",)]
    found = await bench.rows("SELECT state, fault FROM notification WHERE channel = 'email' ORDER BY state")
    assert [tuple(row) for row in found] == [("pending", "fault: DamagedError"), ("sent", "")]
    bench.clock.advance(91)
    await desk.out.send_due("email")
    assert "notification_failed" in await bench.kinds(Queue.TECHNICAL)  # given up after its time, and not in silence
