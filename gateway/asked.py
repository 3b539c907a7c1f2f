"""What a running hub can be asked: by central as a command, on this machine over the control socket."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cloud_sync.identity import Lane
from cloud_sync.stub import LocalAction
from cloud_sync.vocabulary import BY_WORD, Event
from config.nearest import suggestion
from drivers.contract import ALIAS
from gateway import status
from gateway.commands import CommandError
from gateway.hub_epoch import OWN_ALIAS
from gateway.modem_sharing import describe_modem
from gateway.pending import Pending
from gateway.triage import Judged

if TYPE_CHECKING:
    from gateway.daemon import Hub

TEST_WAIT_S = 15.0


def register(hub: Hub) -> None:
    """Everything that central may ask. A new command is a function and a line here."""
    hub.commands.register("test_event", lambda arguments: raise_test(hub, arguments))
    hub.commands.register("status", lambda _arguments: describe(hub))
    hub.commands.register("test_measures", lambda _arguments: test_measures(hub))
    hub.commands.register("retry_driver", lambda arguments: retry_driver(hub, arguments))


async def answer(hub: Hub, question: Mapping[str, Any]) -> Mapping[str, Any]:
    """Answer a question from this machine: `{"ask": NAME, ...}`. Raises CommandError."""
    name = question.get("ask")
    if not isinstance(name, str):
        raise CommandError("malformed", '"ask" is missing')
    found = await hub.commands.call(name, {key: value for key, value in question.items() if key != "ask"})
    return found if isinstance(found, Mapping) else {"result": found}


async def describe(hub: Hub) -> dict[str, Any]:
    """The status."""
    now_s = hub.clock.boot_s()
    # All of one moment, and what the journal has after it: an event goes from memory onto the card and from there to
    # central, so none can slip through between two countings and look as if it had gone to central already.
    taken = dict(hub.pipeline.taken)
    held = dict(hub.urgent.counts())
    for lane, count in hub.bulk.in_memory().items():
        held[lane] = count + hub.pipeline.keeping.on_their_way(lane)
    counts = await hub.journal.counts()
    lost = {lane: hub.journal.dropped(lane) + hub.pipeline.keeping.lost[lane] for lane in Lane}
    return {
        "version": status.STATUS_VERSION,
        "hub": hub.epoch.hub.hex(),
        "epoch": hub.epoch.id.hex(),
        "software": hub.epoch.software,
        "config_hash": hub.epoch.config_hash,
        "central": hub.identity.central,
        "uptime_s": round(now_s - hub.started_s, 1),
        "memory_bytes": status.memory_bytes(),
        "tasks": len(asyncio.all_tasks()),
        "is_healthy": hub.annunciator.is_healthy,
        "mode": status.describe_mode(hub.mode, now_s - hub.started_s),
        "home": status.describe_home(hub.home),
        "modem": describe_modem(hub.modem, now_s),
        "last_alarm": status.describe_alarm(hub.pipeline.last_alarm),
        "paths": status.describe_paths(hub.paths, now_s),
        "drivers": status.describe_drivers(hub.drivers.hosted, now_s),
        "lanes": status.describe_lanes(counts, taken, lost, held),
        "journal": status.describe_journal(
            await hub.journal.files(),
            hub.troubles.values(),
            telemetry_commit_s=hub.settings.hub.telemetry_commit_s,
            unstored=hub.pipeline.keeping.unstored,
            held=hub.pipeline.keeping.held,
        ),
        "clock": status.describe_clock(hub.clock),
        "intake": hub.watch.describe(),
        "local_response": hub.local_response.describe(),
        "refused_frames": hub.inbox.refused_total,
    }


async def retry_driver(hub: Hub, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Try a driver that waits after a failure again now, because what was wrong has been mended."""
    name = arguments.get("driver")
    hosted = hub.drivers.named(name) if isinstance(name, str) else None
    if hosted is None:
        names = [one.driver.name for one in hub.drivers.hosted]
        hint = suggestion(str(name), names, what="the drivers are")
        raise CommandError("driver", f'there is no driver "{name}"; {hint}')
    is_waiting = hosted.retry_boot_s is not None
    hosted.retry.set()
    return {"driver": hosted.driver.name, "state": hosted.state.value, "is_tried_again": is_waiting}


async def test_measures(hub: Hub) -> dict[str, Any]:
    """Try what the hub would call for help with on the spot, so that everybody takes it for a test."""
    return {"measures": await hub.local_response.test()}


async def raise_test(hub: Hub, arguments: Mapping[str, Any], *, wait_s: float = TEST_WAIT_S) -> dict[str, Any]:
    """Raise a test alarm and follow it to central and back: receipt, and the answer a machine gives to tests."""
    device = arguments.get("device", OWN_ALIAS)
    if not isinstance(device, str) or not ALIAS.match(device):
        raise CommandError("device", "a device alias has lower-case letters, digits and hyphens, at most 16")
    now_s = hub.clock.boot_s()
    event = Event(kind=BY_WORD["test_alarm"], stamp=hub.clock.stamp(now_s), device=device, rule="test")
    event_id = hub.pipeline.take(Judged(event=event, lane=Lane.ALARM, action=LocalAction.NONE, observed_boot_s=now_s))
    receipted: asyncio.Future[Pending] = asyncio.get_running_loop().create_future()
    hub.awaited[event_id] = receipted
    found: dict[str, Any] = {"event": str(event_id), "ok": False, "receipt_ms": None, "answer": None, "answer_ms": None}
    try:
        async with asyncio.timeout(wait_s):
            pending = await receipted
            trace = pending.trace()
            found |= {"sent_ms": trace.sent_ms, "receipt_ms": trace.receipt_ms}
            found["answer"] = await hub.home.test_answered(event_id)
            found["answer_ms"] = round((hub.clock.boot_s() - now_s) * 1000, 1)
            found |= {"ok": True, "durable_ms": pending.trace().durable_ms}
    except TimeoutError:
        found["stopped_at"] = "receipt" if found["receipt_ms"] is None else "answer"
    finally:
        hub.awaited.pop(event_id, None)
    return found
