"""Asking a hub: the answer that came, no answer, or no way to ask; never a guess."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from central.errors import NotFoundError
from central.links import Link
from central.sql import Sql
from cloud_sync import health
from cloud_sync.central_messages import Command
from simulators.frame_hub import FrameHub
from tests.central.conftest import FIRST, Bench

RESULT: dict[str, Any] = {
    "version": 1,
    "started_ms": 1,
    "took_ms": 2,
    "lines": [
        {"id": "software", "result": "ok", "value": "0.1.0", "limit": None, "text_key": "software"},
        {
            "id": "journal.write",
            "result": "warn",
            "value": 61.5,
            "unit": "ms",
            "limit": 50,
            "text_key": "journal_write",
            "next_key": "card_old",
        },
    ],
}


async def command(hub: FrameHub, link: Link) -> Command:
    frame = await link.next(5)
    assert frame is not None
    message = hub.read(frame)
    assert isinstance(message, Command)
    return message


async def answer(bench: Bench, hub: FrameHub, link: Link, *parts: Any) -> Command:
    """Play the hub's side of one command."""
    asked = await command(hub, link)
    for number, part in reversed(list(enumerate(parts))):
        frame = hub.result(asked.command, part, part=number, is_last=number == len(parts) - 1)
        await bench.reception.receive(frame, "https")
    return asked


async def test_a_health_check_brings_its_result_and_keeps_it(bench: Bench, hub: FrameHub) -> None:
    with bench.services.links.open(hub.id, hub.now.epoch, "https") as link:
        await bench.send(hub, hub.envelope(hub.seal("temperature", device="t"), has_header=True))
        hub_side = asyncio.create_task(answer(bench, hub, link, RESULT))
        check = await bench.services.commands.check(hub.id.hex(), FIRST)
        asked = await hub_side
    assert check.state == "answered"
    assert check.result is not None
    assert [line["result"] for line in check.result["lines"]] == ["ok", "warn"]
    assert (asked.name, asked.number, asked.expires_ms - asked.to.central_ms) == (health.COMMAND, 1, 60_000)
    assert await bench.services.commands.checks(hub.id.hex()) == [check]


async def test_a_health_check_tells_whose_mobile_network_a_hub_is_in(bench: Bench, hub: FrameHub) -> None:
    async def known() -> str:
        async with bench.services.store.read() as connection:
            return str(await Sql("SELECT operator FROM hub WHERE id = :id").value(connection, id=hub.id.hex()))

    def network(params: dict[str, Any]) -> dict[str, Any]:
        line = {"id": "modem.network", "result": "ok", "value": None, "limit": None, "text_key": "modem_network"}
        return RESULT | {"lines": [line | {"params": params}]}

    with bench.services.links.open(hub.id, hub.now.epoch, "https") as link:
        await bench.send(hub, hub.envelope(hub.seal("temperature", device="t"), has_header=True))
        for result, then in (
            (RESULT, ""),
            (network({"operator": "Telenor\x00", "error": ""}), "Telenor"),
            (network({"operator": "", "error": "no answer"}), "Telenor"),  # not in a network now: it was in this one
            (network({"operator": "N" * 100}), "N" * 64),
            (RESULT, "N" * 64),
        ):
            hub_side = asyncio.create_task(answer(bench, hub, link, result))
            check = await bench.services.commands.check(hub.id.hex(), FIRST)
            await hub_side
            assert check.state == "answered"
            assert await known() == then


async def test_the_next_check_tells_the_hub_what_the_last_one_found(bench: Bench, hub: FrameHub) -> None:
    with bench.services.links.open(hub.id, hub.now.epoch, "https") as link:
        await bench.send(hub, hub.envelope(hub.seal("temperature", device="t"), has_header=True))
        seen = []
        for _ in range(2):
            hub_side = asyncio.create_task(answer(bench, hub, link, RESULT))
            await bench.services.commands.check(hub.id.hex(), FIRST)
            seen.append(await hub_side)
    assert [dict(asked.arguments) for asked in seen] == [{}, {health.EXPECTED_SOFTWARE: "0.1.0"}]
    assert [asked.number for asked in seen] == [1, 2]


