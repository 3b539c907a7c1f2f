"""Hub, central, a ward and (if wanted) a broker as real processes, with load, a ledger and a judgement at the end."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NoReturn

from central.admin import ask
from central.errors import CentralError
from cloud_sync.identity import Lane
from gateway.errors import HubError
from gateway.journal.inspection import dump
from gateway.safe_mode import CRASHES
from simulators import plans
from simulators.boot_clock import boot_s
from simulators.broker import Broker
from simulators.demo.program import Program
from simulators.demo.stage import Ports, Stage, free_port
from simulators.faults import growth
from simulators.faults.growth import Size
from simulators.faults.ledger import Ledger, Press
from simulators.faults.load import BUTTON, CARE_BUTTON, LOAD_SETTINGS, PRESS_WAIT_S, Load
from simulators.faults.registry import Run
from simulators.faults.verdict import Verdict

OF_THE_UNIT = {"MALLOC_ARENA_MAX": "1"}
"""What the hub's service sets: otherwise its memory would be judged as it never is."""
HUB_BROKER = '\n[uplinks.broker]\ntype = "mqtt"\nhost = "127.0.0.1"\nport = {port}\ntls = false\n'
CENTRAL_BROKER = '\n[mqtt]\nhost = "127.0.0.1"\nport = {port}\ntls = false\n'
IDLE_CONNECTION_S = 90.0
"""What a burst opened between hub and central is closed by central after 75 s without use."""
DEADLINE_S = 15.0
"""So long after there is a way an alarm must be at central: a reconnection and a resend on a fresh one."""
LOOK_S = 0.05


