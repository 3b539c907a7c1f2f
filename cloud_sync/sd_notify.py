"""Telling systemd how a program is doing (sd_notify(3)): ready, stopping, still alive."""

from __future__ import annotations

import os
import socket


def notify(state: str) -> bool:
    """Send one state, such as "READY=1". False when no service manager listens; never an error."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.sendto(state.encode(), address)
    except OSError:
        return False
    return True


def watchdog_interval_s() -> float | None:
    """How often to say WATCHDOG=1: half of what systemd waits for. None when it does not wait."""
    text, owner = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not text.isdigit() or int(text) == 0 or (owner and owner != str(os.getpid())):
        return None
    return int(text) / 2_000_000


def is_supervised() -> bool:
    """Whether a service manager listens, which will start the program again when it has ended."""
    return bool(os.environ.get("NOTIFY_SOCKET"))
