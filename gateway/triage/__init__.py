"""What device facts mean for a resident: pure rules, fed with time as a value."""

from __future__ import annotations

from gateway.triage.judged import Judged, Memory, Verdict

__all__ = ["Judged", "Memory", "Verdict"]
