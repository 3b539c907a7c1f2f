"""Somebody beside central looks whether what was due was done, and shouts by a way of its own."""

from __future__ import annotations

import asyncio
import io
import json
import signal
import sqlite3
import sys
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from central.audit import auditor as auditing
from central.audit.auditor import Auditor, Voice
from central.audit.watch import AuditorWatch
from central.lifecycle import Queue
from central.notify.channel import ChannelError, Message
from central.settings import AuditSettings, CentralSettings
from central.wakeup import Wakeup
from simulators.frame_hub import FrameHub
from simulators.mail_server import MailServer
from simulators.sms_provider import SmsOperator
from tests.central.conftest import FIRST, Bench

SECRET, TOKEN = b"a secret of thirty-two characters", "a token of some length"


class Ear:
    """Keeps what the auditor says."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.is_deaf = False

    async def send(self, _address: str, message: Message, *, reference: str) -> str:
        if self.is_deaf:
            raise ChannelError("unreachable")
        self.heard.append(message.text)
        return reference


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
def auditor(bench: Bench, ear: Ear) -> Auditor:
    voice = Voice(name="sms", channel=ear, to=("+4790000009",))
    return Auditor(bench.services.settings, bench.clock, (voice,), out=io.StringIO())


async def found(auditor: Auditor) -> list[str]:
    return [one.what for one in await auditor.look()]


async def test_a_central_that_works_gives_nothing_to_say(bench: Bench, hub: FrameHub, auditor: Auditor) -> None:
    await bench.press(hub)
    assert await found(auditor) == []


async def test_a_step_that_was_not_taken_is_found(bench: Bench, hub: FrameHub, auditor: Auditor) -> None:
    await bench.press(hub)
    bench.clock.advance(75)
    await bench.store.probe()
    assert await found(auditor) == []
    bench.clock.advance(10)
    await bench.store.probe()
    assert await found(auditor) == ["step_not_taken"]


async def test_a_call_out_of_technicians_that_did_not_go_on_is_found(bench: Bench, auditor: Auditor) -> None:
    now = bench.clock.now_ms()
    await bench.change(
        "INSERT INTO call_out (id, team, alarm, state, due_ms, began_ms) VALUES"
        f" ('c1', 'team', 'a1', 'running', {now}, {now}), ('c2', 'other', 'a1', 'over', {now}, {now})"
    )
    await bench.change("UPDATE call_out SET ended_ms = 1 WHERE id = 'c2'")
    bench.clock.advance(15)
    assert await found(auditor) == []
    bench.clock.advance(10)
    look = await auditor.look()
    assert [(one.what, one.count, one.since_ms) for one in look] == [("call_out_stuck", 1, now)]


async def test_an_alarm_without_a_step_is_found(bench: Bench, hub: FrameHub, auditor: Auditor) -> None:
    await bench.press(hub)
    await bench.change("DELETE FROM escalation")
    bench.clock.advance(25)
    assert await found(auditor) == ["alarm_forgotten"]


async def test_a_claim_that_is_not_given_back_is_found(bench: Bench, hub: FrameHub, auditor: Auditor) -> None:
    alarm = await bench.press(hub)
    await bench.alarms.claim(alarm.id, FIRST)
    bench.clock.advance(115)
    await bench.store.probe()
    assert await found(auditor) == ["claim_not_returned"]


async def test_a_message_that_hangs_is_found(bench: Bench, hub: FrameHub, auditor: Auditor) -> None:
    alarm = await bench.press(hub)
    await bench.change(
        "INSERT INTO notification (id, key, alarm, channel, what, state, next_ms, made_ms)"
        f" VALUES ('1111111111111111', 'k:1:0:sms', '{alarm.id}', 'sms', 'alarm_waits', 'pending',"
        f" {bench.clock.now_ms()}, 0)"
    )
    bench.clock.advance(25)
    assert await found(auditor) == ["notification_hangs"]


async def test_nobody_on_duty_is_found_after_a_while(bench: Bench, auditor: Auditor) -> None:
    await bench.change("DELETE FROM duty")
    await bench.services.duty.watch()
    bench.clock.advance(290)
    await bench.store.probe()
    assert await found(auditor) == []
    bench.clock.advance(20)
    await bench.store.probe()
    assert await found(auditor) == ["nobody_on_duty"]


async def test_it_says_a_thing_once_again_after_a_while_and_when_it_is_over(
    bench: Bench, auditor: Auditor, ear: Ear
) -> None:
    bench.clock.advance(31)
    for _ in range(3):
        assert await found(auditor) == ["central_silent"]
        await auditor.speak()
        bench.clock.advance(10)
    assert ear.heard == ["Vaktpost, kontroll: Mottakssystemet er taust: alarmer blir kanskje ikke tatt imot."]
    bench.clock.advance(900)
    await auditor.look()
    await auditor.speak()
    assert len(ear.heard) == 2
    await bench.store.probe()
    assert await found(auditor) == []
    await auditor.speak()
    assert ear.heard[2:] == ["Vaktpost, kontroll: Over: mottakssystemet taust."]


async def test_a_way_that_is_broken_does_not_end_it_and_is_said_on_standard_error(
    bench: Bench, ear: Ear, hub: FrameHub
) -> None:
    out = io.StringIO()
    deaf = Ear()
    deaf.is_deaf = True
    voices = (Voice(name="sms", channel=deaf, to=("+4790000009",)), Voice(name="email", channel=ear, to=("a@b.c",)))
    auditor = Auditor(bench.services.settings, bench.clock, voices, out=out)
    bench.clock.advance(31)
    await auditor.look()
    await auditor.speak()
    assert len(ear.heard) == 1
    said = [json.loads(line)["auditor"] for line in out.getvalue().splitlines()]
    assert {"way": "sms", "not_told": "unreachable"} in said


@pytest.mark.sqlite
async def test_a_way_that_never_ends_holds_up_neither_the_others_nor_the_next_look(
    bench: Bench, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Endless:
        async def send(self, _address: str, _message: Message, *, reference: str) -> str:
            await asyncio.Event().wait()
            return reference

    monkeypatch.setattr(auditing, "TELL_WITHIN_S", 0.2)
    out = io.StringIO()
    voices = (Voice(name="sms", channel=Endless(), to=("+47",)), Voice(name="email", channel=ear, to=("a@b.c",)))
    auditor = Auditor(bench.services.settings, bench.clock, voices, out=out)
    bench.clock.advance(31)
    await auditor.look()
    async with asyncio.timeout(10):
        await auditor.speak()
    assert len(ear.heard) == 1
    assert {"way": "sms", "not_told": "timeout"} in [
        json.loads(line)["auditor"] for line in out.getvalue().splitlines()
    ]


@pytest.mark.sqlite
async def test_a_database_that_is_away_is_found_and_nothing_else_is_said_to_be_over(
    bench: Bench, ear: Ear, tmp_path: Path
) -> None:
    settings = bench.services.settings.model_copy(update={"data_dir": tmp_path / "nowhere"})
    auditor = Auditor(settings, bench.clock, (Voice(name="sms", channel=ear, to=("+47",)),), out=io.StringIO())
    assert await found(auditor) == ["database_unreachable"]
    await auditor.speak()
    assert ear.heard == ["Vaktpost, kontroll: Databasen svarer ikke."]


async def test_central_misses_an_auditor_that_was_there_and_is_not_any_more(bench: Bench, auditor: Auditor) -> None:
    watch = AuditorWatch(bench.store, bench.clock, Wakeup())
    await watch.look()
    await auditor.look()
    bench.clock.advance(59)
    await watch.look()
    assert await bench.kinds(Queue.TECHNICAL) == []
    bench.clock.advance(2)
    await watch.look()
    await watch.look()
    assert await bench.kinds(Queue.TECHNICAL) == ["auditor_silent"]
    await auditor.look()
    await watch.look()
    assert await bench.kinds(Queue.TECHNICAL) == []


async def start(*words: str) -> asyncio.subprocess.Process:
    code = "import sys; from central.cli import main; sys.exit(main(sys.argv[1:]))"
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )


async def line_with(stream: Any, text: str, timeout_s: float = 60) -> str:
    async with asyncio.timeout(timeout_s):
        while line := (await stream.readline()).decode():
            if text in line:
                return str(line)
    raise AssertionError(f"ended without {text!r}")


@pytest.mark.sqlite
async def test_when_central_is_killed_a_real_auditor_shouts_by_its_own_sms_and_letter(
    settings: CentralSettings, stack: AsyncExitStack
) -> None:
    operator = SmsOperator("+4759000009", secret=SECRET, token=TOKEN)
    await stack.enter_async_context(operator.running())
    mail = await stack.enter_async_context(MailServer().running())
    folder = settings.data_dir
    (folder / "audit.token").write_text(TOKEN)
    with settings.source.open("a") as file:
        file.write(f"""
