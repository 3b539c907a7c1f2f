"""A receipt that does not come: said, not repeated, and told to technicians when several in a row are missing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from central.escalation.tick import Escalation
from central.lifecycle import Queue
from central.metrics import Metrics
from central.notify.channel import Awaited, Message
from central.notify.outgoing import Outgoing
from central.routing.plan import Channel, Plan, ReceiverKind, Step, Variant
from central.sql import Sql
from central.wakeup import Wakeup
from simulators.frame_hub import FrameHub
from tests.central.conftest import FIRST, Bench

PATROL = "d" * 16
WITHIN_S = 300
EXPECTED = Awaited(within_s=WITHIN_S)


class Provider:
    """Takes everything, and gives it a name unless it has none to give."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.names = True
        self.meanwhile: Callable[[], None] = lambda: None

    async def send(self, _address: str, _message: Message, *, reference: str) -> str:
        self.taken.append(reference)
        self.meanwhile()
        return f"out-{reference}" if self.names else ""


class Way:
    """SMS and e-mail to a patrol, and what becomes of them."""

    def __init__(self, bench: Bench, hub: FrameHub) -> None:
        self.bench, self.hub = bench, hub
        self.provider, self.server = Provider(), Provider()
        self.server.names = False
        self.out = self.another()

    def another(self, awaited: Awaited | None = EXPECTED) -> Outgoing:
        """A process of central."""
        return Outgoing(
            store=self.bench.store,
            clock=self.bench.clock,
            metrics=Metrics(),
            wakeup=Wakeup(),
            channels={"sms": self.provider, "email": self.server},
            contacts=self.bench.services.people,
            public_url="https://vakt.example",
            give_up_ms=60_000,
            awaited={"sms": awaited, "email": None},
        )

    async def tell(self) -> tuple[str, str]:
        """An alarm whose patrol is told. Returns it, and the provider's name for the text."""
        alarm = (await self.bench.press(self.hub, device=f"pendant-{len(self.provider.taken)}")).id
        for channel in ("sms", "email"):
            await self.out.send_due(channel)
        reference = await self.value(alarm, "provider_ref")
        return alarm, str(reference)

    async def value(self, alarm: str, what: str = "state", channel: str = "sms") -> Any:
        return await self.bench.value(
            f"SELECT {what} FROM notification WHERE alarm = '{alarm}' AND channel = '{channel}'"
        )

    async def confirmed(self) -> None:
        """The provider has given a receipt: from now on they are expected."""
        _, reference = await self.tell()
        assert await self.out.delivered(reference)

    async def later(self, seconds: float = WITHIN_S + 1) -> int:
        self.bench.clock.advance(seconds)
        return await self.out.receipts.look()

    async def words(self, alarm: str) -> list[str]:
        return [entry.what for entry in (await self.bench.alarms.alarm(alarm)).timeline]


@pytest.fixture
async def way(bench: Bench, hub: FrameHub) -> Way:
    steps = (Step(receiver=ReceiverKind.TEAM, team=PATROL, channels=(Channel.SMS, Channel.EMAIL), patience_s=3600),) * 2
    content = Plan(name="Test", variants=(Variant(name="always", steps=steps),)).model_dump_json()
    async with bench.store.write() as connection:
        await Sql(
            "INSERT INTO team (id, kind, name, phone, email) VALUES (:id, 'patrol', 'Patrol', '+4790000002', 'a@b.no')"
        ).rows(connection, id=PATROL)
        await Sql(
            "INSERT INTO plan (id, version, service, name, content, state, written_ms, written_by)"
            " VALUES ('1111111111111111', 1, '*', 'Test', :content, 'active', 0, 'test')"
        ).rows(connection, content=content)
    return Way(bench, hub)


async def test_a_text_whose_receipt_does_not_come_is_unconfirmed_and_nothing_else_follows(way: Way) -> None:
    await way.confirmed()
    alarm, reference = await way.tell()
    assert await way.later(WITHIN_S - 1) == 0
    assert await way.value(alarm) == "sent"
    assert await way.later(2) == 1
    assert await way.value(alarm) == "unconfirmed"
    (entry,) = [one for one in (await way.bench.alarms.alarm(alarm)).timeline if one.what == "notification_unconfirmed"]
    assert entry.content == {"channel": "sms", "what": "alarm_waits", "step": 0}
    changes = await way.bench.rows(f"SELECT what FROM feed WHERE ref = '{alarm}' ORDER BY no")
    assert changes[-1][0] == "notification_unconfirmed"
    assert await way.bench.kinds(Queue.TECHNICAL) == []
    assert await Escalation(way.bench.store, way.bench.clock, Wakeup()).tick() == 0  # the plan has its own deadlines
    await way.out.send_due("sms")
    assert way.provider.taken.count(reference.removeprefix("out-")) == 1
    assert await way.later() == 0  # once
    assert await way.value(alarm, channel="email") == "sent"


async def test_a_late_receipt_is_one(way: Way) -> None:
    await way.confirmed()
    alarm, reference = await way.tell()
    await way.later()
    assert await way.out.delivered(reference)
    assert await way.value(alarm) == "delivered"
    assert "notification_delivered" in await way.words(alarm)


