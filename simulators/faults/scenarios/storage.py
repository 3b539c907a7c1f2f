"""The card: full, read-only, failing, hanging, damaged, gone. Alarms leave from memory and reach it when it is well."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from cloud_sync.identity import Lane
from gateway.journal.inspection import dump
from simulators.boot_clock import boot_s
from simulators.faults.card import Card
from simulators.faults.card_news import CardNews
from simulators.faults.growth import size_of
from simulators.faults.registry import Run, scenario
from simulators.faults.shim import StorageFaults, build_shim
from simulators.faults.trial import Trial
from simulators.faults.verdict import Verdict

ON_CARD = "state/journal/"
STOP_S = 5.0

FAULTS: dict[str, tuple[str, ...]] = {
    "EIO on write": (f"write {ON_CARD} error {errno.EIO}",),
    "EIO on sync": (f"sync {ON_CARD} error {errno.EIO}",),
    "EIO on read": (f"read {ON_CARD} error {errno.EIO}",),
    "no space": (f"write {ON_CARD} error {errno.ENOSPC}",),
    "read-only": tuple(
        f"{operation} {ON_CARD} error {errno.EROFS}" for operation in ("write", "sync", "truncate", "name")
    ),
    "sync hangs": (f"sync {ON_CARD} hang",),
    "write hangs": (f"write {ON_CARD} hang",),
    "read hangs": (f"read {ON_CARD} hang",),
    "sync takes 2 s": (f"sync {ON_CARD} slow 2000",),
    "alarm.db fails": (f"write {ON_CARD}alarm.db error {errno.EIO}",),
}
QUIET = {"EIO on read", "read hangs", "sync takes 2 s"}
"""What the hub need not notice while it only writes, or may find merely slow."""


async def _shim(run: Run) -> tuple[StorageFaults, dict[str, str]]:
    run.folder.mkdir(parents=True, exist_ok=True)
    faults = StorageFaults(run.folder / "faults")
    return faults, faults.environment(await asyncio.to_thread(build_shim, run.folder))


async def _is_well(trial: Trial) -> None:
    """The card is well: the hub finds out, and everything is on it."""
    if not await trial.says(
        lambda status: status["journal"]["state"] == "good" and not status["journal"]["bulk_in_memory_only"],
        "the journal is good again",
        within_s=40,
    ):
        trial.complain(f"instead: {(await trial.status() or {}).get('journal')}")


@scenario("card-fails", "the card fails or hangs while the hub runs", short=2, long=60, timeout_s=150)
async def card_fails(run: Run) -> Verdict:
    """Rounds go through all sorts; the path is up, so that every alarm is confirmed at once all the same."""
    faults, environment = await _shim(run)
    chance = run.chance
    names = list(FAULTS)
    chance.shuffle(names)
    async with Trial.open(run, hub_environment=environment) as trial:
        trial.is_damage_expected = True
        async for number in run.each_round():
            name = names[number % len(names)]
            run.say(name)
            news = CardNews(trial)
            async with trial.load(readings_per_s=200):
                await trial.confirmed(2)
                faults.set(*FAULTS[name])
                await trial.confirmed(4, within_s=15)
                if name not in QUIET:
                    await trial.says(_is_in_trouble, f"{name} is told")
                    await _check_fails(trial, name)
                    await news.of_trouble(name, is_lasting=True)
                await asyncio.sleep(chance.uniform(0.5, 3))
                faults.clear()
                await trial.confirmed(3)
            await _is_well(trial)
            if name not in QUIET:
                await news.of_its_end(name)
        return await trial.judged()


def _is_in_trouble(status: dict[str, object]) -> bool:
    journal = status["journal"]
    return isinstance(journal, dict) and journal["state"] == "trouble"


async def _check_fails(trial: Trial, name: str) -> None:
    found = await trial.deviations()
    if "journal.write" not in found:
        trial.complain(f"{name}: the health check finds nothing wrong with the card: {found}")


@scenario("card-fails-offline", "… with no path to central", short=1, long=40, timeout_s=150)
async def card_fails_offline(run: Run) -> Verdict:
    """Alarms wait in memory for whichever is well first; nothing is confirmed before."""
    faults, environment = await _shim(run)
    chance = run.chance
    names = [name for name in FAULTS if name not in QUIET]
    chance.shuffle(names)
    async with Trial.open(run, hub_environment=environment) as trial:
        trial.is_damage_expected = True
        async for number in run.each_round():
            name = names[number % len(names)]
            run.say(name)
            trial.no_way()
            trial.stage.cable.cut()
            faults.set(*FAULTS[name])
            pressed = []
            for _ in range(3):
                pressed.append(asyncio.create_task(trial.press(wait_s=40)))
                await asyncio.sleep(0.1)
            await trial.measure_some(100)
            await trial.says(_is_in_trouble, f"{name} is told")
            await trial.says(lambda status: not status["is_healthy"], "nothing it takes can get anywhere")
            if any(task.done() for task in pressed):
                trial.complain(f"{name}: a press was confirmed that neither the card nor central has")
            is_card_first = chance.random() < 0.5
            if is_card_first:
                faults.clear()
                if None in await asyncio.gather(*pressed):
                    trial.complain(f"{name}: a press was not confirmed by the card that is well again")
                await _is_well(trial)
                await trial.kill_hub()  # what came onto the card last of all is there
                await trial.start_hub(is_awaited=False)
            trial.stage.cable.mend()
            await trial.stage.hub_is_up()
            trial.way()
            if None in await asyncio.gather(*pressed):
                trial.complain(f"{name}: a press was not confirmed")
            faults.clear()
            await _is_well(trial)
        return await trial.judged()


@scenario("card-hangs-at-both-ends", "a hanging card at the start, and at SIGTERM", short=1, long=10, timeout_s=120)
async def card_hangs(run: Run) -> Verdict:
    """The hub begins, sends and ends within its times whatever the card does not do."""
    faults, environment = await _shim(run)
    async with Trial.open(run, hub_environment=environment) as trial:
        trial.is_damage_expected = True
        async for _ in run.each_round():
            faults.set(f"sync {ON_CARD} hang", f"write {ON_CARD} hang")
            if await trial.press() is None:
                trial.complain("a press was not confirmed by central while the card hung")
            trial.no_way()
            began_s = time.monotonic()
            await trial.stage.hub.stop()
            took_s = time.monotonic() - began_s
            if took_s > STOP_S:
                trial.complain(f"it took {took_s:.1f} s to end while the card hung")
            trial.notes["longest end, s"] = round(max(took_s, float(trial.notes.get("longest end, s", 0))), 1)
            began_s = time.monotonic()
            await trial.start_hub()
            trial.notes["start, s"] = round(time.monotonic() - began_s, 1)
            if await trial.press() is None:
                trial.complain("a press was not confirmed by central after a start on a hanging card")
            await trial.says(_is_in_trouble, "the hanging card is told")
            faults.clear()
            await _is_well(trial)
        return await trial.judged()


@contextlib.asynccontextmanager
async def _card_of_its_own(run: Run, trial: Trial, number: int, *, inodes: int = 0) -> AsyncIterator[Card]:
    """A card for one round. When all is at central the hub is stopped, and what lies on the card moves off it."""
    kept = run.folder / f"kept-{number}"
    image = run.folder / f"card-{number}.img"
    async with Card.mounted(image, trial.journal, size_mib=24, inodes=inodes) as card:
        yield card
        await trial.settle()
        trial.no_way()
        await trial.stage.hub.stop()
        await asyncio.to_thread(shutil.copytree, trial.journal, kept, ignore=_not_ours)
    trial.journal.rmdir()
    kept.rename(trial.journal)


def _not_ours(_folder: str, names: list[str]) -> list[str]:
    return [name for name in names if name in {"lost+found", "junk"} or name.startswith("reserve")]


@scenario("card-full", "a full ext4, then one without inodes (loop device)", short=2, long=20, timeout_s=150)
async def card_full(run: Run) -> Verdict:
    """Somebody else fills it. Every press is confirmed, and what gave way is named."""
    async with Trial.open(run) as trial:
        trial.no_way()
        await trial.stage.hub.stop()
        async for number in run.each_round():
            few = 64 if number % 2 else 0
            async with _card_of_its_own(run, trial, number, inodes=few) as card:
                await trial.start_hub()
                news = CardNews(trial)
                async with trial.load(readings_per_s=300):
                    await trial.confirmed(2)
                    await asyncio.to_thread(card.use_up_inodes if few else card.fill)
                    await trial.confirmed(10)
                    if few:  # also a start finds no room for what SQLite needs beside its file
                        await trial.kill_hub()
                        await trial.start_hub()
                        await trial.confirmed(5)
                    else:  # without inodes all is written still: the files that are there do for it
                        await news.of_trouble("a full card")
                    await asyncio.to_thread(card.free)
                    await trial.confirmed(3)
                await _is_well(trial)
                await news.of_its_end("a card that was full")
        await trial.start_hub()
        return await trial.judged()


@scenario("card-read-only", "an ext4 that the kernel turns read-only, repaired later", short=1, long=10, timeout_s=150)
async def card_read_only(run: Run) -> Verdict:
    """The hub holds files of the old card open: it has to find out that there is another one."""
    async with Trial.open(run) as trial:
        trial.no_way()
        trial.is_damage_expected = True
        await trial.stage.hub.stop()
        async for number in run.each_round():
            async with _card_of_its_own(run, trial, number) as card:
                await trial.start_hub()
                news = CardNews(trial)
                async with trial.load(readings_per_s=200):
                    await trial.confirmed(2)
                    await card.turn_read_only()
                    await trial.confirmed(5)
                    await trial.says(_is_in_trouble, "the read-only card is told")
                    await news.of_trouble("a read-only card", is_lasting=True)
                    await card.repair()
                    await trial.confirmed(5)
                    await _is_well(trial)
                    await news.of_its_end("a read-only card")
        await trial.start_hub()
        return await trial.judged()


def _cut(path: Path, chance: Callable[[int], int]) -> None:
    os.truncate(path, chance(path.stat().st_size))


def _rot(path: Path, chance: Callable[[int], int]) -> None:
    with path.open("r+b") as file:
        for _ in range(3):
            file.seek(4096 * chance(max(1, path.stat().st_size // 4096)))
            file.write(bytes(chance(256) for _ in range(4096)))


def _of_another(path: Path, _chance: Callable[[int], int]) -> None:
    path.unlink()
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE songs (title TEXT)")
    other.commit()
    other.close()


def _newer(path: Path, _chance: Callable[[int], int]) -> None:
    other = sqlite3.connect(path)
    other.execute("PRAGMA user_version = 2")
    other.close()


def _log_only(path: Path, _chance: Callable[[int], int]) -> None:
    path.unlink()


def _no_database(path: Path, _chance: Callable[[int], int]) -> None:
    path.write_bytes(b"something else entirely\n" * 400)


def _folder(path: Path, _chance: Callable[[int], int]) -> None:
    path.unlink()
    path.mkdir()


DAMAGE: dict[str, Callable[[Path, Callable[[int], int]], None]] = {
    "truncated": _cut,
    "pages that rot": _rot,
    "not a database": _no_database,
    "another program's database": _of_another,
    "of a newer version": _newer,
    "only its log is left": _log_only,
    "a folder in its place": _folder,
}


CHANCE_DAMAGE = {"truncated", "pages that rot"}
"""These may meet nothing: pages that are free, or that the log has newer ones of."""


def _is_whole(path: Path, folder: Path) -> bool:
    """Whether SQLite finds nothing wrong with it, in a copy: then there is nothing to tell either."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        for name in (path, path.with_name(f"{path.name}-wal")):
            if name.exists():
                shutil.copy(name, place)
        try:
            with contextlib.closing(sqlite3.connect(Path(place) / path.name)) as copy:
                return bool(copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)])
        except sqlite3.DatabaseError:
            return False