[audit]
every_s = 1
late_after_s = 5
central_silent_after_s = 10
[audit.sms]
number = "+4759000009"
outbound_url = "{operator.url}"
outbound_token_file = "audit.token"
to = ["+4790000009"]
[audit.email]
host = "127.0.0.1"
port = {mail.port}
tls = "none"
sender = "kontroll@kommune.example"
to = ["vakt@kommune.example"]
""")
    config = str(settings.source)
    central = await start("run", "--config", config)
    audit = None
    try:
        await line_with(central.stdout, "console")
        audit = await start("audit", "--config", config)
        with closing(sqlite3.connect(folder / "central.db", timeout=10)) as database:
            async with asyncio.timeout(30):
                while not database.execute("SELECT 1 FROM audit_mark WHERE name = 'auditor'").fetchall():
                    await asyncio.sleep(0.1)
        central.kill()
        await central.wait()
        with closing(sqlite3.connect(folder / "central.db", timeout=10)) as database:
            database.execute(
                "INSERT INTO escalation (alarm, no, round, state, due_ms)"
                " VALUES ('1111111111111111', 0, 1, 'running', 1)"
            )
            database.commit()
        assert "step_not_taken" in await line_with(audit.stderr, "step_not_taken")
        assert "central_silent" in await line_with(audit.stderr, "central_silent")
        await operator.until(lambda: any("taust" in text.text for text in operator.received))
        await mail.until(lambda: any("taust" in letter.text for letter in mail.letters))
        assert operator.received[0].to == "+4790000009"
        audit.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            assert await audit.wait() == 1
    finally:
        for process in (central, audit):
            if process is not None and process.returncode is None:
                process.kill()
            if process is not None:
                await process.communicate()


def test_the_bounds_of_its_settings_are_kept() -> None:
    with pytest.raises(ValueError, match="central_silent_after_s"):
        AuditSettings(central_silent_after_s=1)
