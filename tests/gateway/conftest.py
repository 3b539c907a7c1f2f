"""The other end of a hub, for tests of the hub alone: real keys, real signatures, receipts as the wire format says."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud_sync import signing
from cloud_sync.central_messages import Address, AlarmReply, Command, HeartbeatAnswer, Receipt, Reply, ReplyState
from cloud_sync.epoch import open_header
from cloud_sync.errors import RefusedError, UplinkError
from cloud_sync.frames import FrameType, split
from cloud_sync.hub_messages import CommandResult, Envelope, Heartbeat, LampReport
from cloud_sync.identity import EventId, Lane, new_id
from cloud_sync.ranges import SeqRanges
from cloud_sync.record import parse_record
from cloud_sync.seal import EpochKey, SealPrivateKey, SealSuite
from cloud_sync.trust import KeyCertificate, Purpose, TrustBundle
from cloud_sync.vocabulary import Event
from config import HubSettings, load
from drivers.contract import Driver, DriverContext, Fact, Observation, Pattern
from gateway.annunciator import LAMP
from gateway.daemon import Hub
from gateway.identity_store import Identity
from gateway.launch import run_hub


@dataclass(slots=True)
class Line:
    """One path into central, and what is wrong with it."""

    name: str
    central: Central
    is_reachable: bool = True
    is_mute: bool = False
    """Takes frames and nothing comes back."""
    is_failing: bool = False
    """Every frame that is sent fails."""
    refuses: Callable[[Envelope], bool] = lambda _envelope: False
    """Which envelopes central answers with 400."""
    sessions: list[Session] = field(default_factory=list)
    carries_stubs: bool = False
    opened: int = 0
    attempts: int = 0

    @asynccontextmanager
    async def open(self, hello: bytes, /) -> AsyncIterator[Session]:
        self.attempts += 1
        if not self.is_reachable:
            raise UplinkError("unreachable")
        self.opened += 1
        session = Session(self)
        self.sessions.append(session)
        self.central.take(session, hello)
        try:
            yield session
        finally:
            self.sessions.remove(session)

    def cut(self) -> None:
        """The network is gone."""
        self.is_reachable = False
        for session in self.sessions:
            session.down.put_nowait(None)

    def mend(self) -> None:
        self.is_reachable = True


class Session:
    def __init__(self, path: Line) -> None:
        self.path = path
        self.down: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def send(self, frame: bytes, /, *, lane: Lane | None, deadline_s: float) -> None:
        await asyncio.sleep(0)
        if not self.path.is_reachable or self.path.is_failing:
            raise UplinkError("could not be sent")
        if lane is not None and self.path.refuses(
            Envelope.read(split(frame).open(self.path.central.hub_key.public_key()))
        ):
            raise RefusedError(400, "not understood")
        self.path.central.take(self, frame)

    async def frames(self) -> AsyncIterator[bytes]:
        while (frame := await self.down.get()) is not None:
            yield frame
        raise UplinkError("the connection is gone")


class Central:
    """Verifies, opens and remembers what hubs send; answers with signed receipts. No database, no people."""

    def __init__(self) -> None:
        self.clock_shift_ms = 0
        self.root = Ed25519PrivateKey.generate()
        self.signing_key = Ed25519PrivateKey.generate()
        self.key_id = new_id()
        self.seal = SealPrivateKey.generate(SealSuite.X25519)
        certificates = [
            KeyCertificate(
                purpose=Purpose.SIGN,
                key_id=self.key_id,
                key=signing.raw_public(self.signing_key.public_key()),
                created_ms=self.now_ms(),
            ),
            KeyCertificate(
                purpose=Purpose.SEAL,
                key_id=new_id(),
                key=self.seal.public().raw,
                suite=SealSuite.X25519,
                created_ms=self.now_ms(),
            ),
        ]
        raw = TrustBundle.write(
            signing.raw_public(self.root.public_key()), [one.signed(self.root) for one in certificates]
        )
        self.trust = TrustBundle.read(raw)
        self.lineage = new_id()
        self.hub_key = Ed25519PrivateKey.generate()
        self.hub = new_id()
        self.epoch_keys: dict[bytes, EpochKey] = {}
        self.newest_epoch = b""
        self.stored: dict[tuple[bytes, Lane], SeqRanges] = {}
        self.events: dict[EventId, Event] = {}
        self.numbers: set[tuple[bytes, int]] = set()
        self.envelopes: list[tuple[str, Envelope]] = []
        self.heartbeats: list[tuple[str, Heartbeat]] = []
        self.reports: list[LampReport] = []
        self.results: list[CommandResult] = []
        self.answers_tests = True
        self.is_central_deaf = False
        self._changed = asyncio.Event()
        self._commands = 0
        self._paths: list[Line] = []

    # set up

    def identity(self) -> Identity:
        return Identity(
            hub=self.hub,
            key=self.hub_key,
            trust=self.trust,
            lineage=self.lineage,
            central="https://central.test",
            suite=1,
            enrolled_ms=self.now_ms(),
        )

    def path(self, name: str = "main") -> Line:
        path = Line(name, self)
        self._paths.append(path)
        return path

    def now_ms(self) -> int:
        return round(time.time() * 1000) + self.clock_shift_ms

    # what is asked of it

    async def until(self, is_so: Callable[[], object], timeout_s: float = 10.0) -> None:
        """Wait until something is so; looked at again whenever a frame came in."""
        async with asyncio.timeout(timeout_s):
            while not is_so():
                self._changed.clear()
                await self._changed.wait()

    def of_kind(self, word: str) -> list[Event]:
        return [event for event in self.events.values() if event.kind.word == word]

    async def event(self, word: str, timeout_s: float = 10.0) -> Event:
        await self.until(lambda: self.of_kind(word), timeout_s)
        return self.of_kind(word)[0]

    def id_of(self, word: str) -> EventId:
        return next(name for name, event in self.events.items() if event.kind.word == word)

    def reply(
        self,
        state: ReplyState,
        *events: EventId,
        alarm: bytes = b"A" * 8,
        version: int = 1,
        valid_ms: int = 90_000,
        is_snapshot: bool = False,
    ) -> None:
        now_ms = self.now_ms()
        one = AlarmReply(alarm=alarm, version=version, state=state, events=events, valid_until_ms=now_ms + valid_ms)
        self.say(Reply(to=self.to(), alarms=(one,), is_snapshot=is_snapshot).pack(self.key_id, self.signing_key))

    def snapshot(self) -> None:
        """Say that no alarm of this hub is open."""
        to = Address(hub=self.hub, hub_epoch=self.newest_epoch, central_ms=self.now_ms() + 5_000)
        self.say(Reply(to=to, alarms=(), is_snapshot=True).pack(self.key_id, self.signing_key))

    def restore(self) -> None:
        """From a backup of before anything happened."""
        self.lineage = b"restored"
        self.events.clear()
        self.stored.clear()
        self.epoch_keys.clear()

    def command(self, name: str, *, number: int | None = None, life_ms: int = 60_000, **arguments: object) -> bytes:
        self._commands += 1
        command = Command(
            to=self.to(),
            command=new_id(),
            number=self._commands if number is None else number,
            expires_ms=self.now_ms() + life_ms,
            name=name,
            arguments=arguments,
        )
        self.say(command.pack(self.key_id, self.signing_key))
        return command.command

    async def result(self, command: bytes) -> object:
        await self.until(lambda: any(one.command == command for one in self.results))
        one = next(one for one in self.results if one.command == command)
        return one.open(self.epoch_keys[one.sender.sender_epoch])

    def say(self, frame: bytes) -> None:
        """Down every open connection."""
        for path in self._paths:
            for session in path.sessions:
                session.down.put_nowait(frame)

    def to(self, epoch: bytes | None = None) -> Address:
        return Address(hub=self.hub, hub_epoch=epoch or self.newest_epoch, central_ms=self.now_ms())

    # what comes in

    def take(self, session: Session, frame: bytes) -> None:
        if session.path.is_mute:
            return
        raw = split(frame)
        body = raw.open(self.hub_key.public_key())
        if raw.type is FrameType.ENVELOPE:
            self._take_envelope(session, Envelope.read(body))
        elif raw.type is FrameType.HEARTBEAT:
            beat = Heartbeat.read(body)
            self.newest_epoch = beat.sender.sender_epoch
            self._learn_header(beat.epoch_header)
            self.heartbeats.append((session.path.name, beat))
            answer = HeartbeatAnswer(to=self.to(), number=beat.sender.number, lineage=self.lineage)
            session.down.put_nowait(answer.pack(self.key_id, self.signing_key))
        elif raw.type is FrameType.LAMP_REPORT:
            self.reports.append(LampReport.read(body))
        elif raw.type is FrameType.COMMAND_RESULT:
            self.results.append(CommandResult.read(body))
        self._changed.set()

    def _learn_header(self, blob: bytes | None) -> None:
        if blob is not None:
            header = open_header(blob, self.hub_key.public_key())
            if header.epoch not in self.epoch_keys:
                self.epoch_keys[header.epoch] = header.open_key(self.seal)

    def _take_envelope(self, session: Session, envelope: Envelope) -> None:
        sender = envelope.sender
        assert (sender.sender_epoch, sender.number) not in self.numbers, "a message number was used twice"
        self.numbers.add((sender.sender_epoch, sender.number))
        self.envelopes.append((session.path.name, envelope))
        if self.is_central_deaf:
            return
        self._learn_header(envelope.epoch_header)
        ranges = self.stored.setdefault((envelope.epoch, envelope.lane), SeqRanges())
        tests: list[EventId] = []
        unopened = SeqRanges()
        for raw in envelope.records:
            record = parse_record(raw)
            self._learn_header(record.epoch_header)
            if envelope.epoch not in self.epoch_keys:
                unopened.add(record.id.seq)
                continue
            event = record.open(self.epoch_keys[envelope.epoch])
            assert (record.id.epoch, record.id.lane) == (envelope.epoch, envelope.lane)
            self.events.setdefault(record.id, event)
            ranges.add(record.id.seq)
            if event.kind.word == "test_alarm":
                tests.append(record.id)
        for first, last in envelope.gaps:
            ranges.add(first, last)
        receipt = Receipt(
            to=self.to(sender.sender_epoch),
            number=sender.number,
            epoch=envelope.epoch,
            lane=envelope.lane,
            lineage=self.lineage,
            high=ranges.high,
            beyond=tuple(ranges.beyond()),
            unopened=tuple(unopened),
            wants_header=bool(unopened),
        )
        session.down.put_nowait(receipt.pack(self.key_id, self.signing_key))
        if tests and self.answers_tests:
            self.reply(ReplyState.CLOSED, *tests, alarm=new_id())


@pytest.fixture
async def central() -> Central:
    return Central()


class Button:
    """A driver that tells what a test wants it to tell."""

    name = "buttons"

    def __init__(self) -> None:
        self.told: asyncio.Queue[Observation | Exception] = asyncio.Queue()
        self.opened = 0
        self.closed = 0
        self.context: DriverContext | None = None
        self.panel = Panel()

    @asynccontextmanager
    async def open(self, context: DriverContext, /) -> AsyncIterator[AsyncIterator[Observation]]:
        self.context = context
        self.opened += 1
        try:
            yield self._observations()
        finally:
            self.closed += 1

    async def _observations(self) -> AsyncIterator[Observation]:
        while True:
            one = await self.told.get()
            if isinstance(one, Exception):
                raise one
            yield one

    @asynccontextmanager
    async def indicators(self) -> AsyncIterator[Panel]:
        yield self.panel

    def press(self, device: str = "pendant-1", **rest: Any) -> asyncio.Future[bool]:
        confirmation: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.tell(Fact.BUTTON, "press", device, may_alarm=True, confirmation=confirmation, **rest)
        return confirmation

    def tell(self, fact: Fact, value: Any, device: str, **rest: Any) -> None:
        now_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        self.told.put_nowait(Observation(device=device, fact=fact, value=value, observed_boot_s=now_s, **rest))


class Panel:
    """Lamp, buzzer and relays that remember what they were told."""

    trouble = ""

    def __init__(self) -> None:
        self.lamps: list[str | None] = []
        self.sounds: list[Pattern] = []
        self.relay: list[bool] = []
        self.calls: list[bool] = []

    def lamp(self, pattern: Pattern, /) -> None:
        words = [word.value for word, one in LAMP.items() if one == pattern]
        self.lamps.append(words[0] if words else "cut_off")

    def buzzer(self, pattern: Pattern, /) -> None:
        self.sounds.append(pattern)

    def healthy(self, is_healthy: bool, /) -> None:
        self.relay.append(is_healthy)

    def call(self, is_on: bool, /) -> None:
        self.calls.append(is_on)


SETTINGS = """
[hub]
state_dir = "state"
telemetry_commit_s = 0.1

