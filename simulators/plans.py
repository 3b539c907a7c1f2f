"""What stands in the simulated homes: a flat and a nursing-home ward, and the hub's settings for each."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from simulators.espa_panel import EXAMPLE_MAPPING

BLE_PENDANT = "pendant-1"
CORD = "cord-bath"


@dataclass(frozen=True, slots=True, kw_only=True)
class BleDevice:
    """A device that advertises. `kind` picks the simulated device, `profile` what the hub makes of it."""

    alias: str
    kind: str
    profile: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """A loop on a pin. `kind` is the GPIO driver's word; `at_rest_closed`: how the contact stands when all is calm."""

    alias: str
    kind: str
    profile: str
    pin: int
    at_rest_closed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A home. All devices belong to one resident's pseudonym, but for those of a ward's rooms."""

    name: str
    resident: str
    ble: tuple[BleDevice, ...]
    loops: tuple[Loop, ...]
    rooms: tuple[str, ...] = ()
    """Rooms with call buttons, wired to a nurse-call panel."""
    thermometers: int = 0


LAMP_PINS = {"red": 5, "yellow": 6, "green": 13}
BUZZER_PIN = 19
HEALTHY_PIN = 26
CALL_PIN = 20
"""The corridor lamp that the hub switches on when it calls for help by itself."""

_LOOPS = (
    Loop(alias=CORD, kind="cord", profile="pull-cord", pin=17, at_rest_closed=True),
    Loop(alias="smoke-1", kind="smoke", profile="smoke-detector", pin=22, at_rest_closed=False),
    Loop(alias="smoke-1", kind="smoke_fault", profile="smoke-detector", pin=23, at_rest_closed=True),
    Loop(alias="bed-1", kind="mat", profile="bed-mat", pin=24, at_rest_closed=True),
    Loop(alias="mains", kind="mains", profile="mains", pin=25, at_rest_closed=True),
)

FLAT = Plan(
    name="flat",
    resident="r-7f3a90",
    ble=(
        BleDevice(alias=BLE_PENDANT, kind="pendant", profile="pendant", address="A4:C1:38:00:00:01"),
        BleDevice(alias="door-1", kind="door", profile="door-night", address="A4:C1:38:00:00:02"),
        BleDevice(alias="motion-1", kind="motion", profile="motion", address="A4:C1:38:00:00:03"),
    ),
    loops=_LOOPS,
    thermometers=24,
)
WARD = Plan(name="ward", resident="r-2b81c4", ble=(), loops=_LOOPS[:1], rooms=tuple(str(n) for n in range(1, 13)))
PLANS = {plan.name: plan for plan in (FLAT, WARD)}

RELAY_PENDANT = Loop(alias=BLE_PENDANT, kind="cord", profile="pull-cord", pin=27, at_rest_closed=True)
"""Where there is no D-Bus daemon for the simulated radio, the pendant's receiver is wired to the hub by its relay."""


def thermometers(plan: Plan) -> tuple[BleDevice, ...]:
    """The many small devices that make a backlog grow while the network is away."""
    return tuple(
        BleDevice(alias=f"room-{n}", kind="thermometer", profile="thermometer", address=f"A4:C1:38:00:01:{n:02X}")
        for n in range(1, plan.thermometers + 1)
    )


def ble_devices(plan: Plan) -> tuple[BleDevice, ...]:
    """All that advertises."""
    return plan.ble + thermometers(plan)


def loops_of(plan: Plan, *, has_bluetooth: bool) -> tuple[Loop, ...]:
    """All that is wired."""
    return plan.loops if has_bluetooth or not plan.ble else (*plan.loops, RELAY_PENDANT)


def write_settings(
    folder: Path,
    plan: Plan,
    *,
    uplinks: dict[str, str],
    has_bluetooth: bool,
    panel_port: str | None = None,
    language: str = "nb",
) -> Path:
    """Write hub.toml and the key files for a plan into `folder`. `uplinks`: name → the lines of its section."""
    keys = folder / "keys"
    keys.mkdir(parents=True, exist_ok=True)
    lines = ["[hub]", 'state_dir = "state"', f'language = "{language}"', "telemetry_commit_s = 1.0", ""]
    for name, body in uplinks.items():
        lines += [f"[uplinks.{name}]", body, ""]
    if has_bluetooth and plan.ble:
        lines += ["[drivers.bluetooth]", 'type = "ble"', "measurement_s = 0", ""]
        for device in ble_devices(plan):
            key_file = keys / f"{device.alias}.key"
            if not key_file.exists():
                key_file.touch(mode=0o600)
                key_file.write_text(secrets.token_hex(16) + "\n")
            lines += ["[[drivers.bluetooth.devices]]", f'alias = "{device.alias}"', f'address = "{device.address}"']
            lines += [f'key_file = "keys/{device.alias}.key"', ""]
    wired = loops_of(plan, has_bluetooth=has_bluetooth)
    lines += ["[drivers.inputs]", 'type = "gpio"', 'pin_factory = "vaktpost-sim"', ""]
    for loop in wired:
        lines += [
            "[[drivers.inputs.inputs]]",
            f'alias = "{loop.alias}"',
            f"pin = {loop.pin}",
            f'kind = "{loop.kind}"',
            "",
        ]
    lines += ["[drivers.inputs.outputs]", *(f"{colour} = {pin}" for colour, pin in LAMP_PINS.items())]
    lines += [f"buzzer = {BUZZER_PIN}", f"healthy = {HEALTHY_PIN}", f"call = {CALL_PIN}", ""]
    if plan.rooms and panel_port is not None:
        lines += _panel_lines(panel_port)
    seen: set[str] = set()
    devices = [(d.alias, d.profile) for d in (ble_devices(plan) if has_bluetooth else ())]
    devices += [(loop.alias, loop.profile) for loop in wired]
    if plan.rooms:
        devices.append(("panel", "nurse-call"))
    for alias, profile in devices:
        if alias not in seen:
            seen.add(alias)
            lines += ["[[devices]]", f'alias = "{alias}"', f'profile = "{profile}"']
            lines += [] if profile in {"mains", "nurse-call"} else [f'resident = "{plan.resident}"']
            lines += ['kind = "pendant_pressed"'] if (alias, profile) == (BLE_PENDANT, "pull-cord") else []
            lines += [""]
    lines += ["[indicators]", 'driver = "inputs"', ""]
    path = folder / "hub.toml"
    path.write_text("\n".join(lines))
    return path


def _panel_lines(port: str) -> list[str]:
    lines = ["[drivers.panel]", 'type = "espa"', 'alias = "panel"', f'port = "{port}"', ""]
    for rule in EXAMPLE_MAPPING:
        lines += ["[[drivers.panel.mapping]]", *(f"{key} = '{value}'" for key, value in rule.items()), ""]
    return lines
