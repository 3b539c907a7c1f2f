"""How long the hub takes from its start to ready, by its own word to a service manager (READY=1)."""

from __future__ import annotations

import asyncio
import socket
import time

from bench.rig import Rig


async def start_s(rig: Rig) -> float:
    """Stop the hub cleanly, start it again, and wait for READY=1. Seconds."""
    hub = rig.stage.hub
    await hub.stop()
    address = str(rig.folder / "notify.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        listener.setblocking(False)
        hub.environment["NOTIFY_SOCKET"] = address
        start = time.perf_counter()
        await hub.start()
        try:
            async with asyncio.timeout(60):
                while b"READY=1" not in await asyncio.get_running_loop().sock_recv(listener, 4096):
                    pass
            return time.perf_counter() - start
        finally:
            del hub.environment["NOTIFY_SOCKET"]
            (rig.folder / "notify.sock").unlink()
