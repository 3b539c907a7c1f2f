"""Clocks that are wrong: none at boot, years off, stepped to and fro, running fast. Only the hub's; central's is right.

Order comes from numbers and durations from a clock that nobody sets, so that alarms leave as ever; and central must
know when each of them happened, also those that were raised while it could not be reached.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

from cloud_sync.vocabulary import BY_WORD
from simulators.boot_clock import boot_s
from simulators.faults.load import BUTTON
from simulators.faults.registry import Run, scenario
from simulators.faults.trial import Trial
from simulators.faults.verdict import Verdict

RIGHT_MS = 1500
"""So far from the truth central may be about when something happened: what a message takes, doubled, under load."""
CUT_S = 3.0


class WrongClock:
    """The wall clock that the hub sees. Monotonic and boot time stay what they are."""

    def __init__(self, folder: Path, shift: str) -> None:
        self._file = folder / "clock"
        folder.mkdir(parents=True, exist_ok=True)
        self.set(shift)

    def set(self, shift: str) -> None:
        """As faketime(1) writes it: "-1d", "@1970-01-01 00:01:00", "+0 x1.01"."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{shift}\n")
        fresh.replace(self._file)

    async def environment(self) -> dict[str, str]:
        """What the hub is started with."""
        words = shutil.which("faketime")
        if words is None:
            raise AssertionError("the Debian package faketime is needed: make debian")
        asked = await asyncio.create_subprocess_exec(
            words, "-m", "-f", "+0", "printenv", "LD_PRELOAD", stdout=asyncio.subprocess.PIPE
        )
        library, _ = await asked.communicate()
        return {
            "LD_PRELOAD": library.decode().strip(),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }


@asynccontextmanager
async def _opened(run: Run, shift: str) -> AsyncIterator[tuple[Trial, WrongClock]]:
    clock = WrongClock(run.folder / "wrong", shift)
    async with Trial.open(run, hub_environment=await clock.environment()) as trial:
        # Said truthfully: a clock that is days off is a deviation, and the age of keys is then told by central's.
        trial.health_may_name |= {"clock"}
        yield trial, clock


async def _cut(trial: Trial) -> None:
    """What is pressed now central hears of only later."""
    trial.no_way()
    trial.stage.cable.cut()
    await asyncio.sleep(CUT_S)
    trial.stage.cable.mend()
    trial.way()


async def _restart_without_network(trial: Trial) -> None:
    """As after a power cut in a region: no clock, nobody to ask, and somebody presses."""
    await trial.kill_hub()
    trial.stage.cable.cut()
    await trial.stage.hub.start()

    async def is_pressed() -> bool:
        return await trial.press() is not None

    await trial.until(is_pressed, "the hub takes no press", within_s=20, every_s=0.2)
    await asyncio.sleep(1.0)
    await trial.press()
    trial.stage.cable.mend()
    trial.way()
    await trial.stage.hub_is_up()


async def _time_is_known(trial: Trial) -> None:
    """The hub has the time from central, whatever its own clock says."""
    await trial.says(
        lambda found: bool(found["clock"]["is_trusted"]) and abs(found["clock"]["wall_ms"] - time.time() * 1000) < 3000,
        "the hub has not learnt the time from central",
    )


async def _judged(trial: Trial) -> Verdict:
    """As ever; and every press has its place in time, in the order in which they were made."""
    verdict = await trial.judged()
    now_ms, now_s = time.time() * 1000, boot_s()
    pressed = sorted(
        now_ms + (press.pressed_s - now_s) * 1000 for press in trial.ledger.presses if press.device == BUTTON
    )
    rows = trial.stage.rows(
        "SELECT epoch, seq, happened_ms FROM event WHERE lane = 1 AND kind = ? ORDER BY received_ms, seq",
        BY_WORD["pendant_pressed"].code,
    )
    happened = sorted(row[2] for row in rows)
    off_ms = [min(abs(at - press) for at in happened) for press in pressed] if happened else [float("inf")]
    complaints = []
    if max(off_ms) > RIGHT_MS:
        complaints.append(f"central is {max(off_ms):.0f} ms off about when a press happened")
    first, last = pressed[0] - RIGHT_MS, pressed[-1] + 10_000
    strays = [at for at in happened if not first <= at <= last]
    if strays:
        complaints.append(f"central has {len(strays)} presses at times at which nobody pressed")
    by_epoch: dict[str, list[tuple[int, int]]] = {}
    for epoch, seq, at in rows:
        by_epoch.setdefault(str(epoch), []).append((seq, at))
    for found in by_epoch.values():
        ordered = [at for _, at in sorted(found)]
        # What a message takes differs from one to the next, and so does what central learns from it.
        if any(after < before - RIGHT_MS for before, after in pairwise(ordered)):
            complaints.append("central has presses in another order than they were made")
    notes: dict[str, str | int | float] = {"worst_time_ms": round(max(off_ms))}
    return verdict + Verdict(complaints=tuple(complaints), notes=notes)


async def _with_a_clock_at(run: Run, *shifts: str) -> Verdict:
    chance = run.chance
    async with _opened(run, shifts[0]) as (trial, clock):
        await _time_is_known(trial)
        async with trial.load(calls=False):
            async for number in run.each_round():
                await asyncio.sleep(chance.uniform(0.5, 1.5))
                clock.set(shifts[(number + 1) % len(shifts)])
                await _cut(trial)
                await trial.confirmed(3)
                clock.set(shifts[(number + 2) % len(shifts)])
                await _time_is_known(trial)
        if len(shifts) == 1:
            await _restart_without_network(trial)
            await _time_is_known(trial)
        return await _judged(trial)


@scenario("clock-none", "no clock at boot: the hub begins in 1970", short=1, long=20)
async def no_clock(run: Run) -> Verdict:
    """A Pi after a power cut."""
    return await _with_a_clock_at(run, "@1970-01-01 00:01:00")


@scenario(
    "clock-ahead", "a clock eleven years ahead, beyond every certificate's end", short=1, long=20, is_soak_only=True
)
async def years_ahead(run: Run) -> Verdict:
    """Certificates have ended by this clock, and alarms leave over TLS all the same."""
    return await _with_a_clock_at(run, "+11y")


@scenario("clock-steps", "a clock that is stepped by a day, forward and back, under load", short=2, long=40)
async def steps(run: Run) -> Verdict:
    """Somebody sets it, or NTP does."""
    return await _with_a_clock_at(run, "+11y", "+1d", "-1d", "+0", "-30y")


@scenario("clock-drift", "a clock that runs one per cent fast", short=1, long=20, is_soak_only=True)
async def drift(run: Run) -> Verdict:
    """Far worse than any crystal, so that minutes show what weeks would."""
    return await _with_a_clock_at(run, "+0 x1.01")
