"""The technician's health check on the hub: what is looked at, how it is judged, and how it never stands in the way."""

from gateway.health.examination import Examiner
from gateway.health.facts import (
    BoardFacts,
    ClockFacts,
    DeviceFacts,
    DriverFacts,
    Expectation,
    HealthSources,
    JournalFacts,
    KeyFacts,
    SettingsFacts,
    TestFacts,
    UplinkFacts,
    WaitingFacts,
)

__all__ = [
    "BoardFacts",
    "ClockFacts",
    "DeviceFacts",
    "DriverFacts",
    "Examiner",
    "Expectation",
    "HealthSources",
    "JournalFacts",
    "KeyFacts",
    "SettingsFacts",
    "TestFacts",
    "UplinkFacts",
    "WaitingFacts",
]
