"""A connection to a broker whose waits end with it.

aiomqtt waits for every acknowledgement as long as it was told to, also on a connection that is gone: a broker that
dies between a connection and its CONNACK costs the whole time limit, and an alarm behind it waits as long.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

import aiomqtt

LAST_WORDS_S = 0.1

T = TypeVar("T")


class BrokerClient(aiomqtt.Client):
    """For one connection; `tests/cloud_sync/test_broker_client.py` notices when the library's insides have changed."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._gone = asyncio.Event()

    async def subscribe(self, /, topic: Any, *args: Any, **settings: Any) -> Any:
        """As the library's. Raises MqttError also when the broker says no: then nothing would ever come."""
        codes = await super().subscribe(topic, *args, **settings)
        for code in codes:
            if getattr(code, "is_failure", False):
                raise aiomqtt.MqttError(f"the broker does not let us subscribe to {topic}: {code}")
        return codes

    async def _wait_for(self, fut: Awaitable[T], timeout: float | None) -> T:  # noqa: ASYNC109  # as the library has it
        waiting = asyncio.ensure_future(super()._wait_for(fut, timeout))
        gone = asyncio.ensure_future(self._gone.wait())
        try:
            await asyncio.wait({waiting, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():  # what came last, and a goodbye that was waited for, is told after the end
                await asyncio.wait({waiting}, timeout=LAST_WORDS_S)
            if not waiting.done():
                raise aiomqtt.MqttError("the broker has hung up")
            return waiting.result()
        finally:
            waiting.cancel()
            gone.cancel()
            await asyncio.gather(waiting, gone, return_exceptions=True)

    def _on_socket_close(self, client: Any, userdata: Any, sock: Any) -> None:
        """Called in the loop's thread, or (while it connects) in another one."""
        super()._on_socket_close(client, userdata, sock)
        self._loop.call_soon_threadsafe(self._gone.set)
