"""Commands for a hub that holds its connection to another process of this database: who has the link carries them.

A command that its own process cannot send waits in the database as `wanted`. Every process looks for those of its hubs,
once a second and when the database tells of a change; one of them takes it and sends it. A part of the answer that
comes to a process in which nobody waits for it is laid into the database, for the one that asked.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from functools import partial
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from central.clock import Clock
from central.errors import NotStoredError
from central.keys import CentralKeys
from central.links import HubLinks
from central.sql import Sql
from central.store import Priority, Store
from central.wakeup import Wakeup
from cloud_sync.central_messages import Address, Command
from cloud_sync.hub_messages import CommandResult

log = structlog.get_logger()

LOOK_S = 1.0
CARRIED_WITHIN_S = 3.0
"""A process that has the link looks three times in this: when none has taken the command, there is no link."""

_WANTED = Sql(
    """SELECT id, hub, epoch, number, name, arguments, expires_ms FROM command
    WHERE state = 'wanted' AND expires_ms > :now ORDER BY created_ms, number LIMIT 50"""
)
_TAKE = Sql("UPDATE command SET state = 'sent' WHERE id = :id AND state = 'wanted' RETURNING id")
_NOBODY = Sql("UPDATE command SET state = 'no_link' WHERE id = :id AND state = 'wanted' RETURNING id")
_LAY = Sql(
    """INSERT INTO command_part (command, part, is_last, content)
    SELECT id, CAST(:part AS INTEGER), CAST(:is_last AS BOOLEAN), CAST(:content AS TEXT) FROM command
    WHERE id = :command AND hub = :hub AND epoch = :epoch AND state IN ('wanted', 'sent') AND expires_ms > :now
    ON CONFLICT DO NOTHING RETURNING command"""
)
_PARTS = Sql("SELECT part, is_last, content FROM command_part WHERE command = :id ORDER BY part")
_GONE = Sql("DELETE FROM command_part WHERE command = :id")
_NOTIFY = Sql("NOTIFY vaktpost_change")


class Carrying:
    """One process's share of it. On a database that is not shared there is nothing to do."""

    def __init__(self, store: Store, keys: CentralKeys, clock: Clock, links: HubLinks, wakeup: Wakeup) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._links = links
        self._wakeup = wakeup
        self.is_needed = store.dialect.is_shared

    async def run(self) -> None:
        """Looks for what is to be carried, until cancelled."""
        while True:
            seen = self._wakeup.count
            try:
                await self.carry()
            except NotStoredError as error:
                log.warning("commands_not_carried", reason=str(error))
                await asyncio.sleep(LOOK_S)
            await self._wakeup.wait(seen, LOOK_S)

    async def carry(self) -> int:
        """Send what others want of hubs that are linked here. Returns how many commands that were."""
        now, count = self._clock.now_ms(), 0
        for command_id, hub, epoch, number, name, arguments, expires_ms in await self._store.fetch(
            lambda connection: _WANTED.rows(connection, now=now)
        ):
            links = [link for link in self._links.of(bytes.fromhex(hub)) if link.epoch.hex() == epoch]
            if not links or not await self._store.transact(Priority.PEOPLE, partial(_TAKE.rows, id=command_id)):
                continue
            command = Command(
                to=Address(hub=bytes.fromhex(hub), hub_epoch=bytes.fromhex(epoch), central_ms=now),
                command=bytes.fromhex(command_id),
                number=number,
                expires_ms=expires_ms,
                name=name,
                arguments=json.loads(arguments),
            )
            frame = command.pack(self._keys.sign_id, self._keys.sign)
            for link in links:
                link.put(frame)
            count += 1
        return count

    async def nobody_carries(self, command_id: str) -> bool:
        """No process has a link to the hub. False: one has taken the command meanwhile."""
        rows = await self._store.transact(Priority.PEOPLE, lambda connection: _NOBODY.rows(connection, id=command_id))
        return bool(rows)

    async def lay(self, message: CommandResult, content: Any) -> None:
        """A part of an answer for which nobody waits here: perhaps somebody does elsewhere."""
        sender, now = message.sender, self._clock.now_ms()

        async def work(connection: AsyncConnection) -> None:
            laid = await _LAY.rows(
                connection,
                command=message.command.hex(),
                part=message.part,
                is_last=message.is_last,
                content=json.dumps(content, default=str),
                hub=sender.hub.hex(),
                epoch=sender.sender_epoch.hex(),
                now=now,
            )
            if laid:
                await _NOTIFY.rows(connection)

        await self._store.transact(Priority.PEOPLE, work)

    async def parts(self, command_id: str) -> tuple[Mapping[int, Any], int | None]:
        """What others have laid down of an answer, and the number of its last part when that has come."""
        rows = await self._store.fetch(lambda connection: _PARTS.rows(connection, id=command_id))
        last = next((part for part, is_last, _ in rows if is_last), None)
        return {part: json.loads(content) for part, _, content in rows}, last

    @staticmethod
    async def forget(connection: AsyncConnection, command_id: str) -> None:
        """The answer is whole, or nobody waits for it any more."""
        await _GONE.rows(connection, id=command_id)
