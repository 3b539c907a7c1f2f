"""What triage hands on: events with everything that belongs to them, and what is to be remembered."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from cloud_sync.identity import Lane
from cloud_sync.stub import LocalAction
from cloud_sync.vocabulary import Event

Memory = Mapping[str, int | str]
"""What survives a restart. The empty string means: forget this key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One event and what belongs to it.

    `lane` may differ from the kind's own by the settings. `remember` is committed with the event, in the journal file
    of its lane. `confirmation` is the one of the Observation; of several events only the first carries it.
    """

    event: Event
    lane: Lane
    action: LocalAction
    remember: Memory = field(default_factory=dict)
    confirmation: asyncio.Future[bool] | None = None
    observed_boot_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The events of one Observation or of timers that ran out, most urgent first.

    `remember` is what changed without an event to ride on, by the lane whose journal file it belongs in. A key always
    goes to the same file. `confirmation` is set when no event carries it (the condition stands already): answer True.
    """

    events: tuple[Judged, ...] = ()
    remember: Mapping[Lane, Memory] = field(default_factory=dict)
    confirmation: asyncio.Future[bool] | None = None
