"""Telling somebody at a console: what is committed is there, because every console follows the feed.

Nothing is handed over and nobody carries it. Its receipt is the word of a page in view before a person:
`central.escalation.screens`.
"""

from __future__ import annotations

from central.notify.channel import Address, Line, Promise
from central.settings import CentralSettings


class ConsoleChannel:
    """See `central.notify.channel.Channel`."""

    promise = Promise(name="console", address=Address.CONSOLE, is_carried=False)

    def line(self, _settings: CentralSettings) -> Line | None:
        """See `central.notify.channel.Channel`. The feed is in every central: there is nothing to set up."""
        return None


CHANNEL = ConsoleChannel()
