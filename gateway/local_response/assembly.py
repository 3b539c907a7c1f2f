"""Local response put together for one hub: which measures its settings ask for, and what it sees of the hub."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from cloud_sync.central_messages import LocalDeadlines
from cloud_sync.identity import EventId, Lane
from drivers.contract import Lamp
from gateway.clock import boot_id
from gateway.local_response.lights_and_sounds import LampAndBuzzer, Relay
from gateway.local_response.measure import Measure
from gateway.local_response.policy import Deadlines
from gateway.local_response.response import LocalResponse
from gateway.local_response.watched import DEADLINES_KEY, MEMORY_KEY
from gateway.local_response.words import Words
from gateway.triage.moments import Now

if TYPE_CHECKING:
    from config.paging import PagingSettings
    from gateway.daemon import Hub


class _Around:
    """The hub as local response sees it."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._boot_id = boot_id().hex()[:12]

    def now(self) -> Now:
        stamp = self._hub.clock.stamp()
        return Now(stamp.boot_ms, stamp.wall_ms, stamp.is_wall_trusted, self._boot_id, self._hub.settings.zone)

    def standing(self) -> Mapping[EventId, Lamp]:
        return self._hub.home.standing()

    def is_settled(self, event: EventId, /) -> bool:
        return self._hub.urgent.is_settled(event)

    def central_had(self, event: EventId, /) -> None:
        self._hub.home.central_had(event)

    def has_heard_central(self) -> bool:
        return self._hub.clock.central_ms() is not None

    def is_path_usable(self) -> bool:
        views = [path.view() for path in self._hub.paths]
        return any(view.is_up and (view.carries_stubs or view.is_answering) for view in views)

    def remember(self, lane: Lane, memory: Mapping[str, str], /) -> object:
        return self._hub.journal.remember(lane, memory)

    def report(self, word: str, details: Mapping[str, Any], /) -> None:
        self._hub.pipeline.report(word, details=details)


def assemble(hub: Hub) -> LocalResponse:
    """Made once, when all other parts of the hub are there. What earlier runs watched over is known from now on."""
    settings = hub.settings.local_response

    def of(found: LocalDeadlines | None) -> Deadlines | None:
        return None if found is None else Deadlines(no_receipt_s=found.no_receipt_s, no_claim_s=found.no_claim_s)

    local = LocalResponse(
        hub.identity.hub,
        _Around(hub),
        measures_of(hub),
        deadlines=Deadlines(no_receipt_s=settings.after_no_receipt_s, no_claim_s=settings.after_no_claim_s),
        told=lambda event: of(hub.home.deadlines(event)),
        told_home=lambda: of(hub.home.home_deadlines()),
        cut_off_after_s=settings.cut_off.after_s,
        remembered=hub.journal.memory.get(MEMORY_KEY),
        remembered_home=hub.journal.memory.get(DEADLINES_KEY),
    )
    home, own = local.recalled_deadlines()
    hub.home.recall_deadlines(_as_told(home), {event: told for event, one in own.items() if (told := _as_told(one))})
    for event, action, is_receipted in local.recalled():
        hub.home.recalled(event, action, is_receipted=is_receipted)
    hub.home.on_look = local.look
    return local


def _as_told(deadlines: Deadlines | None) -> LocalDeadlines | None:
    if deadlines is None:
        return None
    return LocalDeadlines(no_receipt_s=round(deadlines.no_receipt_s), no_claim_s=round(deadlines.no_claim_s))


def measures_of(hub: Hub) -> list[Measure]:
    """Every measure that the settings ask for. What is not asked for is not even imported."""
    settings = hub.settings.local_response
    words = Words(hub.settings.hub.language, settings.names)

    def local_time(boot_s: float) -> str:
        stamp = hub.clock.stamp(boot_s)
        moment = datetime.fromtimestamp(stamp.wall_ms / 1000, hub.settings.zone)
        return moment.strftime("%H:%M") if stamp.is_wall_trusted else "--:--"

    measures: list[Measure] = [LampAndBuzzer(hub.annunciator, shows_cut_off=settings.cut_off.lamp)]
    if _has_relay(hub):
        measures.append(Relay(hub.annunciator, is_sounding=settings.relay.is_sounding))
    if settings.pager is not None:
        from gateway.local_response.paging import Paging

        pager = cast("PagingSettings", settings.pager)  # as the loader makes it
        cut_off = settings.cut_off.pager
        measures.append(Paging(pager, words, clock=hub.clock, local_time=local_time, tells_cut_off=cut_off))
    if settings.on_call is not None:
        from gateway.local_response.on_call import OnCall

        measures.append(
            OnCall(
                settings.on_call,
                words,
                clock=hub.clock,
                local_time=local_time,
                texting=lambda: hub.modem,
                is_registered=lambda: _registration(hub),
            )
        )
    if settings.voice is not None:
        from gateway.local_response.voice import Voice

        measures.append(Voice(settings.voice, hub.settings.hub.language, says_cut_off=settings.cut_off.voice))
    return measures


def _registration(hub: Hub) -> tuple[bool | None, str]:
    """Whether the modem could text now, and why not."""
    if hub.modem is None:
        return False, "there is no modem"
    hindrance = hub.modem.state.hindrance
    return hub.modem.state.is_ready, "" if hindrance is None else f"modem: {hindrance.value}"


def _has_relay(hub: Hub) -> bool:
    chosen = hub.settings.indicators
    driver = None if chosen is None else hub.settings.drivers.get(chosen.driver)
    return getattr(getattr(driver, "outputs", None), "call", None) is not None
