"""SMS: one signed stub up in each message, stub answers down. For when nothing else reaches central.

The modem is shared with others and lives longer than a session here; see `cloud_sync.modem`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from cloud_sync import stub
from cloud_sync.errors import MalformedError, UplinkError
from cloud_sync.identity import Lane
from cloud_sync.modem import Modem, ModemError, Reason
from cloud_sync.settings import SmsSettings

READY_WAIT_S = 5.0
"""A modem that is coming up is waited for so long."""
LOST_PATIENCE_S = 45.0
"""A network that goes away for less than this is a passing train."""

_log = structlog.get_logger()


class SmsUplink:
    """See `cloud_sync.uplink.Uplink`."""

    carries_stubs = True

    def __init__(self, name: str, settings: SmsSettings) -> None:
        self.name = name
        self._settings = settings
        self._modem: Modem | None = None

    def use(self, modem: Modem) -> None:
        """The modem that this path goes through."""
        self._modem = modem

    @asynccontextmanager
    async def open(self, _hello: bytes, /) -> AsyncIterator[SmsSession]:
        """Nothing is sent: the path is open as soon as the network has the modem."""
        modem = self._modem
        if modem is None:
            raise UplinkError("there is no modem: the settings lack [modem]")
        try:
            async with asyncio.timeout(READY_WAIT_S):
                while not modem.state.is_ready:
                    await modem.changed()
        except TimeoutError:
            raise UplinkError(_why(modem)) from None
        yield SmsSession(modem, self._settings)


class SmsSession:
    """See `cloud_sync.uplink.UplinkSession`."""

    def __init__(self, modem: Modem, settings: SmsSettings) -> None:
        self._modem = modem
        self._number = settings.number
        self._answers_from = {settings.number, *settings.answers_from}

    async def send(self, frame: bytes, /, *, lane: Lane | None, deadline_s: float) -> None:
        """One stub; returns when the network has it. `lane` None is for a probe, which everything else goes before."""
        send = self._modem.probe if lane is None else self._modem.stub
        try:
            await send(self._number, stub.to_text(frame), deadline_s=deadline_s)
        except ModemError as error:
            raise UplinkError(str(error)) from error

    async def frames(self) -> AsyncIterator[bytes]:
        """Stub answers. What comes from other numbers, or is no answer, is counted and left."""
        watch = asyncio.create_task(self._until_lost(), name="sms-watch")
        messages = self._modem.inbound
        try:
            while True:
                coming = asyncio.ensure_future(anext(messages))
                try:
                    await asyncio.wait({coming, watch}, return_when=asyncio.FIRST_COMPLETED)
                    if not coming.done():
                        raise UplinkError(watch.result())
                    sender, text = coming.result()
                finally:
                    coming.cancel()
                    await asyncio.wait({coming})
                if sender not in self._answers_from:
                    _log.info("sms_from_stranger")
                    continue
                try:
                    yield stub.from_text(text.strip())
                except MalformedError as error:
                    _log.info("sms_is_no_answer", reason=error.reason)
        finally:
            watch.cancel()
            await asyncio.wait({watch})
            await messages.aclose()

    async def _until_lost(self) -> str:
        """Returns why messages cannot go any more."""
        modem = self._modem
        while True:
            while modem.state.is_ready:
                await modem.changed()
            if modem.state.hindrance is not Reason.NO_NETWORK:
                return _why(modem)
            try:
                async with asyncio.timeout(LOST_PATIENCE_S):
                    while not modem.state.is_ready:
                        await modem.changed()
                        if modem.state.hindrance not in {None, Reason.NO_NETWORK}:
                            break
            except TimeoutError:
                return _why(modem)


def _why(modem: Modem) -> str:
    """For people: what is wrong with the modem, as far as is known."""
    state = modem.state
    reason = state.hindrance.value if state.hindrance is not None else "lost"
    return f"{reason}: {state.last_error}" if state.last_error else reason
