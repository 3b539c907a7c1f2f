"""What is carved from a damaged file while the hub runs goes on its way at once, whatever else is being sent."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from drivers.contract import Fact
from gateway.journal import Trouble
from gateway.journal.database import ALARM, BULK

if TYPE_CHECKING:
    from tests.gateway.conftest import Central, HubUnderTest
else:
    Central = HubUnderTest = Any


async def test_what_is_salvaged_while_the_hub_runs_is_sent_at_once_although_more_comes_in(
    home: HubUnderTest, central: Central
) -> None:
    home.lines[0].is_reachable = False
    async with home.running() as hub:
        assert await home.button.press() is True
        for number in range(20):
            home.button.tell(Fact.TEMPERATURE, 20.0 + number, "climate-1")
        await central.until(lambda: hub.watch.describe()["waiting"] == 0)
    journal, kept = home.state_dir / "journal", home.folder / "kept"
    shutil.copytree(journal, kept)
    shutil.rmtree(journal)
    home.lines[0].is_reachable = True
    async with home.running() as hub:
        home.button.tell(Fact.TEMPERATURE, 1.0, "climate-1")
        await central.until(lambda: len(central.of_kind("temperature")) == 1)
        await hub.journal.flush()
        for shape in (ALARM, BULK):
            aside = journal / f"{shape.file}.damaged-1"
            (kept / shape.file).rename(aside)
            trouble = Trouble(file=shape.file, what="damaged", set_aside=aside.name)
            hub.journal._core.set_aside(shape, trouble, aside)

        def is_there() -> bool:
            home.button.tell(Fact.TEMPERATURE, 2.0, "climate-1")  # never idle, as in a large home
            values = {event.value for event in central.of_kind("temperature")}
            return len(values) == 22 and len(central.of_kind("pendant_pressed")) == 1

        await central.until(is_there)
