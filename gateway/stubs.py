"""Stubs on their way: which alarms have one to send, one at a time over each path for them, and what comes back.

The full record stays pending, whatever is answered to its stub: only a receipt settles it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

import structlog

from cloud_sync import stub
from cloud_sync.errors import MalformedError, ReplayedError, UplinkError
from cloud_sync.identity import EventId, Lane, id_from_text
from cloud_sync.record import parse_record
from cloud_sync.stub_answer import StubAnswer
from cloud_sync.uplink import Uplink
from cloud_sync.vocabulary import AlarmClass
from gateway.errors import JournalError
from gateway.probes import EVERY_S, ProbeRule
from gateway.stub_allowance import PER_HOUR, StubAllowance
from gateway.stub_path import SEND_DEADLINE_S, StubPath

if TYPE_CHECKING:
    from gateway.daemon import Hub
    from gateway.paths import Path
    from gateway.pending import Pending

KNOWN_KEY = "urgent/known-by-stub"
MAX_REMEMBERED = 32

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

    def __init__(
        self, path: Path, boot_s: Callable[[], float], on_change: Callable[[], None], per_hour: int = PER_HOUR
    ) -> None:
        self._path = path
        self._boot_s = boot_s
        self._on_change = on_change
        self._allowance = StubAllowance(per_hour)
        self._is_held_back = False
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
            now_s = self._boot_s()
            ready = [one for one in self._waiting if self._allowance.allows(_device_of(one), now_s)]
            self._tell_held_back(is_so=len(ready) < len(self._waiting))
            if not ready:
                self._more.clear()
                next_s = self._allowance.next_s(now_s) if self._waiting else None
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(None if next_s is None else max(0.05, next_s - now_s)):
                        await self._more.wait()
                continue
            pending = min(ready, key=lambda one: (one.id.lane, one.is_loaded, one.observed_s))
            self._waiting.remove(pending)
            await self._send(pending)

    def _tell_held_back(self, *, is_so: bool) -> None:
        if is_so and not self._is_held_back:
            _log.warning("stubs_held_back", uplink=self._path.name, waiting=len(self._waiting))
        self._is_held_back = is_so

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
            self._allowance.sent(_device_of(pending), self._boot_s())
            _log.info("stub_sent", uplink=name, lane=pending.id.lane.word, seq=pending.id.seq)
        mark = pending.attempts[name]
        pending.attempts[name] = replace(mark, sent_s=self._boot_s(), has_failed=has_failed, is_queued=False)
        self._on_change()


def _device_of(pending: Pending) -> str:
    """Whose stub it is; it was read before, when it was found to be worth a text message."""
    try:
        return "" if pending.stub is None else stub.peek(pending.stub).device
    except MalformedError:
        return ""


def dump_known(known: Mapping[EventId, tuple[int, int]]) -> str:
    """Which alarms central knows by their stubs, the newest of them as one text; empty when there is none."""
    newest = list(known.items())[-MAX_REMEMBERED:]
    lines = [[one.epoch.hex(), int(one.lane), one.seq, version, at_ms] for one, (version, at_ms) in newest]
    return json.dumps(lines, separators=(",", ":")) if lines else ""


def load_known(text: object, hub: bytes) -> dict[EventId, tuple[int, int]]:
    """What was remembered; anything that cannot be read is left out."""
    found: dict[EventId, tuple[int, int]] = {}
    try:
        lines = json.loads(text) if isinstance(text, str) and text else []
    except ValueError:
        return found
    for line in lines if isinstance(lines, list) else ():
        with contextlib.suppress(ValueError, TypeError, MalformedError):
            epoch, lane, seq, version, at_ms = line
            found[EventId(hub, id_from_text(epoch), Lane(int(lane)), int(seq))] = (int(version), int(at_ms))
    return found


def path_of(
    hub: Hub, uplink: Uplink, on_change: Callable[[], None], on_supervision: Callable[[Path, bool], None]
) -> StubPath:
    """The path over an uplink that carries stubs."""
    chosen = hub.settings.uplinks.get(uplink.name)
    every_s = getattr(chosen, "probe_s", EVERY_S)
    way = hashlib.sha256(str(getattr(chosen, "number", "")).encode()).hexdigest()[:8]
    key = f"path/{uplink.name}/{way}"  # what is known of one number says nothing about another
    return StubPath(
        uplink,
        boot_s=hub.clock.boot_s,
        wall_ms=hub.clock.wall_ms,
        probe=hub.epoch.probe,
        on_frame=hub.inbox.accept_answer,
        on_change=on_change,
        on_supervision=on_supervision,
        rule=ProbeRule(every_s=every_s),
        stubs_per_hour=getattr(chosen, "stubs_per_hour", PER_HOUR),
        remembered=hub.journal.memory.get(key),
        remember=lambda text: _remember(hub, key, text),
    )


def _remember(hub: Hub, key: str, text: str) -> None:
    with contextlib.suppress(JournalError):  # only when the journal is closed: the hub is ending
        hub.journal.remember(Lane.TECHNICAL, {key: text})


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
