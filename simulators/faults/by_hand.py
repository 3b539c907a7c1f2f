"""A line between hub and central that is worked by hand, a loop whose time is, and a founded central to begin with."""

from __future__ import annotations

import asyncio
import atexit
import functools
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from central.clock import SystemClock
from central.founding import Plan, found
from central.settings import load
from central.store import open_store
from cloud_sync.errors import UplinkError
from cloud_sync.identity import Lane


class ShiftedLoop(asyncio.SelectorEventLoop):
    """An event loop whose time can be moved on."""

    shift_s = 0.0

    def time(self) -> float:
        """Monotonic, and what was added."""
        return super().time() + self.shift_s


@functools.cache
def scratch() -> Path:
    """In memory where there is room: nothing here is about disks."""
    memory = Path("/dev/shm")  # noqa: S108  # a folder of our own is made there
    return memory if memory.is_dir() else Path(tempfile.gettempdir())


@functools.cache
def founded() -> Path:
    """A founded central with its tables, made once for this process and copied for each world."""
    home = Path(tempfile.mkdtemp(prefix="vaktpost-founded-", dir=scratch()))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    folder = home / "central"
    found(Plan(data_dir=folder, names=["localhost"], hub_port=0, console_port=0), 1_790_000_000_000)

    async def with_tables() -> None:
        async with open_store(load(folder / "central.toml").database_url, SystemClock()):
            pass

    with asyncio.Runner() as runner:
        runner.run(with_tables())
    return folder


@dataclass(slots=True)
class Frame:
    """Something on the wire. `is_hello` opens a way down."""

    content: bytes
    line: HandLine
    is_hello: bool = False


class HandLine:
    """One path of one hub: what is sent is put on the wire, and waits there until somebody delivers it."""

    carries_stubs = False

    def __init__(self, name: str, put: Callable[[Frame], None]) -> None:
        self.name = name
        self.is_up = True
        self._put = put
        self._session: HandSession | None = None

    @asynccontextmanager
    async def open(self, hello: bytes, /) -> AsyncIterator[HandSession]:
        """See `cloud_sync.uplink.Uplink`."""
        if not self.is_up:
            raise UplinkError("the line is cut")
        session = self._session = HandSession(self)
        self._put(Frame(hello, self, is_hello=True))
        try:
            yield session
        finally:
            if self._session is session:
                self._session = None

    def send(self, content: bytes) -> None:
        """Put it on the wire."""
        if not self.is_up:
            raise UplinkError("the line is cut")
        self._put(Frame(content, self))

    def bring(self, content: bytes) -> None:
        """A frame from central arrives; nobody may be there any more."""
        if self._session is not None:
            self._session.came.put_nowait(content)

    def cut(self) -> None:
        """The network goes."""
        self.is_up = False
        self.reset()

    def reset(self) -> None:
        """The connection breaks."""
        if self._session is not None:
            self._session.came.put_nowait(None)


class HandSession:
    """See `cloud_sync.uplink.UplinkSession`."""

    def __init__(self, line: HandLine) -> None:
        self.came: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._line = line

    async def send(self, frame: bytes, /, *, lane: Lane | None, deadline_s: float) -> None:  # noqa: ARG002
        """Onto the wire."""
        self._line.send(frame)

    async def frames(self) -> AsyncIterator[bytes]:
        """As they are brought."""
        while (frame := await self.came.get()) is not None:
            yield frame
        raise UplinkError("the line was cut")
