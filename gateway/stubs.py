"""Stubs on their way: which alarms have one to send, one at a time over each path for them, and what comes back.

The full record stays pending, whatever is answered to its stub: only a receipt settles it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

import structlog

from cloud_sync import stub
from cloud_sync.errors import MalformedError, ReplayedError, UplinkError
from cloud_sync.record import parse_record
from cloud_sync.stub_answer import StubAnswer
from cloud_sync.uplink import Uplink
from cloud_sync.vocabulary import AlarmClass
from gateway.probes import EVERY_S, ProbeRule
from gateway.stub_path import SEND_DEADLINE_S, StubPath

if TYPE_CHECKING:
    from gateway.daemon import Hub
    from gateway.paths import Path
    from gateway.pending import Pending

_log = structlog.get_logger()


def stub_to_send(record: bytes) -> bytes | None:
    """The stub of an alarm or care record, if it is one that is worth a text message: a test is not."""
    try:
        blob = parse_record(record).stub
        if blob is None or stub.peek(blob).alarm_class >= AlarmClass.MEASUREMENT:
            return None
    except MalformedError:
        return None
    return blob


class StubQueue:
    """What waits for one path, most urgent first: alarm before care, this run's before earlier ones', by age."""

    def __init__(self, path: Path, boot_s: Callable[[], float], on_change: Callable[[], None]) -> None:
        self._path = path
        self._boot_s = boot_s
        self._on_change = on_change
        self._waiting: list[Pending] = []
        self._more = asyncio.Event()

    def put(self, pending: Pending) -> None:
        """Its attempt on this path says that it is queued."""
        self._waiting.append(pending)
        self._more.set()

    async def run(self) -> NoReturn:
        """Send until cancelled."""
        while True:
            self._waiting = [one for one in self._waiting if one.receipted_s is None and one.known is None]
            if not self._waiting:
                self._more.clear()
                await self._more.wait()
                continue
            pending = min(self._waiting, key=lambda one: (one.id.lane, one.is_loaded, one.observed_s))
            self._waiting.remove(pending)
            await self._send(pending)

    async def _send(self, pending: Pending) -> None:
        blob, name, has_failed = pending.stub, self._path.name, False
        if blob is None:
            return
        try:
            await self._path.send(blob, lane=pending.id.lane, deadline_s=SEND_DEADLINE_S)
        except UplinkError as error:
            has_failed = True
            _log.warning("stub_not_sent", uplink=name, seq=pending.id.seq, error=str(error)[:200])
        except Exception as error:  # noqa: BLE001  # whatever an uplink's library does, the alarm goes on by others
            has_failed = True
            _log.warning("uplink_fault", uplink=name, error=error)
        else:
            _log.info("stub_sent", uplink=name, lane=pending.id.lane.word, seq=pending.id.seq)
        mark = pending.attempts[name]
        pending.attempts[name] = replace(mark, sent_s=self._boot_s(), has_failed=has_failed, is_queued=False)
        self._on_change()


def path_of(
    hub: Hub, uplink: Uplink, on_change: Callable[[], None], on_supervision: Callable[[Path, bool], None]
) -> StubPath:
    """The path over an uplink that carries stubs."""
    every_s = getattr(hub.settings.uplinks.get(uplink.name), "probe_s", EVERY_S)
    return StubPath(
        uplink,
        boot_s=hub.clock.boot_s,
        wall_ms=hub.clock.wall_ms,
        probe=hub.epoch.probe,
        on_frame=hub.inbox.accept_answer,
        on_change=on_change,
        on_supervision=on_supervision,
        rule=ProbeRule(every_s=every_s),
    )


def take_answer(hub: Hub, path: Path, answer: StubAnswer) -> None:
    """An authentic answer came in: of a probe it says that the path works, of an alarm that central knows of it."""
    if answer.seq == 0:
        is_new = isinstance(path, StubPath) and answer.epoch == hub.epoch.id and path.probe_answered(answer.central_ms)
        if not is_new:
            hub.inbox.refuse(ReplayedError("old_answer"), path.name)
        return
    if hub.urgent.answered(answer):
        path.heard()
    hub.home.answered(answer)
