"""The power fails at any moment: what the card had confirmed is on the card."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from cloud_sync.identity import Lane
from simulators.faults.disk import Disk
from simulators.faults.ledger import Place
from simulators.faults.power_cut import Cut, Outcome, Promises, choose_cuts, examine, keep, look_again, play_cuts
from simulators.faults.recorded_hub import BROKEN
from simulators.faults.recording import Step, steps
from simulators.faults.registry import Run, scenario
from simulators.faults.shim import build_shim
from simulators.faults.trial import Trial
from simulators.faults.verdict import Verdict

KEPT = Path(".run/power-cuts")
"""Recordings in which something was lost: of hubs broken on purpose the last of each sort, of whole ones all."""
SHORT_S = 3.0
LONG_S = 30.0
HUB_EVERY = 250
"""One hub is started on a disk for so many journals."""


@scenario("power-cut", "power cut, anything unsynced lost, torn or reordered", short=60, long=6000, long_timeout_s=3600)
async def power_cut(run: Run) -> Verdict:
    """A recording of the real hub; rounds are disks that a cut may leave."""
    return await cut_power(run)


@scenario("power-cut-normal", "… with synchronous=NORMAL", short=30, long=600, must_fail=True)
async def power_cut_normal(run: Run) -> Verdict:
    """Broken on purpose."""
    return await cut_power(run, broken="NORMAL")


@scenario("power-cut-off", "… with synchronous=OFF", short=30, long=600, must_fail=True)
async def power_cut_off(run: Run) -> Verdict:
    """Broken on purpose."""
    return await cut_power(run, broken="OFF")


@dataclass(slots=True, kw_only=True)
class Recorded:
    """A hub that was recorded, with central as it was before it was out of reach."""

    trial: Trial
    file: Path
    central: Path
    hub: bytes
    whole: list[Step]

    @property
    def state(self) -> Path:
        """The folder that was recorded."""
        return self.trial.home / "state"


async def cut_power(run: Run, *, broken: str = "") -> Verdict:
    """Record, cut, look."""
    run.folder.mkdir(parents=True, exist_ok=True)
    file = run.folder / "recording"
    environment = {
        "LD_PRELOAD": str(await asyncio.to_thread(build_shim, run.folder)),
        "VAKTPOST_RECORD": str(file),
        "VAKTPOST_RECORD_ROOT": str(run.folder / "home" / "state"),
    }
    if broken:
        environment[BROKEN] = broken
    opened = Trial.open(run, hub_environment=environment, hub_module=("-m", "simulators.faults.recorded_hub"))
    async with opened as trial:
        recorded = await record(run, trial, file, is_short=bool(broken) and not run.is_long)
        run.say(f"{len(recorded.whole)} steps recorded")
        found = _compare_live(recorded)
        verdict, worst = await _examine_all(run, recorded, is_sound=not broken)
        if not broken:
            verdict += await _start_hubs(run, recorded)
    if verdict.complaints:
        kept = await asyncio.to_thread(_keep, run, recorded, broken)
        notes = verdict.notes | {"one of them again": await _again(kept, worst, is_sound=not broken)}
        verdict = replace(verdict, notes=notes)
    return replace(verdict, complaints=verdict.complaints + tuple(found))


async def record(run: Run, trial: Trial, file: Path, *, is_short: bool) -> Recorded:
    """Connected for a while, then out of reach: killed, started, ended and started again meanwhile."""
    chance, stage = run.chance, trial.stage
    span_s = LONG_S if run.is_long else SHORT_S
    before = run.folder / "central-before"
    async with trial.load(often=4, readings_per_s=100):
        await trial.confirmed(5)
        stage.cable.cut()
        await stage.central.stop()
        await asyncio.to_thread(shutil.copytree, stage.folder / "central", before, ignore=_no_sockets)
        await trial.confirmed(5)
        await asyncio.sleep(span_s * chance.uniform(0.4, 0.6))
        if not is_short:
            await stage.hub.kill()
            await stage.hub.start()
            await trial.confirmed(5)
            await asyncio.sleep(span_s * chance.uniform(0.2, 0.4))
            await stage.hub.stop()
            await stage.hub.start()
            await trial.confirmed(5)
            await asyncio.sleep(span_s * chance.uniform(0.1, 0.2))
    status = await trial.status()
    hub = bytes.fromhex(status["hub"]) if status else b""
    await stage.hub.stop()
    return Recorded(
        trial=trial,
        file=file,
        central=before,
        hub=hub,
        whole=await asyncio.to_thread(lambda: list(steps(file))),
    )


def _no_sockets(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if (Path(folder) / name).is_socket()]


def _compare_live(recorded: Recorded) -> list[str]:
    """The recording is whole: played to its end, it gives what really lies there."""
    disk = Disk(str(recorded.state))
    for step in recorded.whole:
        disk.take(step)
    wrong = []
    for path, content in disk.live().items():
        if path.startswith("journal/") and not path.endswith("-shm"):
            real = recorded.state / path
            if not real.exists() or real.read_bytes() != content:
                wrong.append(f"the recording of {path} is not what lies on the disk")
    return wrong


async def _examine_all(run: Run, recorded: Recorded, *, is_sound: bool) -> tuple[Verdict, Outcome | None]:
    """The real journal on every disk. Also returns what was found on the one to look at again, if any has lost."""
    cuts = choose_cuts(recorded.whole, run.rounds, run.chance)
    styles: Counter[str] = Counter()
    lost: set[Place] = set()
    damaged, complaints, promised = 0, [], 0
    worst: Outcome | None = None
    for cut, promises, image in play_cuts(recorded.whole, str(recorded.state), cuts, run.folder):
        outcome = await examine(cut, promises, image / "journal", recorded.hub)
        run.done += 1
        if run.done % 200 == 0:
            run.say(f"{run.done} of {run.rounds} disks")
        promised = max(promised, outcome.promised)
        damaged += outcome.is_damaged
        if outcome.missing or outcome.refusal:
            lost.update(outcome.missing)
            worst = outcome if worst is None or _weight(outcome) > _weight(worst) else worst
            styles[cut.style.value] += 1
            complaints.append(
                f"{cut.words} ({cut.style.value}): {len(outcome.missing)} of"
                f" {outcome.promised} confirmed are missing: {outcome.missing[:3]} {outcome.refusal}"
            )
    if damaged and is_sound:
        complaints.append(f"{damaged} disks of {len(cuts)} had a damaged file: a power cut alone must not damage any")
    notes: dict[str, str | int | float] = {"disks": len(cuts), "steps recorded": len(recorded.whole)}
    if not is_sound:
        notes |= {"disks with something lost": sum(styles.values()), "damaged": damaged}
    return Verdict(events_in=promised, lost=len(lost), complaints=tuple(complaints), notes=notes), worst


def _weight(outcome: Outcome) -> tuple[bool, int]:
    """What was lost most plainly: refusals and salvage depend upon the time that it all takes."""
    return not (outcome.refusal or outcome.is_damaged), len(outcome.missing)


async def _start_hubs(run: Run, recorded: Recorded) -> Verdict:
    """The real hub on a few of them, with central as it was before: everything arrives, and nothing is called wrong."""
    trial, stage = recorded.trial, recorded.trial.stage
    cuts = choose_cuts(recorded.whole, max(1, run.rounds // HUB_EVERY), run.chance)
    verdict = Verdict()
    for cut, promises, image in play_cuts(recorded.whole, str(recorded.state), cuts, run.folder):
        run.say(f"a hub after {cut.words}")
        await stage.hub.stop()
        await stage.central.stop()
        await asyncio.to_thread(_put, recorded.central, stage.folder / "central")
        await asyncio.to_thread(_put, image / "journal", trial.journal)
        stage.cable.mend()
        await stage.central.start()
        await stage.central_is_up()
        await stage.hub.start()
        await stage.hub_is_up()
        trial.complaints.clear()
        try:
            await trial.settle()
        except AssertionError as error:
            trial.complain(str(error))
        await trial.judge_state()
        verdict += _at_central(trial, cut, promises)
        verdict += Verdict(complaints=tuple(f"a hub after {cut.words}: {wrong}" for wrong in trial.complaints))
    return replace(verdict, events_in=0, notes={"hubs": len(cuts)})


def _at_central(trial: Trial, cut: Cut, promises: Promises) -> Verdict:
    wanted = {place for place in promises.durable if Lane(place[1]).is_urgent}
    missing = wanted - {tuple(row) for row in trial.stage.rows("SELECT epoch, lane, seq FROM event")}
    if not missing:
        return Verdict(events_in=len(wanted))
    words = f"{cut.words}: the hub started on this disk did not bring {sorted(missing)[:3]}"
    return Verdict(events_in=len(wanted), lost=len(missing), complaints=(words,))


def _put(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)


def _keep(run: Run, recorded: Recorded, broken: str) -> Path:
    """A seed repeats the choices, and not what the hub wrote: only this does. Of broken hubs, in place of the last."""
    sort = f"{broken or 'FULL'}-{'long' if run.is_long else 'short'}"
    if broken:
        for before in KEPT.glob(f"{sort}-*.recording"):
            before.unlink()
    kept = KEPT / f"{sort}-{run.seed}.recording"
    keep(recorded.file, str(recorded.state), recorded.hub, kept)
    return kept


async def _again(kept: Path, worst: Outcome | None, *, is_sound: bool) -> str:
    """The command for that disk. Raises AssertionError when it does not give the disk that was examined.

    Of a whole hub what was lost is told, whatever comes of looking again.
    """
    command = f"python -m simulators.faults.power_cut {kept}"
    if worst is None:
        return f"`{command}` with the --cut and --chance of a complaint"
    if not is_sound and (await look_again(kept, worst.cut)).missing != worst.missing:
        raise AssertionError(f"{command} {worst.cut.words} is not the disk that was examined")
    return f"`{command} {worst.cut.words}`"
