"""Nobody answers: hub, central and home as real processes, a paging system on a line, a loudspeaker, a relay."""

from __future__ import annotations

import asyncio
import json
import tomllib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from gateway.local_response.phrases import recording
from gateway.local_response.policy import Phrase
from simulators import control, plans
from simulators.demo.program import run, vaktpost
from simulators.espa_wires import ServerWire
from simulators.home import SOCKET
from simulators.load_driver import LOAD_SETTINGS
from simulators.pager import PagingSystem
from simulators.scene import Scene

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATIENCE_S = 25.0
NO_RECEIPT_S, NO_CLAIM_S = 1.5, 4.0


@dataclass(slots=True)
class Calling:
    """The scene, the paging system beside it and where the loudspeaker's sound ends up."""

    scene: Scene
    paging: PagingSystem
    tape: Path

    async def until(self, is_so: Callable[[], object], complaint: str) -> None:
        async def look() -> bool:
            return bool(is_so())

        await self.scene.until(look, complaint, within_s=PATIENCE_S)

    async def home(self, complaint: str, is_so: Callable[[dict[str, Any]], object]) -> None:
        """Wait until somebody in the room sees or hears so."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                async for state in control.follow(self.scene.stage.folder / "home" / SOCKET):
                    if is_so(state):
                        return
        except TimeoutError:
            pass
        raise AssertionError(f"{complaint}\n{self.scene.last_words()}")

    def was_said(self, *phrases: Phrase) -> bool:
        """Whether these were heard from the loudspeaker, in this order, whatever else was."""
        found = iter(path.read_bytes() for path in sorted(self.tape.parent.glob(f"{self.tape.stem}*")))
        # The header of a plain WAV file is 44 bytes; what is asked for is its sound, but for the last block.
        return all(
            any(tape.startswith(recording(phrase, self.language).read_bytes()[44:][:20_000]) for tape in found)
            for phrase in phrases
        )

    @property
    def language(self) -> str:
        """What is spoken at home."""
        return str(tomllib.loads(self.scene.stage.hub_config.read_text())["hub"]["language"])

    def forget(self) -> None:
        for path in self.tape.parent.glob(f"{self.tape.stem}*"):
            path.unlink()
        self.paging.pages.clear()

    async def local(self) -> dict[str, Any]:
        status = await self.scene.stage.hub_status()
        found: dict[str, Any] = status["local_response"]
        return found

    async def timeline(self, alarm_id: str) -> list[str]:
        return [entry["what"] for entry in (await self.scene.detail(alarm_id))["timeline"]]

    async def in_timeline(self, alarm_id: str, *whats: str) -> None:
        async def look() -> bool:
            return set(whats) <= set(await self.timeline(alarm_id))

        await self.scene.until(look, f"the timeline lacks one of {whats}", within_s=PATIENCE_S)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def raised_home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Calling]:
    folder = tmp_path_factory.mktemp("c")
    tape, setup = folder / "tape.raw", folder / "alsa.conf"
    setup.write_text(
        f"""</usr/share/alsa/alsa.conf>
pcm.sink {{ type file slave.pcm "null" file "{tape}" format "raw" truncate false }}
pcm.tape {{ type plug slave {{ pcm "sink" format S16_LE rate 11025 channels 1 }} }}
"""
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ALSA_CONFIG_PATH", str(setup))
        async with PagingSystem(ServerWire()) as paging:
            settings = f"""{LOAD_SETTINGS}
[local_response]
after_no_receipt_s = {NO_RECEIPT_S}
after_no_claim_s = {NO_CLAIM_S}
names = {{ "button-1" = "Rom-7" }}

[local_response.relay]
is_sounding = false

[local_response.pager]
port = "{paging.port}"
address = "550"
reply_timeout_s = 0.5
poll_interval_s = 0.5

