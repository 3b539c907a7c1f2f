"""The limits of the health check, all in one place, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limit:
    """Beyond `warn` somebody should look before it gets worse, beyond `fail` something does not work as promised."""

    warn: float
    fail: float


JOURNAL_WRITE_MS = Limit(50, 500)
"""A page written and synced. A sound card takes 2 to 20 ms; a worn one takes long now and then before it dies."""

JOURNAL_FREE_MIB = Limit(256, 32)
"""At 256 MiB there are weeks of measurements left and time to look; below 32 MiB the journal soon gives measurements
up, and then the reserve that is kept for alarms."""

SIGNAL_DBM = Limit(-85, -95)
"""Measured strength of a device's radio. Under -85 a body or a closed door in between is enough to lose it; at -95 a
Bluetooth receiver is at the end of what it can hear."""

BATTERY_PCT = Limit(20, 10)
"""Twenty per cent of a coin cell is weeks, ten may be the next cold night."""

RADIO_SILENCE_RESTARTS = 3
"""A radio that was switched on anew so many times and still hears nothing is deaf, not in a quiet home."""

ROUND_TRIP_MS = Limit(500, 2000)
"""A frame to central and its signed answer back. Beyond two seconds an alarm is sent by a second path as well."""
RECEIPT_DEADLINE_S = 5.0
"""The time after which an alarm would be sent again on a fresh connection: so late is no answer."""

TEST_EVENT_MS = Limit(1000, 5000)
"""From making the test alarm until central's machine has answered it, through journal, wire, database and reply."""
TEST_DEADLINE_S = 6.0

CLOCK_S = Limit(2, 60)
"""Apart from central. From two seconds on the hub believes central's time; a minute off means that nobody sets it."""

BOARD_C = Limit(70, 80)
"""A Raspberry Pi slows down at 80 °C."""

KEY_AGE_D = Limit(365, 730)
"""Keys are changed once a year."""
CERTIFICATE_LEFT_D = Limit(60, 0)
"""Left until a certificate ends: two months are enough to plan a change."""

UNSENT_S = Limit(60, 600)
"""How long the oldest alarm may wait for its receipt; a hub that is connected needs a second."""