[dispatch]
heartbeat_s = 5
second_path_after_s = 0.3
resend_after_s = 1

[uplinks.main]
type = "https"
url = "https://127.0.0.1:9"

[drivers.buttons]
type = "ble"

[[drivers.buttons.devices]]
alias = "pendant-1"
address = "A4:C1:38:00:00:01"

[[drivers.buttons.devices]]
alias = "climate-1"
address = "A4:C1:38:00:00:02"

[indicators]
driver = "buttons"

[local_response]
after_no_receipt_s = 1

[[devices]]
alias = "pendant-1"
profile = "pendant"
resident = "r-7f3a90"

[[devices]]
alias = "climate-1"
profile = "thermometer"
"""


class HubUnderTest:
    """A hub in this process: started and stopped as often as a test likes, always on the same card."""

    def __init__(self, folder: Path, central: Central) -> None:
        self.folder = folder
        self.central = central
        self.lines = [central.path("main")]
        self.button = Button()
        self.more_drivers: list[tuple[Driver, str]] = []
        self.settings_text = SETTINGS
        self.hub: Hub | None = None

    @property
    def state_dir(self) -> Path:
        return self.folder / "state"

    def settings(self) -> HubSettings:
        path = self.folder / "hub.toml"
        path.write_text(self.settings_text)
        return load(path)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Hub]:
        stop, ready = asyncio.Event(), asyncio.Event()
        self.state_dir.mkdir(exist_ok=True)

        def on_ready(hub: Hub) -> None:
            self.hub = hub
            ready.set()

        task = asyncio.create_task(
            run_hub(
                self.settings(),
                self.central.identity(),
                stop,
                on_ready=on_ready,
                make_uplinks=lambda *_: list(self.lines),
                make_drivers=lambda _: [(self.button, "button"), *self.more_drivers],
            )
        )
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if task.done():
            await task
        assert self.hub is not None
        try:
            yield self.hub
        finally:
            stop.set()
            async with asyncio.timeout(10):
                await task


@pytest.fixture
def home(tmp_path: Path, central: Central) -> HubUnderTest:
    return HubUnderTest(tmp_path, central)
