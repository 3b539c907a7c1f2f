"""How the hub is, as one JSON-able value and as text for a person. No names, no contents of events."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, tzinfo
from pathlib import Path as FilePath
from typing import Any

from cloud_sync.identity import Lane
from gateway.clock import HubClock
from gateway.drivers_host import HostedDriver
from gateway.home import Home
from gateway.journal import FileState, LaneCount, Trouble
from gateway.journal.database import ALARM, BULK
from gateway.paths import Path
from gateway.pending import Pending
from gateway.probes import ProbeView
from gateway.safe_mode import Mode
from gateway.stub_path import StubPath

STATUS_VERSION = 1


def describe_paths(paths: Iterable[Path], now_s: float) -> list[dict[str, Any]]:
    """Each path to central."""
    return [
        {
            "uplink": path.name,
            "state": _path_state(path),
            "answered_s_ago": _ago(path.answered_s, now_s),
            "down_s": _ago(path.down_since_s, now_s),
            "round_trip_ms": None if path.round_trip_s is None else round(path.round_trip_s * 1000, 1),
            "connections": path.session_count,
            "failures": path.failures,
            "last_error": path.last_error or None,
            "probe": _describe_probe(path.probe_view()) if isinstance(path, StubPath) else None,
        }
        for path in paths
    ]


def _describe_probe(probe: ProbeView) -> dict[str, Any]:
    if probe.awaited_s is None:
        state = "not_yet" if probe.answered_ms is None else "answered"
    else:
        state = "unanswered" if probe.is_overdue else "not_sent" if probe.error else "awaited"
    return {
        "state": state,
        "sent_ms": probe.sent_ms,
        "answered_ms": probe.answered_ms,
        "awaited_s": None if probe.awaited_s is None else round(probe.awaited_s, 1),
        "is_stale": probe.is_stale,
        "error": probe.error or None,
    }


def _path_state(path: Path) -> str:
    if path.is_lost:
        return "lost"
    if not path.is_up:
        return "down" if path.answered_s is not None or path.failures else "connecting"
    if isinstance(path, StubPath) and path.answered_s is None:
        probe = path.probe_view()
        is_known = probe.answered_ms is not None and not probe.is_stale and not probe.is_overdue
        return "up" if is_known else "unanswered"
    if path.answered_s is None:
        return "unanswered"
    return "up" if path.view().is_answering else "silent"


def describe_drivers(hosted: Iterable[HostedDriver], now_s: float) -> list[dict[str, Any]]:
    """Each driver, with what it tells of itself."""
    return [
        {
            "driver": one.driver.name,
            "type": one.type_name,
            "state": one.state.value,
            "since_s": _ago(one.since_boot_s, now_s),
            "restarts": one.restarts,
            "observations": one.observations,
            "last_error": one.last_error or None,
            "retry_in_s": None if one.retry_boot_s is None else round(max(0.0, one.retry_boot_s - now_s), 1),
            "link": one.link(now_s),
            "link_reason": one.link_reason or None,
            "diagnostics": dict(one.diagnostics),
        }
        for one in hosted
    ]


def describe_lanes(
    counts: Mapping[Lane, LaneCount],
    taken: Mapping[Lane, int],
    lost: Mapping[Lane, int],
    in_memory: Mapping[Lane, int],
) -> dict[str, dict[str, Any]]:
    """Each lane: what was taken in this run and what waits for central."""
    found: dict[str, dict[str, Any]] = {}
    for lane in Lane:
        count = counts.get(lane)
        found[lane.word] = {
            "taken": taken[lane],
            "waiting": None if count is None else count.records,
            "waiting_is_exact": count is not None and count.is_exact,
            "waiting_bytes": None if count is None else count.size_bytes,
            "oldest_ms": None if count is None else count.oldest_ms,
            "in_memory": in_memory.get(lane, 0),
            "lost": lost[lane],
        }
    return found


def describe_journal(
    files: Iterable[FileState], troubles: Iterable[Trouble], *, telemetry_commit_s: float, unstored: int, held: int = 0
) -> dict[str, Any]:
    """The journal. `loss_window_s` is what a power cut now may cost: for alarms nothing while the card takes them."""
    found, files = list(troubles), list(files)
    failing = {one.name: round(one.failing_s, 1) for one in files if one.failing_s is not None}
    alarm_s, bulk_s = failing.get(ALARM.file, 0), failing.get(BULK.file, 0)
    return {
        "state": "trouble" if found or unstored or failing else "good",
        "loss_window_s": {
            "alarm": alarm_s,
            "care": alarm_s,
            "technical": 0.1 + bulk_s,
            "telemetry": telemetry_commit_s + bulk_s,
        },
        "alarms_in_memory_only": unstored,
        "bulk_in_memory_only": held,
        "troubles": [{"file": one.file, "what": one.what, "detail": one.detail} for one in found],
        "files": [
            {
                "file": one.name,
                "is_open": one.is_open,
                "size_bytes": one.size_bytes,
                "waiting": one.waiting,
                "last_commit_ms": one.last_commit_ms,
                "last_error": one.last_error,
                "failing_s": None if one.failing_s is None else round(one.failing_s, 1),
                "is_beside_newer": one.is_beside,
                "set_aside": one.set_aside,
                "durability": dict(one.durability),
            }
            for one in files
        ],
    }


def describe_alarm(last: tuple[str, Pending] | None) -> dict[str, Any] | None:
    """How far the alarm that was raised last has come: milliseconds since the device was heard."""
    if last is None:
        return None
    kind, pending = last
    trace = pending.trace()
    return {
        "event": str(pending.id),
        "kind": kind,
        "judged_ms": trace.judged_ms,
        "durable_ms": trace.durable_ms,
        "sent_ms": trace.sent_ms,
        "receipt_ms": trace.receipt_ms,
    }


def describe_clock(clock: HubClock) -> dict[str, Any]:
    """Whether times can be believed."""
    offset = clock.central_offset_ms
    return {
        "is_trusted": clock.is_trusted,
        "wall_ms": clock.wall_ms(),
        "central_offset_ms": None if offset is None else round(offset),
        "floor_ms": clock.floor_ms,
    }


def describe_mode(mode: Mode, uptime_s: float) -> dict[str, Any]:
    """Whether all of it runs, and if not, why and what is missing."""
    found: dict[str, Any] = {
        "is_full": mode.is_full,
        "is_safe": mode.is_safe,
        "is_last_good": mode.is_last_good,
        "is_lacking": mode.is_lacking,
    }
    if not mode.is_full:
        found |= {"why": mode.why, "left_out": list(mode.left_out), "problem": mode.problem or None}
    if mode.is_safe:
        found |= {"crashes": mode.crashes, "full_set_in_s": round(max(0.0, mode.trial_after_s - uptime_s))}
    return found


def describe_home(home: Home) -> dict[str, Any]:
    """What is shown at home."""
    view = home.view
    return {
        "lamp": view.lamp.value,
        "alarms": [{"alarm": one.alarm.hex(), "version": one.version, "state": one.word} for one in view.alarms],
        "not_named_by_central": len(view.unnamed),
    }


def memory_bytes() -> int | None:
    """Resident memory of this process."""
    try:
        pages = int(FilePath("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def _ago(moment_s: float | None, now_s: float) -> float | None:
    return None if moment_s is None else round(max(0.0, now_s - moment_s), 1)


def render(status: Mapping[str, Any]) -> str:
    """The status for a person at a terminal."""
    lines = [
        f"hub {status['hub']} is running {status['software']} for {_span(status['uptime_s'])}",
        f"settings {status['config_hash']}",
        *_mode_lines(status["mode"]),
        f"lamp at home: {status['home']['lamp']}",
        "",
        "paths to central",
    ]
    for path in status["paths"]:
        heard = "never answered" if path["answered_s_ago"] is None else f"answered {_span(path['answered_s_ago'])} ago"
        trip = "" if path["round_trip_ms"] is None else f", {path['round_trip_ms']:g} ms"
        why = f", {path['last_error']}" if path["last_error"] and path["state"] != "up" else ""
        if path.get("probe") is not None:
            heard = _probe_text(path["probe"])
        lines.append(f"  {path['uplink']:<16} {path['state']:<10} {heard}{trip}{why}")
    if status["modem"] is not None:
        lines.append(f"  modem: {_modem_words(status['modem'])}")
    lines += ["", "drivers"]
    for driver in status["drivers"]:
        why = f", {driver['last_error']}" if driver["last_error"] and driver["state"] != "running" else ""
        if driver["state"] == "running" and driver["link"] is False:
            why = f", its line is lost: {driver['link_reason'] or 'no reason given'}"
        if driver["retry_in_s"] is not None:
            why += f", tried again in {_span(driver['retry_in_s'])}"
        lines.append(
            f"  {driver['driver']:<16} {driver['state']:<12} for {_span(driver['since_s'])}, "
            f"{driver['observations']} observations, {driver['restarts']} restarts{why}"
        )
    lines += ["", f"{'lane':<12}{'taken':>10}{'waiting':>10}{'lost':>8}"]
    for lane, facts in status["lanes"].items():
        waiting = "?" if facts["waiting"] is None else f"{'' if facts['waiting_is_exact'] else '~'}{facts['waiting']}"
        lines.append(f"{lane:<12}{facts['taken']:>10}{waiting:>10}{facts['lost']:>8}")
    journal, clock = status["journal"], status["clock"]
    window_s, alarm_s = journal["loss_window_s"]["telemetry"], journal["loss_window_s"]["alarm"]
    alarms = "no alarms" if not alarm_s else f"the alarms of {alarm_s:g} s that central does not have"
    lines += ["", f"journal: {journal['state']}; a power cut may cost {window_s:g} s of measurements, and {alarms}"]
    lines += [f"  {one['file']}: {one['what']} {one['detail']}".rstrip() for one in journal["troubles"]]
    if journal["alarms_in_memory_only"]:
        lines.append(f"  {journal['alarms_in_memory_only']} alarms are in memory only: the card would not take them")
    offset = clock["central_offset_ms"]
    apart = "central's time is not known" if offset is None else f"{offset:+d} ms from central"
    lines.append(f"clock: {'trusted' if clock['is_trusted'] else 'NOT trusted'}, {apart}")
    lines += _local_lines(status["local_response"])
    return "\n".join(lines)


def _local_lines(local: Mapping[str, Any]) -> list[str]:
    """What the hub could do by itself, and what it does."""
    lines = ["", "help on the spot"]
    for one in local["measures"]:
        state = {True: "ready", False: "NOT ready", None: "not tried yet"}[one["is_ready"]]
        why = f", {one['reason']}" if one["reason"] and one["is_ready"] is not True else ""
        lines.append(f"  {one['measure']:<16} {state}{why}")
    lines += [f"  ACTING for {one['device']}, {one['cause']}, {_span(one['for_s'])}" for one in local["acting_for"]]
    if local["cut_off_s"] is not None:
        lines.append(f"  cut off from central for {_span(local['cut_off_s'])}")
    return lines


def _modem_words(modem: Mapping[str, Any]) -> str:
    heard = "no signal" if modem["signal_dbm"] is None else f"{modem['signal_dbm']} dBm"
    sent = "nothing sent yet" if modem["sent_s_ago"] is None else f"last text {_span(modem['sent_s_ago'])} ago"
    if modem["is_ready"]:
        return f"{modem['registration']} ({modem['operator'] or 'unnamed network'}), {heard}, {sent}"
    why = f": {modem['last_error']}" if modem["last_error"] else ""
    return f"NOT ready, {modem['hindrance']}{why}; {sent}"


def _mode_lines(mode: Mapping[str, Any]) -> list[str]:
    lines = []
    if mode["is_safe"]:
        left_out = ", ".join(mode["left_out"]) or "nothing"
        lines.append(f"SAFE MODE after {mode['crashes']} starts that did not last; left out: {left_out}")
        lines.append(f"  all of it is tried again in {_span(mode['full_set_in_s'])}, or after a restart of the service")
    if mode.get("is_lacking"):
        lines.append(f"A FILE IS MISSING: {mode['problem']}; what needs it does not work")
    if mode["is_last_good"]:
        lines.append(f"LAST GOOD SETTINGS: the file cannot be used ({mode['problem'] or 'it did not last'})")
    return lines


def _probe_text(probe: Mapping[str, Any]) -> str:
    """The time of day is the one at which the hub stands."""
    answered = (
        "never answered" if probe["answered_ms"] is None else f"last probe answered {clock_text(probe['answered_ms'])}"
    )
    match probe["state"]:
        case "not_yet":
            return "not probed yet"
        case "awaited":
            return f"probe sent {_span(probe['awaited_s'])} ago, {answered}"
        case "unanswered":
            return f"no answer to a probe for {_span(probe['awaited_s'])}, {answered}"
        case "not_sent":
            return f"probe not sent, {answered}"
        case _:
            return answered


def clock_text(wall_ms: int, zone: tzinfo | None = None) -> str:
    """A moment for people at the hub: the time of day, with the date when it was not today."""
    moment = datetime.fromtimestamp(wall_ms / 1000, UTC).astimezone(zone)
    today = datetime.now(UTC).astimezone(zone).date()
    return f"{moment:%H:%M}" if moment.date() == today else f"{moment:%Y-%m-%d %H:%M}"


def _span(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    whole = int(seconds)
    for size, word in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if whole >= 2 * size:
            return f"{whole // size} {word}"
    return f"{whole} s"
