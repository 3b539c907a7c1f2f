"""What people do with alarms. Every function is one transaction, returns the new state, and leaves a log entry.

Whoever comes second gets a `Conflict` that names who has it; nothing is overwritten in silence.
"""

from __future__ import annotations

from collections.abc import Sequence

from central.lifecycle import Queue
from central.views import Actor, AlarmDetail, AlarmView, Journey


class Alarms:
    """The alarms of one central."""

    async def queue(self, queue: Queue = Queue.PERSONAL, *, limit: int = 500) -> Sequence[AlarmView]:
        """Open alarms, most urgent first: by rank, then lifted, then age. Taken ones are among them."""
        raise NotImplementedError

    async def recent(self, *, limit: int = 50) -> Sequence[AlarmView]:
        """Closed alarms of all queues, newest first."""
        raise NotImplementedError

    async def alarm(self, alarm_id: str) -> AlarmDetail:
        """One alarm with its history. Raises NotFoundError."""
        raise NotImplementedError

    async def claim(self, alarm_id: str, actor: Actor) -> AlarmView:
        """Take it. Taking what one has already is no error. Raises Conflict with who has it."""
        raise NotImplementedError

    async def take_next(self, actor: Actor, queue: Queue = Queue.PERSONAL) -> AlarmView | None:
        """Take the most urgent waiting alarm: the server picks, nobody races for a row. None: nothing waits."""
        raise NotImplementedError

    async def renew(self, alarm_id: str, actor: Actor) -> AlarmView:
        """The owner's page is still there: the lease starts again. Raises Conflict when it is theirs no longer."""
        raise NotImplementedError

    async def release(self, alarm_id: str, actor: Actor) -> AlarmView:
        """Give it back to the queue."""
        raise NotImplementedError

    async def on_the_way(self, alarm_id: str, actor: Actor) -> AlarmView:
        """Help is coming; needs the claim."""
        raise NotImplementedError

    async def close(
        self, alarm_id: str, actor: Actor, disposition: str, outcome: str, note: str = "", *, override: str = ""
    ) -> AlarmView:
        """Record what was done. Needs the claim, or `override`: a lead's reason. Raises IncompleteError, Conflict."""
        raise NotImplementedError

    async def undo(self, alarm_id: str, actor: Actor) -> AlarmView:
        """Take back the actor's own claim or close of the last ten seconds."""
        raise NotImplementedError

    async def note(self, alarm_id: str, actor: Actor, what: str, content: dict[str, str]) -> AlarmView:
        """Something worth a line in the history: a call attempt and its result, a secret that was looked at."""
        raise NotImplementedError

    async def mark_shown(self, alarm_id: str, console_id: str) -> None:
        """A console with a person before it has this alarm on screen. The first one counts."""
        raise NotImplementedError

    async def journey(self, alarm_id: str) -> Journey:
        """How long each step took. Raises NotFoundError."""
        raise NotImplementedError

    async def open_digest(self) -> tuple[int, str]:
        """Count and hash of the open personal alarms, as beats carry them."""
        raise NotImplementedError
