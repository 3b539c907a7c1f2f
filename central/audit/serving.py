"""Running the auditor as a program: until SIGTERM or SIGINT, watched by systemd, or for one look."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Sequence

from central.audit.auditor import LOOK_WITHIN_S, Auditor, voices_of
from central.audit.findings import Finding, forget
from central.clock import SystemClock
from central.settings import CentralSettings
from central.store import Priority, open_store
from cloud_sync import sd_notify
from cloud_sync.vitals import Pulse, Watchdog

MARGIN_S = 120.0
"""So long the ways of the auditor's own may take on top of a look."""


async def serve_auditor(settings: CentralSettings) -> int:
    """Look and shout until told to stop. Returns the exit status: 1 when something was wrong at the last look."""
    clock = SystemClock()
    auditor = Auditor(settings, clock, voices_of(settings))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    patience_s = settings.audit.every_s + LOOK_WITHIN_S + MARGIN_S
    pulse = Pulse(
        name="auditor", patience_s=patience_s, is_alive=lambda: clock.mono_s() - auditor.looked_s < patience_s
    )
    watching = asyncio.create_task(Watchdog((pulse,)).run(), name="watchdog")
    sd_notify.notify("READY=1")
    try:
        return await auditor.run(stop)
    finally:
        watching.cancel()
        await asyncio.wait([watching])
        with contextlib.suppress(ValueError):
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)


async def look_once(settings: CentralSettings) -> Sequence[Finding]:
    """What is wrong now."""
    return await Auditor(settings, SystemClock(), ()).look()


async def forget_auditor(settings: CentralSettings) -> None:
    """Central is not to miss an auditor any more. Raises CentralError."""
    async with open_store(settings.database_url, SystemClock()) as store:
        await store.transact(Priority.PEOPLE, forget)
