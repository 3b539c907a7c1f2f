"""What a running hub gives its health check: where each fact is read, and the two probes that go to central."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from cloud_sync.errors import UplinkError
from cloud_sync.health import EXPECTED_CONFIG, EXPECTED_SOFTWARE, HealthResult
from cloud_sync.identity import Lane
from cloud_sync.trust import Purpose, TrustBundle
from cloud_sync.vocabulary import Scalar
from gateway import asked
from gateway.clock import HubClock
from gateway.drivers_host import HostedDriver
from gateway.health import limits
from gateway.health.examination import Examiner
from gateway.health.facts import (
    ClockFacts,
    DeviceFacts,
    DriverFacts,
    Expectation,
    HealthSources,
    JournalFacts,
    KeyFacts,
    MeasureFacts,
    ProbedFacts,
    SettingsFacts,
    TestFacts,
    UplinkFacts,
    WaitingFacts,
)
from gateway.identity_store import Identity
from gateway.journal import FileState, ProbeResult
from gateway.paths import Path
from gateway.status import clock_text
from gateway.stub_path import StubPath

if TYPE_CHECKING:
    from gateway.daemon import Hub

_HEARD_KEYS = ("last_poll_boot_s", "last_advert_boot_s")
"""What drivers call the moment at which their line last said anything."""
_LEVELS = ("unknown", "active", "at_rest")
"""Of an input with several loops the first of these that one of them is."""


def examiner_of(hub: Hub) -> Examiner:
    """The health check of a running hub."""
    sources = HealthSources(
        journal=partial(_probe_journal, hub),
        drivers=partial(_drivers, hub),
        devices=partial(_devices, hub),
        uplinks={path.name: partial(_round_trip, hub, path) for path in hub.paths},
        clock=partial(clock_facts, hub.clock),
        waiting=partial(_waiting, hub),
        keys=partial(key_facts, hub.identity),
        measures=partial(_measures, hub),
        modem=None if hub.modem is None else partial(getattr, hub.modem, "state"),
        settings=partial(_settings, hub),
        test_event=partial(_test_event, hub),
    )
    return Examiner(sources, boot_s=hub.clock.boot_s, wall_ms=hub.clock.wall_ms)


async def check(examiner: Examiner, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The command: the result as it travels. Arguments may name the software and settings that are expected."""

    def text(name: str) -> str:
        value = arguments.get(name)
        return value[:64] if isinstance(value, str) else ""

    expected = Expectation(software=text(EXPECTED_SOFTWARE), config_hash=text(EXPECTED_CONFIG))
    result: HealthResult = await examiner.examine(expected)
    return result.to_plain()


def journal_facts(probed: ProbeResult, reserve_bytes: int, failing: str | None = None) -> JournalFacts:
    """What the journal found out, for the judge. `failing`: what is wrong with one of its files, if anything."""
    return JournalFacts(
        write_ms=probed.write_ms,
        read_ms=probed.read_ms,
        free_bytes=probed.free_bytes,
        total_bytes=probed.total_bytes,
        reserve_bytes=probed.reserve_bytes,
        reserve_wanted_bytes=reserve_bytes,
        error=probed.error or failing,
    )


def clock_facts(clock: HubClock) -> ClockFacts:
    """The clock as it is."""
    return ClockFacts(is_trusted=clock.is_trusted, offset_ms=clock.central_offset_ms, wall_ms=clock.wall_ms())


def key_facts(identity: Identity) -> list[KeyFacts]:
    """The hub's own key and the newest of each that central is known by."""
    found = [KeyFacts(name="identity", created_ms=identity.enrolled_ms, damage=identity.damage)]
    return found + list(_trusted(identity.trust))


def system_facts() -> dict[str, str]:
    """What lies below the program."""
    return {"python": platform.python_version(), "kernel": platform.release()}


def _trusted(trust: TrustBundle) -> Iterator[KeyFacts]:
    for purpose, name in ((Purpose.SIGN, "sign"), (Purpose.SEAL, "seal"), (Purpose.TLS_CA, "tls_ca")):
        newest = next((key for key in trust.keys if key.purpose is purpose), None)
        if newest is not None:
            ends_ms = _ends_ms(newest.key) if purpose is Purpose.TLS_CA else None
            yield KeyFacts(name=name, created_ms=newest.created_ms, ends_ms=ends_ms)


def _ends_ms(certificate: bytes) -> int | None:
    from cryptography import x509

    try:
        return round(x509.load_der_x509_certificate(certificate).not_valid_after_utc.timestamp() * 1000)
    except ValueError:
        return None


async def _probe_journal(hub: Hub) -> JournalFacts:
    probed, files = await hub.journal.probe(), await hub.journal.files()
    failing = next((f"{one.name}: {one.last_error or 'not open'}" for one in files if _is_failing(one)), None)
    return journal_facts(probed, hub.journal.settings.reserve_bytes, failing)


def _is_failing(file: FileState) -> bool:
    return file.last_error is not None or not file.is_open


def _drivers(hub: Hub) -> list[DriverFacts]:
    now_s = hub.clock.boot_s()
    return [
        DriverFacts(
            name=hosted.driver.name,
            type_name=hosted.type_name,
            state=hosted.state.value,
            is_link_up=hosted.link(now_s),
            link_reason=hosted.link_reason,
            last_error=hosted.last_error,
            retry_s=None if hosted.retry_boot_s is None else max(0.0, hosted.retry_boot_s - now_s),
            heard_s_ago=_heard_s_ago(hosted.diagnostics, now_s),
            diagnostics=dict(hosted.diagnostics),
        )
        for hosted in hub.drivers.hosted
    ]


