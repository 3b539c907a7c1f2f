"""Which hubs there are, and whether they are heard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class HubView:
    """A hub as people see it. `presence` is new, present, late or silent; times are ms UTC."""

    id: str
    label: str
    state: str
    enrolled_ms: int
    software: str
    config_hash: str
    presence: str
    presence_ms: int  # since when
    heard_ms: int | None  # last sign of life in this run of central
    paths: Mapping[str, int]  # uplink name → last heard, ms UTC
    waiting: Mapping[str, int]  # lane word → events the hub has not got a receipt for
    has_link: bool  # whether a command or a reply can reach it now
    is_critical: bool
    gaps: Mapping[str, int]  # lane word → records it dropped for want of space


class Hubs:
    """The hubs of one central."""

    async def all(self) -> Sequence[HubView]:
        """Every hub, worst first: silent, late, new, present."""
        raise NotImplementedError

    async def hub(self, hub_id: str) -> HubView:
        """One hub, by id or by label. Raises NotFoundError with the nearest."""
        raise NotImplementedError

    async def rename(self, hub_id: str, label: str) -> None:
        """Give it a name that people know it by."""
        raise NotImplementedError

    async def new_code(self, label: str, created_by: str, *, valid_hours: float = 72) -> str:
        """A one-time enrolment code for a hub that will carry this label."""
        raise NotImplementedError
