"""The front door for frames, whichever path they came by: who is it, is it authentic, is it new, what does it want.

Refusals are WireErrors with a reason, NotStoredError when central itself cannot, BusyError when a hub sends too much.
Nothing of a frame is believed, and nothing but counters and the bounded quarantine is written, before the signature of
an enrolled hub has been verified over it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from enum import Enum

from central.clock import Clock
from central.commands import Commands
from central.continuity import Continuity
from central.epochs import EpochBook
from central.errors import NotStoredError
from central.home import HomeReports
from central.hubs import Enrolled, Hubs
from central.ingest import Ingest
from central.keys import CentralKeys
from central.metrics import Metrics
from central.presence import Presence
from central.quarantine import Quarantine
from central.security import SecurityLog
from central.store import Priority, Store
from central.windows import Windows
from cloud_sync import canonical
from cloud_sync.central_messages import Address, HeartbeatAnswer
from cloud_sync.errors import ForgedError, MalformedError, ReplayedError, WireError
from cloud_sync.frames import FrameType, RawFrame, split
from cloud_sync.hub_messages import CommandResult, Envelope, Heartbeat, LampReport
from cloud_sync.identity import Lane

MAX_BUCKETS = 50_000
BULKY_AT_ONCE = 64
"""As many as share a transaction, and half as many again."""
BULKY_WAITING = 2000
"""A storm of reports waits before it costs anything but memory, and more of it than this is asked to come later."""
BULKY_LATER_S = 5.0

Message = Envelope | Heartbeat | LampReport | CommandResult
_READERS: Mapping[FrameType, Callable[[canonical.Body], Message]] = {
    FrameType.ENVELOPE: Envelope.read,
    FrameType.HEARTBEAT: Heartbeat.read,
    FrameType.LAMP_REPORT: LampReport.read,
    FrameType.COMMAND_RESULT: CommandResult.read,
}


class BusyError(Exception):
    """This hub sends more than any hub has to; it may try again after `wait_s`."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"too many messages; try again in {wait_s:.0f} s")
        self.wait_s = wait_s


class Sort(Enum):
    """What is counted apart: messages per second, and how many at once."""

    URGENT = (100.0, 1000.0)
    SIGN = (
        50.0,
        500.0,
    )  # of life, and greetings: a hub on a flapping line makes many, and its alarms go uncounted by it
    BULK = (400.0, 2000.0)
    REPEATED = (20.0, 200.0)  # seen before: anybody may have recorded and replayed it


