"""A journal whose folder, or one file of it, the hub's user may not use: a real user without privileges, if we can be.

As root the folder belongs to root and the journal runs as somebody else (setpriv of util-linux); otherwise the folder
is our own, and closed to ourselves. A hub meets both after `sudo vaktpost hub run` or a restored backup.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
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


def shut(file: Path, how: str) -> None:
    """One file alone."""
    if how == "somebody else's":
        os.chown(file, 0, 0)
        file.chmod(0o600)
    else:
        file.chmod(0)


def give_back(file: Path) -> None:
    """What a person does who read the message."""
    if IS_ROOT:
        os.chown(file, NOBODY, NOBODY)
    file.chmod(0o600)


SHUT = ["for nobody", "somebody else's"] if IS_ROOT else ["for nobody"]


async def started(*words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *AS_SOMEBODY, sys.executable, *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )


@asynccontextmanager
async def tenancy(journal: Path, *words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Waited for in the end, or killed; what it logs is no traceback."""
    process = await started(str(Path(__file__).with_name("tenant.py")), str(journal), *words)
    try:
        async with asyncio.timeout(LIMIT_S):
            yield process
            _, logged = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, logged.decode()
    assert "Traceback" not in logged.decode()


async def lived_in(journal: Path) -> str:
    """A run in good order, before anything is wrong. Returns what it has on the card."""
    journal.mkdir(mode=0o700)
    hand_over(journal)
    async with tenancy(journal) as process:
        assert await line_of(process) == "opened"
        return (await line_of(process)).removeprefix("durable ")


async def durable(process: asyncio.subprocess.Process) -> str:
    """What came to the card in the end."""
    while (told := await line_of(process)) == "in memory only":
        pass
    assert told.startswith("durable ")
    return told.removeprefix("durable ")


def epochs_in(journal: Path) -> list[str]:
    return [row.epoch for row in dump(journal, Lane.ALARM)]


async def line_of(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await process.stdout.readline()).decode().strip()


async def test_a_folder_of_somebody_else_is_told_and_used_as_soon_as_it_is_ours(place: Path) -> None:
    journal = place / "journal"
    close(journal)
    async with tenancy(journal) as process:
        assert await line_of(process) == "opened unwritable"  # it begins all the same
        assert "Permission denied" in await line_of(process)
        assert await line_of(process) == "in memory only"
        assert not IS_ROOT or not list(journal.iterdir())
        hand_over(journal)
        epoch = await durable(process)
    assert [(row.epoch, row.seq) for row in dump(journal, Lane.ALARM)] == [(epoch, 1)]


@pytest.mark.parametrize("how", SHUT)
async def test_one_file_that_is_shut_is_told_and_used_as_soon_as_it_is_open_to_us_with_all_that_is_in_it(
    place: Path, how: str
) -> None:
    journal = place / "journal"
    before = await lived_in(journal)
    shut(journal / "alarm.db", how)
    async with tenancy(journal) as process:
        assert await line_of(process) == "opened unwritable"
        refused = await line_of(process)
        assert refused.startswith("refused alarm.db cannot be written")
        assert "Permission denied" in refused
        assert await line_of(process) == "in memory only"
        give_back(journal / "alarm.db")
        after = await durable(process)
        assert await line_of(process) == "told recovered"
    assert epochs_in(journal) == [before, after]
    assert not list(journal.glob("*.damaged-*"))


async def test_one_file_that_stays_shut_is_set_aside_and_what_is_in_it_comes_back_when_it_is_open_to_us(
    place: Path,
) -> None:
    journal = place / "journal"
    before = await lived_in(journal)
    shut(journal / "alarm.db", SHUT[-1])
    async with tenancy(journal, "0.5") as process:
        assert await line_of(process) == "opened unwritable"
        assert (await line_of(process)).startswith("refused ")
        without = await durable(process)  # in another file, and nobody had to come
        assert await line_of(process) == "told damaged recovered"
    assert epochs_in(journal) == [without]
    give_back(journal / "alarm.db.damaged-1")
    async with tenancy(journal) as process:
        assert await line_of(process) == "opened salvaged"
        after = await durable(process)
    assert sorted(epochs_in(journal)) == sorted([before, without, after])


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
