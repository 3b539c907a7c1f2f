"""The runs of hubs that central knows: their headers, and the keys that open what they sealed.

Opened keys are in memory only; a header can be opened again at any time with central's seal key.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from central.hubs import Enrolled
from central.in_turn import InTurn
from central.keys import CentralKeys
from central.lifecycle import alarm_kind
from central.opening import Source
from central.raising import raise_technical
from central.sql import Sql
from central.store import Store
from cloud_sync.epoch import EpochHeader, open_header
from cloud_sync.errors import WireError
from cloud_sync.seal import EpochKey

MAX_CACHED = 20_000

_LOAD = Sql("SELECT header FROM hub_epoch WHERE hub = :hub AND epoch = :epoch")
_STORE = Sql(
    """INSERT INTO hub_epoch (hub, epoch, header, before_epoch, before_last, before_is_clean, suite, central_key,
       boot_id, started_ms, software, first_seen_ms)
    VALUES (:hub, :epoch, :header, :before_epoch, :before_last, :before_is_clean, :suite, :central_key,
       :boot_id, :started_ms, :software, :now)
    ON CONFLICT DO NOTHING RETURNING 1"""
)
_FORK = Sql("SELECT epoch FROM hub_epoch WHERE hub = :hub AND before_epoch = :before AND epoch <> :epoch LIMIT 1")


@dataclass(slots=True)
class Epoch:
    """One run of a hub. `key` is None when `problem` says why it cannot be opened."""

    header: EpochHeader
    blob: bytes
    key: EpochKey | None
    problem: str
    is_stored: bool


class EpochBook:
    """All runs that were heard of."""

    def __init__(self, store: Store, keys: CentralKeys) -> None:
        self._store = store
        self._keys = keys
        self._cache: OrderedDict[tuple[bytes, bytes], Epoch] = OrderedDict()
        self._searches = InTurn[tuple[bytes, bytes]]()

    async def find(self, hub: Enrolled, epoch: bytes, offered: Iterable[bytes]) -> tuple[Epoch | None, str]:
        """The run, from memory, from the database, or from one of the headers offered with the records.

        Returns (None, reason) when there is no header that is authentic, of this run, and sealed as agreed.
        """
        key = (hub.id, epoch)
        known = self._cache.get(key)
        if known is None:
            # Who asks while the first one is still being looked for waits: it may be the one that brings the header.
            async with self._searches.one(key):
                known = self._cache.get(key)
                if known is None:
                    return await self._search(hub, key, offered)
        self._cache.move_to_end(key)
        return known, known.problem

    async def _search(
        self, hub: Enrolled, key: tuple[bytes, bytes], offered: Iterable[bytes]
    ) -> tuple[Epoch | None, str]:
        epoch = key[1]
        stored = await self._store.fetch(
            lambda connection: _LOAD.value(connection, hub=hub.id.hex(), epoch=epoch.hex())
        )
        reason = "no_header"
        candidates = dict.fromkeys(offered) if stored is None else {stored: None}
        for blob in candidates:
            try:
                header = open_header(blob, hub.public_key)
            except WireError as error:
                reason = f"header_{error.reason}"
                continue
            if (header.hub, header.epoch) != key:
                reason = "header_of_another_epoch"
            elif header.suite < hub.suite:
                reason = "suite"
            else:
                found = self._opened(header, blob, is_stored=stored is not None)
                self._cache[key] = found
                if len(self._cache) > MAX_CACHED:
                    self._cache.popitem(last=False)
                return found, found.problem
        return None, reason

    def _opened(self, header: EpochHeader, blob: bytes, *, is_stored: bool) -> Epoch:
        seal = self._keys.seals.get(header.central_key)
        if seal is None:
            return Epoch(header, blob, None, "seal_key_unknown", is_stored)
        try:
            return Epoch(header, blob, header.open_key(seal), "", is_stored)
        except WireError as error:
            return Epoch(header, blob, None, error.reason, is_stored)

    def boot_id(self, hub: bytes, epoch: bytes) -> bytes | None:
        """The kernel's boot id of a run, when it is in memory."""
        known = self._cache.get((hub, epoch))
        return known.header.boot_id if known else None

    @staticmethod
    async def store(connection: AsyncConnection, epoch: Epoch, now: int) -> None:
        """Write a new header in the caller's transaction; raise it when two runs name one predecessor.

        The caller sets `is_stored` after the commit.
        """
        header, before = epoch.header, epoch.header.before
        hub = header.hub.hex()
        is_new = await _STORE.one(
            connection,
            hub=hub,
            epoch=header.epoch.hex(),
            header=epoch.blob,
            before_epoch=before.epoch.hex() if before else None,
            before_last=json.dumps({str(int(lane)): seq for lane, seq in before.last.items()}) if before else "{}",
            before_is_clean=before.is_clean if before else None,
            suite=int(header.suite),
            central_key=header.central_key.hex(),
            boot_id=header.boot_id.hex(),
            started_ms=header.started_ms,
            software=header.software.replace("\x00", ""),
            now=now,
        )
        if not is_new or before is None:
            return
        twin = await _FORK.value(connection, hub=hub, before=before.epoch.hex(), epoch=header.epoch.hex())
        if twin is not None:
            details = json.dumps({"before": before.epoch.hex(), "epochs": f"{twin} {header.epoch.hex()}"})
            source = Source(hub=hub, happened_ms=now, details=details)
            await raise_technical(connection, alarm_kind("epoch_forked"), source, now)
