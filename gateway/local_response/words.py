"""The words of local response in pages and text messages, English and Norwegian bokmål. No names, no health."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cloud_sync.vocabulary import AlarmClass
from gateway.local_response.policy import Cause

LocalTime = Callable[[float], str]
"""The time of day at home, as text, of a moment in boot seconds."""

_CLASSES: Mapping[AlarmClass, Mapping[str, str]] = {
    AlarmClass.PERSONAL: {"en": "ALARM", "nb": "ALARM"},
    AlarmClass.SAFETY: {"en": "FIRE/SAFETY ALARM", "nb": "BRANN/SIKKERHET"},
    AlarmClass.SUPERVISION: {"en": "CHECK ON RESIDENT", "nb": "SE TIL BEBOER"},
}
_OTHER = {"en": "ALARM", "nb": "ALARM"}
_CAUSES: Mapping[Cause, Mapping[str, str]] = {
    Cause.NO_RECEIPT: {
        "en": "has not reached the response centre. Please see to it.",
        "nb": "har ikke nådd responssenteret. Se til stedet.",
    },
    Cause.NO_CLAIM: {
        "en": "has not been answered by anybody. Please see to it.",
        "nb": "er ikke besvart av noen. Se til stedet.",
    },
}
_ENDS: Mapping[str, Mapping[str, str]] = {
    "received": {"en": "received by the centre", "nb": "mottatt av responssenteret"},
    "taken": {"en": "taken by the centre", "nb": "tatt av responssenteret"},
    "on_the_way": {"en": "the centre has sent somebody", "nb": "responssenteret har sendt noen"},
    "closed": {"en": "closed by the centre", "nb": "avsluttet av responssenteret"},
}
_TEXTS: Mapping[str, Mapping[str, str]] = {
    "stopped": {"en": "STOPPED {device}: {end}", "nb": "STANSET {device}: {end}"},
    "more": {"en": "(+{count} more)", "nb": "(+{count} til)"},
    "hub": {"en": "hub", "nb": "hub"},
    "cut_off": {"en": "NO CONTACT WITH CENTRE", "nb": "UTEN KONTAKT MED SENTER"},
    "back": {"en": "CONTACT WITH CENTRE IS BACK", "nb": "KONTAKT MED SENTER ER TILBAKE"},
    "test": {"en": "TEST - NO ACTION NEEDED", "nb": "TEST - INGEN TILTAK"},
    "test_over": {"en": "TEST OVER", "nb": "TEST SLUTT"},
}


@dataclass(frozen=True, slots=True)
class Words:
    """The words in one language, with the installation's own names of its devices."""

    language: str
    names: Mapping[str, str]

    def device(self, alias: str) -> str:
        """What staff call a device."""
        return self.names.get(alias, alias)

    def text(self, key: str, **values: object) -> str:
        """One of the fixed texts."""
        return _TEXTS[key][self.language].format(**values)

    def end(self, why: str) -> str:
        """Why an alarm needs nobody here any more."""
        return _ENDS.get(why, _ENDS["closed"])[self.language]

    def fill(self, template: str, *, device: str, alarm_class: AlarmClass, cause: Cause, time: str) -> str:
        """An installation's template, filled in."""
        return template.format_map(
            {
                "device": self.device(device),
                "class": _CLASSES.get(alarm_class, _OTHER)[self.language],
                "why": _CAUSES[cause][self.language],
                "time": time,
            }
        ).strip()
