"""What an alarm may turn out to have been: a list of outcomes as a value, and what closing with one of them takes.

No I/O and no words of the catalogue: whoever asks brings the list. An outcome's `code` never changes its meaning; what
it is called may. One that alarms were closed with is retired when it is not wanted any more, and never deleted.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from central.errors import IncompleteError
from central.lifecycle import PERSONAL_DISPOSITIONS, ROOM_OUTCOME, Disposition, KindOfHelp

MAX_OFFERED = 40
MAX_OUTCOMES = 100
"""With those that are retired."""
MAX_TEXT = 60
CODE = r"^[a-z][a-z0-9_]{0,31}$"

NEEDED = ("mis_press", "no_contact", "other")
"""Always offered, whatever else a list holds: nobody is to invent an illness because no other word was left."""
_TAKES = {
    "mis_press": frozenset({Disposition.FALSE_ALARM, Disposition.TEST}),
    "other": frozenset(PERSONAL_DISPOSITIONS),
}
"""How those can be closed at the least. By `other` every alarm can be closed, whatever was done."""
_NO_HELP = frozenset({Disposition.FALSE_ALARM, Disposition.TEST})


class Outcome(BaseModel):
    """One outcome. `help` is what is kept when nobody says otherwise; with `help_only` nothing else can be said."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: Annotated[str, Field(pattern=CODE, examples=["fall"])]
    nb: Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
    en: Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
    dispositions: Annotated[tuple[Disposition, ...], Field(max_length=len(PERSONAL_DISPOSITIONS))] = ()
    """How an alarm can be closed with it; without any, in every way."""
    help: KindOfHelp = KindOfHelp.HEALTH
    help_only: bool = False
    retired: bool = False

    def text(self, language: str) -> str:
        """In this language."""
        return self.en if language == "en" else self.nb

    @property
    def fitting(self) -> tuple[Disposition, ...]:
        """How an alarm can be closed with it."""
        return self.dispositions or PERSONAL_DISPOSITIONS

    def help_for(self, disposition: str, said: str = "") -> KindOfHelp:
        """Which kind of help was needed. Raises IncompleteError for one that there is not, or not with this outcome."""
        if said and said not in tuple(KindOfHelp):
            raise IncompleteError("help_missing", "kind_of_help", tuple(KindOfHelp))
        usual = KindOfHelp.NONE if disposition in _NO_HELP else self.help
        if said and self.help_only and said != usual:
            raise IncompleteError("help_misfit", "kind_of_help", (usual.value,))
        return KindOfHelp(said) if said else usual


class OutcomeList(BaseModel):
    """All of a tenant's, in their order."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    outcomes: Annotated[tuple[Outcome, ...], Field(min_length=1, max_length=MAX_OUTCOMES)]

    @property
    def offered(self) -> tuple[Outcome, ...]:
        """Those that can be chosen."""
        return tuple(one for one in self.outcomes if not one.retired)

    def find(self, code: str) -> Outcome | None:
        """The one with this code, retired or not."""
        return next((one for one in self.outcomes if one.code == code), None)

    def settle(self, disposition: str, code: str, said: str = "") -> KindOfHelp:
        """The kind of help of an alarm that is closed so. Raises IncompleteError, naming what would do."""
        codes = tuple(one.code for one in self.offered)
        chosen = self.find(code)
        if not code:
            raise IncompleteError("outcome_missing", "outcome", codes)
        if chosen is None:
            raise IncompleteError("outcome_unknown", "outcome", self._meant(code) or codes)
        if chosen.retired:
            raise IncompleteError("outcome_retired", "outcome", codes)
        if disposition not in chosen.fitting:
            raise IncompleteError("disposition_misfit", "disposition", tuple(word.value for word in chosen.fitting))
        return chosen.help_for(disposition, said)

    def _meant(self, typed: str) -> tuple[str, ...]:
        """The nearest, by its code or by one of its names."""
        named = {name.casefold(): one.code for one in self.offered for name in (one.nb, one.en, one.code)}
        return tuple(named[name] for name in difflib.get_close_matches(typed.casefold(), named, n=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeFault:
    """One thing that is wrong. `where` is a path such as `outcomes.2.nb`."""

    where: str
    reason: str


def faults_of(outcomes: Sequence[Outcome], used: Collection[str] = ()) -> list[OutcomeFault]:
    """All that is wrong with a list beyond the shape of its parts. `used`: codes that alarms were closed with."""
    found: list[OutcomeFault] = []
    said: dict[str, set[str]] = {"nb": set(), "en": set()}
    codes: set[str] = set()
    for number, one in enumerate(outcomes):
        at = f"outcomes.{number}"
        if one.code in codes:
            found.append(OutcomeFault(where=f"{at}.code", reason="twice"))
        elif one.code == ROOM_OUTCOME:  # that of alarms that nobody was asked about
            found.append(OutcomeFault(where=f"{at}.code", reason="reserved"))
        codes.add(one.code)
        if not set(one.dispositions) <= set(PERSONAL_DISPOSITIONS):
            found.append(OutcomeFault(where=f"{at}.dispositions", reason="unknown_disposition"))
        for language, texts in said.items():
            text = one.text(language).strip().casefold()
            if not text:
                found.append(OutcomeFault(where=f"{at}.{language}", reason="missing"))
            elif text in texts:
                found.append(OutcomeFault(where=f"{at}.{language}", reason="same"))
            if not one.retired:
                texts.add(text)
        found += _short_of_needed(at, one)
    if sum(not one.retired for one in outcomes) > MAX_OFFERED:
        found.append(OutcomeFault(where="outcomes", reason="too_many"))
    found += [OutcomeFault(where=f"outcomes.{code}", reason="needed") for code in NEEDED if code not in codes]
    gone = sorted(set(used) - codes - set(NEEDED))
    return found + [OutcomeFault(where=f"outcomes.{code}", reason="used") for code in gone]


def _short_of_needed(at: str, one: Outcome) -> list[OutcomeFault]:
    if one.code not in NEEDED:
        return []
    found = []
    if one.retired:
        found.append(OutcomeFault(where=f"{at}.retired", reason="needed"))
    if not _TAKES.get(one.code, frozenset()) <= set(one.fitting):
        found.append(OutcomeFault(where=f"{at}.dispositions", reason=f"needed_{one.code}"))
    if one.code == "other" and one.help_only:
        found.append(OutcomeFault(where=f"{at}.help", reason="needed_other"))
    return found
