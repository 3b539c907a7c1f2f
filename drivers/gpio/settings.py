"""Settings of the GPIO driver: which pin carries which loop, and what hangs on the outputs.

```toml
[drivers.pins]
type = "gpio"

[[drivers.pins.inputs]]
alias = "cord-bath"
pin = 17
kind = "cord"

[drivers.pins.outputs]
red = 5
green = 6
healthy = 26
```
"""

from __future__ import annotations

import difflib
from collections import Counter
from typing import Annotated, Any, Literal, Self

from drivers.contract import Alias, DriverSettings
from drivers.gpio.kinds import MEANINGS, Contact, Kind, Meaning
from ground.models import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Pull = Literal["up", "down", "none"]
Level = Literal["low", "high"]
Output = Literal["red", "yellow", "green", "buzzer", "healthy", "call"]

PULLED_UP_BY_HARDWARE = (2, 3)
"""GPIO2 and GPIO3 carry 1.8 kOhm pull-up resistors on every Pi (they are the I2C bus)."""


def _nearest_kind(value: object) -> object:
    """Unknown words get the nearest known one."""
    if isinstance(value, str) and value not in MEANINGS:
        known = [kind.value for kind in Kind]
        near = difflib.get_close_matches(value.lower().replace("-", "_"), known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"the kinds are: {', '.join(known)}"
        raise ValueError(f"there is no kind of input called {value!r}; {hint}")
    return value


def _bcm(value: object) -> object:
    """A pin is a BCM number; "GPIO17" and "BCM17" are understood, positions on the header are not."""
    if isinstance(value, str):
        digits = value.upper().removeprefix("GPIO").removeprefix("BCM")
        if digits.isdecimal():
            return int(digits)
        raise ValueError(f"{value!r} is not a pin; give its BCM number, for example 17 for GPIO17")
    if isinstance(value, int) and not isinstance(value, bool):
        if value in {0, 1}:
            raise ValueError(f"GPIO{value} is reserved for the board's identification; choose one of 2 to 27")
        if not 2 <= value <= 27:
            raise ValueError(
                f"there is no GPIO{value} on the header; pins are BCM numbers from 2 to 27, not positions on the header"
            )
    return value


KindName = Annotated[Kind, BeforeValidator(_nearest_kind)]
Bcm = Annotated[int, BeforeValidator(_bcm), Field(ge=2, le=27)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GpioInput(_Part):
    """One loop on one pin. What is not given follows from the kind."""

    alias: Alias
    pin: Bcm
    kind: KindName
    contact: Contact | None = None
    """"nc" or "no": how the contact stands when nothing is happening."""
    debounce_ms: int | None = Field(default=None, ge=5, le=60_000)
    pull: Pull = "up"
    """The Pi's own resistor: "up" for a loop to ground, "down" for a loop to 3.3 V, "none" with one outside."""
    closed: Level | None = None
    """The level of a closed loop, only with pull = "none" (there it is "low" unless given)."""

    @property
    def meaning(self) -> Meaning:
        return MEANINGS[self.kind]

    @property
    def wiring(self) -> Contact:
        return self.contact or self.meaning.contact

    @property
    def stable_s(self) -> float:
        return (self.debounce_ms or self.meaning.debounce_ms) / 1000

    @property
    def is_closed_high(self) -> bool:
        return self.pull == "down" or (self.pull == "none" and self.closed == "high")

    def is_active(self, is_high: bool) -> bool:
        """Whether this electrical level means that the loop has left rest."""
        is_closed = is_high is self.is_closed_high
        return is_closed is (self.wiring is Contact.NORMALLY_OPEN)

    @model_validator(mode="after")
    def _is_wired_safely(self) -> Self:
        only = self.meaning.only_contact
        if only is not None and self.wiring is not only:
            raise ValueError(
                f"{self.alias}: a {self.kind.value} input cannot be contact = {self.wiring.value!r}: a cut wire would "
                f"answer calls that nobody has answered; use contact = {only.value!r}"
            )
        if self.closed is not None and self.pull != "none":
            level = "low" if self.pull == "up" else "high"
            raise ValueError(
                f"{self.alias}: with pull = {self.pull!r} a closed loop is always {level}; leave out `closed`, "
                'or set pull = "none"'
            )
        if self.pin in PULLED_UP_BY_HARDWARE and self.pull != "up":
            raise ValueError(
                f"{self.alias}: GPIO{self.pin} has a pull-up resistor on the board and cannot be "
                f'pull = {self.pull!r}; use pull = "up" or another pin'
            )
        return self


class GpioOutputs(_Part):
    """Lamp, buzzer and relay. What is not given is not driven."""

    red: Bcm | None = None
    yellow: Bcm | None = None
    green: Bcm | None = None
    buzzer: Bcm | None = None
    healthy: Bcm | None = None
    """The relay that is energised while the hub is healthy."""
    call: Bcm | None = None
    """A relay that calls whoever is near when an alarm is not answered for: a siren, a corridor lamp."""
    active_low: tuple[Output, ...] = ()
    """Outputs that are on when their pin is low, as on many relay boards."""
    healthy_pulse_ms: int | None = Field(default=None, ge=20, le=10_000)
    """With a retriggerable relay: pulse instead of holding, so that a hub that hangs lets go too."""

    def pins(self) -> dict[Output, int]:
        """Outputs that are wired, with their pins."""
        wired: dict[Output, int | None] = {
            "red": self.red,
            "yellow": self.yellow,
            "green": self.green,
            "buzzer": self.buzzer,
            "healthy": self.healthy,
            "call": self.call,
        }
        return {name: pin for name, pin in wired.items() if pin is not None}

    @model_validator(mode="after")
    def _names_only_what_is_wired(self) -> Self:
        for name in self.active_low:
            if name not in self.pins():
                raise ValueError(f"active_low names {name!r}, which has no pin; give it one or take it out")
        if self.healthy_pulse_ms is not None and self.healthy is None:
            raise ValueError("healthy_pulse_ms needs the pin of the relay: healthy = ...")
        return self


class GpioSettings(DriverSettings):
    """`[drivers.NAME]` with type = "gpio"."""

    type: Literal["gpio"] = "gpio"
    pin_factory: Annotated[str, Field(min_length=1)] = "lgpio"
    """How pins are reached: a name from gpiozero's entry points ("lgpio", "native", ...)."""
    inputs: tuple[GpioInput, ...] = ()
    outputs: GpioOutputs = GpioOutputs()
    alias: Alias | None = None
    """The pins themselves as a device, for the state of the link; the driver's name unless given."""
    reread_s: float = Field(default=1.0, ge=0.1, le=60)
    """How often every level is read again, in case an edge was missed."""
    restless_s: float = Field(default=3.0, ge=0.1, le=600)
    """A loop that has not held still for this long is reported (at least four times its debounce)."""
    life_sign_s: float = Field(default=3600.0, ge=1, le=86_400)
    """How often the fault condition of every device is told again, changed or not: a wire says nothing of itself."""

    def unrest_s(self, loop: GpioInput) -> float:
        """How long this loop may move before it counts as restless."""
        return max(self.restless_s, 4 * loop.stable_s)

    @model_validator(mode="before")
    @classmethod
    def _inputs_are_a_list(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("inputs"), dict):
            raise ValueError(  # noqa: TRY004 - pydantic reports ValueError, and lets TypeError through as a crash
                "inputs is a list: write [[drivers.NAME.inputs]] with two brackets, once for each input"
            )
        return value

    @model_validator(mode="after")
    def _has_an_alias_of_its_own(self) -> Self:
        if self.alias in {loop.alias for loop in self.inputs}:
            raise ValueError(f"{self.alias} is a device on a wire; give the pins an alias of their own, or none")
        return self

    @model_validator(mode="after")
    def _uses_each_pin_once(self) -> Self:
        users: dict[int, str] = {}
        wired = [(loop.pin, f"input {loop.alias} ({loop.kind.value})") for loop in self.inputs]
        wired += [(pin, f"output {name}") for name, pin in self.outputs.pins().items()]
        for pin, user in wired:
            if pin in users:
                raise ValueError(f"GPIO{pin} is given to {users[pin]} and to {user}; every pin carries one thing")
            users[pin] = user
        if not users:
            raise ValueError("nothing is wired: give at least one input or output")
        twice = [key for key, count in Counter((loop.alias, loop.kind) for loop in self.inputs).items() if count > 1]
        for alias, kind in twice:
            raise ValueError(
                f"{alias} has two inputs of the kind {kind.value}; one device may have several inputs only of "
                "different kinds (smoke and smoke_fault). Wire the loops in series or give the second its own alias"
            )
        return self


def aliases(settings: GpioSettings) -> tuple[str, ...]:
    """The devices that the inputs belong to, each once, in order, and the pins where they were given an alias."""
    pins = () if settings.alias is None else (settings.alias,)
    return tuple(dict.fromkeys(loop.alias for loop in settings.inputs)) + pins
