"""`vaktpost hub self-test`: the running daemon's health check, or what can be told of a hub that does not run."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version

from cloud_sync.errors import MalformedError
from cloud_sync.health import COMMAND, HealthResult, Outcome
from cloud_sync.health_table import render
from cloud_sync.health_texts import HealthWords
from config import HubSettings
from gateway import control, identity_store
from gateway.clock import HubClock
from gateway.errors import HubError
from gateway.health.examination import Examiner
from gateway.health.facts import HealthSources, JournalFacts, KeyFacts, SettingsFacts
from gateway.health.running import clock_facts, journal_facts, key_facts, system_facts
from gateway.journal import JournalSettings, directory

ANSWER_WITHIN_S = 15.0
TEST_WITHIN_S = 90.0
OK, DEVIATES, NO_ANSWER = 0, 1, 3


def run(settings: HubSettings, *, as_json: bool, language: str = "", say: Callable[[str], None] = print) -> int:
    """Print the result. 0: all in order, 1: something is not, 3: the daemon runs and does not answer."""
    words = HealthWords(language or settings.hub.language)
    try:
        result = HealthResult.from_plain(
            control.ask(settings.state_dir, {"ask": COMMAND}, timeout_s=ANSWER_WITHIN_S),
        )
    except control.NotRunningError:
        result = asyncio.run(_examine(settings))
    except MalformedError as error:
        raise HubError(words.say("health_check.refused", error=error.detail or error.reason)) from error
    except HubError as error:
        say(json.dumps({"state": "no_answer", "error": str(error)}, ensure_ascii=False) if as_json else str(error))
        return NO_ANSWER
    if as_json:
        say(json.dumps({"state": "answered", **result.to_plain()}, indent=2, ensure_ascii=False))
    else:
        say(render(result, words))
    return OK if result.outcome is Outcome.OK else DEVIATES


def run_local(settings: HubSettings, *, as_json: bool, say: Callable[[str], None] = print) -> int:
    """Try every measure of local response in the running daemon. 0: all work, 1: one does not, 3: nobody answers."""
    try:
        found = control.ask(settings.state_dir, {"ask": "test_measures"}, timeout_s=TEST_WITHIN_S)
    except HubError as error:
        say(json.dumps({"state": "no_answer", "error": str(error)}, ensure_ascii=False) if as_json else str(error))
        return NO_ANSWER
    measures = found["measures"]
    if as_json:
        say(json.dumps({"state": "answered", "measures": measures}, indent=2, ensure_ascii=False))
    else:
        words = {True: "OK", False: "FAULT", None: "-"}
        for one in measures:
            say(f"{words[one['ok']]:<6} {one['measure']:<16} {one['found']}")
    return OK if all(one["ok"] for one in measures) else DEVIATES


async def _examine(settings: HubSettings) -> HealthResult:
    """The parts that need no daemon: card, clock, keys, board, settings. Everything else is unknown."""
    clock = HubClock()
    sources = HealthSources(
        journal=partial(_probe, settings),
        clock=partial(clock_facts, clock),
        keys=partial(_keys, settings),
        settings=lambda: SettingsFacts(
            software=f"vaktpost {version('vaktpost')}", config_hash=settings.config_hash, system=system_facts()
        ),
    )
    examiner = Examiner(sources, boot_s=time.monotonic, wall_ms=clock.wall_ms)
    try:
        return await examiner.examine()
    finally:
        await examiner.close()


async def _probe(settings: HubSettings) -> JournalFacts:
    folder = settings.state_dir / "journal"
    reserve = directory.Reserve(folder, JournalSettings.of(settings).reserve_bytes)
    return journal_facts(await asyncio.to_thread(directory.probe, folder, reserve), reserve.size_bytes)


def _keys(settings: HubSettings) -> Sequence[KeyFacts]:
    return key_facts(identity_store.load(settings.state_dir))
