"""Whatever happens to a pendant, its battery, the hub and an eavesdropper: no press is lost, and nothing reassures."""

from __future__ import annotations

from typing import Any

import structlog
from hypothesis import example, given, settings
from hypothesis import strategies as st

from drivers.ble.device import Device, Tally
from drivers.ble.freshness import AUTHENTIC_COPY_S, PROBATION_S
from drivers.ble.settings import BleSettings
from drivers.contract import Fact, Observation
from simulators.bthome_device import SimulatedPendant

MAC = "A4:C1:38:00:00:01"
KEY = bytes.fromhex("231d39c1d7cc1ab1aee224cd096db932")
RULES = BleSettings.model_validate({"devices": [{"alias": "pendant", "address": MAC}]})

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["press", "press", "battery", "restart", "reboot", "replay", "safe", "wait"]),
        st.integers(min_value=0, max_value=200),
    ),
    max_size=60,
)


class World:
    """A hub's ear, with a memory that outlives it."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.boot = 1
        self.memory: dict[str, int | str] = {}
        self.open()

    def open(self) -> None:
        diagnostics: dict[str, Any] = {}
        self.device = Device(
            RULES.devices[0],
            RULES,
            key=KEY,
            boot_id=f"boot {self.boot}",
            started_boot_s=self.now_s,
            remembered=self.memory.get,
            tally=Tally(diagnostics),
            log=structlog.get_logger(),
        )

    def hear(self, said: bytes) -> list[Observation]:
        told = self.device.hear(said, -60, self.now_s)
        for each in told:
            self.memory.update(each.remember)
        return told


@settings(deadline=None)
@given(STEPS)
def test_a_genuine_press_is_always_told_unless_the_very_bytes_were_heard_within_a_minute(
    steps: list[tuple[str, int]],
) -> None:
    world, pendant = World(), SimulatedPendant(MAC, KEY)
    heard_at: dict[bytes, float] = {}
    recorded: list[bytes] = []
    for what, number in steps:
        world.now_s += 0.5 + number
        if what == "press":
            pendant.battery_pct = 100 - number % 50
            said = pendant.press_data()
            is_copy = world.now_s - heard_at.get(said, float("-inf")) < AUTHENTIC_COPY_S
            is_told = any(each.fact is Fact.BUTTON for each in world.hear(said))
            assert is_told or is_copy
            if is_told:
                heard_at[said] = world.now_s
            recorded.append(said)
        elif what == "battery":
            pendant.change_battery()
        elif what == "restart":
            world.open()
        elif what == "reboot":
            world.boot, world.now_s = world.boot + 1, 20.0
            heard_at.clear()
            world.open()
        elif what == "replay" and recorded:
            said = recorded[number % len(recorded)]
            if any(each.fact is Fact.BUTTON for each in world.hear(said)):
                heard_at[said] = world.now_s


@settings(deadline=None)
@given(STEPS)
@example([("safe", 0), ("press", 0), ("wait", 100), ("replay", 0)])
@example([("safe", 0), ("safe", 0), ("safe", 0), ("restart", 0), ("replay", 1)])
def test_a_recording_never_reassures_while_the_device_is_in_use(steps: list[tuple[str, int]]) -> None:
    """What told nothing new is not remembered over a restart. So an old 'safe' may be told again after one: as long as
    nothing else was said since, it is what the hub knew before it.
    """
    world, device = World(), SimulatedPendant(MAC, KEY)
    recorded: list[bytes] = []
    alarms: list[bool] = []
    for what, number in steps:
        world.now_s += min(0.5 + number, PROBATION_S / 100)
        if what in {"press", "safe"}:
            said = device.service_data(bytes((0x29, what == "press")))
            world.hear(said)
            recorded.append(said)
            alarms.append(what == "press")
        elif what == "restart":
            world.open()
        elif what == "replay" and recorded:
            place = number % len(recorded)
            told = world.hear(recorded[place])
            reassures = any(each.fact is Fact.SMOKE and each.value is False for each in told)
            assert not (reassures and any(alarms[place:]))
