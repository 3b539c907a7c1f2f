"""The hub: everything put together, started, and ended within a few seconds when asked to.

Nothing here decides anything. What senses ends before what sends, so that the last event still leaves; then the
journal is closed with a note of how far this run got.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from importlib.metadata import version
from typing import Any

import structlog

from cloud_sync import health, sd_notify
from cloud_sync.central_messages import Command, Receipt, Reply
from cloud_sync.errors import UplinkError
from cloud_sync.hub_messages import Trace
from cloud_sync.identity import EventId, Lane
from cloud_sync.ranges import SeqRanges
from cloud_sync.uplink import Uplink
from cloud_sync.vitals import Watchdog
from config import HubSettings
from drivers.contract import Driver, ProvidesIndicators
from gateway import asked, control, stubs
from gateway.annunciator import Annunciator
from gateway.back_off import BackOffRule
from gateway.bulk import Bulk
from gateway.card_test import CardTest
from gateway.clock import HubClock, boot_id
from gateway.commands import Commands
from gateway.drivers_host import DriversHost
from gateway.errors import JournalError
from gateway.health.running import check, examiner_of
from gateway.home import QUIET, Home
from gateway.housekeeping import Housekeeping
from gateway.hub_epoch import HubEpoch
from gateway.identity_store import FOLDER, Identity
from gateway.inbox import Inbox, Listeners
from gateway.journal import Journal, Trouble
from gateway.local_response import assembly
from gateway.modem_sharing import modem_of, share
from gateway.paths import CONTROL_DEADLINE_S, Path
from gateway.pending import Pending
from gateway.pipeline import Pipeline
from gateway.safe_mode import FULL, Mode
from gateway.selector import Timing, bulk_path
from gateway.settling import Settling
from gateway.urgent import Urgent
from gateway.vitals import pulses_of
from gateway.watch import Watch

CARD_GRACE_S = 2.0
"""A card that has not taken the epoch's header by then is not waited for: the watch begins all the same."""
SOURCES_GRACE_S = 1.5
FLUSH_GRACE_S = 1.5

_log = structlog.get_logger()

MakeUplinks = Callable[[HubSettings, Identity, HubEpoch], Sequence[Uplink]]
MakeDrivers = Callable[[HubSettings], Sequence[tuple[Driver, str]]]


