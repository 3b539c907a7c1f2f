"""A small card of its own for the journal of a hub: a real ext4 in a file, mounted by loop, to be filled or broken.

Needs root and loop devices.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

MIB = 1024 * 1024


class CardError(Exception):
    """The card could not be made; the message says what it needs."""


class Card:
    """What is mounted at `place`."""

    def __init__(self, image: Path, place: Path) -> None:
        self.image = image
        self.place = place
        self.device = ""

    @classmethod
    @asynccontextmanager
    async def mounted(cls, image: Path, place: Path, *, size_mib: int, inodes: int = 0) -> AsyncIterator[Card]:
        """Make it, move what lies at `place` onto it, and unmount it in the end."""
        if os.geteuid():
            raise CardError("a loop device needs root")
        card = cls(image, place)
        with image.open("wb") as file:
            file.truncate(size_mib * MIB)
        few = ("-N", str(inodes)) if inodes else ()
        await _run("mkfs.ext4", "-q", "-F", "-m", "0", "-O", "^has_journal", *few, str(image))
        before = place.with_name(f"{place.name}.before")
        place.rename(before)
        place.mkdir(mode=0o700)
        card.device = (await _run("losetup", "--find", "--show", str(image))).strip()
        try:
            await _run("mount", "-o", "errors=remount-ro", card.device, str(place))
            for path in before.iterdir():
                shutil.copy2(path, place / path.name)
            yield card
        finally:
            with contextlib.suppress(CardError):
                await _run("umount", "--lazy", str(place))
            with contextlib.suppress(CardError):
                await _run("losetup", "--detach", card.device)
            shutil.rmtree(before)

    def fill(self) -> None:
        """Write until nothing goes any more."""
        junk = os.open(self.place / "junk", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        size = MIB
        try:
            while size >= 1024:
                try:
                    os.write(junk, bytes(size))
                except OSError:
                    size //= 2
            os.fsync(junk)
        except OSError:
            return
        finally:
            os.close(junk)

    def use_up_inodes(self) -> None:
        """Make files until no more can be made."""
        folder = self.place / "junk"
        folder.mkdir()
        with contextlib.suppress(OSError):
            for number in range(1_000_000):
                (folder / str(number)).touch()

    def free(self) -> None:
        """Take all that away again."""
        junk = self.place / "junk"
        if junk.is_dir():
            shutil.rmtree(junk)
        else:
            junk.unlink(missing_ok=True)

    async def freeze(self) -> None:
        """Let every write hang, in the kernel itself, until `thaw`."""
        await _run("fsfreeze", "--freeze", str(self.place))

    async def thaw(self) -> None:
        """Let it go on."""
        await _run("fsfreeze", "--unfreeze", str(self.place))

    async def turn_read_only(self) -> None:
        """What the kernel does when it meets an error on the card."""
        (Path("/sys/fs/ext4") / Path(self.device).name / "trigger_fs_error").write_text("made by a test")

    async def repair(self) -> None:
        """What a person does then: take the card out, have it checked, and put it back where it was.

        Whoever has files of it open still holds the old ones.
        """
        await _run("umount", "--lazy", str(self.place))
        repaired = self.image.with_name(f"{self.image.name}+")
        await asyncio.to_thread(shutil.copyfile, self.image, repaired)
        await _run("e2fsck", "-f", "-y", str(repaired), good=(0, 1))
        old, self.image = self.device, repaired
        self.device = (await _run("losetup", "--find", "--show", str(repaired))).strip()
        await _run("mount", "-o", "errors=remount-ro", self.device, str(self.place))
        with contextlib.suppress(CardError):
            await _run("losetup", "--detach", old)


async def _run(*command: str, good: tuple[int, ...] = (0,)) -> str:
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    except FileNotFoundError:
        raise CardError(f"{command[0]} is missing: apt-get install e2fsprogs util-linux") from None
    out, _ = await asyncio.wait_for(process.communicate(), 30)
    if process.returncode not in good:
        raise CardError(f"{' '.join(command)}: {out.decode(errors='replace')}")
    return out.decode(errors="replace")
