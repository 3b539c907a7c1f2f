"""From the changes of one input to what the hub is told about its device."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from drivers.contract import Fact, Observation, Scalar
from drivers.gpio.codec import Change, Restless, Settled
from drivers.gpio.kinds import AlarmPath
from drivers.gpio.settings import GpioInput


class Interpreter:
    """Turns changes into Observations; keeps, per device, what its fault condition is made of.

    A device's `FAULT` is the "or" of its fault relay, of inputs that are restless, and of buttons found held at the
    start. It is told when all of its inputs are known, and on every change.
    """

    def __init__(self, inputs: Iterable[GpioInput]) -> None:
        self._causes: dict[str, dict[tuple[str, int], bool | None]] = {}
        self._told: dict[str, bool] = {}
        for loop in inputs:
            causes = self._causes.setdefault(loop.alias, {})
            causes["restless", loop.pin] = None
            if loop.meaning.fact is Fact.FAULT:
                causes["relay", loop.pin] = None

    def observe(self, loop: GpioInput, change: Change) -> tuple[Observation, ...]:
        """What this change tells, oldest first."""
        causes = self._causes[loop.alias]
        match change:
            case Restless():
                causes["restless", loop.pin] = change.is_restless
                return self._fault(loop, at_s=change.at_s)
            case Settled():
                if causes["restless", loop.pin] is None:
                    causes["restless", loop.pin] = False
                facts = self._facts(loop, change)
                return (*facts, *self._fault(loop, at_s=change.at_s))

    def life_signs(self, at_s: float) -> tuple[Observation, ...]:
        """The fault condition of every device once more, as a sign that its wires are being read."""
        return tuple(
            Observation(
                device=alias, fact=Fact.FAULT, value=is_faulty, observed_boot_s=at_s, details={"repeated": True}
            )
            for alias, is_faulty in self._told.items()
        )

    def _facts(self, loop: GpioInput, change: Settled) -> tuple[Observation, ...]:
        meaning, causes = loop.meaning, self._causes[loop.alias]
        if meaning.fact is Fact.FAULT:
            causes["relay", loop.pin] = change.is_active
            return ()
        if meaning.is_silent_when_held_at_start:
            is_held = change.is_active and change.is_initial
            causes["held", loop.pin] = is_held
            if is_held:
                return ()
        value = meaning.active if change.is_active else meaning.at_rest
        if value is None:
            return ()
        details: dict[str, Scalar] = {"pin": loop.pin, "since_boot_s": change.since_s}
        if change.is_initial:
            details["initial"] = True
        if change.is_unrest:
            details["cause"] = "restless"
        may_alarm = meaning.alarm_path is AlarmPath.BOTH or (
            meaning.alarm_path is AlarmPath.ACTIVE and change.is_active
        )
        return (
            Observation(
                device=loop.alias,
                fact=meaning.fact,
                value=value,
                observed_boot_s=change.at_s,
                may_alarm=may_alarm,
                details=details,
            ),
        )

    def _fault(self, loop: GpioInput, *, at_s: float) -> tuple[Observation, ...]:
        causes = self._causes[loop.alias]
        words = sorted({cause for (cause, _pin), is_so in causes.items() if is_so})
        if not words and None in causes.values():
            return ()
        is_faulty = bool(words)
        if self._told.get(loop.alias) is is_faulty:
            return ()
        details: dict[str, Scalar] = {"pin": loop.pin}
        if loop.alias not in self._told:
            details["initial"] = True
        if words:
            details["cause"] = ",".join(words)
        self._told[loop.alias] = is_faulty
        return (
            Observation(device=loop.alias, fact=Fact.FAULT, value=is_faulty, observed_boot_s=at_s, details=details),
        )


class Outbox:
    """What has been found and not been fetched yet, bounded, first in first out.

    When it is full, what cannot alarm goes first, oldest first; then the oldest fact that is told again later on. The
    last word of every device on every fact stays, and so does one of each alarm.
    """

    def __init__(self, limit: int = 512) -> None:
        self._limit = limit
        self._waiting: deque[Observation] = deque()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, found: Observation) -> None:
        self._waiting.append(found)
        if len(self._waiting) > self._limit:
            self._drop_one()

    def pop(self) -> Observation | None:
        """The oldest, or None."""
        return self._waiting.popleft() if self._waiting else None

    def _drop_one(self) -> None:
        told_later: set[tuple[str, Fact]] = set()
        repeated_later: set[tuple[str, Fact, Scalar]] = set()
        unimportant: int | None = None
        repeated: int | None = None
        for place in range(len(self._waiting) - 1, -1, -1):
            waiting = self._waiting[place]
            if not waiting.may_alarm and (waiting.device, waiting.fact) in told_later:
                unimportant = place
            if (waiting.device, waiting.fact, waiting.value) in repeated_later:
                repeated = place
            told_later.add((waiting.device, waiting.fact))
            repeated_later.add((waiting.device, waiting.fact, waiting.value))
        victim = unimportant if unimportant is not None else repeated
        del self._waiting[victim or 0]  # 0 only if there are more loops than places
        self.dropped += 1
