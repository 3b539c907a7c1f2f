"""What came of a scenario: counts, and in words whatever is not as it must be."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The outcome of a scenario."""

    events_in: int = 0
    """Confirmed to somebody outside, or seen on the card."""
    lost: int = 0
    """Of them, what never reached central."""
    doubled: int = 0
    """What had more than one effect."""
    longest_silence_s: float = 0.0
    """The longest that an alarm took to central while there was a way."""
    complaints: tuple[str, ...] = ()
    """Everything else that is wrong, a sentence each."""
    notes: dict[str, str | int | float] = field(default_factory=dict)
    """Figures worth printing under the table."""

    @property
    def is_good(self) -> bool:
        """Nothing lost, nothing doubled, nothing to complain of, and there was something to lose."""
        return not (self.lost or self.doubled or self.complaints) and self.events_in > 0

    def __add__(self, other: Verdict) -> Verdict:
        """Both together, as when a scenario begins anew for every round."""
        return Verdict(
            events_in=self.events_in + other.events_in,
            lost=self.lost + other.lost,
            doubled=self.doubled + other.doubled,
            longest_silence_s=max(self.longest_silence_s, other.longest_silence_s),
            complaints=self.complaints + other.complaints,
            notes=self.notes | other.notes,
        )

    def explain(self) -> str:
        """Why it is not good, for a failing test."""
        found = [f"{self.events_in} events in, {self.lost} lost, {self.doubled} doubled"]
        return "\n".join([*found, *self.complaints, *(f"{name}: {value}" for name, value in self.notes.items())])
