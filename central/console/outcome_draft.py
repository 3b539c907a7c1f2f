"""The form of a municipality's outcomes as typed: rows that move, are taken out of use and come back."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from central.console.typed import Typed, pressed_row
from central.lifecycle import PERSONAL_DISPOSITIONS, ROOM_OUTCOME, Disposition, KindOfHelp
from central.outcomes import (
    CODE,
    MAX_OFFERED,
    MAX_OUTCOMES,
    MAX_TEXT,
    NEEDED,
    Outcome,
    OutcomeFault,
    OutcomeList,
    faults_of,
)
from central.routines.outcomes import ListRow

_CODE = re.compile(CODE)
_LATIN = str.maketrans({"æ": "ae", "ø": "o", "å": "a"})


@dataclass(slots=True, kw_only=True)
class DraftOutcome:
    """One row of the form. A new one gets its code when it is saved, and keeps it."""

    code: str = ""
    nb: str = ""
    en: str = ""
    dispositions: tuple[str, ...] = ()
    help: str = KindOfHelp.HEALTH.value
    help_only: bool = False
    retired: bool = False

    def text(self, language: str) -> str:
        """To call it by."""
        return (self.en or self.nb) if language == "en" else (self.nb or self.en)

    @property
    def is_needed(self) -> bool:
        """It is always offered."""
        return self.code in NEEDED


@dataclass(slots=True, kw_only=True)
class Draft:
    """Everything in the form. Those that are retired stand last."""

    version: int = 0
    why: str = ""
    rows: list[DraftOutcome] = field(default_factory=list)
    focus: str = ""

    @property
    def offered(self) -> int:
        """How many can be chosen."""
        return sum(not row.retired for row in self.rows)

    @property
    def is_full(self) -> bool:
        """Nothing can be added."""
        return self.offered >= MAX_OFFERED or len(self.rows) >= MAX_OUTCOMES

    def do(self, order: str, used: Collection[str]) -> None:
        """What a button of the form says, such as `up:2`. What makes no sense changes nothing."""
        verb, at = pressed_row(order)
        if verb == "add" and not self.is_full:
            self.rows.insert(self.offered, DraftOutcome())
            self.focus = f"o{self.offered - 1}-nb"
        elif 0 <= at < len(self.rows):
            self._move(verb, at, used)

    def _move(self, verb: str, at: int, used: Collection[str]) -> None:
        row = self.rows[at]
        if verb in {"up", "down"} and not row.retired:
            to = max(0, min(self.offered - 1, at + (-1 if verb == "up" else 1)))
            self.rows.insert(to, self.rows.pop(at))
            self.focus = f"o{to}-nb"
        elif verb == "drop" and not row.is_needed and row.code not in used:
            del self.rows[at]
            self.focus = f"o{min(at, max(0, self.offered - 1))}-nb"
        elif verb == "retire" and not row.is_needed and not row.retired:
            row.retired = True
            self.rows.append(self.rows.pop(at))
            self.focus = f"do-use-{len(self.rows) - 1}"
        elif verb == "use" and row.retired and self.offered < MAX_OFFERED:
            row.retired = False
            self.rows.insert(self.offered - 1, self.rows.pop(at))
            self.focus = f"o{self.offered - 1}-nb"

    def made(self, used: Collection[str]) -> tuple[OutcomeList | None, list[OutcomeFault]]:
        """The list, or what is wrong with it."""
        if found := self._shapeless():
            return None, found
        outcomes = tuple(
            Outcome(
                code=row.code,
                nb=row.nb,
                en=row.en,
                dispositions=tuple(word for word in PERSONAL_DISPOSITIONS if word.value in row.dispositions),
                help=KindOfHelp(row.help),
                help_only=row.help_only,
                retired=row.retired,
            )
            for row in self._coded()
        )
        found = faults_of(outcomes, used)
        return (None, found) if found else (OutcomeList(outcomes=outcomes), [])

    def _shapeless(self) -> list[OutcomeFault]:
        found = []
        if len(self.rows) > MAX_OUTCOMES:
            found.append(OutcomeFault(where="outcomes", reason="too_many"))
        for number, row in enumerate(self.rows):
            for language in ("nb", "en"):
                text = getattr(row, language)
                if not text or len(text) > MAX_TEXT:
                    reason = "too_long" if text else "missing"
                    found.append(OutcomeFault(where=f"outcomes.{number}.{language}", reason=reason))
            if not set(row.dispositions) <= {word.value for word in PERSONAL_DISPOSITIONS}:
                found.append(OutcomeFault(where=f"outcomes.{number}.dispositions", reason="unknown_disposition"))
            if row.help not in set(KindOfHelp):
                found.append(OutcomeFault(where=f"outcomes.{number}.help", reason="help"))
        if not self.rows:
            found.append(OutcomeFault(where="outcomes", reason="none"))
        return found

    def _coded(self) -> list[DraftOutcome]:
        """New rows get a code that says what they are, and that nothing else has."""
        taken = {ROOM_OUTCOME, *(row.code for row in self.rows if row.code)}
        for row in self.rows:
            if not row.code:
                plain = re.sub(r"[^a-z0-9]+", "_", row.en.casefold().translate(_LATIN)).strip("_")[:28]
                stem = plain if _CODE.fullmatch(plain) else "outcome"
                row.code = next(
                    code for code in (stem, *(f"{stem}_{n}" for n in range(2, MAX_OUTCOMES + 2))) if code not in taken
                )
                taken.add(row.code)
        return self.rows


def draft_of(row: ListRow) -> Draft:
    """A list as the form holds it."""
    rows = [
        DraftOutcome(
            code=one.code,
            nb=one.nb,
            en=one.en,
            dispositions=tuple(word.value for word in one.dispositions),
            help=one.help.value,
            help_only=one.help_only,
            retired=one.retired,
        )
        for one in row.content.outcomes
    ]
    return Draft(version=row.version, rows=sorted(rows, key=lambda one: one.retired))


def draft_from(form: Any) -> Draft:
    """What was typed."""
    typed = Typed(form)
    draft = Draft(version=typed.version(), why=typed.text("why", 256))
    for number in range(MAX_OUTCOMES + 1):
        at = f"o{number}"
        if f"{at}.nb" not in typed:
            break
        code = typed.text(f"{at}.code", 33)
        chosen = {word for word in form.getlist(f"{at}.disposition") if isinstance(word, str)}
        draft.rows.append(
            DraftOutcome(
                code=code if _CODE.fullmatch(code) else "",
                nb=typed.text(f"{at}.nb", 2 * MAX_TEXT),
                en=typed.text(f"{at}.en", 2 * MAX_TEXT),
                dispositions=_all_or(chosen),
                help=typed.text(f"{at}.help", 16),
                help_only=typed.text(f"{at}.only", 3) == "yes",
                retired=typed.text(f"{at}.retired", 3) == "yes",
            )
        )
    draft.rows.sort(key=lambda one: one.retired)
    return draft


def _all_or(chosen: set[str]) -> tuple[str, ...]:
    """In their order; every one is as good as none."""
    if chosen == {word.value for word in PERSONAL_DISPOSITIONS}:
        return ()
    known = tuple(word.value for word in Disposition if word.value in chosen)
    return (*known, *sorted(word[:32] for word in chosen - set(known)))
