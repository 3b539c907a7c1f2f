"""What comes from central, verified before anything believes it: signature, address, and what it answers."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from cloud_sync.central_messages import Address, Command, HeartbeatAnswer, Receipt, Reply
from cloud_sync.errors import MalformedError, ReplayedError, WireError
from cloud_sync.frames import FrameType
from cloud_sync.stub_answer import StubAnswer, open_answer
from cloud_sync.trust import TrustBundle
from gateway.clock import HubClock
from gateway.paths import Path

MAX_REMEMBERED = 4096
FOLD_S = 60.0
"""Refusals for one reason are told at once and then at most so often, with their count."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Listeners:
    """Who gets what. All are called in the event loop and return at once."""

    receipt: Callable[[Receipt], None]
    reply: Callable[[Reply], None]
    command: Callable[[Command], None]
    answer: Callable[[Path, StubAnswer], None]
    """Central knows what a stub told; of whatever run."""
    lineage: Callable[[bytes], None]
    """Central's database is another one than before."""
    security: Callable[[str, int], None]
    """Something was refused: the reason, and how many times since it was last told."""


class Inbox:
    """Verifies frames, learns central's time from answers, and hands on what is authentic and meant for this run."""

    def __init__(
        self,
        *,
        trust: TrustBundle,
        hub: bytes,
        hub_epoch: bytes,
        lineage: bytes | None,
        clock: HubClock,
        listeners: Listeners,
    ) -> None:
        self._trust = trust
        self._hub = hub
        self._epoch = hub_epoch
        self._clock = clock
        self._to = listeners
        self._sent: OrderedDict[int, float] = OrderedDict()
        self._awaited: dict[int, asyncio.Future[float]] = {}
        self._refused: dict[str, tuple[int, float]] = {}  # reason → count since told, when told
        self.lineage = lineage
        self.refused_total = 0

    def sent(self, number: int) -> None:
        """A message with this number leaves now: its answer will tell central's time."""
        self._sent[number] = self._clock.boot_s()
        if len(self._sent) > MAX_REMEMBERED:
            self._sent.popitem(last=False)

    async def answer_to(self, number: int) -> float:
        """Wait for the answer to a message that leaves now. Returns the round trip in seconds."""
        awaited: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._awaited[number] = awaited
        try:
            return await awaited
        finally:
            self._awaited.pop(number, None)

    def accept(self, path: Path, data: bytes) -> None:
        """Take one frame. Whatever is wrong with it is counted and told, never raised."""
        try:
            frame_type, body = self._trust.open_frame(data)
            to = Address.read(body)
            if to.hub != self._hub:
                raise ReplayedError("other_hub")
            if to.hub_epoch != self._epoch:
                raise ReplayedError("other_epoch")
            if frame_type is FrameType.RECEIPT:
                self._take_receipt(path, Receipt.read(body))
            elif frame_type is FrameType.HEARTBEAT_ANSWER:
                answer = HeartbeatAnswer.read(body)
                if not self._is_answer(path, answer.number, to):
                    raise ReplayedError("old_answer")
                self._see_lineage(answer.lineage)
            elif frame_type is FrameType.REPLY:
                reply = Reply.read(body)
                self._clock.hear(to.central_ms)
                self._to.reply(reply)
            elif frame_type is FrameType.COMMAND:
                command = Command.read(body)
                self._clock.hear(to.central_ms)
                self._to.command(command)
            else:
                raise MalformedError("frame_type", frame_type.name)
        except WireError as error:
            self.refuse(error, path.name)

    def accept_answer(self, path: Path, data: bytes) -> None:
        """Take one stub answer, from a path that carries no frames."""
        try:
            answer = open_answer(data, self._trust)
            if answer.hub != self._hub:
                raise ReplayedError("other_hub")
            self._to.answer(path, answer)
        except WireError as error:
            self.refuse(error, path.name)

    def refuse(self, error: WireError, uplink: str) -> None:
        """Count something refused and tell it, folded by reason."""
        self.refused_total += 1
        now_s = self._clock.boot_s()
        count, told_s = self._refused.get(error.reason, (0, float("-inf")))
        count += 1
        if now_s - told_s >= FOLD_S:
            self._refused[error.reason] = (0, now_s)
            _log.warning("frame_refused", uplink=uplink, reason=error.reason, count=count)
            self._to.security(error.reason, count)
        else:
            self._refused[error.reason] = (count, told_s)

    def _take_receipt(self, path: Path, receipt: Receipt) -> None:
        if self._is_answer(path, receipt.number, receipt.to):
            self._see_lineage(receipt.lineage)
        elif receipt.lineage != self.lineage:
            raise ReplayedError(
                "old_receipt"
            )  # a second copy says nothing new; one from before a restore, nothing true
        self._to.receipt(receipt)

    def _is_answer(self, path: Path, number: int, to: Address) -> bool:
        """Whether this answers a message that is still open: only then does it prove that the path lives now."""
        sent_s = self._sent.pop(number, None)
        if sent_s is None:
            return False
        now_s = self._clock.boot_s()
        self._clock.learn(to.central_ms, sent_boot_s=sent_s, received_boot_s=now_s)
        path.round_trip_s = now_s - sent_s
        path.heard()
        awaited = self._awaited.get(number)
        if awaited is not None and not awaited.done():
            awaited.set_result(now_s - sent_s)
        return True

    def _see_lineage(self, lineage: bytes) -> None:
        before, self.lineage = self.lineage, lineage
        if before is not None and before != lineage:
            _log.warning("central_replaced", before=before, now=lineage)
            self._to.lineage(lineage)
