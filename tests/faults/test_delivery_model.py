"""Real hubs, a real central, and any order of sends, receipts, crashes, old cards, clones and restored centrals.

One thing stands through all of it: what was confirmed reaches central and has one effect there.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cloud_sync.identity import EventId, Lane
from simulators.faults.by_hand import ShiftedLoop
from simulators.faults.delivery import WORDS, Card, Machine, World

which = st.integers(0, 1 << 16)


class Delivery(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=ShiftedLoop)
        self.world = World()
        self.images: list[tuple[Card, set[EventId]]] = []
        self.backups: list[Path] = []
        self.is_sound = True

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        try:
            return self.runner.run(work)
        except BaseException:
            self.is_sound = False
            raise

    @initialize()
    def begin(self) -> None:
        self.do(self.world.begin())

    def machine(self, number: int) -> Machine:
        return self.world.machines[number % len(self.world.machines)]

    # what happens

    @rule(number=which, lane=st.sampled_from(list(Lane)), count=st.integers(1, 4), is_durable=st.booleans())
    def something_happens(self, number: int, lane: Lane, count: int, is_durable: bool) -> None:
        async def happen() -> None:
            for _ in range(count):
                self.world.raised(self.machine(number), lane)
            if is_durable:
                await self.world.breathe()

        self.do(happen())

    @rule(seconds=st.sampled_from([0.05, 0.5, 2.5, 6.0, 40.0]))
    def time_passes(self, seconds: float) -> None:
        self.do(self.world.pass_time(seconds))

    # the wire

    @rule(number=which, keep=st.booleans())
    def central_hears_one(self, number: int, keep: bool) -> None:
        async def hear() -> None:
            wire = self.world.up
            if wire:
                at = number % len(wire)
                await self.world.deliver_up(wire[at] if keep else wire.pop(at))

        self.do(hear())

    @rule(number=which, keep=st.booleans())
    def a_hub_hears_one(self, number: int, keep: bool) -> None:
        async def hear() -> None:
            wire = self.world.down
            if wire:
                at = number % len(wire)
                frame = wire[at] if keep else wire.pop(at)
                frame.line.bring(frame.content)
                await self.world.breathe()

        self.do(hear())

    @rule()
    def all_is_delivered(self) -> None:
        self.do(self.world.deliver_all())

    @rule(number=which, is_up=st.booleans())
    def one_is_lost(self, number: int, is_up: bool) -> None:
        wire = self.world.up if is_up else self.world.down
        if wire:
            wire.pop(number % len(wire))

    @rule(number=which, line=st.integers(0, 1))
    def a_line_is_cut_or_mended(self, number: int, line: int) -> None:
        async def change() -> None:
            one = self.machine(number).lines[line]
            if one.is_up:
                one.cut()
            else:
                one.is_up = True
            await self.world.breathe()

        self.do(change())

    # hubs and cards

    @rule(number=which, is_clean=st.booleans())
    def a_hub_restarts(self, number: int, is_clean: bool) -> None:
        async def restart() -> None:
            machine = self.machine(number)
            await (machine.end() if is_clean else machine.crash())
            await machine.start()

        self.do(restart())

    @rule(number=which)
    def an_image_of_a_card_is_made(self, number: int) -> None:
        card = self.machine(number).copy()
        self.images.append((card, set(card.durable)))

    @precondition(lambda self: self.images)
    @rule(number=which, image=which)
    def a_hub_wakes_up_on_an_old_card(self, number: int, image: int) -> None:
        async def wake() -> None:
            machine = self.machine(number)
            card, durable = self.images.pop(image % len(self.images))
            await machine.crash()
            gone = machine.card.durable - durable
            machine.card = Card(card.folder, durable)
            held = set().union(*(one.card.durable for one in self.world.machines))
            self.world.excused |= gone - held - self.world.stored()
            await machine.start()

        self.do(wake())

    @precondition(lambda self: len(self.world.machines) < 2)
    @rule()
    def a_card_is_cloned_and_both_run(self) -> None:
        self.do(self.world.add_machine(self.world.machines[0].copy()))

    # central

    @rule()
    def central_is_backed_up(self) -> None:
        self.backups.append(self.world.back_up())

    @precondition(lambda self: self.backups)
    @rule(number=which)
    def central_is_restored(self, number: int) -> None:
        self.do(self.world.restore(self.backups[number % len(self.backups)]))

    # what always holds

    @rule()
    def everything_calms_down(self) -> None:
        self.do(self.world.calm())
        self._judge()

    def _judge(self) -> None:
        world = self.world
        missing = set(world.promised()) - world.stored()
        assert not missing, f"confirmed and not at central: {sorted(map(str, missing))}"
        twice = world.rows(
            "SELECT details, count(*) FROM event GROUP BY details HAVING details LIKE '%tag%' AND count(*) > 1"
        )
        assert not twice, f"one happening, several events: {twice}"
        for lane in (Lane.ALARM, Lane.CARE):
            where = f"WHERE device = 'thing-{int(lane)}'"
            ((events,),) = world.rows(f"SELECT count(*) FROM event {where} AND kind IS NOT NULL")
            word = WORDS[lane]
            ((effects,),) = world.rows(f"SELECT coalesce(sum(1 + repeats), 0) FROM alarm {where} AND kind = '{word}'")
            assert effects == events, f"{lane.word}: {events} events, {effects} effects"
            # Of a run whose header a restored central had forgotten there was one, until the record was read.
            sealed = world.rows(f"SELECT epoch FROM event {where} AND kind IS NULL")
            wrong = [epoch for (epoch,) in sealed if self.do(world.has_header(bytes.fromhex(epoch)))]
            assert not wrong, f"{lane.word}: {len(wrong)} records that could be read are not"
            ((effects,),) = world.rows(
                f"SELECT coalesce(sum(1 + repeats), 0) FROM alarm {where} AND kind LIKE 'unreadable%'"
            )
            assert effects == len(sealed), f"{lane.word}: {effects} effects of {len(sealed)} that nobody can read"

    @invariant()
    def what_is_confirmed_is_on_a_card_or_at_central(self) -> None:
        world = self.world
        if not world.machines:
            return
        held = set().union(world.stored(), *(machine.card.durable for machine in world.machines))
        nowhere = set(world.promised()) - held
        assert not nowhere, f"confirmed, and nowhere: {sorted(map(str, nowhere))}"

    @invariant()
    def a_receipt_settles_only_what_is_stored(self) -> None:
        async def settled(machine: Machine) -> set[EventId]:
            return {name for name in machine.card.durable if name.lane.is_urgent} - await machine.unsettled()

        world = self.world
        for machine in world.machines:
            if machine.hub.inbox.lineage == world.central.services.store.lineage:
                wrong = self.do(settled(machine)) - world.stored()
                assert not wrong, f"settled on the card, and central has it not: {sorted(map(str, wrong))}"

    def teardown(self) -> None:
        try:
            if self.is_sound and self.world.machines:
                self.do(self.world.calm())
                self._judge()
        finally:
            self.runner.run(self.world.end())
            self.runner.close()
            gc.collect()


def _settings(examples: int) -> settings:
    return settings(
        max_examples=examples, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )


TestDelivery = Delivery.TestCase
TestDelivery.settings = _settings(15)


@pytest.mark.soak
@pytest.mark.timeout(1800)
class TestDeliveryForLong(Delivery.TestCase):  # type: ignore[name-defined,misc]
    settings = _settings(400)
