"""The examination: every probe at once, each with a deadline of its own, all of them well under ten seconds.

A probe that hangs or fails spoils its own line only. What it would have told is unknown, with the reason; never good.
Nothing here is ahead of an alarm: probes wait on their own, and the event loop only collects what they bring.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import structlog

from cloud_sync.health import HealthLine, HealthResult, Outcome
from gateway.health import central_lines, device_lines, hub_lines, limits
from gateway.health.board import judge_board, read_board
from gateway.health.facts import Expectation, HealthSources, JournalFacts, ProbedFacts, TestFacts, UplinkFacts
from gateway.health.lines import slug, unknown

JOURNAL_DEADLINE_S = 5.0
UPLINK_DEADLINE_S = limits.RECEIPT_DEADLINE_S
TEST_DEADLINE_S = limits.TEST_DEADLINE_S
QUICK_DEADLINE_S = 2.0
NO_EXPECTATION = Expectation()

_log = structlog.get_logger()

T = TypeVar("T")
Lines = Iterable[HealthLine]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """How long each probe is waited for, in seconds. The longest is what a check takes at most."""

    journal_s: float = JOURNAL_DEADLINE_S
    uplink_s: float = UPLINK_DEADLINE_S
    test_s: float = TEST_DEADLINE_S
    quick_s: float = QUICK_DEADLINE_S


class Examiner:
    """Runs the check. Who asks while one runs gets that one's result: nothing is probed twice at a time."""

    def __init__(
        self,
        sources: HealthSources,
        *,
        boot_s: Callable[[], float],
        wall_ms: Callable[[], int],
        deadlines: Deadlines | None = None,
    ) -> None:
        self._sources = sources
        self._boot_s = boot_s
        self._wall_ms = wall_ms
        self._deadlines = deadlines or Deadlines()
        self._running: asyncio.Task[HealthResult] | None = None
        self._hanging: dict[str, asyncio.Task[Any]] = {}

    async def examine(self, expected: Expectation = NO_EXPECTATION) -> HealthResult:
        """One whole check. Raises nothing of its own."""
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._examine(expected), name="health-check")
        return await asyncio.shield(self._running)

    async def close(self) -> None:
        """Give up what still runs."""
        tasks = [task for task in (self._running, *self._hanging.values()) if task is not None and not task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _examine(self, expected: Expectation) -> HealthResult:
        started_s, started_ms = self._boot_s(), max(0, self._wall_ms())
        waiting = self._waiting()  # before there is a test alarm that waits
        uplinks = self._sources.uplinks
        parts: list[Coroutine[Any, Any, Lines]] = [self._journal(), self._test(), self._board()]
        if uplinks is None:
            parts.append(_only(unknown("uplink", "uplink_any", found_key="program_stopped", **_START)))
        else:
            parts += [self._uplink(name, probe) for name, probe in uplinks.items()]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(part) for part in parts]
        journal, test, board, *paths = (list(task.result()) for task in tasks)
        lines = [*test, *journal, *(line for path in paths for line in path), *waiting]
        lines += [
            *self._equipment(),
            *self._modem(),
            *self._measures(),
            *self._clock_and_keys(),
            *board,
            *self._versions(expected),
        ]
        took_ms = round((self._boot_s() - started_s) * 1000)
        result = HealthResult(started_ms=started_ms, took_ms=max(0, took_ms), lines=_unique(lines))
        bad = [line.id for line in result.lines if line.result is not Outcome.OK]
        _log.info("health_checked", took_ms=took_ms, lines=len(result.lines), deviations=bad[:20])
        return result

    # what is waited for

    async def _journal(self) -> Lines:
        if self._sources.journal is None:
            return [unknown("journal.write", "journal_write", found_key="program_stopped", unit="ms", **_START)]
        try:
            facts = await self._within("journal", self._sources.journal, self._deadlines.journal_s)
        except _NoAnswerError as error:
            # So long is far beyond the limit: this is a fault, not something that is not known.
            facts = JournalFacts(
                write_ms=None, read_ms=None, free_bytes=0, total_bytes=0, reserve_bytes=0, error=error.reason
            )
        return hub_lines.judge_journal(facts)

    async def _uplink(self, name: str, probe: Callable[[], Awaitable[UplinkFacts | ProbedFacts]]) -> Lines:
        try:
            # The probe has the deadline itself and says what it found; a little more, so that it can say so.
            return [
                central_lines.judge_uplink(await self._within(f"uplink.{name}", probe, self._deadlines.uplink_s + 0.5))
            ]
        except _NoAnswerError as error:
            params = {"uplink": name, "error": error.reason}
            line_id = f"uplink.{slug(name)}"
            return [unknown(line_id, "uplink", found_key="probe_failed", unit="ms", params=dict(params))]

    async def _test(self) -> Lines:
        if self._sources.test_event is None:
            return [unknown("test", "test", found_key="program_stopped", unit="ms", **_START)]
        try:
            facts = await self._within("test", self._sources.test_event, self._deadlines.test_s + 0.5)
        except _NoAnswerError as error:
            if error.is_late:
                return [central_lines.judge_test(TestFacts())]
            return [unknown("test", "test", found_key="probe_failed", unit="ms", params={"error": error.reason})]
        return [central_lines.judge_test(facts)]

    async def _board(self) -> Lines:
        root = self._sources.board
        try:
            facts = await self._within("board", lambda: asyncio.to_thread(read_board, root), self._deadlines.quick_s)
        except _NoAnswerError as error:
            found = {"found_key": "probe_failed", "next_key": "ask_again"}
            return [unknown("board.power", "board_power", **found, params={"error": error.reason})]
        return judge_board(facts)

    # what is told at once

    def _waiting(self) -> Lines:
        waiting = self._sources.waiting
        if waiting is None:
            return []
        return self._told("waiting.alarms", "waiting_alarms", lambda: [central_lines.judge_waiting(waiting())])

    def _equipment(self) -> Lines:
        drivers, devices = self._sources.drivers, self._sources.devices
        if drivers is None or devices is None:
            return [
                unknown("driver", "driver_any", found_key="program_stopped", **_START),
                unknown("device", "device_any", found_key="program_stopped", **_START),
            ]

        def look() -> Lines:
            hosted = drivers()
            return [*(device_lines.judge_driver(one) for one in hosted), *device_lines.judge_devices(devices(), hosted)]

        return self._told("driver", "driver_any", look)

    def _modem(self) -> Lines:
        modem = self._sources.modem
        if modem is None:
            return []
        from gateway.health.modem_lines import judge_modem  # a hub without a modem has no use for it

        return self._told("modem", "modem_sim", lambda: judge_modem(modem()))

    def _measures(self) -> Lines:
        measures = self._sources.measures
        if measures is None:
            return []
        return self._told("local", "measure_any", lambda: [device_lines.judge_measure(one) for one in measures()])

    def _clock_and_keys(self) -> Lines:
        clock, keys = self._sources.clock, self._sources.keys

        def look() -> Lines:
            facts = None if clock is None else clock()
            if facts is None:
                yield unknown("clock", "clock", found_key="program_stopped", unit="s", **_START)
            else:
                yield hub_lines.judge_clock(facts)
            for key in () if keys is None else keys():
                yield hub_lines.judge_key(key, facts)

        return self._told("clock", "clock", look)

    def _versions(self, expected: Expectation) -> Lines:
        settings = self._sources.settings
        if settings is None:
            return [unknown("program", "program", found_key="program_stopped", **_START)]
        return self._told("program", "program", lambda: hub_lines.judge_settings(settings(), expected))

    @staticmethod
    def _told(line_id: str, text_key: str, look: Callable[[], Lines]) -> Lines:
        try:
            return list(look())
        except Exception as error:  # noqa: BLE001  # one source at fault must not cost the other lines
            _log.warning("health_source_failed", source=line_id, error=error)
            return [unknown(line_id, text_key, found_key="probe_failed", params={"error": _name(error)})]

    async def _within(self, name: str, probe: Callable[[], Awaitable[T]], limit_s: float) -> T:
        """What a probe brings. Raises _NoAnswerError.

        A probe that does not end in time is not cancelled (a thread at a dead card cannot be), but it is remembered:
        until it ends no other of its name is started, so that checks never pile up.
        """
        before = self._hanging.get(name)
        if before is not None and not before.done():
            raise _NoAnswerError("still waiting for the last one", is_late=True)
        task = asyncio.ensure_future(_call(probe))
        done, _ = await self._wait(task, limit_s)
        if not done:
            self._hanging[name] = task
            task.add_done_callback(_look_away)
            _log.warning("health_probe_late", probe=name, limit_s=limit_s)
            raise _NoAnswerError(f"no answer within {limit_s:g} s", is_late=True)
        error = None if task.cancelled() else task.exception()
        if task.cancelled() or error is not None:
            _log.warning("health_probe_failed", probe=name, error=error)
            raise _NoAnswerError(_name(error))
        return task.result()

    @staticmethod
    async def _wait(task: asyncio.Task[T], limit_s: float) -> tuple[set[asyncio.Task[T]], set[asyncio.Task[T]]]:
        try:
            return await asyncio.wait({task}, timeout=limit_s)
        except asyncio.CancelledError:
            task.cancel()
            raise


_START: dict[str, Any] = {"next_key": "start_program"}


class _NoAnswerError(Exception):
    """A probe brought nothing. `is_late`: it did not end in time, as opposed to failing."""

    def __init__(self, reason: str, *, is_late: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason[:160]
        self.is_late = is_late


async def _call(probe: Callable[[], Awaitable[T]]) -> T:
    return await probe()


async def _only(line: HealthLine) -> Lines:
    return [line]


def _look_away(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()


def _name(error: BaseException | None) -> str:
    return "cancelled" if error is None else type(error).__name__


def _unique(lines: Sequence[HealthLine]) -> tuple[HealthLine, ...]:
    """Names that differ only in signs that an id cannot hold would share one: the later gets a number."""
    taken: set[str] = set()
    found = []
    for line in lines:
        line_id, number = line.id, 2
        while line_id in taken:
            line_id, number = f"{line.id}-{number}", number + 1
        taken.add(line_id)
        found.append(line if line_id == line.id else replace(line, id=line_id))
    return tuple(found)