[local_response.voice]
output = "tape"
"""
            async with Scene.open(folder / "s", plans.FLAT, more_settings=settings) as scene:
                yield Calling(scene, paging, tape)


@pytest_asyncio.fixture(loop_scope="module")
async def calling(raised_home: Calling) -> Calling:
    await raised_home.scene.calm()
    await raised_home.until(lambda: not raised_home.paging.showing(), "the pager still shows a call")
    raised_home.forget()
    return raised_home


async def press(calling: Calling) -> None:
    await calling.scene.act(do="press", device=plans.CORD)


async def test_with_the_cable_out_the_home_calls_by_itself_and_stops_when_the_alarm_has_got_through(
    calling: Calling,
) -> None:
    scene = calling.scene
    scene.stage.cable.cut()
    await press(calling)
    await calling.until(lambda: calling.paging.showing("550"), "the pager stays dark")
    assert calling.paging.showing() == [f"ALARM {plans.CORD}"]
    await calling.home("neither buzzer nor corridor lamp", lambda state: state["buzzer"] and state["call"])
    await calling.until(lambda: calling.was_said(Phrase.NOT_THROUGH), "nothing was said")
    assert not calling.was_said(Phrase.TAKEN)
    assert (await calling.local())["phrase"] == "not_through"
    scene.stage.cable.mend()
    alarm = await scene.new_alarm(device=plans.CORD)
    await calling.until(lambda: not calling.paging.showing(), "the page was not taken back")
    await calling.home("the corridor lamp stays on", lambda state: not state["call"])
    await calling.until(lambda: calling.was_said(Phrase.NOT_THROUGH, Phrase.RECEIVED), "the receipt was not told")
    await calling.in_timeline(alarm["id"], "local_response", "local_response_ended")
    await scene.claim(alarm["id"])
    await calling.until(lambda: calling.was_said(Phrase.RECEIVED, Phrase.TAKEN), "the claim was not told")


async def test_an_alarm_that_nobody_takes_calls_at_home_until_somebody_does(calling: Calling) -> None:
    scene = calling.scene
    await press(calling)
    alarm = await scene.new_alarm(device=plans.CORD)
    await calling.until(lambda: calling.paging.showing("550"), "the pager stays dark")
    await calling.home("no buzzer", lambda state: state["buzzer"])
    await calling.until(lambda: calling.was_said(Phrase.NO_ANSWER), "nothing was said")
    await scene.claim(alarm["id"])
    await calling.until(lambda: not calling.paging.showing(), "the page was not taken back")
    await calling.home("the corridor lamp stays on", lambda state: not state["call"])
    await calling.until(lambda: calling.was_said(Phrase.NO_ANSWER, Phrase.TAKEN), "the claim was not told")
    await calling.in_timeline(alarm["id"], "local_response", "local_response_ended", "claimed")


async def test_a_hub_that_is_killed_while_it_calls_goes_on_calling_and_pages_nobody_twice(calling: Calling) -> None:
    scene = calling.scene
    scene.stage.cable.cut()
    await press(calling)
    await calling.until(lambda: calling.paging.showing("550"), "the pager stays dark")
    await asyncio.sleep(1.0)  # what was done is written down within half a second
    await scene.stage.hub.kill()
    await calling.home("the dead hub's buzzer sounds", lambda state: not state["buzzer"] and not state["healthy"])
    calling.paging.polls = 0
    await scene.stage.hub.start()
    await calling.home("the new run does not call", lambda state: state["buzzer"] and state["call"])
    await calling.until(lambda: calling.paging.polls >= 3, "the paging system is not polled")
    assert len(calling.paging.pages) == 1
    scene.stage.cable.mend()
    alarm = await scene.new_alarm(device=plans.CORD)
    await calling.until(lambda: not calling.paging.showing(), "the page was not taken back")
    await calling.in_timeline(alarm["id"], "local_response", "local_response_ended")
    assert (await calling.timeline(alarm["id"])).count("local_response") == 1


async def test_the_self_test_tries_every_measure_and_says_that_it_is_a_test(calling: Calling) -> None:
    config = str(calling.scene.stage.hub_config)
    answer = json.loads(await run("self-test", vaktpost("hub", "self-test", "--local", "--json", "--config", config)))
    assert {one["measure"]: one["ok"] for one in answer["measures"]} == {
        "lamp_and_buzzer": True,
        "relay": True,
        "pager": True,
        "voice": True,
    }
    assert [page.text.split()[0] for page in calling.paging.pages] == ["TEST", "TEST"]
    assert calling.was_said(Phrase.TEST)
    lines = {line["id"]: line["result"] for line in (await calling.scene.check())["result"]["lines"]}
    assert lines["local.pager"] == lines["local.lamp_and_buzzer"] == "ok"
