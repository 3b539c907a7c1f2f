"""`[local_response]`: what the hub does by itself when an alarm does not get through, or nobody takes it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Self

from config.nearest import nearest
from drivers.contract import Alias, DriverSettings
from ground.models import BaseModel, ConfigDict, Field, SerializeAsAny, field_validator, model_validator

PLACES = ("device", "class", "why", "time")
"""What may stand in braces in a template. No names: what leaves the hub here is read by whoever is near."""
NUMBER = re.compile(r"^\+[1-9][0-9]{5,14}$")
_PLACE = re.compile(r"\{([^{}]*)\}")

Template = Annotated[str, Field(min_length=1, max_length=120)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def checked_template(template: str) -> str:
    for name in _PLACE.findall(template):
        if name not in PLACES:
            near = nearest(name, PLACES)
            known = f"did you mean {{{near}}}?" if near else f"known are: {', '.join(f'{{{one}}}' for one in PLACES)}"
            raise ValueError(f"the template has {{{name}}}, which nothing is put in for; {known}")
    if set("{}") & set(_PLACE.sub("", template)):
        raise ValueError("the template has a brace that belongs to no place; write {device} or {class}")
    return template


class RelaySettings(_Part):
    """The relay on the output `call` of the indicators' driver: a siren, a corridor lamp."""

    is_sounding: bool = True
    """A siren: not for alarms that may only show themselves. false for a lamp."""


class OnCallSettings(_Part):
    """`[local_response.on_call]`: text messages to whoever is on call, through the hub's own modem."""

    numbers: Annotated[tuple[str, ...], Field(min_length=1, max_length=10)]
    """Telephone numbers in the order in which they are tried, with country code: "+4790000000"."""
    next_after_s: Annotated[float, Field(ge=5, le=3600)] = 60.0
    """The next number is tried after so long."""
    rounds: Annotated[int, Field(ge=1, le=20)] = 3
    """How often all numbers are gone through."""
    limit_per_hour: Annotated[int, Field(ge=1, le=500)] = 30
    """No more texts than this in an hour, whatever happens."""
    template: Template = "{class} {device} ({time}): {why}"
    """The text. Places: {device}, {class}, {why}, {time}."""

    @field_validator("numbers")
    @classmethod
    def _check_numbers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for number in value:
            if not NUMBER.match(number):
                plain = re.sub(r"[\s()-]", "", number)
                plain = f"+{plain[2:]}" if plain.startswith("00") else plain
                plain = f"+47{plain}" if re.fullmatch(r"[2-9][0-9]{7}", plain) else plain
                hint = f'did you mean "{plain}"?' if NUMBER.match(plain) else 'write it like "+4790000000"'
                raise ValueError(f'"{number}" is no telephone number with country code; {hint}')
        if len(set(value)) != len(value):
            raise ValueError("a telephone number stands there twice; list every number once")
        return value

    @field_validator("template")
    @classmethod
    def _check_template(cls, value: str) -> str:
        return checked_template(value)


class VoiceSettings(_Part):
    """`[local_response.voice]`: spoken phrases, in the language of `[hub]`."""

    output: Annotated[str, Field(min_length=1, max_length=100)] = "default"
    """The ALSA output, as `aplay -L` lists them: "default", "plughw:CARD=Headphones"."""
    repeat_s: Annotated[float, Field(ge=10, le=3600)] = 60.0
    """What is still true is said again after so long."""
    repeats: Annotated[int, Field(ge=0, le=100)] = 9
    """How often it is said again at most."""

    @field_validator("output")
    @classmethod
    def _is_no_option(cls, value: str) -> str:
        if value.startswith("-") or any(ord(sign) < 0x20 for sign in value):
            raise ValueError(f'"{value}" is no ALSA output; `aplay -L` lists them')
        return value


class CutOffSettings(_Part):
    """`[local_response.cut_off]`: what tells people at home that the hub has lost central, while there is no alarm."""

    after_s: Annotated[float, Field(ge=30, le=86_400)] = 300.0
    """Told when no path to central has been usable for so long, and again when one is."""
    lamp: bool = True
    """A short yellow flash every six seconds."""
    voice: bool = False
    """Say it, once."""
    pager: bool = False
    """Page staff, once."""


class LocalResponseSection(_Part):
    """What the hub does by itself when an alarm does not get through, or when nobody takes it."""

    after_no_receipt_s: Annotated[float, Field(ge=1, le=600)] = 15.0
    """An alarm that central has not receipted for so long calls for help on the spot."""
    after_no_claim_s: Annotated[float, Field(ge=1, le=3600)] = 120.0
    """So does an alarm that no human at central has taken for so long."""
    names: Mapping[Alias, Annotated[str, Field(min_length=1, max_length=32)]] = {}
    """What staff call a device on pagers and in texts, by alias: "Bad 2". Never a resident's name."""
    relay: RelaySettings = RelaySettings()
    pager: SerializeAsAny[DriverSettings] | None = None
    """Staff paging; the keys stand below."""
    on_call: OnCallSettings | None = None
    voice: VoiceSettings | None = None
    cut_off: CutOffSettings = CutOffSettings()

    @model_validator(mode="before")
    @classmethod
    def _tables_are_tables(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("on_call"), list):
            raise ValueError('on_call is a table; write [local_response.on_call] with numbers = ["+47..."]')  # noqa: TRY004  # pydantic lets TypeError through as a crash
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.after_no_claim_s < self.after_no_receipt_s:
            raise ValueError(
                f"after_no_claim_s ({self.after_no_claim_s:g}) is shorter than after_no_receipt_s "
                f"({self.after_no_receipt_s:g}); people get at least as long as machines"
            )
        return self
