"""What can go wrong at central, split by who can mend it.

Every message says what is the matter and what to do next; `reason` is machine-readable, for answers and counters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class CentralError(Exception):
    """Central's own fault, or its environment's. Ends a command with exit status 1."""


class SettingsError(CentralError):
    """`central.toml` is not right. `problems` are whole sentences that name the key and the nearest right answer."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class SchemaError(CentralError):
    """The database belongs to another version and is left untouched."""


class KeysError(CentralError):
    """A key file is missing, readable by others, or no key."""


class NotStoredError(CentralError):
    """The database did not take it. Whoever asked must be told so, never that it was done."""


class GaveWayError(Exception):
    """A transaction stopped in its middle for somebody more urgent. Nothing of it was written: it is done again."""


class ActionError(Exception):
    """Something a person asked for cannot be done; nothing has changed. `reason` is a word for catalogues and APIs."""

    status = 409

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class NotFoundError(ActionError):
    """There is no such thing (any more)."""

    status = 404


class IncompleteError(ActionError):
    """Something is missing or not one of the choices; `field` names it and `choices` lists what would do."""

    status = 422

    def __init__(self, reason: str, field: str, choices: tuple[str, ...] = ()) -> None:
        super().__init__(reason, field)
        self.field = field
        self.choices = choices


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has an alarm, and since when (ms UTC)."""

    account_id: str
    name: str
    since_ms: int


class Conflict(ActionError):  # noqa: N818  # the word of the trade, and of HTTP 409
    """Somebody else was first. `holder` says who has it, when it is a person; `state` is what the alarm is now.

    `current` is more of what it is now, `yours` what the act rested on: so that both can be shown side by side.
    """

    def __init__(
        self,
        reason: str,
        *,
        holder: Holder | None = None,
        state: str = "",
        current: Mapping[str, Any] | None = None,
        yours: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(reason, holder.name if holder else state)
        self.holder = holder
        self.state = state
        self.current = current
        self.yours = yours
