"""What every family is given: how much to measure, a hub that is measured, the peer of this run, a voice."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

from bench.as_installed import UNIT, install_hub, unit_environment
from bench.peers import BridgeFigures, bridge
from bench.rig import Rig, rig
from bench.rows import Peer
from simulators.broker import BrokerUnavailableError

BRIDGE = "mosquitto bridge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much is measured."""

    rounds: int = 150
    repeats: int = 5
    telemetry: int = 100_000
    backlog: int = 100_000
    million: int = 1_000_000
    storm: int = 100_000


@dataclass(slots=True)
class Bench:
    """One run of `python -m bench`."""

    scale: Scale
    say: Callable[[str], None]
    hub_programs: Path
    _bridge: BridgeFigures | None = None
    _is_bridge_tried: bool = False
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @classmethod
    async def prepare(cls, scale: Scale, say: Callable[[str], None]) -> Bench:
        """Install what is measured. Raises BenchError."""
        return cls(scale, say, await install_hub(say))

    def rig(self) -> AbstractAsyncContextManager[Rig]:
        """A fresh central, hub and home; the hub as installed, with the environment of its unit."""
        self.say("bringing up central, a hub and a home")
        plain = {"PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": ""}
        return rig(self.hub_programs / "vaktpost", plain | unit_environment(UNIT.read_text()))

    async def peer(self, figure: Callable[[BridgeFigures], float]) -> Peer | None:
        """A figure of a mosquitto that bridges to another, measured once a run; None (and said) without mosquitto."""
        async with self._lock:
            if not self._is_bridge_tried:
                self._is_bridge_tried = True
                self.say("measuring the peer: a mosquitto that bridges to another over TLS")
                with tempfile.TemporaryDirectory(prefix="bench-peer-", dir=".run") as folder:
                    try:
                        self._bridge = await bridge(Path(folder).resolve() / "bridge", rounds=100, messages=10_000)
                    except BrokerUnavailableError as error:
                        self.say(f"no peer: {error}")
        return None if self._bridge is None else Peer(name=BRIDGE, value=figure(self._bridge))
