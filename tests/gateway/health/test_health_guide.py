"""The technician's guide names the limits that the check works with."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.health import limits

GUIDE = Path(__file__).parents[3] / "docs" / "technicians" / "health-check.md"


def row(line: str) -> str:
    rows = [text for text in GUIDE.read_text("utf-8").splitlines() if text.startswith(f"| `{line}`")]
    assert len(rows) == 1, f"the guide has {len(rows)} rows for {line}"
    return rows[0]


@pytest.mark.parametrize(
    ("line", "limit"),
    [
        ("test", limits.TEST_EVENT_MS),
        ("journal.write", limits.JOURNAL_WRITE_MS),
        ("journal.space", limits.JOURNAL_FREE_MIB),
        ("uplink.NAME", limits.ROUND_TRIP_MS),
        ("waiting.alarms", limits.UNSENT_S),
        ("device.NAME.signal", limits.SIGNAL_DBM),
        ("device.NAME.battery", limits.BATTERY_PCT),
        ("clock", limits.CLOCK_S),
        ("key.NAME", limits.KEY_AGE_D),
        ("board.temperature", limits.BOARD_C),
    ],
)
def test_the_guide_has_the_limits_of_the_check(line: str, limit: limits.Limit) -> None:
    text = row(line)
    assert f"{limit.warn:g} " in text
    assert f"{limit.fail:g} " in text


def test_the_guide_has_the_other_numbers_too() -> None:
    assert f"{limits.CERTIFICATE_LEFT_D.warn:g} days left" in row("key.tls_ca")
    assert f"through {limits.RADIO_SILENCE_RESTARTS} restarts" in row("driver.NAME")
    assert f"nothing in {limits.RECEIPT_DEADLINE_S:g} s" in row("uplink.NAME")
    assert f"no answer in {limits.TEST_DEADLINE_S:g} s" in row("test")
