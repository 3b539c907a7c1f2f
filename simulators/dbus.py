"""A D-Bus message bus of our own, so that nothing simulated ever touches the machine's real one."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

START_TIMEOUT_S = 10.0

_CONFIGURATION = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
  </policy>
</busconfig>
"""


class BusUnavailableError(RuntimeError):
    """No private bus can be started here; the message says what to install or what the daemon said."""


class PrivateBus:
    """A `dbus-daemon` that lives as long as the context, at one address even when killed and started again.

    Give `address` to programs under test as `DBUS_SYSTEM_BUS_ADDRESS`.
    """

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._daemon: asyncio.subprocess.Process | None = None

    @property
    def address(self) -> str:
        if self._folder is None:
            msg = "the private bus has an address only inside its context"
            raise RuntimeError(msg)
        return f"unix:path={self._folder / 'bus'}"

    async def __aenter__(self) -> Self:
        # A socket's path may have 107 bytes, so it lies directly under the system's temporary folder.
        self._folder = Path(tempfile.mkdtemp(prefix="vaktpost-bus-"))
        try:
            await self.start()
        except BaseException:
            await self._leave()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._leave()

    async def start(self) -> None:
        """Start the daemon, also after `kill`, and return when it accepts connections."""
        program = shutil.which("dbus-daemon")
        if program is None:
            msg = "dbus-daemon is not installed; on Debian and Raspberry Pi OS: sudo apt install dbus"
            raise BusUnavailableError(msg)
        if self._daemon is not None:
            msg = "the private bus is running already"
            raise RuntimeError(msg)
        folder = Path(self.address.removeprefix("unix:path=")).parent
        configuration = folder / "bus.conf"
        configuration.write_text(_CONFIGURATION.format(socket=folder / "bus"), encoding="utf-8")
        (folder / "bus").unlink(missing_ok=True)  # a killed daemon leaves its socket behind
        self._daemon = await asyncio.create_subprocess_exec(
            program,
            f"--config-file={configuration}",
            "--nofork",
            "--nopidfile",
            "--nosyslog",
            "--print-address=1",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out = self._daemon.stdout
        async with asyncio.timeout(START_TIMEOUT_S):
            line = await out.readline() if out is not None else b""
        if not line:
            msg = f"dbus-daemon did not start: {await self.kill() or 'it said nothing'}"
            raise BusUnavailableError(msg)

    async def kill(self) -> str:
        """End the daemon at once, as a crash would: every connection breaks. Returns what it had to say."""
        daemon, self._daemon = self._daemon, None
        if daemon is None:
            return ""
        with contextlib.suppress(ProcessLookupError):
            daemon.kill()
        # `communicate` also closes the pipes; `wait` alone would leave their transports open.
        _out, complaints = await daemon.communicate()
        return complaints.decode(errors="replace").strip()

    async def _leave(self) -> None:
        await self.kill()
        folder, self._folder = self._folder, None
        if folder is not None:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
