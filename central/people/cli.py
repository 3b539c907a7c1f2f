"""`vaktpost central people import`, `vaktpost central people forget` and `vaktpost central rotate-master`."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict

from central.admin import CONSOLE
from central.clock import SystemClock
from central.people.importing import take_in
from central.people.people import People
from central.settings import CentralSettings, load
from central.store import Store, open_store
from central.wakeup import Wakeup
from cloud_sync.ownership import hand_over


@asynccontextmanager
async def _opened(settings: CentralSettings) -> AsyncIterator[tuple[Store, People]]:
    clock = SystemClock()
    async with open_store(settings.database_url, clock) as store:
        people = People(store, clock, settings, Wakeup())
        await people.open()
        try:
            yield store, people
        finally:  # a key that root has made here is to be the service's
            await asyncio.to_thread(hand_over, settings.master_key.file.parent, settings.data_dir)


def import_file(options: argparse.Namespace) -> int:
    """Take in residents from a file. Raises FileRefusedError with every fault and its line."""
    settings = load(options.config)

    async def work() -> dict[str, int]:
        async with _opened(settings) as (store, people):
            done = await take_in(store, SystemClock(), people.vault, options.file, CONSOLE, settings.time_zone)
            return asdict(done)

    done = asyncio.run(work())
    if options.json:
        print(json.dumps({"ok": True, **done}))
    else:
        print(
            f"{done['residents']} residents in the file: {done['added']} new, {done['changed']} changed, "
            f"{done['same']} as they were."
        )
    return 0


def forget(options: argparse.Namespace) -> int:
    """Destroy what is known of nobody in particular in a home, or was written about an incident."""
    settings = load(options.config)

    async def work() -> int:
        async with _opened(settings) as (_, people):
            return await people.keeping.forget(CONSOLE, options.id)

    count = asyncio.run(work())
    if options.json:
        print(json.dumps({"ok": True, "keys": count}))
    else:
        print("Nothing was kept there." if not count else f"{options.id}: its words are erased.")
    return 0


def rotate_master(options: argparse.Namespace) -> int:
    """Wrap the keys of all residents under a new master key. Central may run meanwhile."""
    settings = load(options.config)

    async def work() -> tuple[int, str]:
        async with _opened(settings) as (_, people):
            return await people.rotate_master(CONSOLE)

    count, old = asyncio.run(work())
    if options.json:
        print(json.dumps({"ok": True, "keys": count, "old": old}))
        return 0
    print(f"""{count} keys are wrapped under a new master key, {settings.master_key.file}.

Now: lock a copy of it away, as the one in the folder offline was. The key before lies in
  {old}
Backups made until now need it. When it is deleted, whoever was erased is gone from those backups too, and so is
everything else that they hold about residents.""")
    return 0