async def test_a_late_no_is_given_up_and_the_plan_goes_on_at_once(way: Way) -> None:
    await way.confirmed()
    alarm, reference = await way.tell()
    await way.later()
    assert await way.out.delivered(reference, "expired")
    assert await way.value(alarm) == "given_up"
    assert await Escalation(way.bench.store, way.bench.clock, Wakeup()).tick() == 1


async def test_who_was_told_without_a_receipt_hears_that_nobody_need_come(way: Way) -> None:
    await way.confirmed()
    alarm, _ = await way.tell()
    await way.later()
    await way.bench.alarms.claim(alarm, FIRST)
    told = await way.bench.rows(f"SELECT channel FROM notification WHERE alarm = '{alarm}' AND what = 'taken'")
    assert sorted(row[0] for row in told) == ["email", "sms"]


async def test_of_a_provider_that_has_never_confirmed_nothing_is_missing(way: Way) -> None:
    alarm, _ = await way.tell()
    assert await way.later(30 * 24 * 3600) == 0
    assert await way.value(alarm) == "sent"
    await way.confirmed()
    assert await way.later() == 0  # nor of what was sent before its first receipt
    assert await way.value(alarm) == "sent"


async def test_a_receipt_that_says_no_is_a_receipt(way: Way) -> None:
    _, reference = await way.tell()
    assert await way.out.delivered(reference, "rejected")
    alarm, _ = await way.tell()
    assert await way.later() == 1
    assert await way.value(alarm) == "unconfirmed"


async def test_where_receipts_are_promised_the_first_text_is_missed_even_if_it_has_no_name(way: Way) -> None:
    way.out = way.another(Awaited(within_s=WITHIN_S, is_promised=True))
    assert await way.out.receipts.look() == 0
    way.provider.names = False
    alarm, _ = await way.tell()
    assert await way.later() == 1
    assert await way.value(alarm) == "unconfirmed"


async def test_several_in_a_row_are_one_technical_alarm_until_the_next_receipt(way: Way) -> None:
    await way.confirmed()
    for _ in range(2):
        await way.tell()
        await way.later()
    assert await way.bench.kinds(Queue.TECHNICAL) == []
    references = []
    for _ in range(3):
        references.append((await way.tell())[1])
        await way.later()
        assert await way.bench.kinds(Queue.TECHNICAL) == ["receipts_missing"]
    (fault,) = await way.bench.alarms.queue(Queue.TECHNICAL)
    assert (fault.hub, fault.device, fault.repeats) == ("", "sms", 2)
    assert await way.out.delivered(references[0])
    assert await way.bench.kinds(Queue.TECHNICAL) == []
    for _ in range(2):  # they are counted anew
        await way.tell()
        await way.later()
    assert await way.bench.kinds(Queue.TECHNICAL) == []


async def test_many_that_are_missed_at_once_are_told_each_and_folded_into_one_fault(way: Way) -> None:
    await way.confirmed()
    alarms = [(await way.tell())[0] for _ in range(25)]
    way.bench.clock.advance(WITHIN_S + 1)
    counts = await asyncio.gather(*(way.another().receipts.look() for _ in range(3)))
    assert sum(counts) == 25
    assert {await way.value(alarm) for alarm in alarms} == {"unconfirmed"}
    assert [(await way.words(alarm)).count("notification_unconfirmed") for alarm in alarms] == [1] * 25
    assert await way.bench.kinds(Queue.TECHNICAL) == ["receipts_missing"]


async def test_who_sets_that_no_receipts_come_ends_the_doubt(way: Way) -> None:
    await way.confirmed()
    for _ in range(3):
        await way.tell()
        await way.later()
    assert await way.bench.kinds(Queue.TECHNICAL) == ["receipts_missing"]
    way.out = way.another(None)
    assert await way.out.receipts.look() == 0
    assert await way.bench.kinds(Queue.TECHNICAL) == []
    alarm, _ = await way.tell()
    assert await way.later() == 0
    assert await way.value(alarm) == "sent"


async def test_what_was_noted_holds_over_a_restart(way: Way) -> None:
    await way.confirmed()
    way.out = way.another()
    alarm, _ = await way.tell()
    assert await way.later() == 1
    assert await way.value(alarm) == "unconfirmed"


async def test_a_receipt_that_is_quicker_than_our_commit_is_waited_for(way: Way) -> None:
    early: list[asyncio.Task[bool]] = []

    def confirm() -> None:
        early.append(asyncio.create_task(way.another().delivered(f"out-{way.provider.taken[-1]}")))

    way.provider.meanwhile = confirm
    taken = way.provider.send

    async def slow(address: str, message: Message, *, reference: str) -> str:
        name = await taken(address, message, reference=reference)
        await asyncio.sleep(0.3)  # the receipt is at the webhook long before this answer is committed
        return name

    way.provider.send = slow  # type: ignore[method-assign]
    alarm, _ = await way.tell()
    async with asyncio.timeout(20):
        assert await early[0] is True
    assert await way.value(alarm) == "delivered"