@scenario("card-damaged", "files damaged, foreign, newer or gone while the hub is off", short=1, long=60, timeout_s=150)
async def card_damaged(run: Run) -> Verdict:
    """All was at central before, so nothing that counts is lost with them; the hub starts, and says what it did."""
    chance = run.chance
    names = list(DAMAGE)
    chance.shuffle(names)
    async with Trial.open(run) as trial:
        trial.is_damage_expected = True
        async for number in run.each_round():
            name = names[number % len(names)]
            file = chance.choice(("alarm.db", "bulk.db"))
            run.say(f"{file}: {name}")
            async with trial.load(readings_per_s=200):
                await trial.confirmed(5)
            await trial.settle()
            await trial.kill_hub()
            path = trial.journal / file
            DAMAGE[name](path, lambda below: chance.randrange(max(1, below)))
            is_damaged = name not in CHANCE_DAMAGE or not await asyncio.to_thread(_is_whole, path, run.folder)
            news = CardNews(trial)
            await trial.start_hub()
            async with trial.load(readings_per_s=200):
                await trial.confirmed(5)
            if is_damaged:
                await news.of_trouble(f"{file}: {name}")
            if name == "of a newer version":
                await trial.settle()
                await trial.kill_hub()
                newer = sqlite3.connect(path)
                newer.execute("PRAGMA user_version = 1")
                newer.close()
                await trial.start_hub()
            elif name == "a folder in its place":
                path.rmdir()
            await _is_well(trial)
        return await trial.judged()


