"""What lines of the health check have in common: their ids, how a value comes out, and what nothing is known of."""

from __future__ import annotations

import re

from cloud_sync.health import HealthLine, Outcome
from cloud_sync.vocabulary import Scalar
from gateway.health.limits import Limit

MAX_TEXT = 160
"""So much of a name or an error fits into a line."""


def slug(name: str) -> str:
    """A name as a part of a line id."""
    return re.sub(r"[^a-z0-9_-]", "-", name.lower()).lstrip("-_")[:36] or "x"


def over(value: float, limit: Limit) -> Outcome:
    """How a value comes out that should be small."""
    return Outcome.FAIL if value >= limit.fail else Outcome.WARN if value >= limit.warn else Outcome.OK


def under(value: float, limit: Limit) -> Outcome:
    """How a value comes out that should be large."""
    return Outcome.FAIL if value < limit.fail else Outcome.WARN if value < limit.warn else Outcome.OK


def unknown(
    line_id: str,
    text_key: str,
    *,
    found_key: str,
    next_key: str = "ask_again",
    unit: str = "",
    limit: Scalar = None,
    params: dict[str, Scalar] | None = None,
) -> HealthLine:
    """A line about which nothing could be found out."""
    return HealthLine(
        id=line_id,
        result=Outcome.UNKNOWN,
        text_key=text_key,
        unit=unit,
        limit=limit,
        found_key=found_key,
        next_key=next_key,
        params=params or {},
    )
