"""What device facts mean for a resident: pure rules, fed with time as a value."""

from __future__ import annotations

from gateway.triage.device import DeviceState
from gateway.triage.judged import Judged, Memory, Verdict
from gateway.triage.rules import DeviceRules, TriageRules
from gateway.triage.triage import Triage

__all__ = ["DeviceRules", "DeviceState", "Judged", "Memory", "Triage", "TriageRules", "Verdict"]
