"""`vaktpost central check HUB`: a check as text for a terminal or as JSON, and the exit status that goes with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from cloud_sync.health import HealthResult, Outcome
from cloud_sync.health_table import render
from cloud_sync.health_texts import HealthWords

ALL_OK, DEVIATES, NO_ANSWER = 0, 1, 3


def report(told: Mapping[str, Any], *, language: str, zone: ZoneInfo, as_json: bool = False) -> tuple[str, int]:
    """What to print of `central.health.to_plain`, and the status.

    0: every line is in order, 1: something deviates or is unknown, 3: the hub did not answer.
    """
    has_answer = told["result"] is not None
    status = (ALL_OK if told["outcome"] == Outcome.OK.value else DEVIATES) if has_answer else NO_ANSWER
    if told["state"] == "failed":
        status = DEVIATES
    if as_json:
        return json.dumps(told, indent=2, ensure_ascii=False), status
    words = HealthWords(language)
    head = words.say("health_check.title", hub=told["label"] or told["hub"])
    body = _answered(told, words, zone) if has_answer else _not_answered(told, words, zone)
    return f"{head}\n{body}", status


def _answered(told: Mapping[str, Any], words: HealthWords, zone: ZoneInfo) -> str:
    known = told["last_known"]
    said = [words.say("health_check.compared", at=_when(known["at_ms"], zone))] if known else []
    said = said or [words.say("health_check.first")]
    lines = told["result"]["lines"]
    last = {line["id"]: (line["previous"]["value"], line.get("unit", "")) for line in lines if line.get("previous")}
    said += ["", render(HealthResult.from_plain(told["result"]), words, last=last)]
    if told["gone"]:
        said.append(words.say("health_check.gone", lines=", ".join(told["gone"])))
    return "\n".join(said)


def _not_answered(told: Mapping[str, Any], words: HealthWords, zone: ZoneInfo) -> str:
    said = []
    if told["state"] == "failed":
        error = told.get("error") or {}
        said.append(words.say("health_check.refused", error=error.get("detail") or error.get("reason") or "?"))
    elif told["state"] == "no_link":
        said.append(words.say("health_check.no_link"))
    else:
        said.append(words.say("health_check.no_answer"))
    known = told["last_known"]
    if known is None:
        said.append(words.say("health_check.never_answered"))
    else:
        outcome = words.result(Outcome(known["outcome"]))
        said.append(words.say("health_check.last_known", at=_when(known["at_ms"], zone), outcome=outcome))
    return " ".join(f"{text}." for text in said)


def _when(at_ms: int, zone: ZoneInfo) -> str:
    moment = datetime.fromtimestamp(at_ms / 1000, zone)
    is_today = moment.date() == datetime.now(zone).date()
    return f"{moment:%H:%M}" if is_today else f"{moment:%d.%m. %H:%M}"
