from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from cloud_sync.errors import UplinkError
from cloud_sync.identity import Lane
from gateway.paths import Path


class Net:
    """An uplink whose other end does what a test says, and the path over it."""

    name = "main"
    carries_stubs = False

    def __init__(self) -> None:
        self.is_reachable = True
        self.is_answering = True
        self.fault: Exception = UplinkError("unreachable")
        self.attempts: list[float] = []
        self.sent: list[bytes] = []
        self.down: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.open_now = 0
        self.changed = asyncio.Event()
        self.supervision: list[bool] = []
        self.path = Path(
            self,
            boot_s=time.monotonic,
            hello=lambda _: b"hello",
            beat=lambda _: b"beat",
            on_frame=lambda path, _: path.heard(),
            on_change=self.changed.set,
            on_supervision=lambda _, is_back: self.supervision.append(is_back),
            heartbeat_s=lambda: 0.1,
            chance=random.Random(1),
        )

    @asynccontextmanager
    async def open(self, hello: bytes, /) -> AsyncIterator[Net]:
        self.attempts.append(time.monotonic())
        if not self.is_reachable:
            raise self.fault
        self.down = asyncio.Queue()
        self.open_now += 1
        await self.send(hello, lane=None, deadline_s=1)
        try:
            yield self
        finally:
            self.open_now -= 1

    async def send(self, frame: bytes, /, *, lane: Lane | None, deadline_s: float) -> None:
        self.sent.append(frame)
        if self.is_answering:
            self.down.put_nowait(b"answer")

    async def frames(self) -> AsyncIterator[bytes]:
        while (frame := await self.down.get()) is not None:
            yield frame
        raise UplinkError("cut")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Path]:
        task = asyncio.create_task(self.path.run())
        try:
            yield self.path
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert self.open_now == 0

    async def until(self, is_so: object, timeout_s: float = 5.0) -> None:
        async with asyncio.timeout(timeout_s):
            while not is_so():  # type: ignore[operator]
                await asyncio.sleep(0.01)


async def test_signs_of_life_are_given_as_long_as_the_path_is_up() -> None:
    net = Net()
    async with net.running() as path:
        await net.until(lambda: net.sent.count(b"beat") >= 3)
        assert net.sent[0] == b"hello"
        assert path.view().is_up
        assert path.view().is_answering
    assert len(net.attempts) == 1


async def test_a_path_that_breaks_is_opened_again() -> None:
    net = Net()
    async with net.running() as path:
        await net.until(lambda: path.is_up)
        net.down.put_nowait(None)
        await net.until(lambda: path.session_count == 2)
        assert path.last_error == ""


async def test_attempts_at_a_dead_path_get_rarer() -> None:
    net = Net()
    net.is_reachable = False
    async with net.running() as path:
        await net.until(lambda: len(net.attempts) == 2)
        first_gap = net.attempts[1] - net.attempts[0]
        assert 0.4 < first_gap < 2
        assert path.failures >= 1
        assert path.down_since_s is not None
        with pytest.raises(UplinkError):
            await path.send(b"x", lane=None, deadline_s=1)


async def test_while_an_alarm_waits_there_is_no_back_off_and_no_storm_either() -> None:
    net = Net()
    net.is_reachable = False
    async with net.running() as path:
        path.hurry(True)
        await asyncio.sleep(1.05)
        assert 3 <= len(net.attempts) <= 12
        net.is_reachable = True
        await net.until(lambda: path.is_up, timeout_s=2)


async def test_an_alarm_that_comes_while_the_path_backs_off_wakes_it() -> None:
    net = Net()
    net.is_reachable = False
    async with net.running() as path:
        path._back_off._last_s = 20.0
        await net.until(lambda: len(net.attempts) == 1)
        net.is_reachable = True
        path.hurry(True)
        await net.until(lambda: path.is_up, timeout_s=2)


