"""Who was told, and what nobody knows about it, as pages say it in both languages; and teams by their names."""

from __future__ import annotations

from typing import Any

from central.console.roles import Role
from central.lifecycle import CENTRAL_KINDS, OF_A_TEAM
from central.metrics import Metrics
from central.notify.channel import Awaited
from central.notify.receipts import Receipts
from central.opening import Source
from central.raising import raise_technical
from central.sql import Sql
from central.wakeup import Wakeup
from simulators.live_hub import LiveHub

TEAM = "c0ffee0c0ffee0c0"


async def test_a_message_without_a_receipt_stands_in_the_alarms_history(console: Any, first: Any, ada: Any) -> None:
    english = await console.signed_in("Olive", Role.RESPONDER, language="en")
    bench = console.bench
    async with LiveHub(bench.central, "Solbakken 214") as home:
        await home.raise_event("pendant_pressed")
        alarm = await bench.value("SELECT id FROM alarm WHERE queue = 'personal'")
    now = bench.clock.now_ms()
    async with bench.store.write() as connection:
        await Sql(
            "INSERT INTO notification (id, key, alarm, step, channel, what, state, next_ms, made_ms, sent_ms,"
            " provider_ref) VALUES ('1', '1', :alarm, 0, 'sms', 'alarm_waits', 'sent', :now, :now, :now, 'out-1')"
        ).rows(connection, alarm=alarm, now=now)
        await Sql("INSERT INTO central_state (name, value) VALUES ('receipts:sms', '1:1')").rows(connection)
    bench.clock.advance(61)
    receipts = Receipts(
        store=bench.store, clock=bench.clock, metrics=Metrics(), wakeup=Wakeup(),
        awaited={"sms": Awaited(within_s=60)},
    )  # fmt: skip
    assert await receipts.look() == 1
    said = "Varselet på SMS er sendt, men ingenting bekrefter at det er kommet fram"
    in_english = "The message by SMS was sent, but nothing confirms that it has arrived"
    assert said in (await first.get(f"/alarms/{alarm}")).text
    assert in_english in (await english.get(f"/alarms/{alarm}")).text
    assert said in (await ada.get("/log")).text


async def test_consoles_that_show_nothing_are_called_by_the_name_of_their_team(
    console: Any, tore: Any, ada: Any
) -> None:
    bench = console.bench
    async with bench.store.write() as connection:
        await Sql("INSERT INTO team (id, kind, name) VALUES (:id, 'centre', 'Vaktsentralen')").rows(connection, id=TEAM)
        now = bench.clock.now_ms()
        source = Source(hub="", device=TEAM, happened_ms=now)
        alarm = await raise_technical(connection, CENTRAL_KINDS[OF_A_TEAM], source, now)
    for browser, path in ((tore, "/technical"), (tore, f"/alarms/{alarm}"), (ada, "/log")):
        page = (await browser.get(path)).text
        assert "Vaktsentralen" in page, path
        assert TEAM not in page, path
    out = (await tore.get(f"/api/v1/alarms/{alarm}")).json["alarm"]
    assert (out["device"], out["device_label"]) == (TEAM, "Vaktsentralen")
