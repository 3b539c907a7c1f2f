"""What every way of telling people must do, said once and tried on each, with a real central and a real other end.

The console, SMS through an HTTP provider, e-mail through an SMTP server, and the pager of docs/adding-a-channel.md,
installed as a package beside Vaktpost is.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection
from structlog.testing import capture_logs

from central.console.catalogue import words
from central.daemon import open_central
from central.errors import SettingsError
from central.escalation.receivers import Receiver
from central.escalation.telling import tell
from central.feed import publish
from central.listener import bind, serve
from central.metrics import Metrics
from central.notify.channel import Carrier, ChannelError, Message
from central.notify.channels import GROUP, carried, channels, lines, promise_of
from central.notify.outgoing import Outgoing
from central.routing.checking import faults_of
from central.routing.plan import Plan, ReceiverKind, Step, Variant
from central.routing.teams import Team
from central.routing.words import channels_words
from central.settings import CentralSettings
from central.sql import Sql
from central.store import Priority
from central.technical.ladder import Called
from central.wakeup import Wakeup
from tests.central import conftest as central
from tests.central.conftest import FIRST, Bench, ManualClock
from tests.contract.channel_ends import ADDRESS, HUNG_S, PHONE, Console, Email, Pager, Sms

# The same central as in its own tests, on both databases.
founded, postgres, database = central.founded, central.postgres, central.database
settings, clock, stack = central.settings, central.clock, central.stack
pytest_generate_tests = central.pytest_generate_tests

PAGE = Path(__file__).parents[2] / "docs" / "adding-a-channel.md"
TEAM = "d" * 16
SECRET_TEXT = "Vaktpost: nobody else may read this"
End = Sms | Email | Pager | Console
CARRIED = (Sms, Email, Pager)


class House:
    """A central whose only plan tells one team by one way."""

    def __init__(self, bench: Bench, end: End, webhook: str) -> None:
        self.bench, self.end, self.webhook = bench, end, webhook

    async def open(self) -> None:
        bench = self.bench
        self.hub = await bench.enrolled()
        await bench.change(
            "INSERT INTO team (id, kind, name, phone, email)"
            f" VALUES ('{TEAM}', 'patrol', 'Patrol', '{PHONE}', '{ADDRESS}')"
        )
        step = Step(receiver=ReceiverKind.TEAM, team=TEAM, channels=(self.end.name,), patience_s=90)
        plan = Plan(name="Test", variants=(Variant(name="always", steps=(step,)),)).model_dump_json()
        async with bench.store.write() as connection:
            await Sql(
                "INSERT INTO plan (id, version, service, name, content, state, written_ms, written_by)"
                " VALUES ('1111111111111111', 1, '*', 'Test', :content, 'active', 0, 'test')"
            ).rows(connection, content=plan)

    async def press(self, number: int = 0) -> str:
        return (await self.bench.press(self.hub, device=f"pendant-{number}")).id

    async def send(self, times: int = 1) -> None:
        """As the task of every channel does it; `times` of them at once."""
        rounds = self.bench.central.rounds
        await asyncio.gather(*(rounds[f"notify-{name}"]() for name in carried() for _ in range(times)))

    async def heard(self, count: int) -> list[str]:
        """The alarms that came to the other end, once there are so many."""
        async with asyncio.timeout(10):
            while len(self.end.handed_over()) < count:
                await asyncio.sleep(0.02)
        return [re.findall(r"/alarms/([0-9a-f]{16})", text)[0] for _, text in self.end.handed_over()]

    async def row(self, alarm: str) -> dict[str, Any]:
        names = ("id", "key", "state", "attempts", "fault", "provider_ref", "receipt_ms")
        (row,) = await self.bench.rows(f"SELECT {', '.join(names)} FROM notification WHERE alarm = '{alarm}'")
        return dict(zip(names, row, strict=True))

    async def receipt(self, alarm: str) -> None:
        """The other end confirms what it was told of an alarm; one without receipts has no way to."""
        if isinstance(self.end, Console):
            await self.bench.alarms.mark_shown(alarm, "abcdef12", FIRST.id)
        elif isinstance(self.end, Sms):
            await self.fate((await self.row(alarm))["provider_ref"])

    async def fate(self, reference: str, state: str = "delivered") -> None:
        """The provider says what became of a message."""
        assert isinstance(self.end, Sms)
        self.end.operator.webhook = self.webhook
        body = json.dumps({"id": reference, "state": state, "nonce": time.monotonic_ns()}).encode()
        status = await self.end.operator.post_raw("/sms/v1/receipt", body, at_s=self.bench.clock.now_ms() / 1000)
        assert status == 200


@pytest.fixture
def pager_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The package of the page, installed: its module and what `pip install` writes beside it."""
    module, registration = re.findall(r"```(?:python|toml)\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)[:2]
    site = tmp_path / "site-packages"
    (site / "pager-1.0.dist-info").mkdir(parents=True)
    (site / "pager.py").write_text(module)
    (site / "pager-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: pager\nVersion: 1.0\n")
    group, line = registration.strip().splitlines()
    assert group == f'[project.entry-points."{GROUP}"]'
    (site / "pager-1.0.dist-info" / "entry_points.txt").write_text(f"[{GROUP}]\n{line.replace(chr(34), '')}\n")
    monkeypatch.syspath_prepend(site)
    monkeypatch.delitem(sys.modules, "pager", raising=False)
    channels.cache_clear()
    yield site
    channels.cache_clear()


@asynccontextmanager
async def house_of(
    kind: type[End], settings: CentralSettings, clock: ManualClock, folder: Path
) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        end = kind()
        settings = settings.model_copy(update=await end.start(stack, folder))
        opened = await stack.enter_async_context(open_central(settings, clock))
        bench = Bench(opened, clock)
        await bench.change(central.ALWAYS_ON_DUTY)
        webhook, tasks = "", []
        if opened.sms is not None:
            socket = bind("127.0.0.1", 0, "sms")
            webhook, stop = f"http://127.0.0.1:{socket.getsockname()[1]}", asyncio.Event()
            stack.callback(stop.set)
            tasks.append(asyncio.create_task(serve(opened.sms.app, socket, stop)))
        house = House(bench, end, webhook)
        await house.open()
        if isinstance(end, Console):
            tasks += [asyncio.create_task(bench.services.feed.run()), asyncio.create_task(end.follow(bench))]
        try:
            yield house
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture(params=[*CARRIED, Console], ids=lambda kind: kind.name)
async def house(
    request: pytest.FixtureRequest, pager_package: Path, settings: CentralSettings, clock: ManualClock, tmp_path: Path
) -> AsyncIterator[House]:
    async with house_of(request.param, settings, clock, tmp_path) as house:
        yield house


@pytest.fixture(params=CARRIED, ids=lambda kind: kind.name)
async def carried_house(
    request: pytest.FixtureRequest, pager_package: Path, settings: CentralSettings, clock: ManualClock, tmp_path: Path
) -> AsyncIterator[House]:
    async with house_of(request.param, settings, clock, tmp_path) as house:
        yield house


def carrier_of(house: House) -> Carrier:
    return lines(house.bench.services.settings)[house.end.name].carrier


# ── Once ─────────────────────────────────────────────────────────────────────────────


async def test_an_alarm_is_told_once_however_many_look_and_how_often(house: House) -> None:
    alarms = [await house.press(number) for number in range(3)]
    for _ in range(3):
        await house.send(times=3)
    assert sorted(await house.heard(3)) == sorted(alarms)
    assert {(await house.row(alarm))["state"] for alarm in alarms} == {"sent"}
    assert len({reference for reference, _ in house.end.handed_over()}) == 3


async def test_what_is_to_be_told_again_under_the_same_key_is_told_once(house: House) -> None:
    alarm = await house.press()
    key = (await house.row(alarm))["key"]
    bench = house.bench

    async def again(connection: AsyncConnection) -> None:
        to = Receiver(team=TEAM, phone=PHONE, email=ADDRESS)
        await tell(connection, key, to, house.end.name, "alarm_waits", bench.clock.now_ms(), alarm=alarm)

    for _ in range(3):
        await house.send()
        await bench.store.transact(Priority.PEOPLE, again)
    assert await house.heard(1) == [alarm]


async def test_what_was_not_committed_is_told_to_nobody(house: House) -> None:
    bench, alarm = house.bench, "f" * 16

    async def half(connection: AsyncConnection) -> None:
        now = bench.clock.now_ms()
        await tell(connection, "a key", Receiver(team=TEAM), house.end.name, "alarm_waits", now, alarm=alarm)
        await publish(connection, now, "alarm", alarm, "raised")
        raise InterruptedError

    with pytest.raises(InterruptedError):
        await bench.store.transact(Priority.PEOPLE, half)
    told = await house.press()
    await house.send()
    assert await house.heard(1) == [told]


# ── Again ────────────────────────────────────────────────────────────────────────────


async def test_what_was_taken_without_an_answer_comes_again_under_the_same_reference(carried_house: House) -> None:
    house = carried_house
    house.end.lose_an_answer()
    alarm = await house.press()
    await house.send()
    assert (await house.row(alarm))["state"] == "pending"
    house.bench.clock.advance(3)
    await house.send()
    assert await house.heard(2) == [alarm, alarm]
    assert len({reference for reference, _ in house.end.handed_over()}) == 1
    row = await house.row(alarm)
    assert (row["state"], row["attempts"], row["fault"]) == ("sent", 2, "")


@pytest.mark.parametrize("kind", [Console], ids=["console"])
async def test_a_console_that_lost_its_line_is_told_the_same_under_the_same_number(
    kind: type[Console], settings: CentralSettings, clock: ManualClock, tmp_path: Path
) -> None:
    async with house_of(kind, settings, clock, tmp_path) as house:
        alarm = await house.press()
        await house.heard(1)
        again = kind()
        await again.start(AsyncExitStack(), tmp_path)
        following = asyncio.create_task(again.follow(house.bench))
        async with asyncio.timeout(10):
            while len(again.handed_over()) < 1:
                await asyncio.sleep(0.02)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        assert again.handed_over() == house.end.handed_over()
        assert alarm in again.handed_over()[0][1]


# ── Refused ──────────────────────────────────────────────────────────────────────────


@pytest.mark.sqlite
@pytest.mark.parametrize("is_final", [True, False])
async def test_a_refusal_says_whether_it_is_final_and_nothing_of_address_or_message(
    carried_house: House, is_final: bool
) -> None:
    house = carried_house
    house.end.refuse(is_final=is_final)
    message = Message(subject="x", text=SECRET_TEXT)
    with capture_logs() as said, pytest.raises(ChannelError) as caught:
        await carrier_of(house).send(house.end.address, message, reference="r")
    assert caught.value.is_final is is_final
    assert caught.value.__cause__ is None
    everything = f"{caught.value!r} {caught.value.reason} {said}"
    for secret in (PHONE, ADDRESS, SECRET_TEXT):
        assert secret not in everything


async def test_a_refusal_for_good_is_given_up_loudly_and_another_is_tried_again(carried_house: House) -> None:
    house = carried_house
    for is_final in (True, False):
        house.end.refuse(is_final=is_final)
        with capture_logs() as said:
            alarm = await house.press(int(is_final))
            await house.send()
        row = await house.row(alarm)
        assert row["state"] == ("given_up" if is_final else "pending")
        assert 0 < len(row["fault"]) <= 64
        log = await house.bench.rows(f"SELECT content FROM log_entry WHERE alarm = '{alarm}'")
        for secret in (PHONE, ADDRESS, "Vaktpost"):
            assert secret not in f"{said} {row} {[entry[0] for entry in log]}"
    kinds = await house.bench.rows("SELECT kind, device FROM alarm WHERE queue = 'technical'")
    assert [tuple(row) for row in kinds] == [("notification_failed", house.end.name)]
    house.bench.clock.advance(3)
    await house.send()
    assert (await house.row(alarm))["state"] == "sent"
    kinds = await house.bench.rows("SELECT kind FROM alarm WHERE queue = 'technical' AND closed_ms IS NULL")
    assert kinds == []


# ── Several at once, and a silent other end ──────────────────────────────────────────


async def test_several_tasks_at_once_tell_each_alarm_once(house: House) -> None:
    alarms = await asyncio.gather(*(house.press(number) for number in range(8)))
    await house.send(times=4)
    assert sorted(await house.heard(8)) == sorted(alarms)


@pytest.mark.sqlite
async def test_an_other_end_that_hangs_costs_a_bounded_time_and_the_message_comes_later(carried_house: House) -> None:
    house = carried_house
    house.end.hang()
    alarm = await house.press()
    begun = time.monotonic()
    async with asyncio.timeout(20 * HUNG_S):
        await house.send()
    assert time.monotonic() - begun >= HUNG_S * 0.9
    row = await house.row(alarm)
    assert row["state"] == "pending"
    assert row["fault"]


@pytest.mark.sqlite
async def test_an_other_end_that_says_a_little_now_and_then_holds_nobody_for_longer(carried_house: House) -> None:
    house, bench = carried_house, carried_house.bench
    out = Outgoing(
        store=bench.store,
        clock=bench.clock,
        metrics=Metrics(),
        wakeup=Wakeup(),
        channels={name: line.carrier for name, line in lines(bench.services.settings).items()},
        contacts=bench.services.people,
        public_url="https://vakt.example",
        give_up_ms=60_000,
        held_ms=round(2 * HUNG_S * 1000),
    )
    house.end.drip(is_dripping=True)
    alarm = await house.press()
    async with asyncio.timeout(20 * HUNG_S):
        assert await out.send_due(house.end.name) == 1
    assert ((await house.row(alarm))["state"], (await house.row(alarm))["fault"]) == ("pending", "timeout")
    async with asyncio.timeout(10):
        while house.end.dripping():  # nobody listens to it any more: no thread is left with it
            await asyncio.sleep(0.05)
    house.end.drip(is_dripping=False)


@pytest.mark.parametrize("kind", [Console], ids=["console"])
async def test_a_console_that_does_not_read_holds_nobody(
    kind: type[Console], settings: CentralSettings, clock: ManualClock, tmp_path: Path
) -> None:
    async with house_of(kind, settings, clock, tmp_path) as house:
        stuck = house.bench.services.feed.follow(0)
        await house.press(0)
        async with asyncio.timeout(10):
            await anext(stuck)
            alarms = [await house.press(number) for number in range(1, 4)]
            assert (await house.heard(4))[1:] == alarms
        await stuck.aclose()


# ── Receipts ─────────────────────────────────────────────────────────────────────────


async def test_a_receipt_makes_sent_delivered_once_and_without_one_sent_stays_the_truth(house: House) -> None:
    bench = house.bench
    alarm = await house.press()
    await house.send()
    await house.heard(1)
    assert (await house.row(alarm))["state"] == "sent"
    await house.receipt(alarm)
    first = await house.row(alarm)
    gives_receipts = not isinstance(house.end, Email | Pager)
    assert first["state"] == ("delivered" if gives_receipts else "sent")
    assert (first["receipt_ms"] is not None) is gives_receipts
    entries = await bench.value(f"SELECT count(*) FROM log_entry WHERE alarm = '{alarm}'")
    bench.clock.advance(5)
    await house.receipt(alarm)
    assert await house.row(alarm) == first
    shown = await bench.value(f"SELECT count(*) FROM log_entry WHERE alarm = '{alarm}' AND what = 'shown'")
    assert await bench.value(f"SELECT count(*) FROM log_entry WHERE alarm = '{alarm}'") - entries <= shown
    if isinstance(house.end, Sms):
        everything = await bench.rows("SELECT * FROM notification")
        await house.fate("out-of-nowhere")
        await house.fate("out-of-nowhere", "expired")
        assert await bench.rows("SELECT * FROM notification") == everything


# ── The registration ─────────────────────────────────────────────────────────────────


def test_every_channel_there_is_stands_in_this_contract(pager_package: Path) -> None:
    ends = {kind.name for kind in (*CARRIED, Console)}
    assert set(channels()) == ends
    assert list(channels())[:3] == ["console", "sms", "email"]
    assert set(carried()) == {kind.name for kind in CARRIED}
    assert not promise_of("console").is_carried


def test_plans_know_a_channel_that_is_installed_and_name_the_nearest_to_one_that_is_not(pager_package: Path) -> None:
    def faults(name: str, *, has_phone: bool) -> list[tuple[str, Mapping[str, str]]]:
        step = Step(receiver=ReceiverKind.TEAM, team=TEAM, channels=(name,))
        plan = Plan(name="Test", variants=(Variant(name="always", steps=(step,)),))
        team = Team(id=TEAM, kind="patrol", name="Patrol", tenant=None, has_phone=has_phone, has_email=False, members=1)
        return [(fault.reason, fault.values) for fault in faults_of(plan, {TEAM: team})]

    assert faults("pager", has_phone=True) == []
    assert faults("pager", has_phone=False) == [("no_phone", {"team": "Patrol"})]
    assert faults("pagr", has_phone=True) == [("no_such_channel", {"channel": "pagr", "near": "pager"})]
    step = Step(receiver=ReceiverKind.CENTRES, channels=("sms", "pager"))
    assert channels_words(step, words("en")) == "by SMS and pager"
    assert Called(to=Receiver(team=TEAM, phone=PHONE)).ways == ("sms", "pager")


def test_a_channel_that_cannot_be_loaded_is_left_out_and_told(pager_package: Path) -> None:
    (pager_package / "pager.py").write_text("raise RuntimeError('+4790000002')")
    channels.cache_clear()
    with capture_logs() as said:
        assert set(channels()) == {"console", "sms", "email"}
    assert [(one["event"], one["channel"], one["reason"]) for one in said] == [
        ("channel_not_loaded", "pager", "RuntimeError")
    ]
    assert not Receiver(team=TEAM, phone=PHONE).can_be_told("pager")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"pagr": {}}, "Did you mean `pager`"),
        (
            {"pager": {"host": "a", "prt": 1, "port": 1}},
            r"pager\.prt: there is no such setting\. Did you mean `port`",
        ),
        ({"pager": {"host": "a", "port": 0}}, r"channels\.pager\.port"),
    ],
)
def test_settings_of_a_channel_that_cannot_work_are_answered_with_what_would(
    pager_package: Path, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        lines(CentralSettings(channels=given))
