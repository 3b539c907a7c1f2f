"""A network namespace with one wire to this machine, for a hub whose TCP is to meet real faults. Needs root.

Names end in the process id and everything is taken down on leaving, so that runs side by side do not meet.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

HOSTS = Path("/etc/netns")
"""`ip netns exec` shows a namespace the files of its folder here in place of those in /etc."""


class NamespaceUnavailableError(RuntimeError):
    """This machine does not let us make one; the message says what to do."""


class Namespace:
    """Enter with `Namespace.open`. In it, `localhost` is this machine at the other end of the wire."""

    def __init__(self) -> None:
        number = os.getpid()
        self.name = f"vp{number}"
        self.ours, self.theirs = (f"10.203.{number // 64 % 256}.{number % 64 * 4 + end}" for end in (1, 2))
        self._wire = f"vp{number}a"
        self._far_wire = f"vp{number}b"

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncIterator[Namespace]:
        """Make it, with its wire. Raises NamespaceUnavailableError."""
        apart = cls()
        try:
            await apart._make()
            yield apart
        finally:
            await apart._unmake()

    @property
    def words(self) -> list[str]:
        """What stands before a command line that is to run in it."""
        return ["ip", "netns", "exec", self.name]

    async def partition(self) -> None:
        """What comes from there goes unanswered; both ends of the wire look whole."""
        await _ip("route", "add", "blackhole", f"{self.theirs}/32")

    async def heal(self) -> None:
        """And answered again."""
        await _ip("route", "del", "blackhole", f"{self.theirs}/32")

    async def link(self, *, is_up: bool) -> None:
        """Pull the wire, or put it in: the other end sees that there is no carrier."""
        await _ip("link", "set", self._wire, "up" if is_up else "down")

    async def _make(self) -> None:
        if os.geteuid() != 0 or shutil.which("ip") is None:
            raise NamespaceUnavailableError(
                "a network namespace needs root and `ip` (Debian: apt-get install iproute2)"
            )
        inside = self.words
        await _ip("netns", "add", self.name)
        await _ip("link", "add", self._wire, "type", "veth", "peer", "name", self._far_wire, "netns", self.name)
        await _ip("addr", "add", f"{self.ours}/30", "dev", self._wire)
        await self.link(is_up=True)
        await _run(*inside, "ip", "addr", "add", f"{self.theirs}/30", "dev", self._far_wire)
        await _run(*inside, "ip", "link", "set", self._far_wire, "up")
        await _run(*inside, "ip", "link", "set", "lo", "up")
        folder = HOSTS / self.name
        folder.mkdir(parents=True)
        (folder / "hosts").write_text(f"{self.ours} localhost\n")

    async def _unmake(self) -> None:
        for words in (
            ("route", "del", "blackhole", f"{self.theirs}/32"),
            ("link", "del", self._wire),
            ("netns", "del", self.name),
        ):
            with contextlib.suppress(NamespaceUnavailableError):
                await _ip(*words)
        shutil.rmtree(HOSTS / self.name, ignore_errors=True)


async def _ip(*words: str) -> None:
    await _run("ip", *words)


async def _run(*words: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *words, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    told, _ = await process.communicate()
    if process.returncode:
        raise NamespaceUnavailableError(f"{' '.join(words)}: {told.decode(errors='replace').strip()}")
