"""The sentences of an account, as the script writes them beforehand and the account tells them afterwards."""

from __future__ import annotations

from collections.abc import Sequence

KINDS = {
    "pendant_pressed": "pressed the pendant",
    "cord_pulled": "pulled the cord",
    "fall": "fell",
    "smoke": "smoke at home",
    "nurse_call": "called from the room",
}
NOT_SHOWN = "not_shown"
OVER = {"mains_back": "mains_lost over", "path_back": "path_lost over"}
CENTRAL = "Vaktpost"
ROOM = "Staff at the room"
KIN_NAME = "Next of kin"


def asked(team: str, name: str) -> str:
    """An alarm in the queue of a team."""
    return f"asked {team} at its consoles ({name})"


def called_out(team: str, name: str) -> str:
    """A patrol that was sent hears of it."""
    return f"called out {team} at its consoles ({name})"


def lamp(name: str, state: str) -> tuple[str, str]:
    """What a home shows."""
    return f"Home of {name}", f"shows: {state}"


def raised(name: str, kind: str) -> tuple[str, str]:
    """An alarm."""
    return name, KINDS.get(kind, kind)


def escalated(name: str, step: int) -> str:
    """The plan goes on."""
    return f"nobody has answered {name}: went on to step {step}"


def unseen(name: str, step: int) -> str:
    """The plan goes on, and whoever was asked has had nothing on their screens."""
    return f"no console has shown {name}: went on to step {step}"


def finds_nobody(name: str, steps: Sequence[int]) -> str:
    """Steps that failed before they began."""
    return f"nobody with sound for step {', '.join(map(str, steps))} of {name}: passed over at once"


def text(to: str, what: str, name: str) -> str:
    """A message by SMS."""
    return f"texted {to}: {what} ({name})"


def technical(count: int, kind: str) -> str:
    """Technical alarms of one second, raised or over."""
    return f"technical queue: {count} x {OVER.get(kind, kind)}"


def nobody_on_duty(team: str) -> str:
    """A team without a console that sounds."""
    return f"nobody on duty with sound: {team}"


def duty_covered(team: str) -> str:
    """A team that has one again."""
    return f"somebody on duty with sound: {team}"
