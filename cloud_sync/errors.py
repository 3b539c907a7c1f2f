"""What can be wrong with what came over the wire, split by who is at fault."""

from __future__ import annotations


class WireError(Exception):
    """The other side's bytes are refused. `reason` is machine-readable (snake_case) and goes to counters and logs."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class MalformedError(WireError):
    """The bytes do not follow the format. A broken peer or line."""


class ForgedError(WireError):
    """A signature, seal or chain does not verify. A security event."""


class ReplayedError(WireError):
    """Authentic, but seen before or out of date. A security event; it has no effect."""


class UplinkError(Exception):
    """A path could not carry something now. Says nothing about whether it arrived."""


class RefusedError(UplinkError):
    """Central answered and said no; sending the same again will not help. `status` is the HTTP status or MQTT code."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"refused with {status}: {detail}")
        self.status = status
        self.detail = detail