@scenario("loss-window", "kill -9 costs no more measurements than status says", short=2, long=40, timeout_s=90)
async def loss_window(run: Run) -> Verdict:
    """With no path to central, so that only the card counts."""
    async with Trial.open(run) as trial:
        async for _ in run.each_round():
            trial.no_way()
            trial.stage.cable.cut()
            status = await trial.status()
            window_s = 0.0 if status is None else float(status["journal"]["loss_window_s"]["telemetry"])
            async with trial.load(presses=False, calls=False, readings_per_s=300):
                await asyncio.sleep(window_s + run.chance.uniform(1, 4))
                killed_s = boot_s()
                await trial.kill_hub()
            newest_ms = max((row.boot_ms or 0 for row in dump(trial.journal, Lane.TELEMETRY)), default=0)
            cost_s = killed_s - newest_ms / 1000
            trial.notes["stated, s"] = window_s
            trial.notes["longest, s"] = round(max(cost_s, float(trial.notes.get("longest, s", 0))), 2)
            if not 0 < window_s < 60 or cost_s > window_s + _COMMIT_S:
                trial.complain(f"{cost_s:.2f} s of measurements are gone, and status said {window_s:g} s")
            trial.stage.cable.mend()
            await trial.start_hub()
        return await trial.judged()


_COMMIT_S = 0.5
"""A commit that was under way, and the load's own pauses."""


