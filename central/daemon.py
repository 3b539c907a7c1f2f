"""Central as it runs: everything assembled, two listeners, the chores, one loop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import structlog
from starlette.applications import Starlette

from central.admin import AdminSocket
from central.alarms import Alarms
from central.alone import alone
from central.app import create_console_app
from central.audit.watch import AuditorWatch
from central.clock import Clock, SystemClock
from central.clock_steps import ClockSteps
from central.commands import Commands
from central.epochs import EpochBook
from central.errors import NotStoredError
from central.escalation.duty import Duty
from central.escalation.tick import Escalation
from central.feed import Feed
from central.home import HomeReports
from central.hub_api import HubApi, hub_app
from central.hubs import Hubs
from central.ingest import Ingest
from central.keys import load_keys
from central.links import HubLinks
from central.listener import Certificate, bind, serve
from central.metrics import Metrics
from central.mqtt import MqttReception
from central.news import News
from central.notify.channels import carried
from central.notify.parts import notify_parts
from central.outages import note_outage
from central.people.people import People
from central.presence import Presence
from central.quarantine import Quarantine
from central.reception import Reception
from central.replies import Replies
from central.security import SecurityLog
from central.services import Services
from central.settings import CentralSettings
from central.sms_parts import SmsParts, sms_parts
from central.store import open_store
from central.strange import Strange
from central.technical.call_out import CallOut
from central.technical.folding import Folding
from central.technical.incidents import Incidents
from central.technical.maintenance import Maintenance
from central.trimming import Trimming
from central.upkeep import Upkeep
from central.wakeup import Wakeup
from central.windows import Windows
from cloud_sync import sd_notify
from cloud_sync.vitals import Pulse, Watchdog

log = structlog.get_logger()

RESTART_S = 1.0
Work = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Central:
    """One central, assembled and loaded. `works` are what has to run for it to live, `rounds` one round each."""

    services: Services
    reception: Reception
    hub_app: Starlette
    works: dict[str, Work]
    rounds: Mapping[str, Callable[[], Awaitable[object]]]
    replies: Replies
    windows: Windows
    pulses: Sequence[Pulse]
    sms: SmsParts | None

    async def run_works(self) -> None:
        """All of them, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for name, work in self.works.items():
                group.create_task(keep_running(name, work), name=name)


async def keep_running(name: str, work: Work) -> None:
    """A crash barrier: a fault in one work is logged and counted, and does not end the others.

    The work has a task of its own, so that a cancellation reaches this loop whatever the work makes of it.
    """
    while True:
        running: asyncio.Future[None] = asyncio.ensure_future(work())
        try:
            await asyncio.wait({running})
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        if not running.cancelled() and (fault := running.exception()) is not None:
            log.error("work_failed", work=name, exc_info=fault)  # whatever it is, alarms must go on coming in
        await asyncio.sleep(RESTART_S)


