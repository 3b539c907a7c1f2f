"""Real hubs and a real central in one process, with a line between them that is worked by hand, and cards to copy.

Nothing moves but by order: frames lie on the wire until they are delivered, lost or doubled, and time passes when told
to. For tests that try every order of things; see tests/faults/test_delivery_model.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from central.clock import SystemClock
from central.daemon import Central, open_central
from central.errors import NotStoredError
from central.reception import BusyError
from central.restoring import restored
from central.settings import load
from cloud_sync.errors import WireError
from cloud_sync.identity import EventId, Lane
from cloud_sync.stub import LocalAction
from cloud_sync.vocabulary import BY_WORD, Event
from config.settings import HubSection, HubSettings
from gateway.clock import HubClock
from gateway.daemon import Hub
from gateway.identity_store import Identity
from gateway.journal import Journal, JournalSettings, open_journal
from gateway.triage import Judged
from simulators.faults.by_hand import Frame, HandLine, ShiftedLoop, founded, scratch
from simulators.frame_hub import FrameHub

WORDS = {
    Lane.ALARM: "pendant_pressed",
    Lane.CARE: "bed_absent",
    Lane.TECHNICAL: "battery_low",
    Lane.TELEMETRY: "temperature",
}
ROUNDS_TO_CALM = 80
_SHIFT_S = 3.0


def _no_sockets(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if (Path(folder) / name).is_socket()]


@dataclass(slots=True)
class Card:
    """A card as far as it matters: the folder, and what was durable on it."""

    folder: Path
    durable: set[EventId] = field(default_factory=set)


class Machine:
    """A hub that runs on a card."""

    def __init__(self, world: World, card: Card) -> None:
        self.world = world
        self.card = card
        self.lines = [HandLine("main", world.put), HandLine("reserve", world.put)]
        self.hub: Hub
        self.journal: Journal
        self._waiting: set[asyncio.Future[None]] = set()
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """As at boot."""
        ready = asyncio.Event()
        self._stop = asyncio.Event()
        self._task = asyncio.create_task(self._run(ready), name="machine")
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait([self._task, waiting], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self._task.done():
            await self._task

    async def _run(self, ready: asyncio.Event) -> None:
        world = self.world
        settings = HubSettings(hub=HubSection(telemetry_commit_s=0.1), base=self.card.folder)
        clock = HubClock(boot_s=world.boot_s, is_synchronised=lambda: True)
        settings.state_dir.mkdir(exist_ok=True)
        async with open_journal(
            self.card.folder / "journal",
            world.identity.hub,
            wall_ms=clock.wall_ms,
            # Where time is moved on, two seconds are a moment, too short for a thread on a busy machine to close.
            settings=JournalSettings(telemetry_commit_s=0.1, reserve_bytes=0, close_s=600.0),
        ) as journal:
            self.journal = journal
            self._observe(journal)
            self.hub = Hub(
                settings,
                world.identity,
                journal,
                clock,
                make_uplinks=lambda *_: list(self.lines),
                make_drivers=lambda _: [],
            )
            await self.hub.run(self._stop, lambda _hub: ready.set())

    def _observe(self, journal: Journal) -> None:
        """Note what becomes durable, by the journal's own word."""
        append = journal.append_nowait
        start = journal.start_epoch
        running = b""

        async def started(epoch: bytes, header: bytes) -> None:
            nonlocal running
            running = epoch
            await start(epoch, header)

        def appended(lane: Lane, seq: int, record: bytes, remember: Any = None) -> asyncio.Future[None]:
            name = EventId(self.world.identity.hub, running, lane, seq)
            future = append(lane, seq, record, remember)
            self._waiting.add(future)

            def done(one: asyncio.Future[None]) -> None:
                self._waiting.discard(one)
                if not one.cancelled() and one.exception() is None:
                    self.card.durable.add(name)

            future.add_done_callback(done)
            return future

        journal.append_nowait = appended  # type: ignore[method-assign]
        journal.start_epoch = started  # type: ignore[method-assign]

    async def end(self) -> None:
        """In good order. Time passes for what it waits for in the end."""
        self._stop.set()
        while self._task is not None and not self._task.done():
            await self.world.pass_time(0.2)
        await self._ended()

    async def drop(self) -> None:
        """Away with it; nothing is judged any more."""
        if self._task is not None:
            self._task.cancel()
        await self._ended()

    async def crash(self) -> None:
        """Nothing in good order: the machine goes on with a copy of the card as it is at this moment."""
        copy = self.copy()
        self.world.forget_unconfirmed(self)  # whatever this run says after the crash it has not said
        if self._task is not None:
            self._task.cancel()
        await self._ended()
        shutil.rmtree(self.card.folder)
        self.card = copy

    async def _ended(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            await asyncio.wait([task])
            if not task.cancelled():
                task.result()

    def copy(self) -> Card:
        """The card as it is now, on another card."""
        target = self.world.folder / f"card-{self.world.number()}"
        with contextlib.ExitStack() as stack:
            for file in ("alarm.db", "bulk.db"):  # nobody writes meanwhile
                holder = sqlite3.connect(self.card.folder / "journal" / file, timeout=10, isolation_level=None)
                stack.callback(holder.close)
                holder.execute("BEGIN IMMEDIATE")
            shutil.copytree(self.card.folder, target, ignore=_no_sockets)
        return Card(target, set(self.card.durable))

    def raise_event(self, lane: Lane) -> tuple[EventId, asyncio.Future[bool]]:
        """Something happens; the future is what a panel would wait for."""
        world, kind = self.world, BY_WORD[WORDS[lane]]
        confirmation: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        event = Event(
            kind=kind,
            stamp=self.hub.clock.stamp(),
            device=f"thing-{int(lane)}",
            resident="r-7f3a90",
            details={"tag": world.number()},
        )
        action = LocalAction.LAMP if kind.is_alarm else LocalAction.NONE
        name = self.hub.pipeline.take(
            Judged(event=event, lane=lane, action=action, confirmation=confirmation, observed_boot_s=world.boot_s())
        )
        return name, confirmation

    async def card_is_quiet(self) -> None:
        """What was to be written now is written, or was refused."""
        urgent = list(self._waiting)
        if urgent:
            await asyncio.wait(urgent, timeout=0.3)

    async def unsettled(self) -> set[EventId]:
        """What the journal offers."""
        names: set[EventId] = set()
        for lane in Lane:
            cursor = None
            while page := await self.journal.unsettled(lane, cursor, 100):
                names |= {EventId(self.world.identity.hub, one.epoch, lane, one.seq) for one in page}
                cursor = page[-1].cursor
        return names

    async def is_waiting(self) -> bool:
        """Whether anything is not receipted."""
        hub = self.hub
        return bool(
            self._waiting or hub.urgent.is_waiting or any(hub.bulk.in_memory().values()) or await self.unsettled()
        )


class World:
    """A central, its hubs, the wire between them."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="vaktpost-world-", dir=scratch()))
        self.up: list[Frame] = []
        self.down: list[Frame] = []
        self.machines: list[Machine] = []
        self.central: Central
        self.identity: Identity
        self.confirmed: dict[EventId, tuple[Machine, asyncio.Future[bool]]] = {}
        self.excused: set[EventId] = set()
        """Confirmed, and then physically gone with everything that held it."""
        self._numbers = 0
        self._stack = AsyncExitStack()

    def number(self) -> int:
        """A fresh one."""
        self._numbers += 1
        return self._numbers

    @staticmethod
    def boot_s() -> float:
        """The machines' boot clock."""
        loop = asyncio.get_event_loop()
        return time.clock_gettime(time.CLOCK_BOOTTIME) + (loop.shift_s if isinstance(loop, ShiftedLoop) else 0.0)

    async def begin(self) -> None:
        """A central, and one hub that it knows."""
        shutil.copytree(await asyncio.to_thread(founded), self.folder / "central")
        await self._open_central()
        hubs = self.central.services.hubs
        keys = FrameHub(self.central.services.keys.trust)
        grant = keys.take_grant(await hubs.enrol(keys.claim(await hubs.new_code("Solbakken 214", "test"))))
        self.identity = Identity(
            hub=keys.id,
            key=keys.key,
            trust=self.central.services.keys.trust,
            lineage=grant.lineage,
            central="https://central.test",
            suite=int(grant.suite),
            enrolled_ms=grant.central_ms,
        )
        card = Card(self.folder / "card-0")
        card.folder.mkdir()
        await self.add_machine(card)

    async def add_machine(self, card: Card) -> Machine:
        """A hub on a card."""
        machine = Machine(self, card)
        await machine.start()
        self.machines.append(machine)
        return machine

    async def _open_central(self) -> None:
        self.central = await self._stack.enter_async_context(
            open_central(load(self.folder / "central" / "central.toml"))
        )

    async def end(self) -> None:
        """Switch everything off."""
        for machine in self.machines:
            await machine.drop()
        await self._stack.aclose()
        shutil.rmtree(self.folder, ignore_errors=True)

    # the wire

    def put(self, frame: Frame) -> None:
        """A hub sends."""
        self.up.append(frame)

    async def deliver_up(self, frame: Frame) -> None:
        """Central hears a frame; what it answers lies on the wire then."""
        reception = self.central.reception
        try:
            if frame.is_hello:
                _, answer = await reception.hello(frame.content, frame.line.name)
                answers = [answer]
            else:
                answers = await reception.receive(frame.content, frame.line.name, may_be_doubled=True)
        except (WireError, NotStoredError, BusyError):
            return
        self.down += [Frame(answer, frame.line) for answer in answers]

    async def breathe(self) -> None:
        """Let everything run that can."""
        for _ in range(4):
            await asyncio.sleep(0)
        for machine in self.machines:
            await machine.card_is_quiet()
        await asyncio.sleep(0.002)

    async def pass_time(self, seconds: float) -> None:
        """Every clock goes on."""
        loop = asyncio.get_running_loop()
        if isinstance(loop, ShiftedLoop):
            loop.shift_s += seconds
        await self.breathe()

    async def deliver_all(self) -> None:
        """Both ways, once."""
        frames, self.up = self.up, []
        for frame in frames:
            await self.deliver_up(frame)
        answers, self.down = self.down, []
        for answer in answers:
            answer.line.bring(answer.content)
        await self.breathe()

    async def calm(self) -> None:
        """Everything whole; wait until nobody waits. Raises AssertionError."""
        for machine in self.machines:
            for line in machine.lines:
                line.is_up = True
        for _ in range(ROUNDS_TO_CALM):
            await self.deliver_all()
            is_busy = bool(self.up or self.down) or any([await one.is_waiting() for one in self.machines])
            lineage = self.central.services.store.lineage
            if not is_busy and all(one.hub.inbox.lineage == lineage for one in self.machines):
                return
            await self.pass_time(_SHIFT_S)
        left = {machine.card.folder.name: sorted(map(str, await machine.unsettled()))[:5] for machine in self.machines}
        raise AssertionError(f"hubs still wait for receipts after {ROUNDS_TO_CALM * _SHIFT_S:.0f} s: {left}")

    # central

    @property
    def _database(self) -> Path:
        return self.folder / "central" / "central.db"

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Of central's database."""
        with contextlib.closing(sqlite3.connect(self._database, timeout=10)) as connection:
            return connection.execute(sql).fetchall()

    def stored(self) -> set[EventId]:
        """What central has."""
        sql = "SELECT epoch, lane, seq FROM event"
        return {
            EventId(self.identity.hub, bytes.fromhex(epoch), Lane(lane), seq) for epoch, lane, seq in self.rows(sql)
        }

    def back_up(self) -> Path:
        """Central's database as it is now."""
        target = self.folder / f"backup-{self.number()}.db"
        with (
            contextlib.closing(sqlite3.connect(self._database, timeout=10)) as source,
            contextlib.closing(sqlite3.connect(target)) as copy,
        ):
            source.backup(copy)
        return target

    async def restore(self, backup: Path) -> None:
        """Central begins anew from a backup, and says so by another lineage."""
        lost = self.stored()
        await self._stack.aclose()
        self._stack = AsyncExitStack()
        for end in ("-wal", "-shm"):
            Path(f"{self._database}{end}").unlink(missing_ok=True)
        shutil.copy(backup, self._database)
        await restored(load(self.folder / "central" / "central.toml"), SystemClock())
        await self._open_central()
        for machine in self.machines:  # central was down meanwhile
            for line in machine.lines:
                line.reset()
        lost -= self.stored()
        held = set().union(*(machine.card.durable for machine in self.machines))
        # What no card holds is gone; bulk is not kept once it was receipted.
        self.excused |= {name for name in lost if name not in held or not name.lane.is_urgent}

    async def has_header(self, epoch: bytes) -> bool:
        """Whether any card could still tell central how a run's records are read: with an old card it may be gone."""
        return any([await machine.journal.epoch_header(epoch) is not None for machine in self.machines])

    # the promise

    def raised(self, machine: Machine, lane: Lane) -> None:
        """Something happens at a machine."""
        name, confirmation = machine.raise_event(lane)
        self.confirmed[name] = machine, confirmation

    def forget_unconfirmed(self, machine: Machine) -> None:
        """Nothing was promised of what this machine has not confirmed by now."""
        for name, (whose, confirmation) in list(self.confirmed.items()):
            if whose is machine and not confirmation.done():
                del self.confirmed[name]

    def promised(self) -> Iterator[EventId]:
        """Everything that somebody was told is safe, and that was not destroyed with all that held it."""
        for name, (_, confirmation) in self.confirmed.items():
            is_true = confirmation.done() and not confirmation.cancelled() and confirmation.result()
            if is_true and name not in self.excused:
                yield name
