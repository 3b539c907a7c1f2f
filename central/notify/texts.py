"""What is said to people by SMS and e-mail: from the catalogue, without a word on who it is or what is the matter."""

from __future__ import annotations

from central.console.catalogue import language_from, words
from central.notify.channel import Message


def compose(what: str, language: str, *, url: str, place: str, phone: str) -> Message:
    """A message. `url` leads to the alarm for those who may sign in, `phone` is whom next of kin call back."""
    t = words(language_from(language))
    key = what if phone or what != "alarm_waits_contact" else "alarm_waits_contact_no_phone"
    text = t(f"notify.{key}", url=url, place=place or t("app.place"), phone=phone)
    return Message(subject=f"Vaktpost: {t(f'notify.subject_{what}')}", text=text)