async def test_a_fresh_connection_can_be_asked_for_and_comes_at_once() -> None:
    net = Net()
    async with net.running() as path:
        await net.until(lambda: path.is_up)
        path._back_off._last_s = 20.0
        path.renew()
        await net.until(lambda: path.session_count == 2, timeout_s=2)
        assert path.failures == 0


async def test_a_central_that_falls_silent_is_noticed_after_three_beats_and_so_is_its_return() -> None:
    net = Net()
    async with net.running() as path:
        await net.until(lambda: path.answered_s is not None)
        net.is_answering = False
        silent_s = time.monotonic()
        await net.until(lambda: net.supervision == [False])
        assert time.monotonic() - silent_s > 0.2
        assert path.is_lost
        await net.until(lambda: path.session_count >= 2)
        net.is_answering = True
        await net.until(lambda: net.supervision == [False, True])
        assert not path.is_lost


async def test_a_path_that_never_answered_is_told_as_lost_too() -> None:
    net = Net()
    net.is_reachable = False
    async with net.running():
        await net.until(lambda: net.supervision == [False])


async def test_a_fault_inside_an_uplinks_library_is_a_broken_path_and_nothing_more() -> None:
    net = Net()
    net.is_reachable = False
    net.fault = KeyError("a bug of somebody else's")
    async with net.running() as path:
        await net.until(lambda: path.failures >= 1)
        net.is_reachable = True
        path.hurry(True)
        await net.until(lambda: path.is_up)