def _heard_s_ago(diagnostics: Mapping[str, Scalar], now_s: float) -> float | None:
    moments = [float(moment) for key in _HEARD_KEYS if isinstance(moment := diagnostics.get(key), int | float)]
    return max(0.0, now_s - max(moments)) if moments else None


def _devices(hub: Hub) -> list[DeviceFacts]:
    """Everything that the settings describe or a driver was told of, but for the drivers' own lines."""
    now_s = hub.clock.boot_s()
    hosted = {one.driver.name: one for one in hub.drivers.hosted}
    described = {device.alias for device in hub.settings.devices}
    found = []
    for alias, device in hub.watch.triage.devices().items():
        driver = hosted.get(device.driver or "")
        if driver is not None and alias == driver.driver.name and alias not in described:
            continue
        since_s = hub.started_s if driver is None else max(hub.started_s, driver.since_boot_s)
        heard_s = device.last_heard_boot_s
        found.append(
            DeviceFacts(
                alias=alias,
                driver=None if driver is None else driver.driver.name,
                heard_s_ago=None if heard_s is None else max(0.0, now_s - heard_s),
                watched_s=max(0.0, now_s - since_s),
                missing_after_s=device.missing_after_s,
                is_told_missing=device.state == "missing",
                rssi_dbm=device.rssi_dbm,
                battery_pct=device.battery_pct,
                battery_low_pct=device.battery_low_pct,
                is_battery_low=True if device.has_battery_warning else None,
                level=None if driver is None else _level(alias, driver),
            )
        )
    return found


def _level(alias: str, driver: HostedDriver) -> str | None:
    levels = {
        value
        for key, value in driver.diagnostics.items()
        if key.startswith(f"{alias}.") and key.endswith(".state") and isinstance(value, str)
    }
    return next((level for level in _LEVELS if level in levels), None)


async def _round_trip(hub: Hub, path: Path) -> UplinkFacts | ProbedFacts:
    """An envelope without records over this path: central commits, and its receipt says how long that took."""
    if isinstance(path, StubPath):
        return _probed(hub, path)
    round_trip_s: float | None = None
    error = path.last_error
    if path.is_up:
        number, frame = hub.epoch.envelope(hub.epoch.id, Lane.ALARM, ())
        answer = asyncio.ensure_future(hub.inbox.answer_to(number))
        try:
            async with asyncio.timeout(limits.RECEIPT_DEADLINE_S):
                hub.inbox.sent(number)
                await path.send(frame, lane=Lane.ALARM, deadline_s=limits.RECEIPT_DEADLINE_S)
                round_trip_s = await answer
        except (UplinkError, TimeoutError) as failure:
            error = str(failure) or error
        finally:
            answer.cancel()
    answered_s = path.answered_s
    return UplinkFacts(
        name=path.name,
        is_up=path.is_up,
        round_trip_ms=None if round_trip_s is None else round_trip_s * 1000,
        answered_s_ago=None if answered_s is None else max(0.0, hub.clock.boot_s() - answered_s),
        last_error=error,
    )


def _probed(hub: Hub, path: StubPath) -> ProbedFacts:
    probe = path.probe_view()
    return ProbedFacts(
        name=path.name,
        is_up=path.is_up,
        is_lost=path.is_lost,
        answered_at=None if probe.answered_ms is None else clock_text(probe.answered_ms, hub.settings.zone),
        answered_s_ago=probe.answered_s_ago,
        awaited_s=probe.awaited_s,
        is_overdue=probe.is_overdue,
        is_stale=probe.is_stale,
        last_error=probe.error or path.last_error,
    )


def _waiting(hub: Hub) -> WaitingFacts:
    since_s = hub.urgent.waiting_since_s
    return WaitingFacts(
        records=sum(hub.urgent.counts().values()),
        oldest_s=None if since_s is None else max(0.0, hub.clock.boot_s() - since_s),
        in_memory_only=hub.pipeline.keeping.unstored,
    )


def _settings(hub: Hub) -> SettingsFacts:
    return SettingsFacts(
        software=hub.epoch.software,
        config_hash=hub.epoch.config_hash,
        system=system_facts(),
        running_s=hub.clock.boot_s() - hub.started_s,
        mode=hub.mode,
    )


async def _test_event(hub: Hub) -> TestFacts:
    found = await asked.raise_test(hub, {}, wait_s=limits.TEST_DEADLINE_S)
    return TestFacts(
        durable_ms=_number(found.get("durable_ms")),
        receipt_ms=_number(found.get("receipt_ms")),
        answered_ms=_number(found.get("answer_ms")),
    )


def _measures(hub: Hub) -> list[MeasureFacts]:
    described = hub.local_response.describe()["measures"]
    return [
        MeasureFacts(name=one["measure"], is_ready=one["is_ready"], reason=one["reason"] or "")
        for one in described
        if not (one["measure"] == "lamp_and_buzzer" and hub.settings.indicators is None)  # nobody said there is one
    ]


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


__all__: Sequence[str] = ("check", "clock_facts", "examiner_of", "journal_facts", "key_facts", "system_facts")