class Trial:
    """What a scenario works with. Enter with `Trial.open`.

    Everything that takes the last way to central away is told by `no_way` and `way`, so that the time between does
    not count as the hub's silence; the methods here do so by themselves.
    """

    def __init__(self, run: Run, stage: Stage, broker: Broker | None) -> None:
        self.run = run
        self.stage = stage
        self._broker = broker
        self.ledger = Ledger(int(boot_s() * 1000))
        self.complaints: list[str] = []
        self.notes: dict[str, str | int | float] = {}
        self.is_damage_expected = False
        """Whether a file of the journal may have been set aside."""
        self.deadline_s = DEADLINE_S
        self.health_may_name = {"driver.load", *(f"device.{name}.heard" for name in ("sensor-1", BUTTON, CARE_BUTTON))}
        """Lines of the health check that are rightly not in order when all is over: of the load, nothing is known."""
        self.hub_kills = 0
        self._outages: list[tuple[float, float]] = []
        self._out_since: float | None = None
        self._first: dict[str, Size] = {}
        self._looking = growth.Looking()
        self._load = Load(stage, self.ledger, run.seed)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        run: Run,
        *,
        plan: plans.Plan = plans.WARD,
        has_broker: bool = False,
        broker_keeps: bool = False,
        only_broker: bool = False,
        more_settings: str = "",
        more_of_central: str = "",
        hub_before: Sequence[str] = (),
        hub_environment: Mapping[str, str] | None = None,
        hub_module: Sequence[str] = ("-m", "vaktpost"),
    ) -> AsyncIterator[Trial]:
        """Everything up and connected.

        `hub_before`: words before the hub's command line (a wrapper that execs, such as `ip netns exec NAME`);
        `hub_environment` is added to it, `hub_module` stands for `-m vaktpost`. `broker_keeps`: it persists;
        `only_broker`: there is no other path.
        """
        run.folder.mkdir(parents=True, exist_ok=True)
        async with AsyncExitStack() as stack:
            broker = None
            settings, of_central = LOAD_SETTINGS + more_settings, more_of_central
            if has_broker:
                broker = await stack.enter_async_context(Broker(run.folder / "broker", is_persistent=broker_keeps))
                settings += HUB_BROKER.format(port=broker.port)
                of_central += CENTRAL_BROKER.format(port=broker.port)
            environment = {**OF_THE_UNIT, **(hub_environment or {})}
            words = ["env", *(f"{key}={value}" for key, value in environment.items())]
            stage = await stack.enter_async_context(
                Stage.open(
                    run.folder,
                    plan,
                    Ports(page=0, console=free_port(), hubs=free_port()),
                    language="en",
                    more_settings=settings,
                    more_of_central=of_central,
                    hub_python=[*hub_before, *words, sys.executable, *hub_module],
                )
            )
            trial = cls(run, stage, broker)
            try:
                if only_broker:
                    await trial.only_broker()
                await trial.measure()
                stack.push_async_callback(_ended, asyncio.create_task(trial._look_on(), name="looking"))
                yield trial
            except BaseException as error:
                error.add_note(trial.last_words())
                raise

    @property
    def broker(self) -> Broker:
        """The broker, of a trial that was opened with one."""
        if self._broker is None:
            raise LookupError("this trial was opened without a broker: Trial.open(run, has_broker=True)")
        return self._broker

    async def only_broker(self) -> None:
        """Take the other path out of the hub's settings, and start it with them."""
        settings = self.stage.hub_config
        await self.stage.hub.stop()
        settings.write_text(re.sub(r"\[uplinks\.main\]\n(?:[^\[\n].*\n)+", "", settings.read_text()))
        await self.stage.hub.start()
        await self.stage.hub_is_up()

    def last_words(self) -> str:
        """The ends of all logs."""
        programs = (self.stage.hub, self.stage.central, self.stage.home)
        return "\n".join(f"--- {program.name}\n{program.last_words(30)}" for program in programs)

    def complain(self, what: str) -> None:
        """Something is not as it must be."""
        self.complaints.append(what)

    # load

    @asynccontextmanager
    async def load(
        self, *, presses: bool = True, calls: bool = True, readings_per_s: float = 300.0, often: float = 1.0
    ) -> AsyncIterator[None]:
        """Press, call and measure for as long as this lasts. `often` above 1: more presses."""
        works = self._load.works(presses=presses, calls=calls, readings_per_s=readings_per_s, often=often)
        tasks = [asyncio.create_task(work) for work in works]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            for end in await asyncio.gather(*tasks, return_exceptions=True):
                if not isinstance(end, asyncio.CancelledError):
                    self.complain(f"the load stopped: {end!r}")

    async def press(self, device: str = BUTTON, *, wait_s: float = PRESS_WAIT_S) -> Press | None:
        """See `Load.press`."""
        return await self._load.press(device, wait_s=wait_s)

    async def measure_some(self, readings: int, per_s: float = 0.0) -> None:
        """See `Load.measure_some`."""
        await self._load.measure_some(readings, per_s)

    async def confirmed(self, more: int, *, within_s: float = 40.0) -> None:
        """Wait until so many more presses were confirmed: it goes on."""
        wanted = len(self.ledger.presses) + more

        async def enough() -> bool:
            return len(self.ledger.presses) >= wanted

        await self.until(enough, "presses are no longer confirmed", within_s=within_s)

    # what breaks

    def no_way(self) -> None:
        """From now on nothing can reach central."""
        if self._out_since is None:
            self._out_since = boot_s()

    def way(self) -> None:
        """There is a way again."""
        if self._out_since is not None:
            self._outages.append((self._out_since, boot_s()))
            self._out_since = None

    async def kill_hub(self) -> None:
        """SIGKILL; what the card has then is written down."""
        self.no_way()
        self.hub_kills += 1
        await self.stage.hub.kill()
        self.note_card()

    async def start_hub(self, *, is_awaited: bool = True) -> None:
        """Start it, and wait until it has a way to central. From the start on its silence counts."""
        await self.stage.hub.start()
        if self.stage.central.is_running:
            self.way()
        if is_awaited:
            await self.stage.hub_is_up()
            await self.measure()

    async def kill_central(self) -> None:
        """SIGKILL."""
        self.no_way()
        await self.stage.central.kill()

    async def start_central(self) -> None:
        """Start it, and wait until its doors are open."""
        await self.stage.central.start()
        await self.stage.central_is_up()
        await self.measure()
        if self.stage.hub.is_running:
            self.way()

    def note_card(self) -> None:
        """Everything that is durable on the card now has to reach central (or has already)."""
        for row in dump(self.journal):
            self.ledger.on_card.add((row.epoch, int(row.lane), row.seq))

    # looking

    @property
    def home(self) -> Path:
        """The hub's folder."""
        return self.stage.folder / "home"

    @property
    def journal(self) -> Path:
        """The folder of the card's files."""
        return self.home / "state" / "journal"

    async def status(self) -> dict[str, Any] | None:
        """What the hub says of itself; None when it does not answer."""
        try:
            return await self.stage.hub_status()
        except HubError:
            return None

    async def check(self, within_s: float = 12.0) -> dict[str, Any]:
        """A health check of the hub by central. Raises CentralError."""
        label = "Solbakken 214" if self.stage.plan.ble else "Solbakken, 2. etasje"
        socket = self.stage.central_config.parent / "admin.sock"
        told: dict[str, Any] = await asyncio.to_thread(
            ask, socket, {"do": "check", "hub": label, "timeout_s": within_s}
        )
        return told

    async def deviations(self) -> dict[str, str]:
        """What the health check finds not in order; {"check": why} when there is none."""
        try:
            told = await self.check()
        except CentralError as error:
            return {"check": str(error)}
        if told["state"] != "answered":
            return {"check": str(told["state"])}
        return {line["id"]: line["result"] for line in told["result"]["lines"] if line["result"] != "ok"}

    async def until(
        self, is_so: Callable[[], Awaitable[bool]], complaint: str, *, within_s: float = 20.0, every_s: float = LOOK_S
    ) -> None:
        """Wait until it is so. Raises AssertionError."""
        try:
            async with asyncio.timeout(within_s):
                while not await is_so():
                    await asyncio.sleep(every_s)
        except TimeoutError:
            raise AssertionError(f"{complaint} within {within_s:g} s") from None

    async def says(self, is_so: Callable[[dict[str, Any]], bool], complaint: str, *, within_s: float = 20.0) -> bool:
        """Whether `status` comes to say so; if it does not, that is complained of: state must be told truthfully."""

        async def look() -> bool:
            status = await self.status()
            return status is not None and is_so(status)

        try:
            await self.until(look, complaint, within_s=within_s, every_s=0.2)
        except AssertionError as error:
            self.complain(f"status: {error}")
            return False
        return True

    async def measure(self) -> None:
        """How large hub and central are; the first time of each process is what the last is held against."""
        for name, program in (("hub", self.stage.hub), ("central", self.stage.central)):
            size = await self._size(name, program)
            if size is not None:
                self._first.setdefault(name, size)

    async def _look_on(self) -> NoReturn:
        while True:
            for program in (self.stage.hub, self.stage.central):
                self._looking.look(program.pid)
            await asyncio.sleep(growth.LOOK_S)

    async def _size(self, name: str, program: Program) -> Size | None:
        tasks = None
        if name == "hub":
            status = await self.status()
            tasks = None if status is None else status.get("tasks")
        return None if program.pid is None else growth.size_of(program.pid, tasks)

    # the end

    async def settle(self, *, within_s: float = 60.0) -> None:
        """Everything whole and running, and nothing waits for a receipt.

        Raises AssertionError when no receipt has come for so long: a whole backlog takes as long as it takes, and may
        still grow, because measurements that were asked for are still coming in.
        """
        self.stage.cable.mend()
        if self._broker is not None and self._broker.pid is None:
            await self._broker.start()
        if not self.stage.central.is_running:
            await self.start_central()
        if not self.stage.hub.is_running:
            await self.start_hub()
        await self.stage.hub_is_up()
        self.way()

        waiting, most = 0, -1
        try:
            async with asyncio.timeout(within_s) as patience:
                while True:
                    status = await self.status()
                    if status is not None:
                        lanes = status["lanes"].values()
                        waiting = sum((lane["waiting"] or 0) + lane["in_memory"] for lane in lanes)
                        waiting += sum(file["waiting"] for file in status["journal"]["files"])
                        if not waiting:
                            return
                        if (gone := sum(lane["taken"] for lane in lanes) - waiting) > most:
                            most = gone
                            patience.reschedule(asyncio.get_running_loop().time() + within_s)
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            raise AssertionError(
                f"the hub waits for {waiting} receipts, and for {within_s:g} s none has come"
            ) from None

    async def judged(self, *, within_s: float = 60.0) -> Verdict:
        """Settle, then judge. What keeps it from settling is a complaint, too."""
        try:
            await self.settle(within_s=within_s)
        except AssertionError as error:
            self.complain(str(error))
        return await self.judge()

    async def judge(self) -> Verdict:
        """Hold everything against everything."""
        self.way()
        await self.judge_state()
        self.ledger.hub_kills = self.hub_kills
        count = self.ledger.compare(self.stage.rows, time.time() * 1000 - boot_s() * 1000)
        if count.calls_again:
            self.notes["nurse calls raised again after a kill"] = count.calls_again
        for name, program in (("hub", self.stage.hub), ("central", self.stage.central)):
            self.complaints += await self._grown(name, program)
            self._looking.look(program.pid)
            self.complaints += self._looking.grown(name, program.pid, self._cached(name))
        self.complaints += growth.litter(self.journal, is_damage_expected=self.is_damage_expected)
        silences = [self._silence(press, at_s) for press, at_s in count.arrivals]
        for press, silence_s in zip((press for press, _ in count.arrivals), silences, strict=True):
            if silence_s > self.deadline_s:
                self.complain(f"{press.device}: the press at {press.pressed_s:.3f} took {silence_s:.1f} s")
        return Verdict(
            events_in=count.events_in,
            lost=count.lost,
            doubled=count.doubled,
            longest_silence_s=max(silences, default=0.0),
            complaints=tuple(count.complaints + self.complaints),
            notes=self.notes,
        )

    async def _grown(self, name: str, program: Program) -> list[str]:
        """What has become more and does not go away: connections that a burst opened are idle for a while first."""
        found: list[str] = []

        async def has_not_grown() -> bool:
            last = await self._size(name, program)
            before = self._first.get(name)
            found[:] = (
                [f"{name} does not run"]
                if last is None
                else growth.grown(name, before or last, last, self._cached(name))
            )
            return not found or last is None

        with contextlib.suppress(AssertionError):
            await self.until(has_not_grown, f"{name} has grown", within_s=IDLE_CONNECTION_S, every_s=1)
        return found

    def _cached(self, name: str) -> int:
        return growth.cached_of(self.stage.folder / "central" / "central.db") if name == "central" else 0

    def _silence(self, press: Press, arrived_s: float) -> float:
        out_s = sum(max(0.0, min(arrived_s, end) - max(press.pressed_s, begin)) for begin, end in self._outages)
        return max(0.0, arrived_s - press.pressed_s - out_s)

    async def judge_state(self) -> None:
        """Nothing is broken now: `status` and the health check must say so, and be right about what is where."""
        status = await self.status()
        if status is None:
            self.complain("the hub does not answer")
            return
        if status["journal"]["state"] != "good" or status["journal"]["alarms_in_memory_only"]:
            self.complain(f"status: the journal is {status['journal']}, and nothing is wrong with the card")
        if not status["is_healthy"]:
            self.complain("status: the hub calls itself unhealthy, and nothing is wrong")
        for lane, facts in status["lanes"].items():
            there = self._stored(status["epoch"], Lane[lane.upper()])
            if not facts["waiting"] and not facts["in_memory"] and there < facts["taken"] - facts["lost"]:
                self.complain(f"status: {facts['taken']} {lane} events taken, none waits, central has {there}")

        # So many runs in a row that were killed early are a crash loop, whatever ended them, and have to be called one.
        is_safe = bool(status["mode"]["is_safe"]) and self.hub_kills >= CRASHES
        may_name = self.health_may_name | ({"mode"} if is_safe else set())

        async def is_in_order() -> bool:
            now = await self.deviations()  # what the look before found stands until this one is over
            found.clear()
            found.update(now)
            return not found.keys() - may_name

        found: dict[str, str] = {}
        try:
            await self.until(is_in_order, "is not in order", within_s=30, every_s=0.5)
        except AssertionError:
            self.complain(f"the health check finds {found}, and nothing is wrong")

    def _stored(self, epoch: str, lane: Lane) -> int:
        ((there,),) = self.stage.rows("SELECT count(*) FROM event WHERE epoch = ? AND lane = ?", epoch, int(lane))
        return int(there)


async def _ended(task: asyncio.Task[NoReturn]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
