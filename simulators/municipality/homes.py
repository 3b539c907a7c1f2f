"""The homes: each a hub with a key of its own that keeps what has no receipt, and a lamp that follows replies."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from central.daemon import Central
from central.links import Link
from cloud_sync.central_messages import AlarmReply, Receipt, Reply
from cloud_sync.identity import Lane
from cloud_sync.trust import TrustBundle
from cloud_sync.vocabulary import BY_WORD, Stamp
from simulators.frame_hub import FrameHub, Sealed
from simulators.municipality.hours import TownClock

PATH = "https"
_UP_MS = 10**9
"""How long before the night the hubs were switched on."""

Seen = Callable[[str, bytes, str], None]
"""(label of the home, alarm, what the lamp shows now)."""


class _Hub(FrameHub):
    """A hub whose clocks are the town's."""

    def __init__(self, trust: TrustBundle, clock: TownClock) -> None:
        super().__init__(trust)
        self._clock = clock

    def stamp(self) -> Stamp:
        now = self._clock.now_ms()
        boot_ms = _UP_MS + round(self._clock.mono_s() * 1000)
        return Stamp(boot_ms=boot_ms, wall_ms=now, is_wall_trusted=True)


class _Line(Link):
    """The way down into one home: a frame is heard as it comes."""

    def __init__(self, hub: bytes, epoch: bytes, hear: Callable[[bytes], None]) -> None:
        super().__init__(hub, epoch, PATH)
        self._hear = hear

    def put(self, frame: bytes) -> None:
        if not self.is_broken:
            self._hear(frame)


class Home:
    """A home, or the ward. `seen` is told whenever the lamp of an alarm changes."""

    def __init__(self, label: str, clock: TownClock, seen: Seen) -> None:
        self.label = label
        self._clock = clock
        self._seen = seen
        self._hub: _Hub | None = None
        self._central: Central | None = None
        self._kept: dict[Lane, list[Sealed]] = {}
        self._lamps: dict[bytes, tuple[int, str]] = {}
        self._news: deque[tuple[bytes, int, str]] = deque()
        self._link: _Line | None = None

    @property
    def hub(self) -> _Hub:
        """Its hub. Raises RuntimeError before it was installed."""
        if self._hub is None:
            raise RuntimeError(f"{self.label} has no hub yet")
        return self._hub

    @property
    def id(self) -> str:
        """Sixteen hex digits."""
        return self.hub.id.hex()

    async def install(self, central: Central) -> None:
        """An installer comes: a code, a claim, a first run."""
        self._hub = _Hub(central.services.keys.trust, self._clock)
        code = await central.services.hubs.new_code(self.label, "installer")
        self.hub.take_grant(await central.services.hubs.enrol(self.hub.claim(code)))
        self.hub.start()

    async def connect(self, central: Central) -> None:
        """The line is up: say hello, then send what was kept."""
        self._central = central
        self._link = _Line(self.hub.id, self.hub.now.epoch, self._hear)
        central.services.links.add(self._link)
        await central.replies.snapshot(self._link)
        await self._send(self.hub.heartbeat(is_hello=True, has_header=True))
        for lane in sorted(self._kept):
            await self._offer(lane)

    def hang_up(self) -> None:
        """Central is away."""
        if self._central is not None and self._link is not None:
            self._central.services.links.remove(self._link)
        self._central = self._link = None

    async def raise_event(self, *words: str, device: str, resident: str | None) -> None:
        """Something happens here: committed by central when this returns, or kept while there is none."""
        lanes = set()
        for word in words:
            sealed = self.hub.seal(word, device=device, resident=resident)
            self._kept.setdefault(BY_WORD[word].lane, []).append(sealed)
            lanes.add(BY_WORD[word].lane)
        if self._central is not None:
            for lane in sorted(lanes):
                await self._offer(lane)

    async def _offer(self, lane: Lane) -> None:
        kept = self._kept.get(lane)
        if not kept:
            return
        answers = await self._send(self.hub.envelope(*kept, has_header=True))
        stored = self.hub.receipt(answers).stored()
        self._kept[lane] = [sealed for sealed in kept if sealed.id.seq not in stored]

    @property
    def kept(self) -> int:
        """Records without a receipt."""
        return sum(len(sealed) for sealed in self._kept.values())

    async def report(self) -> bool:
        """Tell central what the lamp shows, where that has changed. Returns whether there was something to tell."""
        if not self._news or self._central is None:
            return False
        news = list(self._news)
        self._news.clear()
        newest = {alarm: (alarm, version, state) for alarm, version, state in news}
        await self._send(self.hub.lamp_report(news[-1][2], list(newest.values())))
        return True

    async def _send(self, frame: bytes) -> list[bytes]:
        if self._central is None:
            raise RuntimeError(f"{self.label} has no line")
        return await self._central.reception.receive(frame, PATH)

    def _hear(self, frame: bytes) -> None:
        message: Any = self.hub.read(frame)
        if isinstance(message, Receipt) or not isinstance(message, Reply):
            return
        for reply in message.alarms:
            self._show(reply)

    def _show(self, reply: AlarmReply) -> None:
        version, state = self._lamps.get(reply.alarm, (0, ""))
        if reply.version < version:
            return
        self._lamps[reply.alarm] = (reply.version, reply.state.value)
        if reply.version != version:
            self._news.append((reply.alarm, reply.version, reply.state.value))
        if reply.state.value != state:
            self._seen(self.label, reply.alarm, reply.state.value)
