"""A journal in a folder that the hub's user may not use: a real user without privileges, as far as we may be one.

As root the folder belongs to root and the journal runs as somebody else (setpriv of util-linux); otherwise the folder
is our own, and closed to ourselves. A hub meets both after `sudo vaktpost hub run` or a restored backup.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud_sync.identity import Lane
from gateway.journal.inspection import dump

NOBODY = 65534
IS_ROOT = os.geteuid() == 0
AS_SOMEBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups") if IS_ROOT else ()
LIMIT_S = 30


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder into which everybody can look."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    (folder / "journal").chmod(0o700)
    shutil.rmtree(folder)


def close(journal: Path) -> None:
    """Nobody but its owner, root, may use it; without root nobody at all."""
    journal.mkdir(mode=0o700)
    if not IS_ROOT:
        journal.chmod(0)


def hand_over(journal: Path) -> None:
    """What a person does who read the message."""
    if IS_ROOT:
        os.chown(journal, NOBODY, NOBODY)
    else:
        journal.chmod(0o700)


async def started(*words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(*AS_SOMEBODY, sys.executable, *words, stdout=asyncio.subprocess.PIPE)


async def line_of(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await process.stdout.readline()).decode().strip()


async def test_a_folder_of_somebody_else_is_told_and_used_as_soon_as_it_is_ours(place: Path) -> None:
    journal = place / "journal"
    close(journal)
    process = await started(str(Path(__file__).with_name("tenant.py")), str(journal))
    try:
        async with asyncio.timeout(LIMIT_S):
            assert await line_of(process) == "opened unwritable"  # it begins all the same
            assert "Permission denied" in await line_of(process)
            assert await line_of(process) == "in memory only"
            assert not IS_ROOT or not list(journal.iterdir())
            hand_over(journal)
            while (told := await line_of(process)) == "in memory only":
                pass
            assert told.startswith("durable ")
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    ((epoch, seq),) = [(row.epoch, row.seq) for row in dump(journal, Lane.ALARM)]
    assert (f"durable {epoch}", seq) == (told, 1)


async def test_whoever_may_not_look_into_the_journal_is_told_who_may(place: Path) -> None:
    journal = place / "journal"
    close(journal)
    words = "import sys; from pathlib import Path; from gateway.journal.inspection import inspect\n"
    words += "try: inspect(Path(sys.argv[1]))\nexcept Exception as error: print(type(error).__name__, error)"
    process = await started("-c", words, str(journal))
    async with asyncio.timeout(LIMIT_S):
        told, _ = await process.communicate()
    assert told.decode().startswith("JournalError ")
    assert "is not for this user to read; try again as the hub's user, or with sudo" in told.decode()
