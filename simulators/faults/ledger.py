"""What was promised while things broke, written down outside the programs, and held against central's rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from cloud_sync.identity import Lane
from cloud_sync.vocabulary import BY_WORD

Place = tuple[str, int, int]
"""An event by epoch, lane and number."""
Rows = Callable[..., list[tuple[Any, ...]]]
"""A query of central's database."""
_SAME_MS = 1.0
"""`boot_ms` is a whole number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Press:
    """A press that the hub confirmed. Times on the boot clock."""

    device: str
    pressed_s: float
    confirmed_s: float


@dataclass(slots=True, kw_only=True)
class Count:
    """What the comparison found."""

    events_in: int = 0
    lost: int = 0
    doubled: int = 0
    complaints: list[str] = field(default_factory=list)
    calls_again: int = 0
    """Nurse calls that were raised a second time after a kill."""
    arrivals: list[tuple[Press, float]] = field(default_factory=list)
    """Each confirmed press with when central had received it, on the boot clock."""


@dataclass(slots=True)
class Ledger:
    """Presses at buttons (to the millisecond), calls from a panel's rooms (counted), records seen on the card."""

    begun_ms: int
    presses: list[Press] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    """Presses at each button, confirmed or not: central may have no more."""
    called: Counter[str] = field(default_factory=Counter)
    acked: Counter[str] = field(default_factory=Counter)
    """Calls from each room, and those that the panel was told are safe."""
    hub_kills: int = 0
    """So many times an ACK may have died with the hub. The panel then sends its call again, which no number identifies,
    and the hub raises it again when in doubt."""
    on_card: set[Place] = field(default_factory=set)
    """What lay durable on the card at some moment. Leave out what a stated bound may thin."""

    def compare(self, rows: Rows, wall_offset_ms: float) -> Count:
        """Hold central's rows against it. `wall_offset_ms`: central's wall clock less the boot clock."""
        count = Count()
        self._compare_places(rows, count)
        self._compare_presses(rows, count, wall_offset_ms)
        self._compare_calls(rows, count)
        _compare_effects(rows, count, "pendant_pressed", self.asked)
        _compare_effects(rows, count, "nurse_call", [f"room-{room}" for room in self.called])
        return count

    def _compare_places(self, rows: Rows, count: Count) -> None:
        stored = {tuple(row) for row in rows("SELECT epoch, lane, seq FROM event")}
        missing = self.on_card - stored
        count.lost += len(missing)
        if missing:
            count.complaints.append(f"on the card, and not at central: {sorted(missing)[:5]}")
        urgent = {int(lane) for lane in Lane if lane.is_urgent}
        count.events_in += sum(1 for place in self.on_card if place[1] not in urgent)

    def _compare_presses(self, rows: Rows, count: Count, wall_offset_ms: float) -> None:
        sql = "SELECT boot_ms, received_ms FROM event WHERE kind = ? AND device = ? AND boot_ms >= ? ORDER BY boot_ms"
        for device, asked in self.asked.items():
            there = rows(sql, BY_WORD["pendant_pressed"].code, device, self.begun_ms)
            if len(there) > asked:
                count.doubled += len(there) - asked
                count.complaints.append(f"{device} was pressed {asked} times, and central has {len(there)}")
            for press in (one for one in self.presses if one.device == device):
                found = [row for row in there if abs(row[0] - press.pressed_s * 1000) <= _SAME_MS]
                count.events_in += 1
                if not found:
                    count.lost += 1
                    count.complaints.append(f"{device}: the press at {press.pressed_s:.3f} was confirmed and is lost")
                    continue
                count.arrivals.append((press, (found[0][1] - wall_offset_ms) / 1000))
                if len(found) > 1:
                    count.doubled += len(found) - 1
                    count.complaints.append(f"{device}: the press at {press.pressed_s:.3f} came {len(found)} times")

    def _compare_calls(self, rows: Rows, count: Count) -> None:
        sql = "SELECT count(*) FROM event WHERE kind = ? AND device = ? AND boot_ms >= ?"
        for room, called in self.called.items():
            ((there,),) = rows(sql, BY_WORD["nurse_call"].code, f"room-{room}", self.begun_ms)
            acked = self.acked[room]
            count.events_in += acked
            count.lost += max(0, acked - there)
            count.calls_again += max(0, there - called)
            is_beyond = count.calls_again > self.hub_kills
            if not acked <= there or (is_beyond and there > called):
                count.doubled += max(0, there - called)
                count.complaints.append(f"room {room} called {called} times, {acked} were safe, central has {there}")


def _compare_effects(rows: Rows, count: Count, word: str, devices: Iterable[str]) -> None:
    """Every event that raises has had its effect, and once."""
    for device in devices:
        ((events,),) = rows("SELECT count(*) FROM event WHERE kind = ? AND device = ?", BY_WORD[word].code, device)
        ((effects,),) = rows(
            "SELECT coalesce(sum(1 + repeats), 0) FROM alarm WHERE kind = ? AND device = ?", word, device
        )
        ((entries,),) = rows(
            "SELECT count(*) FROM log_entry JOIN alarm ON alarm.id = log_entry.alarm"
            " WHERE what IN ('raised', 'repeated') AND alarm.kind = ? AND alarm.device = ?",
            word,
            device,
        )
        if (effects, entries) != (events, events):
            count.doubled += max(0, effects - events)
            count.lost += max(0, events - effects)
            count.complaints.append(f"{word} from {device}: {events} events, {effects} effects, {entries} log entries")
