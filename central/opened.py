"""The open personal alarms as beats tell of them: how many, and a hash that a console compares with what it shows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from central.access import EVERYTHING, Scope


class OpenAlarms:
    """As they were at one moment. What is told of them depends on where somebody sees alarms."""

    def __init__(self, rows: Iterable[Sequence[Any]]) -> None:
        """`rows`: id, version, tenant, unit of each."""
        self._rows = sorted(rows, key=lambda row: str(row[0]))
        self._digests: dict[Scope, tuple[int, str]] = {}
        self.digest(EVERYTHING)

    def digest(self, scope: Scope) -> tuple[int, str]:
        """Count and hash of those that are seen. Worked out once for each scope."""
        found = self._digests.get(scope)
        if found is None:
            seen = [row for row in self._rows if scope.covers(row[2], row[3])]
            found = self._digests[scope] = (len(seen), digest_of((row[0], row[1]) for row in seen))
        return found


NOTHING = (0, hashlib.sha256(b"").hexdigest()[:16])
"""For whoever sees no personal alarms."""


def digest_of(alarms: Iterable[tuple[Any, Any]]) -> str:
    """The hash that beats carry: over `id:version` of the open personal alarms, ordered by id."""
    text = ",".join(f"{alarm}:{version}" for alarm, version in sorted(alarms))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
