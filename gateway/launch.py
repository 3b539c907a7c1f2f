"""From checked settings to a running hub: which paths and drivers there are, and the journal under them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from cloud_sync import uplinks
from cloud_sync.uplink import Uplink
from config import HubSettings
from config.plugins import load_plugin
from drivers.contract import Driver
from gateway.clock import HubClock
from gateway.daemon import Hub, MakeDrivers, MakeUplinks
from gateway.hub_epoch import HubEpoch
from gateway.identity_store import Identity
from gateway.journal import JournalSettings, Trouble, open_journal
from gateway.safe_mode import FULL
from gateway.start import Start

JOURNAL_FOLDER = "journal"


def uplinks_of(settings: HubSettings, identity: Identity, epoch: HubEpoch) -> list[Uplink]:
    """The paths to central, in the order of the settings."""
    return [
        uplinks.build(name, one, trust=identity.trust, hub=identity.hub, hub_epoch=epoch.id, base=settings.base)
        for name, one in settings.uplinks.items()
    ]


def drivers_of(settings: HubSettings) -> list[tuple[Driver, str]]:
    """The drivers that the settings name, with their types. Imports no others."""
    found: list[tuple[Driver, str]] = []
    for name, one in settings.drivers.items():
        type_name = settings.driver_types[name]
        plugin = load_plugin(type_name)
        if plugin is not None:
            found.append((plugin.build(name, one, settings.base), type_name))
    return found


async def run_hub(
    settings: HubSettings,
    identity: Identity,
    stop: asyncio.Event,
    *,
    on_ready: Callable[[Hub], None] = lambda _hub: None,
    make_uplinks: MakeUplinks = uplinks_of,
    make_drivers: MakeDrivers = drivers_of,
    start: Start | None = None,
) -> None:
    """Open the journal and run until `stop` is set. Raises JournalRefusedError.

    With a `start`, whose settings these are, it is noted there whether this run succeeds.
    """
    clock = HubClock()
    running: list[Hub] = []

    def told(trouble: Trouble) -> None:
        for hub in running:
            hub.journal_trouble(trouble)

    async with open_journal(
        settings.state_dir / JOURNAL_FOLDER,
        identity.hub,
        wall_ms=clock.wall_ms,
        settings=JournalSettings.of(settings),
        on_trouble=told,
    ) as journal:
        clock.floor_ms = journal.opened.floor_ms
        mode = FULL if start is None else start.mode
        hub = Hub(settings, identity, journal, clock, make_uplinks=make_uplinks, make_drivers=make_drivers, mode=mode)
        running.append(hub)
        if start is None:
            await hub.run(stop, on_ready)
            return
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(start.watch_over(hub, stop), name="start")
            await hub.run(stop, on_ready)
            watching.cancel()
        start.ended()
