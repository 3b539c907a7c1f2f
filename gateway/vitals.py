"""What has to be alive for this hub to be of use, and what may be broken without a restart mending it.

The rules are pure. A restart helps against a fault of ours (something hangs), never against one of the world: a network
that is away, a card that takes nothing, a driver that is parked. Those are told, and the watchdog is fed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloud_sync.vitals import Pulse

if TYPE_CHECKING:
    from gateway.daemon import Hub

JOURNAL_PATIENCE_S = 60.0
SOURCES_PATIENCE_S = 60.0
JUDGING_PATIENCE_S = 30.0
PATHS_PATIENCE_S = 60.0
ONE_PATH_PATIENCE_S = 900.0
"""A single path that hangs while another does not is worth a restart as well, but not at once."""
TRY_WITHIN_S = 120.0
"""A path is open and looked after, or was tried again within so long: the longest pause and every time limit fit in."""


def is_trying(tried_s: float, now_s: float) -> bool:
    """Whether a path is tried or held, whatever comes of it."""
    return now_s - tried_s < TRY_WITHIN_S


@dataclass(slots=True)
class Flow:
    """Whether what waits gets done. Something that waits while nothing is done does not."""

    done: int = -1

    def is_alive(self, waiting: int, done: int) -> bool:
        """Asked again and again with what waits and with a count of what was done so far."""
        is_moving, self.done = done != self.done, done
        return is_moving or not waiting


def are_sources_alive(hung: Sequence[str], *, is_safe_mode: bool) -> bool:
    """Running, starting, waiting to be tried again and parked are known states. Hung, only a new process can mend.

    In safe mode that has been tried, several times over: what still works is not given up for what does not.
    """
    return is_safe_mode or not hung


def pulses_of(hub: Hub) -> list[Pulse]:
    """The pulses of a running hub. Its loop is watched in any case."""
    judging = Flow()
    intake, boot_s = hub.watch.intake, hub.clock.boot_s

    def is_path_trying(place: int) -> bool:
        return is_trying(hub.paths[place].tried_s, boot_s())

    return [
        Pulse(
            name="journal",
            patience_s=JOURNAL_PATIENCE_S,
            is_alive=lambda: hub.card_test.is_alive,
        ),
        Pulse(
            name="sources",
            patience_s=SOURCES_PATIENCE_S,
            is_alive=lambda: are_sources_alive(hub.drivers.hung(), is_safe_mode=hub.mode.is_safe),
        ),
        Pulse(
            name="judging",
            patience_s=JUDGING_PATIENCE_S,
            is_alive=lambda: judging.is_alive(len(intake), intake.counters.taken),
        ),
        Pulse(
            name="uplinks",
            patience_s=PATHS_PATIENCE_S,
            is_alive=lambda: not hub.paths or any(is_path_trying(place) for place in range(len(hub.paths))),
        ),
        *(
            Pulse(
                name=f"uplink {path.name}",
                patience_s=ONE_PATH_PATIENCE_S,
                is_alive=lambda place=place: is_path_trying(place),  # type: ignore[misc]
            )
            for place, path in enumerate(hub.paths)
        ),
    ]
