"""Central is put back from a backup: what hubs had receipted since comes again, and has its effect once."""

from __future__ import annotations

import asyncio
import shutil
from functools import partial

from simulators.faults.registry import Run, scenario
from simulators.faults.trial import Trial
from simulators.faults.verdict import Verdict


@scenario("central-restored", "central put back from a backup, with the hub running", short=1, long=10, timeout_s=120)
async def central_restored(run: Run) -> Verdict:
    """With and without a restart of the hub, and once without saying so first."""
    async with Trial.open(run) as trial:
        trial.deadline_s = 1500.0  # what was receipted by the database that is gone comes again much later
        database = trial.stage.central_config.parent / "central.db"
        async for number in run.each_round():
            copy = run.folder / f"backup-{number}.db"
            async with trial.load(readings_per_s=100):
                await trial.confirmed(5)
                await trial.stage.central_command("backup", str(copy))
                await trial.confirmed(10)
            await trial.settle()
            known = _names(trial)
            await trial.kill_central()
            for path in database.parent.glob("central.db*"):
                path.unlink()
            await asyncio.to_thread(shutil.copyfile, copy, database)
            lost = known - _names(trial)
            if not lost:
                trial.complain("the backup has everything: nothing is tried")
            if number % 2 == 0:  # somebody forgets to say that it was put back
                await trial.start_central()
                await trial.until(lambda: _is_told(trial), "central does not find out that its database is older")
                trial.no_way()
                await trial.stage.central.stop()
            told = await trial.stage.central_command("restored")
            trial.notes["alarms open at the backup"] = told["open_alarms"]
            with_restart = run.chance.random() < 0.5
            if with_restart:
                await trial.kill_hub()
            await trial.start_central()
            if with_restart:
                await trial.start_hub()
            async with trial.load(readings_per_s=100):
                await trial.confirmed(5)
            await trial.until(partial(_has, trial, lost), "the hub does not offer what was lost", within_s=60)
            trial.notes["records that came again"] = len(lost)
            await trial.settle()
            trial.no_way()
            await trial.stage.hub.stop()  # a run of its own: what was lost of measurements is not held against it
            await trial.start_hub()
        return await trial.judged()


def _names(trial: Trial) -> set[tuple[object, ...]]:
    return set(trial.stage.rows("SELECT epoch, lane, seq FROM event WHERE lane IN (1, 2)"))


async def _has(trial: Trial, lost: set[tuple[object, ...]]) -> bool:
    return lost <= _names(trial)


async def _is_told(trial: Trial) -> bool:
    return bool(trial.stage.rows("SELECT 1 FROM alarm WHERE kind = 'database_older' AND closed_ms IS NULL"))
