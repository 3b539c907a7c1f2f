"""How the journal is kept: times of the group commits, sizes, retention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from config import HubSettings

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalSettings:
    """The defaults fit a hub with an SD card. `[storage]` of the hub's settings has those that a site may change."""

    telemetry_commit_s: float = 2.0
    """The stated loss window of measurements at a power cut."""
    technical_commit_s: float = 0.1
    settle_s: float = 10.0
    """What is settled on the alarm side reaches the card at the latest after this. Losing it costs a resend only, so
    it waits for company rather than write a page per alarm."""
    kept_days: int = 7
    """How long settled alarm and care records stay, to be offered again to a restored central."""
    bulk_limit_bytes: int = 640 * MIB
    """As a file. Beyond this the oldest telemetry goes, then the oldest technical events; a gap record tells."""
    telemetry_limit_bytes: int = 448 * MIB
    technical_limit_bytes: int = 64 * MIB
    """Each lane's own bound, by its records; beyond it the oldest of the lane go."""
    headroom_bytes: int = 32 * MIB
    """With less than this, or an eighth of the card, free, bulk does not grow any more: the oldest makes room."""
    reserve_bytes: int = 4 * MIB
    """Space that is given to alarms when the card is full: about 2,000 of them."""
    alarm_waiting_bytes: int = 8 * MIB
    bulk_waiting_bytes: int = 8 * MIB
    """How much may wait in memory for the card before JournalFullError."""
    bulk_commit_rows: int = 1000
    """A bulk transaction is committed early at this size, and holds at most twice as many."""
    delete_rows: int = 4000
    """Settled rows deleted in one bulk transaction at most."""
    open_s: float = 3.0
    """A card that has not been opened by then is not waited for: the hub begins, and the journal comes when it can."""
    hanging_s: float = 3.0
    """A commit that takes longer is told as a card that hangs."""
    close_s: float = 2.0
    """How long an end waits for the card."""
    replace_after_s: float = 10.0
    """A file that fails for so long, three times running, on a card that takes other files, is set aside."""

    @classmethod
    def of(cls, hub: HubSettings) -> JournalSettings:
        """As the settings of a site say."""
        chosen = hub.storage
        telemetry, technical = chosen.telemetry_mib * MIB, chosen.technical_mib * MIB
        return cls(
            telemetry_commit_s=hub.hub.telemetry_commit_s,
            kept_days=chosen.kept_days,
            bulk_limit_bytes=(telemetry + technical) * 5 // 4,
            telemetry_limit_bytes=telemetry,
            technical_limit_bytes=technical,
            headroom_bytes=chosen.keep_free_mib * MIB,
            reserve_bytes=chosen.reserve_mib * MIB,
        )
