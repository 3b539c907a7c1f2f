"""One alarm or care record that central has not receipted, and how far it has come."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from cloud_sync.hub_messages import Trace
from cloud_sync.identity import EventId
from cloud_sync.stub import LocalAction
from gateway.selector import Attempt


@dataclass(slots=True, eq=False, kw_only=True)
class Pending:
    """One record that central has not receipted. Times are boot seconds."""

    id: EventId
    record: bytes
    action: LocalAction
    is_alarm: bool
    observed_s: float
    judged_s: float | None = None
    durable_s: float | None = None
    first_sent_s: float | None = None
    receipted_s: float | None = None
    attempts: dict[str, Attempt] = field(default_factory=dict)
    is_loaded: bool = False
    """Read from the journal: of an earlier run, or set aside for want of room."""
    is_alone: bool = False
    """An envelope with it was refused: it travels by itself from now on."""
    stub: bytes | None = None
    """What a path that carries stubs may send of it."""
    known: tuple[int, int] | None = None
    """Central knows its stub, says the answer of this (version, central's clock)."""
    confirmation: asyncio.Future[bool] | None = None

    def confirm(self) -> None:
        """Fsynced here or receipted by central: whoever waits for it may be told."""
        if self.confirmation is not None and not self.confirmation.done():
            self.confirmation.set_result(True)

    def trace(self) -> Trace:
        """How long it took, in milliseconds since the device was heard."""

        def since(moment: float | None) -> float | None:
            return None if moment is None else round((moment - self.observed_s) * 1000, 2)

        return Trace(
            event=self.id,
            judged_ms=since(self.judged_s),
            durable_ms=since(self.durable_s),
            sent_ms=since(self.first_sent_s),
            receipt_ms=since(self.receipted_s),
        )
