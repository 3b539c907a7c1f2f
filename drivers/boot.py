"""Which boot of the kernel this is: times of one boot cannot be compared with those of another."""

from __future__ import annotations

import secrets
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def read_boot_id() -> str:
    """The kernel's id of this boot. Without one, a fresh one: a restart then recognises nothing, and raises again."""
    try:
        return BOOT_ID.read_text(encoding="ascii").strip() or secrets.token_hex(16)
    except OSError:
        return secrets.token_hex(16)