async def test_parts_are_put_together_in_whatever_order_they_come(bench: Bench, hub: FrameHub) -> None:
    with bench.services.links.open(hub.id, hub.now.epoch, "https") as link:
        await bench.send(hub, hub.envelope(hub.seal("temperature", device="t"), has_header=True))
        parts = ({"version": 1, "lines": [1, 2]}, {"lines": [3]}, {"lines": [4], "took_ms": 9})
        hub_side = asyncio.create_task(answer(bench, hub, link, *parts))
        told = await bench.services.commands.ask(hub.id.hex(), "list", {}, FIRST)
        await hub_side
    assert told.result == {"version": 1, "lines": [1, 2, 3, 4], "took_ms": 9}


async def test_silence_is_no_answer(bench: Bench, hub: FrameHub) -> None:
    with bench.services.links.open(hub.id, hub.now.epoch, "https"):
        check = await bench.services.commands.check(hub.id.hex(), FIRST, timeout_s=0.1)
    assert (check.state, check.result) == ("no_answer", None)
    assert await bench.value("SELECT state FROM command") == "no_answer"


async def test_half_an_answer_is_no_answer(bench: Bench, hub: FrameHub) -> None:
    with bench.services.links.open(hub.id, hub.now.epoch, "https") as link:
        await bench.send(hub, hub.envelope(hub.seal("temperature", device="t"), has_header=True))
        asking = asyncio.create_task(bench.services.commands.ask(hub.id.hex(), "list", {}, FIRST, timeout_s=0.5))
        asked = await command(hub, link)
        await bench.reception.receive(hub.result(asked.command, {"lines": []}, part=1, is_last=True), "https")
        assert (await asking).state == "no_answer"


async def test_a_hub_that_cannot_be_reached_is_not_asked(bench: Bench, hub: FrameHub) -> None:
    check = await bench.services.commands.check(hub.id.hex(), FIRST)
    assert check.state == "no_link"


async def test_an_answer_that_is_no_result_is_shown_as_failed(bench: Bench, hub: FrameHub) -> None:
    with bench.services.links.open(hub.id, hub.now.epoch, "https") as link:
        await bench.send(hub, hub.envelope(hub.seal("temperature", device="t"), has_header=True))
        hub_side = asyncio.create_task(answer(bench, hub, link, {"error": {"reason": "busy", "detail": "later"}}))
        check = await bench.services.commands.check(hub.id.hex(), FIRST)
        await hub_side
    assert check.state == "failed"
    assert "later" in str(check.result)


async def test_another_hub_cannot_answer_in_its_place(bench: Bench, hub: FrameHub) -> None:
    other = await bench.enrolled("Flat 2")
    await bench.send(other, other.envelope(other.seal("temperature", device="t"), has_header=True))
    with bench.services.links.open(hub.id, hub.now.epoch, "https") as link:
        asking = asyncio.create_task(bench.services.commands.check(hub.id.hex(), FIRST, timeout_s=0.5))
        asked = await command(hub, link)
        await bench.reception.receive(other.result(asked.command, RESULT), "https")
        assert (await asking).state == "no_answer"


@pytest.mark.parametrize("hub_id", ["0123456789abcdef", "nonsense", ""])
async def test_an_unknown_hub_is_said_to_be_unknown(bench: Bench, hub_id: str) -> None:
    with pytest.raises(NotFoundError):
        await bench.services.commands.check(hub_id, FIRST)


async def test_numbers_rise_when_many_ask_at_once(bench: Bench, hub: FrameHub) -> None:
    with bench.services.links.open(hub.id, hub.now.epoch, "https") as link:
        asking = [
            asyncio.create_task(bench.services.commands.ask(hub.id.hex(), "list", {}, FIRST, timeout_s=0.3))
            for _ in range(8)
        ]
        numbers = [(await command(hub, link)).number for _ in asking]
        await asyncio.gather(*asking)
    assert numbers == list(range(1, 9))