class Allowance:
    """A token bucket per hub and sort."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: OrderedDict[tuple[bytes, Sort], tuple[float, float]] = OrderedDict()

    def take(self, hub: bytes, sort: Sort) -> None:
        """Raises BusyError."""
        per_s, burst = sort.value
        now_s = self._clock.mono_s()
        tokens, at_s = self._buckets.pop((hub, sort), (burst, now_s))
        tokens = min(burst, tokens + (now_s - at_s) * per_s)
        self._buckets[hub, sort] = (max(0.0, tokens - 1), now_s)
        if len(self._buckets) > MAX_BUCKETS:
            self._buckets.popitem(last=False)
        if tokens < 1:
            raise BusyError(max(1.0, (1 - tokens) / per_s))


class Reception:
    """Takes frames and gives the frames that answer them."""

    def __init__(
        self,
        *,
        store: Store,
        keys: CentralKeys,
        clock: Clock,
        metrics: Metrics,
        hubs: Hubs,
        epochs: EpochBook,
        windows: Windows,
        security: SecurityLog,
        quarantine: Quarantine,
        presence: Presence,
        ingest: Ingest,
        home: HomeReports,
        commands: Commands,
    ) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._metrics = metrics
        self._hubs = hubs
        self._epochs = epochs
        self._windows = windows
        self._security = security
        self._quarantine = quarantine
        self._presence = presence
        self._ingest = ingest
        self._home = home
        self._commands = commands
        self._allowance = Allowance(clock)
        self._continuity = Continuity(store, clock)
        self._bulky = asyncio.Semaphore(BULKY_AT_ONCE)
        self._bulky_waiting = 0
        self._one_by_one = asyncio.Lock()

    async def receive(self, frame: bytes, path: str, *, may_be_doubled: bool = False) -> list[bytes]:
        """Everything about one frame: the frames that answer it.

        `may_be_doubled`: a broker delivers at least once, so what was seen before is counted but answered again.
        Raises WireError, BusyError or NotStoredError.
        """
        if not self._is_bulky(frame):
            return await self._answer(*await self.verify(frame, path), path, may_be_doubled=may_be_doubled)
        if self._bulky_waiting >= BULKY_WAITING:
            raise BusyError(BULKY_LATER_S)
        self._bulky_waiting += 1
        try:
            async with self._bulky:
                # What is not urgent by its own word: one at a time, so that an alarm stands behind one signature.
                async with self._ingest.precedence.turn():
                    hub, message = await self.verify(frame, path)
                return await self._answer(hub, message, path, may_be_doubled=may_be_doubled)
        finally:
            self._bulky_waiting -= 1

    def _is_bulky(self, frame: bytes) -> bool:
        """Whether it says of itself that it is no alarm. Whoever lies about that waits, or is found out a moment later.

        What claims to come from a hub that nobody knows is not looked into.
        """
        try:
            raw = split(frame)
        except WireError:
            return False
        if raw.type is not FrameType.ENVELOPE or not self._hubs.is_at_hand(raw.sender):
            return False
        return _claimed_lane(raw) in {int(Lane.TECHNICAL), int(Lane.TELEMETRY)}

    async def _answer(self, hub: Enrolled, message: Message, path: str, *, may_be_doubled: bool) -> list[bytes]:
        is_new = await self._in_order(hub, message, path)
        if not is_new:
            if may_be_doubled and isinstance(message, Envelope):
                return [await self._ingest.receipt_again(message)]
            raise ReplayedError("replayed", "this message was seen before")
        return await self._act(hub, message, path)

    async def _in_order(self, hub: Enrolled, message: Message, path: str) -> bool:
        """Whether it is new. What is bulky stays in its order: none overtakes what may open it."""
        sort = _sort(message)
        if sort is Sort.URGENT:
            # Where the windows are shared this is a transaction, and bulky work would be in its way as well. What is
            # replayed is known before that, mostly, and holds nothing up.
            with self._ingest.precedence.claimed(linger_s=0.0):
                return await self.is_new(hub, message, path)
        if sort is not Sort.BULK or self._store.dialect.is_shared:  # there the windows see to both
            return await self.is_new(hub, message, path)
        async with self._one_by_one:
            await self._ingest.precedence.give_way()
            return await self.is_new(hub, message, path)

    async def hello(self, frame: bytes, path: str) -> tuple[Heartbeat, bytes]:
        """The hello that opens a way down, and the answer to it. Raises as `receive` does."""
        hub, message = await self.verify(frame, path)
        if not isinstance(message, Heartbeat):
            raise MalformedError("hello", "a stream begins with a sign of life")
        if not await self.is_new(hub, message, path):
            raise ReplayedError("replayed", "this message was seen before")
        return message, await self._beat(hub, message)

    async def verify(self, frame: bytes, path: str) -> tuple[Enrolled, Message]:
        """Who speaks, and what; authentic, but perhaps not new. Raises WireError."""
        sender = None
        try:
            raw = split(frame)
            sender = raw.sender.hex()
            hub = await self._known(raw, frame, path)
            message = _read(raw, hub)
        except MalformedError as error:
            self._metrics.count(f"refused.{error.reason}")
            raise
        except WireError as error:
            self._security.note(error.reason, hub=sender, path=path, detail=error.detail)
            raise
        return hub, message

    async def _known(self, raw: RawFrame, frame: bytes, path: str) -> Enrolled:
        hub = await self._hubs.enrolled(raw.sender)
        if hub is not None and hub.is_active:
            return hub
        if raw.type is FrameType.ENVELOPE:
            await self._quarantine.unknown_hub(raw.sender.hex(), lambda: _claimed_lane(raw), path, frame)
        raise ForgedError("unknown_hub", "this central has not enrolled such a hub")

    async def is_new(self, hub: Enrolled, message: Message, path: str) -> bool:
        """Whether the message was not seen before; remembers it. Raises BusyError.

        What is seen again counts by itself, so that a replayed message never uses up what an alarm needs.
        """
        sender = message.sender
        is_bulk = isinstance(message, Envelope) and not message.lane.is_urgent
        priority = Priority.UPKEEP if is_bulk else Priority.PEOPLE
        is_new = await self._windows.accept(hub.text, sender.sender_epoch.hex(), sender.number, priority)
        if not is_new:
            self._security.note("replayed", hub=hub.text, path=path, detail=str(sender.number))
        sort = _sort(message) if is_new else Sort.REPEATED
        try:
            self._allowance.take(hub.id, sort)
        except BusyError:
            self._security.note("busy", hub=hub.text, path=path)
            raise
        if is_new:
            self._presence.hear(hub.text, sender.sender_epoch.hex())
            self._ingest.offsets.hear(sender, self._clock.now_ms())
        return is_new

    async def _act(self, hub: Enrolled, message: Message, path: str) -> list[bytes]:
        match message:
            case Envelope():
                return [await self._ingest.receive(message, hub, path)]
            case Heartbeat():
                return [await self._beat(hub, message)]
            case LampReport():
                await self._home.report(message)
            case CommandResult():
                epoch, problem = await self._epochs.find(hub, message.sender.sender_epoch, ())
                if epoch is None or epoch.key is None:
                    raise ForgedError("result_unopened", problem)
                await self._commands.result(message, message.open(epoch.key))
        return []

    async def _beat(self, hub: Enrolled, beat: Heartbeat) -> bytes:
        """Answer a sign of life: only a central that can commit an alarm may look alive."""
        self._presence.hear_beat(beat)
        if not self._store.takes_alarms:
            raise NotStoredError("alarms cannot be committed now")
        if beat.epoch_header is not None:
            await self._ingest.learn(hub, beat)
        if beat.is_hello and beat.receipted:
            await self._continuity.look(beat)
        sender = beat.sender
        to = Address(hub=sender.hub, hub_epoch=sender.sender_epoch, central_ms=self._clock.now_ms())
        answer = HeartbeatAnswer(to=to, number=sender.number, lineage=self._store.lineage)
        return answer.pack(self._keys.sign_id, self._keys.sign)


def _read(raw: RawFrame, hub: Enrolled) -> Message:
    """Verify and read. Raises WireError."""
    read = _READERS.get(raw.type)
    if read is None:
        raise MalformedError("frame_type", "central does not listen to central")
    message = read(raw.open(hub.public_key))
    if message.sender.hub != hub.id:
        raise ForgedError("sender", "the message names another hub")
    return message


def _sort(message: Message) -> Sort:
    if isinstance(message, Heartbeat):
        return Sort.SIGN
    return Sort.URGENT if isinstance(message, Envelope) and message.lane.is_urgent else Sort.BULK


def _claimed_lane(raw: RawFrame) -> int | None:
    """What lane an unverified envelope claims; only to say how urgently somebody should look."""
    try:
        lane = canonical.load_map(raw.body).get(11)
    except WireError:
        return None
    return lane if type(lane) is int and 1 <= lane <= 4 else None
