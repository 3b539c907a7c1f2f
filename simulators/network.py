"""A network that can be cut: a TCP relay between a hub and central.

A cut is what a pulled cable is: nothing is refused and nothing is closed, bytes just stop. Connections made meanwhile
hang. When the cable is back, what was held flows on, as retransmission would have it. What a line loses comes late,
and everything after it waits: that is what loss looks like from within TCP.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from types import TracebackType
from typing import Self

CHUNK = 64 * 1024
RETRANSMIT_S = 0.2


class Cable:
    """Relays `listen` to `target` on loopback until cut. Several connections; counts what it carried."""

    def __init__(self, target: tuple[str, int], *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.target = target
        self._host = host
        self.port = port
        self._whole = asyncio.Event()
        self._whole.set()
        self._server: asyncio.Server | None = None
        self._relays: set[asyncio.Task[None]] = set()
        self.carried_bytes = 0
        self.delay_s = 0.0
        self.loss = 0.0
        """The share of pieces that are lost, and lost again when they are sent again."""
        self.chance = random.Random(1)  # weather, not a secret

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, self._host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        for relay in list(self._relays):
            relay.cancel()
        await asyncio.gather(*self._relays, return_exceptions=True)

    @property
    def is_cut(self) -> bool:
        """Whether nothing passes now."""
        return not self._whole.is_set()

    def cut(self) -> None:
        """Pull the cable."""
        self._whole.clear()

    def mend(self) -> None:
        """Put it back."""
        self._whole.set()

    def reset(self) -> None:
        """Break every connection, as a router that restarts does."""
        for relay in list(self._relays):
            relay.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        relay = asyncio.ensure_future(self._relay(reader, writer))
        self._relays.add(relay)
        relay.add_done_callback(self._relays.discard)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(relay)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far: asyncio.StreamWriter | None = None
        try:
            held = await self._hold(reader)
            if held is None:
                return
            far_reader, far = await asyncio.open_connection(*self.target)
            self.carried_bytes += len(held)
            far.write(held)
            ways = [
                asyncio.ensure_future(self._pump(reader, far)),
                asyncio.ensure_future(self._pump(far_reader, writer)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except OSError:
            pass  # the far end is not there: the near end is closed below, as a refusing host would
        finally:
            for end in (writer, far):
                if end is not None:
                    end.transport.abort()

    async def _hold(self, reader: asyncio.StreamReader) -> bytes | None:
        """What came while the cable was cut; None when the caller gave up before it was mended.

        In truth the call itself had not got through, so the other side never learns of one that was given up.
        """
        held = b""
        if not self.is_cut:
            return held
        mended = asyncio.ensure_future(self._whole.wait())
        try:
            while not mended.done():
                reading = asyncio.ensure_future(reader.read(CHUNK))
                try:
                    await asyncio.wait((mended, reading), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    if not reading.done():
                        reading.cancel()
                        await asyncio.gather(reading, return_exceptions=True)
                if reading.cancelled():
                    continue
                if not (chunk := reading.result()):
                    return None
                held += chunk
        finally:
            mended.cancel()
        return held

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await source.read(CHUNK):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                again_s = RETRANSMIT_S
                while self.loss and self.chance.random() < self.loss:
                    await asyncio.sleep(again_s)
                    again_s *= 2
                await self._whole.wait()
                self.carried_bytes += len(chunk)
                sink.write(chunk)
                await sink.drain()
