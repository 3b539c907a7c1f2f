"""Faults on purpose: real programs under load, something breaks, and what was confirmed is counted afterwards.

A scenario is a coroutine under `simulators.faults.scenarios` (docs/testing-faults.md tells how to add one):

    @scenario("kill-hub", "the hub is killed under load", short=2, long=100)
    async def kill_hub(run: Run) -> Verdict:
        async with Trial.open(run) as trial, trial.load():
            async for _ in run.each_round():
                await trial.kill_hub()
                await trial.start_hub()
            return await trial.judged()

`python -m simulators.faults` runs them all and prints a table; tests/faults runs the short rounds.
"""

from simulators.faults.ledger import Ledger
from simulators.faults.registry import Run, Scenario, all_scenarios, scenario
from simulators.faults.trial import Trial
from simulators.faults.verdict import Verdict

__all__ = ["Ledger", "Run", "Scenario", "Trial", "Verdict", "all_scenarios", "scenario"]