async def test_a_greeting_that_nobody_heard_is_repeated_long_before_the_next_sign_of_life_is_due(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.paths.BEAT_AGAIN_S", 0.05)
    net = Net()
    net.is_answering = False
    net.path._heartbeat_s = lambda: 3600.0
    async with net.running() as path:
        await net.until(lambda: net.sent.count(b"beat") >= 2)
        assert path.view().greeted_s is None
        net.is_answering = True
        net.changed.clear()
        await net.until(lambda: path.view().greeted_s is not None)
        assert net.changed.is_set()
        told = net.sent.count(b"beat")
        await asyncio.sleep(0.5)
        assert net.sent.count(b"beat") == told
    assert len(net.attempts) == 1


async def test_while_an_alarm_waits_signs_of_life_never_get_rare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.paths.BEAT_AGAIN_S", 0.5)
    monkeypatch.setattr("gateway.paths.HURRIED_BEAT_S", 0.1)
    net = Net()
    net.is_answering = False
    net.path._heartbeat_s = lambda: 3600.0
    async with net.running() as path:
        path.hurry(True)
        begun_s = time.monotonic()
        await net.until(lambda: net.sent.count(b"beat") >= 6)
        assert time.monotonic() - begun_s >= 0.4  # and not as fast as they go
        path.hurry(False)
        told = net.sent.count(b"beat")
        await asyncio.sleep(0.5)
        assert net.sent.count(b"beat") <= told + 1


async def test_a_path_in_reserve_is_not_called_lost_because_it_comes_into_use_long_after_its_last_sign_of_life() -> (
    None
):
    net = Net()
    wait_s = 3600.0
    net.path._heartbeat_s = lambda: wait_s
    async with net.running() as path:
        await net.until(lambda: path.answered_s is not None)
        assert path.answered_s is not None
        path.answered_s -= 3000.0  # answered within the hour, as a reserve is to
        net.is_answering = False
        wait_s = 0.1  # the first path went down: this one is used now
        await asyncio.sleep(0.1)
        assert not path.is_lost
        assert path.view().is_answering
        net.is_answering = True


async def test_a_lost_path_in_reserve_is_found_again_long_before_its_next_sign_of_life(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.paths.WATCHED_BEAT_S", 0.1)
    monkeypatch.setattr("gateway.paths.BEAT_AGAIN_S", 0.05)
    net = Net()
    wait_s = 0.05
    net.path._heartbeat_s = lambda: wait_s
    async with net.running() as path:
        await net.until(lambda: path.answered_s is not None)
        net.is_answering = False
        await net.until(lambda: net.supervision == [False])
        wait_s = 3600.0  # in reserve again, while central is still away
        told = net.sent.count(b"beat")
        net.is_answering = True
        await net.until(lambda: net.supervision == [False, True], timeout_s=2)
        assert net.sent.count(b"beat") > told or path.session_count > 1


async def test_a_silent_path_asks_at_once_when_central_is_heard_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.paths.BEAT_AGAIN_S", 60.0)
    net = Net()
    net.path._heartbeat_s = lambda: 3600.0
    net.is_answering = False
    async with net.running() as path:
        await net.until(lambda: path.is_up)
        net.is_answering = True
        path.ask()
        await net.until(lambda: path.answered_s is not None, timeout_s=2)
        told = net.sent.count(b"beat")
        path.ask()  # not silent: nothing to ask
        await asyncio.sleep(0.05)
        assert net.sent.count(b"beat") == told == 1


async def test_a_path_that_opens_and_breaks_at_once_is_tried_ever_more_rarely_though_central_answers() -> None:
    net = Net()
    async with net.running() as path:
        for count in (1, 2, 3):
            await net.until(lambda count=count: path.session_count == count and path.heard_s is not None)
            net.down.put_nowait(None)
            await net.until(lambda: not path.is_up)
        assert path._back_off.last_s > 0.5
        first, *_, last = [later - one for one, later in zip(net.attempts, net.attempts[1:], strict=False)]
        assert first >= 0.5
        assert last >= 0.5


async def test_after_a_long_outage_a_waiting_alarm_finds_the_path_within_a_quarter_of_a_second_of_its_return() -> None:
    net = Net()
    net.is_reachable = False
    async with net.running() as path:
        path.hurry(True)
        await net.until(lambda: path._back_off._lost_s is not None)
        path._back_off._lost_s = time.monotonic() - 86_400.0
        await asyncio.sleep(0.5)
        net.is_reachable = True
        back_s = time.monotonic()
        await net.until(lambda: path.is_up, timeout_s=2)
        assert path.opened_s - back_s < 0.25


@pytest.mark.parametrize("where", ["frames", "send"])
async def test_a_library_that_fails_in_the_moment_of_the_end_does_not_keep_the_path_alive(where: str) -> None:
    class Stubborn(Net):
        """Makes a failure of a cancellation, as libraries do that end their connection then."""

        async def frames(self) -> AsyncIterator[bytes]:
            try:
                async for frame in super().frames():
                    yield frame
            except asyncio.CancelledError:
                if where == "frames":
                    raise UplinkError("closed under its feet") from None
                raise

        async def send(self, frame: bytes, /, *, lane: Lane | None, deadline_s: float) -> None:
            await super().send(frame, lane=lane, deadline_s=deadline_s)
            if frame == b"beat" and where == "send":
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    raise UplinkError("closed under its feet") from None

    net = Stubborn()
    task = asyncio.create_task(net.path.run())
    try:
        await net.until(lambda: b"beat" in net.sent)
        for _ in range(2):  # what breaks by itself leaves nothing behind that looks like being asked to end
            net.sent.clear()
            before = len(net.attempts)
            net.path.renew()
            await net.until(lambda before=before: len(net.attempts) > before and b"beat" in net.sent)
            assert not task.cancelling()
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=5)
        assert done, "the path runs on after it was asked to end"
        assert task.cancelled()
    finally:
        net.is_reachable = False
        net.fault = asyncio.CancelledError()  # type: ignore[assignment]  # ends a broken one as well
        task.cancel()
        await asyncio.wait({task}, timeout=5)


async def test_a_fault_of_an_uplinks_library_is_a_failure_of_its_path_to_whoever_sends() -> None:
    net = Net()
    async with net.running() as path:
        await net.until(lambda: path.is_up)

        async def faulty(_frame: bytes, /, *, lane: Lane | None, deadline_s: float) -> None:
            raise LookupError(f"a fault of its own: {lane} {deadline_s}")

        net.send = faulty  # type: ignore[method-assign]
        with pytest.raises(UplinkError, match="LookupError"):
            await path.send(b"report", lane=None, deadline_s=1)