@scenario(
    "drain",
    "a backlog drains in flat memory (20,000; a million in the long rounds)",
    short=1,
    long=1,
    timeout_s=120,
    long_timeout_s=3600,
)
async def drain(run: Run) -> Verdict:
    """The backlog is made on the card with no path to central; alarms go past it when the path comes back."""
    wanted = 1_000_000 if run.is_long else 20_000
    async with Trial.open(run) as trial:
        async for _ in run.each_round():
            trial.no_way()
            trial.stage.cable.cut()
            made = 0
            while made < wanted:
                before = await _taken(trial)
                await trial.measure_some(_PIECE)
                await trial.until(lambda least=before + _PIECE: _has_taken(trial, least), "are not taken")  # type: ignore[misc]
                made += _PIECE
            idle = _rss(trial)
            trial.stage.cable.mend()
            await trial.stage.hub_is_up()
            trial.way()
            most = idle
            async with asyncio.timeout(wanted / 500 + 60):
                while await _waits(trial):
                    await trial.press()
                    most = max(most, _rss(trial))
                    await asyncio.sleep(0.1)
            trial.notes["MiB idle / most"] = f"{idle >> 20} / {most >> 20}"
            if most > idle + _DRAIN_BYTES:
                trial.complain(f"memory rose from {idle >> 20} to {most >> 20} MiB while {wanted} drained")
        return await trial.judged(within_s=120)


_PIECE = 2_500
_DRAIN_BYTES = 14 << 20


async def _taken(trial: Trial) -> int:
    status = await trial.status()
    return 0 if status is None else int(status["lanes"]["telemetry"]["taken"])


async def _has_taken(trial: Trial, least: int) -> bool:
    return await _taken(trial) >= least


async def _waits(trial: Trial) -> bool:
    status = await trial.status()
    return status is None or bool(status["lanes"]["telemetry"]["waiting"])


def _rss(trial: Trial) -> int:
    size = size_of(trial.stage.hub.pid or 0)
    return 0 if size is None else size.rss_bytes