@asynccontextmanager
async def open_central(settings: CentralSettings, clock: Clock | None = None) -> AsyncIterator[Central]:
    """Open keys and database and put everything together. Raises CentralError."""
    clock = clock or SystemClock()
    keys = await asyncio.to_thread(load_keys, settings.data_dir)
    async with open_store(settings.database_url, clock) as store:
        wakeup, metrics, links = Wakeup(), Metrics(), HubLinks()
        people = People(store, clock, settings, wakeup)
        alarms = Alarms(store, clock, wakeup, people.words)
        feed = Feed(store, clock, wakeup, alarms.opened)
        hubs = Hubs(store, keys, clock, wakeup)
        presence = Presence(store, clock, links, wakeup)
        hubs.ear = presence
        commands = Commands(store, keys, clock, links, presence, wakeup)
        security = SecurityLog(store, clock, metrics)
        windows = Windows(store, clock)
        epochs = EpochBook(store, keys)
        quarantine, strange = Quarantine(store, clock, wakeup), Strange(store, clock, metrics, wakeup)
        replies = Replies(store, keys, clock, links, wakeup)
        ingest = Ingest(store, keys, clock, metrics, epochs, windows, strange, wakeup, people.words)
        reception = Reception(
            store=store,
            keys=keys,
            clock=clock,
            metrics=metrics,
            hubs=hubs,
            epochs=epochs,
            windows=windows,
            security=security,
            quarantine=quarantine,
            presence=presence,
            ingest=ingest,
            home=HomeReports(store, clock, wakeup),
            commands=commands,
        )
        api = HubApi(
            clock=clock,
            store=store,
            hubs=hubs,
            trust=keys.trust.raw,
            reception=reception,
            replies=replies,
            links=links,
            security=security,
        )
        await people.open()
        await presence.load()
        await commands.load()
        duty = Duty(store, clock, wakeup)
        await note_outage(store, clock)
        await duty.begin(store.last_alive_ms)
        auditor = AuditorWatch(store, clock, wakeup)
        escalation = Escalation(store, clock, wakeup)
        upkeep = Upkeep(
            store, alarms, feed, windows, links, Trimming(store, clock).trim, ClockSteps(store, clock, ingest.offsets)
        )
        folding = Folding(store, clock, wakeup, ingest.precedence)
        works: dict[str, Work] = {
            "feed": feed.run,
            "replies": replies.run,
            "presence": presence.run,
            "availability": presence.availability.run,
            "security": security.run,
            "folding": folding.run,
            **upkeep.chores(),
            **upkeep.more({"escalation": escalation.tick, "duty": duty.renew, "auditor": auditor.look}),
            **upkeep.more({"call_out": CallOut(store, clock, wakeup, settings.call_out).look}),
        }
        if store.dialect.is_shared:
            works["news"] = News(store.dialect, wakeup, store.writers).run
            works["carrying"] = commands.carrying.run
            works |= upkeep.more({"hearing": presence.share})
        for number, broker in enumerate(settings.mqtt, 1):
            works["mqtt" if number == 1 else f"mqtt-{number}"] = MqttReception(
                broker,
                clock=clock,
                reception=reception,
                replies=replies,
                links=links,
                security=security,
                metrics=metrics,
            ).run
        services = Services(
            settings=settings,
            store=store,
            keys=keys,
            clock=clock,
            alarms=alarms,
            feed=feed,
            hubs=hubs,
            links=links,
            commands=commands,
            duty=duty,
            metrics=metrics,
            security=security,
            people=people,
            incidents=Incidents(store, clock, wakeup, people.words),
            maintenance=Maintenance(store, clock, wakeup, people.words),
        )
        sms = sms_parts(services, quarantine, wakeup)
        if sms is not None:
            works["sms_answers"] = sms.answers.run
        outgoing = notify_parts(services, wakeup, sms)
        works["notify"] = outgoing.run
        try:
            yield Central(
                services=services,
                reception=reception,
                hub_app=hub_app(api),
                works=works,
                rounds={
                    **upkeep.rounds,
                    "presence": presence.sweep,
                    "availability": presence.availability.write,
                    "replies": replies.send_due,
                    "settle": replies.settle,
                    "folding": folding.sweep,
                    **{f"notify-{name}": partial(outgoing.send_due, name) for name in carried()},
                    "receipts": outgoing.receipts.look,
                },
                replies=replies,
                windows=windows,
                pulses=upkeep.pulses(),
                sms=sms,
            )
        finally:
            await ingest.drain()
            for what, write in (
                ("security", security.flush),
                ("windows", windows.flush),
                ("availability", presence.availability.write),
            ):
                try:
                    await write()
                except NotStoredError as error:  # as after a kill: none of them is needed for the next start
                    log.warning("not_kept_at_the_end", what=what, reason=str(error))


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """Where a running central can be reached."""

    central: Central
    hub_url: str
    console_url: str
    sms_url: str = ""


@asynccontextmanager
async def running(settings: CentralSettings, clock: Clock | None = None) -> AsyncIterator[Running]:
    """A whole central, listening, for as long as the block lasts."""
    with alone(settings):
        async with _listening(settings, clock) as where:
            yield where


@asynccontextmanager
async def _listening(settings: CentralSettings, clock: Clock | None) -> AsyncIterator[Running]:
    async with open_central(settings, clock) as central, _admin(central.services).open():
        console_app = create_console_app(central.services)  # before the doors open: who comes in is not left to wait
        with contextlib.ExitStack() as sockets:
            hub_socket = sockets.enter_context(bind(settings.hubs.host, settings.hubs.port, "hubs"))
            console_socket = sockets.enter_context(bind(settings.console.host, settings.console.port, "console"))
            sms_socket = settings.sms and sockets.enter_context(bind(settings.sms.host, settings.sms.port, "sms"))
            sockets.pop_all()
        keys = central.services.keys
        stop = asyncio.Event()
        where = Running(
            central=central,
            hub_url=f"https://{_address(hub_socket)}",
            console_url=f"http://{_address(console_socket)}",
            sms_url=f"http://{_address(sms_socket)}" if sms_socket else "",
        )
        async with asyncio.TaskGroup() as group:
            works = group.create_task(central.run_works())
            certificate = Certificate(keys.tls_certificate, keys.tls_key)
            group.create_task(serve(central.hub_app, hub_socket, stop, certificate))
            group.create_task(serve(console_app, console_socket, stop))
            if central.sms is not None and sms_socket:
                group.create_task(serve(central.sms.app, sms_socket, stop))
            try:
                yield where
            finally:
                central.services.links.is_closing = True
                central.services.links.close_all()
                central.services.feed.close()
                stop.set()
                works.cancel()


def _admin(services: Services) -> AdminSocket:
    return AdminSocket(services.settings.admin_socket, services.hubs, services.commands, services.metrics)


async def run(settings: CentralSettings, announce: Callable[[Running], None]) -> None:
    """Run until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(settings) as where:
        announce(where)
        log.info("central_started", hub_url=where.hub_url, console_url=where.console_url)
        watching = asyncio.create_task(Watchdog(where.central.pulses).run(), name="watchdog")
        sd_notify.notify("READY=1")
        try:
            await stop.wait()
        finally:
            watching.cancel()
            await asyncio.wait([watching])
        sd_notify.notify("STOPPING=1")
        log.info("central_stopping")
    with contextlib.suppress(ValueError):
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
