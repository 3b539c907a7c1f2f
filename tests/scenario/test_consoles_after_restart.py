"""Central killed and restarted as a real process: consoles may come back before it says that nobody is there."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from central.escalation.seen import COMEBACK_MS, SEEN_MS
from simulators.demo.program import Program, run, vaktpost
from simulators.demo.stage import HOST, free_port

CONSOLE = "00aa11bb22cc33dd"
RETRY_S = 2.0
"""What the stream tells browsers."""
ROUND_S = 4.0
"""How often central looks who is there."""
SLACK_S = 15.0


class Post:
    """A central as a process, and one console whose page comes back as a browser's does."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.folder = folder
        config = str(folder / "central" / "central.toml")
        self.config = ("--config", config)
        self.program = Program("central", vaktpost("central", "run", *self.config), folder / "central.log")
        self.beats = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    async def command(self, *words: str) -> dict[str, str]:
        told: dict[str, str] = json.loads(await run(words[0], vaktpost("central", *words, *self.config, "--json")))
        return told

    async def found(self) -> None:
        words = ("--data", str(self.folder / "central"), "--hub-port", str(free_port()))
        await run("central init", vaktpost("central", "init", *words, "--console-port", str(self.port)))

    async def start(self) -> None:
        await self.program.start()
        async with asyncio.timeout(60):
            while not await self._answers():
                self.program.check()
                await asyncio.sleep(0.05)

    async def _answers(self) -> bool:
        try:
            _, writer = await asyncio.open_connection(HOST, self.port)
        except OSError:
            return False
        writer.close()
        return True

    @asynccontextmanager
    async def page(self) -> AsyncIterator[None]:
        """Signed in, on duty with sound; then the stream, again and again, until the page is closed."""
        await self.command("user", "add", "anna", "--role", "responder")
        link = (await self.command("user", "link", "anna"))["link"]
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(self.url, cookie_jar=jar) as http:
            token = urlsplit(link).path.rpartition("/")[2]
            async with http.post("/api/v1/session", json={"link": token}) as answer:
                csrf = (await answer.json())["csrf"]
            following = asyncio.create_task(self._follow(http))
            try:
                body, headers = {"console": CONSOLE, "has_sound": True}, {"X-CSRF-Token": csrf}
                async with http.post("/api/v1/duty", json=body, headers=headers) as answer:
                    assert answer.status == 204, await answer.text()
                yield
            finally:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)

    async def _follow(self, http: aiohttp.ClientSession) -> None:
        # As the address was when the page was opened: nobody was on duty yet.
        timeout = aiohttp.ClientTimeout(total=None, sock_read=60)
        while True:
            try:
                async with http.get(f"/api/v1/feed?console={CONSOLE}&sound=false", timeout=timeout) as stream:
                    async for line in stream.content:
                        if line.startswith(b"event: beat"):
                            self.beats.set()
            except (aiohttp.ClientError, OSError, TimeoutError):
                pass
            await asyncio.sleep(RETRY_S)

    def told(self) -> list[str]:
        """What everybody was told of duty."""
        database = self.folder / "central" / "central.db"
        connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)
        try:
            return [row[0] for row in connection.execute("SELECT what FROM feed WHERE topic = 'duty' ORDER BY no")]
        finally:
            connection.close()

    async def until_told(self, wanted: list[str], within_s: float) -> None:
        async with asyncio.timeout(within_s):
            while self.told() != wanted:
                await asyncio.sleep(0.1)


@pytest.mark.timeout(240)
async def test_consoles_come_back_before_anybody_is_missed_and_are_missed_when_they_do_not(tmp_path: Path) -> None:
    post = Post(tmp_path)
    await post.found()
    await post.start()
    try:
        async with post.page():
            await post.until_told(["nobody_with_sound", "duty_covered"], 60)
            await post.program.kill()
            await asyncio.sleep(SEEN_MS / 1000 + 3)
            post.beats.clear()
            await post.start()
            async with asyncio.timeout(COMEBACK_MS / 1000):
                await post.beats.wait()
            # Longer than they are waited for, and than a console may be silent: the page is there, and is known to be.
            until_s = time.monotonic() + (COMEBACK_MS + SEEN_MS) / 1000 + ROUND_S
            while time.monotonic() < until_s:
                assert post.told() == ["nobody_with_sound", "duty_covered"]
                await asyncio.sleep(0.2)
        await post.program.kill()
        await asyncio.sleep(SEEN_MS / 1000 + 3)
        await post.start()
        assert post.told()[2:] == []
        await post.until_told(
            ["nobody_with_sound", "duty_covered", "nobody_with_sound"], COMEBACK_MS / 1000 + ROUND_S + SLACK_S
        )
    finally:
        await post.program.stop()
