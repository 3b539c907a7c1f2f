"""Asking a hub to do something, and waiting for its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from central.views import Actor


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of a command. `state` is answered, no_answer or no_link; unknown is never shown as good."""

    id: str
    hub: str
    name: str
    state: str
    asked_ms: int
    answered_ms: int | None = None
    result: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """A health check that was asked for. `result` is `{"version": 1, "lines": [...]}` when it was answered."""

    id: str
    hub: str
    actor: str
    state: str  # waiting | answered | no_answer | no_link
    asked_ms: int
    answered_ms: int | None
    result: Mapping[str, Any] | None


class Commands:
    """The commands of one central."""

    async def ask(
        self, hub: str, name: str, arguments: Mapping[str, Any], actor: Actor, *, timeout_s: float = 30.0
    ) -> Answer:
        """Send to all open links of the hub's newest run and wait. Raises NotFoundError for an unknown hub."""
        raise NotImplementedError

    async def check(self, hub: str, actor: Actor, *, timeout_s: float = 30.0) -> HealthCheck:
        """Run the hub's health check and keep the result."""
        raise NotImplementedError

    async def checks(self, hub: str, *, limit: int = 20) -> Sequence[HealthCheck]:
        """Health checks of a hub, newest first."""
        raise NotImplementedError
