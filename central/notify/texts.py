"""What is said to people by SMS and e-mail: from the catalogue, without a word on who it is or what is the matter."""

from __future__ import annotations

from collections.abc import Sequence

from central.console.catalogue import language_from, words
from central.notify.channel import Message


def compose(
    what: str,
    language: str,
    *,
    url: str,
    place: str,
    phone: str,
    codes: Sequence[tuple[str, str]] = (),
    how: str = "",
) -> Message:
    """A message. `url` leads to the alarm for those who may sign in, `phone` is whom next of kin call back.

    `codes`: those of open questions, each with the time when it was asked. `how` is the text that says how to answer
    with the first of them.
    """
    t = words(language_from(language))
    key = what if phone or not t.has(f"notify.{what}_no_phone") else f"{what}_no_phone"
    listed = ", ".join(t("notify.kin_asked_at", code=code, time=time) for code, time in codes)
    text = t(f"notify.{key}", url=url, place=place or t("app.place"), phone=phone, codes=listed)
    if how and codes:
        text = f"{text} {t(f'notify.{how}', code=codes[0][0])}"
    subject = f"notify.subject_{what}"
    return Message(subject=f"Vaktpost: {t(subject if t.has(subject) else 'notify.subject_alarm_waits')}", text=text)
