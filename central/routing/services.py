"""Which of the services that are granted to people an alarm belongs to: their plans may differ."""

from __future__ import annotations

from collections.abc import Mapping

from central.lifecycle import AlarmKind, alarm_kind
from cloud_sync.vocabulary import AlarmClass

SERVICES = ("TA", "DT", "RT", "MD", "GPS", "DHO")
"""Safety alarm, digital supervision, response in a ward, medicine dispenser, location, follow-up at home: the codes of
the national assignment message."""

EVERY = "*"
"""In the place of a service: this plan is the default for all of them."""

_OF_KIND: Mapping[str, str] = {
    "nurse_emergency": "RT",
    "nurse_assistance": "RT",
    "nurse_call": "RT",
    "medication_missed": "MD",
    "limit_exceeded": "DHO",
}
_OF_CLASS: Mapping[AlarmClass, str] = {
    AlarmClass.PERSONAL: "TA",
    AlarmClass.SAFETY: "TA",
    AlarmClass.SUPERVISION: "DT",
}


def service_of(kind_word: str) -> str:
    """The service of an alarm kind; `EVERY` where none fits."""
    known = _OF_KIND.get(kind_word)
    if known is not None:
        return known
    try:
        kind: AlarmKind = alarm_kind(kind_word)
    except KeyError:  # a word of a newer central: the plan that is for everything answers it
        return EVERY
    return _OF_CLASS.get(kind.alarm_class, EVERY)
