"""A night as it is written: who does what at which second, and what is to be told of it afterwards.

A `Line` is an act, or nothing but time passing, with everything that must stand in the account because of it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Told:
    """One line of the account: when (ms UTC, whole seconds), who, what."""

    at_ms: int
    who: str
    what: str


@dataclass(frozen=True, slots=True)
class GoesOnDuty:
    """Signs in, hears the tone at a console."""

    worker: str


@dataclass(frozen=True, slots=True)
class GoesOffDuty:
    """Leaves the console as one should."""

    worker: str


@dataclass(frozen=True, slots=True)
class ConsoleDies:
    """The console stops: no sign of life, no renewed claim, no word."""

    worker: str


@dataclass(frozen=True, slots=True)
class ConsoleFreezes:
    """The browser puts the tab to sleep, or the lid is closed: the connection stands, and nothing is shown or said."""

    worker: str


@dataclass(frozen=True, slots=True)
class ConsoleThaws:
    """The tab is looked at again, the lid is open: the page says what it shows."""

    worker: str


@dataclass(frozen=True, slots=True)
class Raises:
    """A resident needs help, or the room is answered at: an event of their device."""

    resident: int
    kind: str = "pendant_pressed"


@dataclass(frozen=True, slots=True)
class TakesNext:
    """Takes what central picks; it must be this resident's."""

    worker: str
    resident: int


@dataclass(frozen=True, slots=True)
class Calls:
    """Telephones: `called` is "resident" or "contact", `place` which of the contacts."""

    worker: str
    resident: int
    called: str
    result: str
    place: int = 0


@dataclass(frozen=True, slots=True)
class Sends:
    """Sends a patrol."""

    worker: str
    resident: int
    team: str


@dataclass(frozen=True, slots=True)
class Says:
    """The patrol that was sent says where it is."""

    worker: str
    resident: int
    step: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Replies:
    """Next of kin answer the text that they got."""

    resident: int
    place: int
    text: str


@dataclass(frozen=True, slots=True)
class Defers:
    """Puts it off to the resident's planned visit."""

    worker: str
    resident: int


@dataclass(frozen=True, slots=True)
class Offers:
    """Wants a colleague to have it."""

    worker: str
    resident: int
    to: str


@dataclass(frozen=True, slots=True)
class Accepts:
    """Takes what was offered."""

    worker: str
    resident: int


@dataclass(frozen=True, slots=True)
class Closes:
    """Says what was done and what it was."""

    worker: str
    resident: int
    disposition: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Storm:
    """Every home of these at once, with each of these kinds; and in the middle of it people press."""

    residents: tuple[int, ...]
    kinds: tuple[str, ...]
    presses: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class CentralDies:
    """Central is killed: it writes nothing more, and takes leave of nobody."""


@dataclass(frozen=True, slots=True)
class CentralStarts:
    """Central opens the same database again; the homes come back by themselves."""


@dataclass(frozen=True, slots=True)
class ConsolesComeBack:
    """The pages that were open when central went away have found it again."""


Act = (
    GoesOnDuty | GoesOffDuty | ConsoleDies | ConsoleFreezes | ConsoleThaws | Raises | TakesNext | Calls | Sends | Says
    | Replies | Defers | Offers | Accepts | Closes | Storm | CentralDies | CentralStarts | ConsolesComeBack
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A visit on the work list of home care, planned before the night."""

    resident: int
    team: str
    from_ms: int
    to_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One act at a second, and what must be told of it. Without an act: what time alone brings about."""

    at_ms: int
    told: tuple[Told, ...]
    act: Act | None = None
    scene: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A night."""

    begin_ms: int
    end_ms: int
    visits: tuple[Visit, ...]
    lines: tuple[Line, ...]

    @property
    def told(self) -> tuple[Told, ...]:
        """The account as it has to be."""
        return tuple(sorted(told for line in self.lines for told in line.told))
