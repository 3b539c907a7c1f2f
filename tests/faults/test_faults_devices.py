"""Devices that go and come back, and drivers in trouble, beside others that must not notice."""

from __future__ import annotations

from typing import Any

FAULTS = "devices"


async def test_nothing_confirmed_is_lost_or_doubled_by(short_fault: Any, play_short: Any) -> None:
    await play_short(short_fault)
