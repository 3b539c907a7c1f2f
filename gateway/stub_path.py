"""A path that carries stubs: no frames, no signs of life, one thing at a time; probed on a schedule.

Whether it works is known by what comes back: a probe that central's machine answered, or an alarm's answer. Nothing
else proves that the SIM, the network and central's number are what they were.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import NoReturn

import structlog

from cloud_sync.errors import UplinkError
from cloud_sync.uplink import Uplink, UplinkSession
from gateway.back_off import STUBS
from gateway.paths import TICK_S, Path
from gateway.probes import ProbeRule, Probes, ProbeView
from gateway.selector import PathView
from gateway.stub_allowance import PER_HOUR

SEND_DEADLINE_S = 90.0
"""How long a modem may take until the network has a text. Beyond that it is asked again."""
DOWN_PATIENCE_S = 300.0
"""A modem or SIM that is gone for so long is told."""

_log = structlog.get_logger()


class StubPath(Path):
    """One uplink for stubs and what is known about it."""

    carries_stubs = True

    def __init__(
        self,
        uplink: Uplink,
        *,
        boot_s: Callable[[], float],
        wall_ms: Callable[[], int],
        probe: Callable[[], bytes],
        on_frame: Callable[[Path, bytes], None],
        on_change: Callable[[], None],
        on_supervision: Callable[[Path, bool], None],
        rule: ProbeRule | None = None,
        chance: random.Random | None = None,
        stubs_per_hour: int = PER_HOUR,
        remembered: int | str | None = None,
        remember: Callable[[str], object] = lambda _: None,
    ) -> None:
        super().__init__(
            uplink,
            boot_s=boot_s,
            hello=lambda _: b"",
            beat=lambda _: b"",
            on_frame=on_frame,
            on_change=on_change,
            on_supervision=on_supervision,
            chance=chance,
            rule=STUBS,
        )
        self.stubs_per_hour = stubs_per_hour
        self._wall_ms = wall_ms
        self._probe = probe
        self._answer_ms = 0
        self.probes = Probes(self._chance, rule or ProbeRule(), boot_s())
        self.probes.recall(remembered, boot_s(), wall_ms())
        self._remember = remember
        self._is_wait_kept = isinstance(remembered, str) and not remembered.endswith(" 0")

    def view(self) -> PathView:
        """The path as the selector sees it."""
        return PathView(
            name=self.name,
            is_up=self._session is not None,
            is_answering=not self.is_lost,
            session=self.session_count,
            opened_s=self.opened_s,
            down_since_s=self._down_since_s,
            carries_stubs=True,
        )

    def probe_view(self) -> ProbeView:
        """How the probes went."""
        return self.probes.view(self._boot_s(), self._wall_ms())

    def heard(self) -> None:
        """Something that was sent this way has been answered."""
        now_s = self._boot_s()
        self.probes.answered(now_s, self._wall_ms())
        self._keep()
        super().heard()

    def _keep(self) -> None:
        """For the next run: a reserve that was good an hour ago is not unknown because the hub was started again."""
        kept = self.probes.memory(self._boot_s(), self._wall_ms())
        self._is_wait_kept = not kept.endswith(" 0")
        self._remember(kept)

    def _keep_waiting(self) -> None:
        if not self._is_wait_kept:  # since when does not change: the card is not written to for each try
            self._keep()

    def probe_answered(self, central_ms: int) -> bool:
        """Central's machine has answered a probe. False for an answer that was seen before, or an older one."""
        if central_ms <= self._answer_ms:
            return False
        self._answer_ms = central_ms
        self.heard()
        return True

    def _opened(self, session: UplinkSession) -> None:
        if self.is_lost:
            self.probes.soon(self._boot_s())
        super()._opened(session)

    async def _live(self, session: UplinkSession) -> NoReturn:
        while True:
            now_s = self.tried_s = self._boot_s()
            if now_s < self.probes.due_s:
                await asyncio.sleep(min(TICK_S, self.probes.due_s - now_s))
                continue
            try:
                await session.send(self._probe(), lane=None, deadline_s=SEND_DEADLINE_S)
            except UplinkError as error:
                self.last_error = str(error)[:200]
                self.probes.failed(self._boot_s(), self.last_error)
                self._keep_waiting()
                _log.warning("probe_not_sent", uplink=self.name, error=self.last_error)
            else:
                self.probes.sent(self._boot_s(), self._wall_ms())
                self._keep_waiting()
                _log.info("probe_sent", uplink=self.name)

    async def _supervise(self) -> NoReturn:
        while True:
            now_s = self._boot_s()
            is_gone = self._session is None and now_s - self._down_since_s >= DOWN_PATIENCE_S
            if (is_gone or self.probes.is_overdue(now_s)) and not self.is_lost:
                self.is_lost = True
                self._on_supervision(self, False)
            await asyncio.sleep(TICK_S)
