"""A whole night from nothing: founding, script, account, verdict."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from central.founding import Plan, found
from central.settings import CentralSettings, DatabaseSettings, SmsSettings, load
from simulators.municipality import account, night, town, verdict
from simulators.municipality.account import Account, Difference
from simulators.municipality.hours import SECOND_MS, TownClock
from simulators.municipality.script import Script, Told
from simulators.municipality.stage import Night, Stage
from simulators.sms_provider import SmsOperator

SEED = 2026
NUMBER = "+4759000000"
SECRET, TOKEN = b"a secret of the simulated operator", "a-token-of-the-simulated-operator"
HOUR_MS = 3600 * SECOND_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What came of it."""

    script: Script
    told: tuple[Told, ...]
    difference: Difference
    faults: tuple[str, ...]
    night: Night
    founded_s: float
    played_s: float

    def printed(self) -> str:
        """The account as it is read."""
        return "\n".join(
            [
                account.in_words(self.told, night.HOURS),
                "",
                account.by_hour(self.told, night.HOURS),
                "",
                self._sum(),
            ]
        )

    def _sum(self) -> str:
        storms = "; ".join(
            f"{storm.envelopes} envelopes in {storm.took_s:.1f} s"
            + (f", presses receipted after {max(storm.presses_s) * 1000:.0f} ms" if storm.presses_s else "")
            for storm in self.night.storms
        )
        lines = [
            f"{len(self.told)} lines told, {len(self.script.told)} written; "
            + ("they agree" if self.difference.is_none else "they do not agree"),
            f"storms: {storms}",
            f"founded in {self.founded_s:.0f} s, played in {self.played_s:.0f} s, {self.night.moments} moments",
        ]
        if not self.difference.is_none:
            lines += ["", self.difference.in_words(night.HOURS)]
        return "\n".join([*lines, *(f"FAULT: {fault}" for fault in self.faults)])


def settings_in(folder: Path, operator: SmsOperator, database_url: str = "") -> CentralSettings:
    """A founded central in an empty folder, that texts through the operator."""
    found(Plan(data_dir=folder, names=["localhost"], hub_port=0, console_port=0, language="en"), _before())
    secret, token = folder / "sms.secret", folder / "sms.token"
    secret.write_bytes(SECRET)
    token.write_text(TOKEN)
    settings = load(folder / "central.toml")
    sms = SmsSettings(
        number=NUMBER, port=0, inbound_secret_file=secret, outbound_url=operator.url, outbound_token_file=token
    )
    update: dict[str, object] = {"sms": sms, "place": town.TENANT}
    if database_url:
        update["database"] = DatabaseSettings(url=database_url)
    return settings.model_copy(update=update)


def _before() -> int:
    return night.HOURS.at(night.BEGIN) - HOUR_MS


async def play(
    folder: Path, *, database_url: str = "", seed: int = SEED, say: Callable[[str], None] = lambda _line: None
) -> Played:
    """One night in a folder of its own (empty, or not there yet)."""
    place = town.build(seed)
    script = night.write(place, seed)
    clock = TownClock(_before())
    operator = SmsOperator(NUMBER, secret=SECRET, token=TOKEN)
    async with operator.running():
        settings = settings_in(folder, operator, database_url)
        begun_s = time.perf_counter()
        async with Stage.open(settings, clock, place, say) as stage:
            await stage.found(script)
            founded_s = time.perf_counter() - begun_s
            left = await stage.play(script)
            store = stage.central.services.store
            told = await Account(place, stage.ids).read(store, script.begin_ms, left.lamps)
            faults = await verdict.faults(store, left, operator.received)
            return Played(
                script=script,
                told=told,
                difference=account.difference(script.told, told),
                faults=tuple(faults),
                night=left,
                founded_s=founded_s,
                played_s=time.perf_counter() - begun_s - founded_s,
            )
