"""The works of central beside one another: a fault ends none of them, and being asked to end ends each."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from central import daemon
from central.daemon import keep_running, open_central
from central.errors import NotStoredError
from central.settings import CentralSettings


async def test_a_work_that_fails_is_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "RESTART_S", 0.0)
    again = asyncio.Event()
    tries: list[int] = []

    async def work() -> None:
        tries.append(len(tries))
        if len(tries) > 2:
            again.set()
            await asyncio.Event().wait()
        raise RuntimeError("a fault of ours")

    running = asyncio.create_task(keep_running("work", work))
    async with asyncio.timeout(5):
        await again.wait()
    running.cancel()
    await asyncio.wait({running})
    assert running.cancelled()


async def test_a_work_that_fails_in_the_moment_of_the_end_is_not_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "RESTART_S", 0.0)
    started = asyncio.Event()
    tries: list[int] = []

    async def part() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise RuntimeError("a connection that was closed under its feet") from None

    async def work() -> None:
        tries.append(len(tries))
        async with asyncio.TaskGroup() as group:
            group.create_task(part())
            await asyncio.sleep(0)
            started.set()

    running = asyncio.create_task(keep_running("work", work))
    async with asyncio.timeout(5):
        await started.wait()
        await asyncio.sleep(0)
        running.cancel()
        await asyncio.wait({running})
    assert running.cancelled()
    assert tries == [0]


async def test_what_cannot_be_written_at_the_end_is_told_and_no_crash(settings: CentralSettings) -> None:
    with capture_logs() as logs:
        async with open_central(settings) as central:
            central.services.security.note("forged_token", hub=None, path="/alarms")
            async with central.services.store.write() as connection:
                await connection.exec_driver_sql("ALTER TABLE security_event RENAME TO gone")
    assert [one["what"] for one in logs if one["event"] == "not_kept_at_the_end"] == ["security"]


async def test_an_attempt_that_could_not_be_written_is_kept_until_it_can(settings: CentralSettings) -> None:
    async with open_central(settings) as central:
        security, store = central.services.security, central.services.store
        security.note("forged_token", hub=None, path="/alarms", detail="the first")
        async with store.write() as connection:
            await connection.exec_driver_sql("ALTER TABLE security_event RENAME TO gone")
        with pytest.raises(NotStoredError):
            await security.flush()
        security.note("forged_token", hub=None, path="/alarms", detail="the second")
        async with store.write() as connection:
            await connection.exec_driver_sql("ALTER TABLE gone RENAME TO security_event")
        await security.flush()
        assert [(one.reason, one.count, one.detail) for one in await security.recent()] == [
            ("forged_token", 2, "the first")
        ]