class Hub:
    """One run of the daemon."""

    def __init__(
        self,
        settings: HubSettings,
        identity: Identity,
        journal: Journal,
        clock: HubClock,
        *,
        make_uplinks: MakeUplinks,
        make_drivers: MakeDrivers,
        mode: Mode = FULL,
    ) -> None:
        self.settings = settings
        self.mode = mode
        self.identity = identity
        self.journal = journal
        self.clock = clock
        self.started_s = clock.boot_s()
        self.epoch = HubEpoch(
            hub=identity.hub,
            key=identity.key,
            trust=identity.trust,
            clock=clock,
            before=journal.opened.previous,
            boot_id=boot_id(),
            software=f"vaktpost {version('vaktpost')}",
            config_hash=settings.config_hash,
        )
        self._is_ending = False
        self.troubles: dict[str, Trouble] = {}
        self._early_troubles: list[Trouble] | None = []
        self.annunciator = Annunciator()
        self.inbox = Inbox(
            trust=identity.trust,
            hub=identity.hub,
            hub_epoch=self.epoch.id,
            lineage=journal.opened.lineage or identity.lineage,
            clock=clock,
            listeners=Listeners(
                receipt=self._receipted,
                reply=self._replied,
                command=self._commanded,
                answer=partial(stubs.take_answer, self),
                lineage=self._central_replaced,
                security=lambda reason, count: self._tell("security", details={"reason": reason}, count=count),
            ),
        )
        self.modem = modem_of(settings, clock)
        uplinks = make_uplinks(settings, identity, self.epoch)
        share(self.modem, uplinks)
        self.paths = [self._path(uplink) for uplink in uplinks]
        dispatch = settings.dispatch
        self.urgent = Urgent(
            epoch=self.epoch,
            journal=journal,
            paths=self.paths,
            clock=clock,
            on_sent=self.inbox.sent,
            on_loaded=self._loaded,
            timing=Timing(
                second_path_s=dispatch.second_path_after_s,
                third_path_s=dispatch.third_path_after_s,
                resend_s=dispatch.resend_after_s,
            ),
        )
        self.bulk = Bulk(
            epoch=self.epoch,
            journal=journal,
            paths=self.paths,
            clock=clock,
            on_sent=self.inbox.sent,
            is_urgent_waiting=lambda: self.urgent.is_waiting,
        )
        self.home = Home(clock=clock, annunciator=self.annunciator, send_report=self._send_report)
        self.home.recall(journal.memory.get(QUIET))
        self.pipeline = Pipeline(
            epoch=self.epoch,
            journal=journal,
            clock=clock,
            urgent=self.urgent,
            bulk=self.bulk,
            home=self.home,
            watch_over=lambda pending: self.local_response.watch_over(pending),  # noqa: PLW0108  # it comes later
        )
        self.settling = Settling(journal, self.inbox.lineage, self._offer_again)
        self.local_response = assembly.assemble(self)
        self.watch = Watch(settings, journal=journal, clock=clock, pipeline=self.pipeline)
        self.drivers = DriversHost(
            make_drivers(settings),
            clock=clock,
            remembered=journal.memory.get,
            put=self.watch.put,
            report=self.pipeline.report,
        )
        self.commands = Commands(
            clock=clock, send=self._send_result, refuse=lambda error: self.inbox.refuse(error, "command")
        )
        self.housekeeping = Housekeeping(
            clock=clock,
            journal=journal,
            annunciator=self.annunciator,
            is_able=self._is_able,
            report=self.pipeline.report,
        )
        self.card_test = CardTest(journal, report=self.pipeline.report)
        self.watchdog = Watchdog(pulses_of(self))
        self.awaited: dict[EventId, asyncio.Future[Pending]] = {}
        asked.register(self)
        self.examiner = examiner_of(self)
        self.commands.register(health.COMMAND, partial(check, self.examiner))

    # running

    async def run(self, stop: asyncio.Event, on_ready: Callable[[Hub], None] = lambda _hub: None) -> None:
        """Run until `stop` is set, then end cleanly."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.examiner.close)
            await self._attach_indicators(stack)
            await self._serve_control(stack)
            async with asyncio.TaskGroup() as sending:
                beginning = sending.create_task(self._begin_epoch(), name="epoch")
                await asyncio.wait([beginning], timeout=CARD_GRACE_S)
                senders = [
                    beginning,
                    sending.create_task(self.urgent.run(), name="urgent"),
                    sending.create_task(self.bulk.run(), name="bulk"),
                    sending.create_task(self.home.run(), name="home"),
                    sending.create_task(self.local_response.run(), name="local-response"),
                    sending.create_task(self.settling.run(), name="settling"),
                    sending.create_task(self.pipeline.keeping.run(), name="keeping"),
                    sending.create_task(self.housekeeping.run(), name="housekeeping"),
                    sending.create_task(self.card_test.run(), name="card-test"),
                    sending.create_task(self.watchdog.run(), name="watchdog"),
                    *([] if self.modem is None else [sending.create_task(self.modem.run(), name="modem")]),
                    *(sending.create_task(path.run(), name=f"path-{path.name}") for path in self.paths),
                ]
                async with asyncio.TaskGroup() as sensing:
                    sources = [
                        sensing.create_task(self.drivers.run(), name="drivers"),
                        sensing.create_task(self.commands.run(), name="commands"),
                    ]
                    watching = sensing.create_task(self.watch.run(), name="watch")
                    self._started()
                    sd_notify.notify("READY=1")
                    on_ready(self)
                    await stop.wait()
                    sd_notify.notify("STOPPING=1")
                    _log.info("hub_stopping")
                    self._is_ending = True
                    self.annunciator.healthy(False)
                    for task in sources:
                        task.cancel()
                    await asyncio.wait(sources, timeout=SOURCES_GRACE_S)
                    await self.watch.drain()
                    watching.cancel()
                await self._end()
                for task in senders:
                    task.cancel()

    async def _begin_epoch(self) -> None:
        try:
            await self.journal.start_epoch(self.epoch.id, self.epoch.header)
        except JournalError as error:
            _log.error("epoch_not_stored", error=error)

    def _started(self) -> None:
        before = self.journal.opened.previous
        _log.info(
            "hub_started",
            hub=self.epoch.hub,
            epoch=self.epoch.id,
            software=self.epoch.software,
            config_hash=self.epoch.config_hash,
            after_clean_end=None if before is None else before.is_clean,
        )
        early, self._early_troubles = self._early_troubles or [], None
        for trouble in (*self.journal.opened.troubles, *early):
            self.journal_trouble(trouble)
        if self.identity.damage:
            self.journal_trouble(Trouble(file=FOLDER, what="damaged", detail=self.identity.damage))
        self.pipeline.report(
            "hub_started",
            details={
                "software": self.epoch.software,
                "config_hash": self.epoch.config_hash,
                "after_clean_end": None if before is None else before.is_clean,
            },
        )
        if not self.mode.is_full:
            self.pipeline.report("safe_mode", details=self.mode.details())

    async def _end(self) -> None:
        """The last event, everything onto the card, and what can still leave."""
        self.local_response.save()
        self.pipeline.report("hub_stopped", details={"uptime_s": round(self.clock.boot_s() - self.started_s)})
        keeping = self.pipeline.keeping
        keeping.offer_again()
        is_clean = not keeping.unstored
        try:
            async with asyncio.timeout(FLUSH_GRACE_S):
                await self.journal.flush()
                if any(path.is_up and not path.carries_stubs for path in self.paths):
                    await self.bulk.flush()
                await self.settling.flush()
        except TimeoutError:
            _log.info("stopped_with_work_left")
        except JournalError as error:
            is_clean = False
            _log.error("journal_not_flushed", error=error)
        await self.journal.close(is_clean=is_clean, last=self.epoch.last)

    async def _serve_control(self, stack: AsyncExitStack) -> None:
        try:
            await stack.enter_async_context(
                control.serve(self.settings.state_dir, lambda question: asked.answer(self, question))
            )
        except OSError as error:  # a card that cannot be written to: nobody can ask, and alarms go on
            _log.error("control_socket_unusable", error=error)

    async def _attach_indicators(self, stack: AsyncExitStack) -> None:
        chosen = self.settings.indicators
        hosted = None if chosen is None else self.drivers.named(chosen.driver)
        if hosted is None:
            return
        if not isinstance(hosted.driver, ProvidesIndicators):
            _log.warning("driver_without_indicators", driver=hosted.driver.name)
            return
        try:
            indicators = await stack.enter_async_context(hosted.driver.indicators())
        except Exception as error:  # noqa: BLE001  # a lamp that is broken is told, and alarms go on
            _log.error("indicators_missing", driver=hosted.driver.name, error=error)
            self.pipeline.report("driver_parked", details={"driver": hosted.driver.name, "part": "indicators"})
            return
        stack.callback(self.annunciator.attach, None)
        self.annunciator.attach(indicators)

    # what the parts tell one another

    def _path(self, uplink: Uplink) -> Path:
        if uplink.carries_stubs:
            return stubs.path_of(self, uplink, self._paths_changed, self._path_supervised)
        dispatch = self.settings.dispatch
        name = uplink.name

        def heartbeat_s() -> float:
            used = next((path for path in self.paths if path.is_up and not path.carries_stubs), None)
            is_used = not self.paths or name == self.paths[0].name or (used is not None and name == used.name)
            return dispatch.heartbeat_s if is_used else dispatch.reserve_heartbeat_s

        return Path(
            uplink,
            boot_s=self.clock.boot_s,
            hello=lambda name: self._beat(name, is_hello=True),
            beat=lambda name: self._beat(name, is_hello=False),
            on_frame=self.inbox.accept,
            on_change=self._paths_changed,
            on_supervision=self._path_supervised,
            heartbeat_s=heartbeat_s,
            chance=random.Random(),  # noqa: S311  # jitter, not a secret
            rule=BackOffRule(spread_s=dispatch.reconnect_spread_s),
        )

    def _beat(self, name: str, *, is_hello: bool) -> bytes:
        waiting = {lane: count.records for lane, count in self.housekeeping.counts.items()}
        marks = self.journal.marks(self.epoch.id) if is_hello else {}
        number, frame = self.epoch.heartbeat(
            name, waiting, is_hello=is_hello, lineage=self.journal.lineage, receipted=marks
        )
        self.inbox.sent(number)
        return frame

    def _paths_changed(self) -> None:
        self.urgent.paths_changed()
        self.bulk.paths_changed()
        self.home.paths_changed()
        self.local_response.look()

    def _path_supervised(self, path: Path, is_back: bool) -> None:
        _log.warning("path_back" if is_back else "path_lost", uplink=path.name)
        self.pipeline.report("path_back" if is_back else "path_lost", details={"uplink": path.name})
        if is_back:
            for other in self.paths:
                other.ask()

    def _receipted(self, receipt: Receipt) -> None:
        stored, unopened = receipt.stored(), SeqRanges(receipt.unopened)
        if receipt.epoch == self.epoch.id:
            # Nobody has what was not given out yet: settled in advance, an alarm would be lost at the next restart.
            last = self.epoch.last[receipt.lane]
            stored, unopened = stored.up_to(last), unopened.up_to(last)
        both = SeqRanges([*stored, *unopened])
        if receipt.epoch == self.epoch.id:
            self.epoch.is_header_known = not receipt.wants_header
        if receipt.lane.is_urgent:
            if receipt.wants_header:
                self.urgent.header_wanted(receipt.epoch)
            found = self.urgent.receipted(receipt.epoch, receipt.lane, both)
            self.home.receipted(found, receipt.to.central_ms)
            for pending in found:
                awaited = self.awaited.pop(pending.id, None)
                if awaited is not None and not awaited.done():
                    awaited.set_result(pending)
        else:
            self.bulk.receipted(receipt.epoch, receipt.lane, both, wants_header=receipt.wants_header)
        self.settling.note(receipt.epoch, receipt.lane, stored, unopened, receipt.lineage)

    def _replied(self, reply: Reply) -> None:
        self.home.heard(reply)

    def _commanded(self, command: Command) -> None:
        self.commands.accept(command)

    def _central_replaced(self, lineage: bytes) -> None:
        self.epoch.is_header_known = False
        self.home.central_replaced()
        for lane in (Lane.ALARM, Lane.TELEMETRY):
            self.settling.note(self.epoch.id, lane, SeqRanges(), SeqRanges(), lineage)

    def _offer_again(self) -> None:
        self.urgent.offer_again()
        self.bulk.offer_again()

    def _loaded(self, pending: Pending) -> None:
        if pending.is_alarm:
            self.local_response.found(pending)
            self.home.raised(pending)

    def _is_able(self) -> bool:
        is_storing = not self.pipeline.keeping.unstored and self.journal.is_taking(Lane.ALARM)
        return not self._is_ending and (is_storing or any(path.is_up for path in self.paths))

    def journal_trouble(self, trouble: Trouble) -> None:
        """The journal is in trouble, or out of it."""
        if self._early_troubles is not None:  # after those of the opening, in the order in which they came
            self._early_troubles.append(trouble)
            return
        details: dict[str, Any] = {"file": trouble.file, "what": trouble.what}
        if trouble.records:
            details["records"] = trouble.records
        if trouble.is_mended:
            self.troubles.pop(trouble.file, None)
        elif trouble.is_lasting:
            self.troubles[trouble.file] = trouble
        if trouble.what == "salvaged" and trouble.records:
            self.urgent.look_again()
            self.bulk.look_again()
        self.pipeline.report("journal_recovered" if trouble.is_mended else "journal_trouble", details=details)

    def _tell(self, word: str, *, details: Mapping[str, Any], count: int = 1) -> None:
        self.pipeline.report(word, details=details, count=count)

    # to central

    async def _send_report(
        self, lamp: str, alarms: tuple[tuple[bytes, int, str], ...], traces: tuple[Trace, ...]
    ) -> None:
        path = self._best_path()
        _, frame = self.epoch.lamp_report(lamp, alarms, traces)
        await path.send(frame, lane=None, deadline_s=CONTROL_DEADLINE_S)

    async def _send_result(self, command: bytes, result: object) -> bool:
        frame = self.epoch.command_result(command, result)
        try:
            await self._best_path().send(frame, lane=None, deadline_s=CONTROL_DEADLINE_S)
        except UplinkError as error:
            _log.info("result_not_sent", error=error)
            return False
        return True

    def _best_path(self) -> Path:
        name = bulk_path([path.view() for path in self.paths])
        if name is None:
            raise UplinkError("no path is up")
        return next(path for path in self.paths if path.name == name)
