"""A verdict while it is being written: events, and the watches whose memory may have changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from zoneinfo import ZoneInfo

from cloud_sync.identity import Lane
from cloud_sync.stub import LocalAction
from cloud_sync.vocabulary import MAX_DETAILS, MAX_TEXT, Event, Kind, Scalar, is_scalar
from drivers.contract import Observation
from gateway.triage.judged import Judged, Verdict
from gateway.triage.moments import Now
from gateway.triage.rules import DeviceRules

MAX_DETAIL_BYTES = 2500
"""All details together; leaves room for the rest of an event within its 4 KiB."""


class Watch(Protocol):
    """Something triage keeps an eye on over time: state that survives a restart, perhaps with a timer.

    `dump` is what is remembered under `key` ("" when there is nothing to remember), and all that later behaviour
    depends on: a watch that was restored goes on as if nothing had happened.
    """

    key: str

    def dump(self) -> str: ...

    def restore(self, text: str, now: Now, /) -> None: ...

    def due_ms(self, now: Now, /) -> int | None: ...

    def run(self, now: Now, draft: Draft, /) -> None: ...


def key_of(alias: str, name: str, lane: Lane) -> str:
    """Where a watch is remembered. The key names the journal file, so that it never lies in both."""
    return f"triage/{'u' if lane.is_urgent else 'b'}/{alias}/{name}"


def is_urgent_key(key: str) -> bool:
    """Whether this memory belongs in the file of the alarm and care lanes."""
    return key.startswith("triage/u/")


@dataclass(slots=True)
class _Pending:
    event: Event
    lane: Lane
    action: LocalAction
    is_own: bool  # made of the observation that is judged, not of a timer that ran out before it


@dataclass(slots=True)
class Draft:
    """Collects what comes of one Observation or one run of timers."""

    now: Now
    observation: Observation | None = None
    touched: dict[str, Watch] = field(default_factory=dict)
    pending: list[_Pending] = field(default_factory=list)

    def touch(self, watch: Watch) -> None:
        """This watch may have changed: compare its memory and set its timer anew."""
        self.touched[watch.key] = watch

    def tell(
        self,
        device: DeviceRules,
        kind: Kind,
        *,
        lane: Lane | None = None,
        action: LocalAction = LocalAction.NONE,
        value: Scalar = None,
        details: Mapping[str, Scalar] | None = None,
        rule: str | None = None,
        count: int = 1,
    ) -> None:
        """Add an event. Details of the observation are taken along, `details` on top of them."""
        seen = self.observation
        if seen is not None and seen.details:
            details = {**seen.details, **details} if details else seen.details
        if not is_scalar(value):
            details = {**(details or {}), "unreadable_value": str(value)[:MAX_TEXT]}
            value = None
        event = Event(
            kind=kind,
            stamp=self.now.stamp,
            device=device.alias,
            resident=device.resident,
            value=value,
            details=_bounded(details) if details else {},
            device_time_ms=None if seen is None else _milliseconds(seen.device_time, self.now.zone),
            rule=rule,
            count=count,
        )
        self.pending.append(
            _Pending(event, kind.lane if lane is None else lane, action, is_own=self.observation is not None)
        )

    def finish(self, memory: Mapping[str, str], driver: str | None = None) -> Verdict:
        """The verdict, with `memory` (what changed) and the driver's own riding on its events where that fits."""
        seen = self.observation
        if seen is not None and not memory and not seen.remember and len(self.pending) == 1 and self.pending[0].is_own:
            only = self.pending[0]  # nine of ten: a measurement, and nothing to remember
            judged = Judged(
                event=only.event,
                lane=only.lane,
                action=only.action,
                confirmation=seen.confirmation,
                observed_boot_s=seen.observed_boot_s,
            )
            return Verdict(events=(judged,))
        urgent: dict[str, int | str] = {}
        bulk: dict[str, int | str] = {}
        for key, text in memory.items():
            (urgent if is_urgent_key(key) else bulk)[key] = text
        own: dict[str, int | str] = {}
        if seen is not None and seen.remember:
            own = {f"driver/{driver}/{key}": value for key, value in seen.remember.items()}
        confirmation = None if seen is None else seen.confirmation
        at_s = self.now.boot_ms / 1000 if seen is None else seen.observed_boot_s
        events: list[Judged] = []
        pending = self.pending if len(self.pending) < 2 else sorted(self.pending, key=lambda each: each.lane)
        for each in pending:
            remember: dict[str, int | str] = {}
            if each.lane.is_urgent:
                remember, urgent = urgent, {}
            else:
                remember, bulk = bulk, {}
            carried = None
            if each.is_own:
                remember |= own
                own = {}
                carried, confirmation = confirmation, None
            events.append(
                Judged(
                    event=each.event,
                    lane=each.lane,
                    action=each.action,
                    remember=remember,
                    confirmation=carried,
                    observed_boot_s=at_s,
                )
            )
        left: dict[Lane, Mapping[str, int | str]] = {}
        if urgent:
            left[Lane.CARE] = urgent
        if bulk or own:
            left[Lane.TELEMETRY] = bulk | own
        return Verdict(events=tuple(events), remember=left, confirmation=confirmation)


def _bounded(details: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Details as an event may carry them: few, short, finite. What does not fit is left out and that is said."""
    room = MAX_DETAIL_BYTES
    bounded: dict[str, Scalar] = {}
    for name, value in details.items():
        if isinstance(value, str):
            value = value[:MAX_TEXT]  # noqa: PLW2901  # the same, shortened
        elif not is_scalar(value):
            value = None  # noqa: PLW2901  # no number
        size = 12 + len(name.encode()) + (len(value.encode()) if isinstance(value, str) else 0)
        if len(name) > MAX_TEXT or size > room or len(bounded) >= MAX_DETAILS - 1:
            bounded["shortened"] = True
            continue
        room -= size
        bounded[name] = value
    return bounded


def _milliseconds(at: datetime | None, zone: ZoneInfo) -> int | None:
    """A device's own time; one without a zone is the home's local time."""
    if at is None:
        return None
    return round((at.replace(tzinfo=zone) if at.tzinfo is None else at).timestamp() * 1000)
