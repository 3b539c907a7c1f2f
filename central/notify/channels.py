"""Every way there is of telling people, by name: those that come with Vaktpost, and those that are installed beside it.

A package beside it names its channel by an entry point of the group `vaktpost.channels`. One that cannot be loaded is
left out and told in the log: the others have to work. A plan that names it goes on as if nobody could be told by it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import entry_points

import structlog

from central.errors import SettingsError
from central.notify import consoles, letters, phones
from central.notify.channel import Address, Channel, Line, Promise
from central.settings import CentralSettings

log = structlog.get_logger()

GROUP = "vaktpost.channels"
LONGEST_NAME = 16
"""As the rows of messages have room for it."""
_OURS: tuple[Channel, ...] = (consoles.CHANNEL, phones.CHANNEL, letters.CHANNEL)


@cache
def channels() -> Mapping[str, Channel]:
    """All of them, ours first: in this order they are shown, and tried."""
    found = {one.promise.name: one for one in _OURS}
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        try:
            channel: Channel = point.load()
            name = channel.promise.name
            is_usable = name == point.name and name not in found and 0 < len(name) <= LONGEST_NAME
        except Exception as error:  # noqa: BLE001  # it is not ours: whatever is wrong with it, alarms go on
            log.error("channel_not_loaded", channel=point.name, reason=type(error).__name__)  # noqa: TRY400  # its text is not ours either
            continue
        if is_usable:
            found[name] = channel
        else:
            log.error("channel_not_loaded", channel=point.name, reason="its name is taken, too long or another")
    return found


def promise_of(name: str) -> Promise:
    """What a way promises. One that is no more reaches nobody: what was to go by it is given up, loudly."""
    channel = channels().get(name)
    return Promise(name=name, address=Address.NONE) if channel is None else channel.promise


def carried() -> tuple[str, ...]:
    """The names of those that somebody has to carry."""
    return tuple(name for name, one in channels().items() if one.promise.is_carried)


def at_consoles(names: Iterable[str]) -> bool:
    """Whether one of these ways leads to the consoles of the house."""
    return any(promise_of(name).address is Address.CONSOLE for name in names)


def nearest(name: str) -> str:
    """The way whose name is most like this one, or nothing."""
    near = difflib.get_close_matches(name, channels(), n=1)
    return near[0] if near else ""


def lines(settings: CentralSettings) -> Mapping[str, Line]:
    """Those that somebody carries and that the settings set up. Raises SettingsError."""
    for name in settings.channels:
        if name not in channels():
            near = nearest(name)
            hint = f"Did you mean `{near}`?" if near else f"Known here: {', '.join(channels())}."
            raise SettingsError([f"channels.{name}: no such channel is installed. {hint}"])
    found = {name: channel.line(settings) for name, channel in channels().items() if channel.promise.is_carried}
    return {name: line for name, line in found.items() if line is not None}
