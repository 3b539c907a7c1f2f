"""A central that is slow, wrong, or shows a certificate that it should not; its hubs keep what it has not receipted."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

from simulators.certificates import Authority
from simulators.faults.registry import Run, scenario
from simulators.faults.trial import Trial
from simulators.faults.verdict import Verdict
from simulators.network import Cable
from simulators.troubled_central import Trouble, TroubledCentral

QUICK = "\n[dispatch]\nreconnect_spread_s = 1.0\n"
RESERVE = '\n[uplinks.reserve]\ntype = "https"\nurl = "https://127.0.0.1:{port}"\n'


def _own(trial: Trial) -> ssl.SSLContext:
    keys = trial.stage.folder / "central" / "keys"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(keys / "tls.crt", keys / "tls.key")
    return context


def _expired(trial: Trial, folder: Path) -> ssl.SSLContext:
    """For the same name, from central's own authority, of last year."""
    data = trial.stage.folder / "central"
    authority = Authority.of(data / "keys" / "tls-ca.crt", data / "offline" / "tls-ca.key")
    return authority.server_context(folder, days=-300)


@scenario("central-wrong", "central slow, answering 500 or noise, closing in the middle, hanging", short=1, long=20)
async def central_wrong(run: Run) -> Verdict:
    """Every trouble once a round, in any order; a request that central committed and nobody heard of comes again."""
    chance = run.chance
    troubles = [trouble for trouble in Trouble if trouble is not Trouble.NONE]
    async with (
        Trial.open(run, more_settings=QUICK) as trial,
        TroubledCentral(trial.stage.ports.hubs, _own(trial)) as front,
    ):
        trial.stage.cable.target = ("127.0.0.1", front.port)
        trial.stage.cable.reset()
        async with trial.load(often=2):
            await trial.confirmed(2)
            async for _ in run.each_round():
                chance.shuffle(troubles)
                for trouble in troubles:
                    if trouble is not Trouble.SLOW:
                        trial.no_way()
                    front.trouble, met = trouble, front.met[trouble]
                    if chance.random() < 0.5:
                        front.hang_up()  # then the held stream meets it as well
                    await asyncio.sleep(chance.uniform(0.5, 1.5))
                    await _until_met(front, trouble, met)
                    front.trouble = Trouble.NONE
                    trial.way()
                    await asyncio.sleep(chance.uniform(0.1, 0.5))
            await trial.confirmed(3)
        trial.notes["requests that met trouble"] = sum(front.met[trouble] for trouble in troubles)
        return await trial.judged()


async def _until_met(front: TroubledCentral, trouble: Trouble, met: int) -> None:
    async with asyncio.timeout(20):
        while front.met[trouble] == met:
            await asyncio.sleep(0.05)


@scenario("certificate", "central's certificate expired, then another one's altogether", short=1, long=5)
async def certificate(run: Run) -> Verdict:
    """Alarms get through by the pinned authority, whatever the date; a strange certificate is refused and told."""
    strange = Authority("somebody else").server_context(run.folder / "strange")
    async with (
        Cable(("127.0.0.1", 9)) as other,
        Trial.open(run, more_settings=QUICK + RESERVE.format(port=other.port)) as trial,
    ):
        other.target = real = ("127.0.0.1", trial.stage.ports.hubs)
        cable = trial.stage.cable
        expired = _expired(trial, run.folder / "expired")
        async with (
            TroubledCentral(trial.stage.ports.hubs, expired) as old,
            TroubledCentral(trial.stage.ports.hubs, strange) as false,
            trial.load(),
        ):
            async for _ in run.each_round():
                other.target = ("127.0.0.1", 9)
                cable.target = ("127.0.0.1", old.port)
                cable.reset()
                other.reset()
                await trial.confirmed(5)
                await trial.says(lambda status: _state(status, "main") == "up", "the old certificate was not taken")
                if not old.met[Trouble.NONE]:
                    trial.complain("nothing came by the server with the old certificate")
                other.target = real
                cable.target = ("127.0.0.1", false.port)
                cable.reset()
                await trial.says(
                    lambda status: _state(status, "main") != "up" and "certificate" in _error(status, "main"),
                    "does not say that the certificate is refused",
                )
                await trial.says(lambda status: _state(status, "reserve") == "up", "the other path did not come up")
                await trial.confirmed(3)
                if any(false.met.values()):
                    trial.complain("the hub spoke to a server with a strange certificate")
                cable.target = real
            await trial.confirmed(2)
        return await trial.judged()


def _path(status: dict[str, Any], name: str) -> dict[str, Any]:
    return next(dict(path) for path in status["paths"] if path["uplink"] == name)


def _state(status: dict[str, Any], name: str) -> str:
    return str(_path(status, name)["state"])


def _error(status: dict[str, Any], name: str) -> str:
    return str(_path(status, name)["last_error"])
