"""The people at work: each with a browser, a console with or without sound, and the alarms whose pages are open."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from central.app import create_console_app
from central.console.accounts import Accounts
from central.daemon import Central
from central.views import Actor
from simulators.municipality.browser import Browser, RefusedError
from simulators.municipality.town import Worker

RENEW_MS = 30_000
"""An alarm's page says so often that it is still open."""
LINK_MIN = 15.0
CONFLICT = 409


@dataclass(slots=True)
class Working:
    """One of them, this night."""

    worker: Worker
    account: str
    browser: Browser
    is_on_duty: bool = False
    is_connected: bool = True
    """Their pages find central."""
    is_frozen: bool = False
    """Their pages are held open, and run no more."""
    shown: set[tuple[str, int]] = field(default_factory=set)
    """What their pages have said that they show: the alarm, and which of its sounds."""
    pages: dict[str, int] = field(default_factory=dict)
    """Alarms whose page is open, and when it next says so."""

    @property
    def actor(self) -> Actor:
        """For acts that the API does not have yet."""
        return Actor(id=self.account, name=self.worker.name, role="responder")

    @property
    def console(self) -> str:
        """What the console in this browser calls itself."""
        return hashlib.sha256(self.worker.key.encode()).hexdigest()[:16]

    async def go_on_duty(self) -> None:
        """Signs in and hears the tone."""
        await self.browser.sign_in()
        await self._duty(has_sound=True)

    async def go_off_duty(self) -> None:
        """As one should."""
        await self._duty(has_sound=False)

    async def _duty(self, *, has_sound: bool) -> None:
        await self.browser.post("/api/v1/duty", {"console": self.console, "has_sound": has_sound})
        self.is_on_duty = has_sound

    def lose_console(self) -> None:
        """It stops without a word."""
        self.is_on_duty = False
        self.pages.clear()

    def hold(self, central: Central) -> None:
        """Its stream is alive: also that of a page which is frozen."""
        if self.is_on_duty and self.is_connected:
            central.services.duty.seen(self.account, self.console)

    async def look(self, waiting: Iterable[tuple[str, int]]) -> None:
        """The page in view shows these alarms, and says so of what is new on it."""
        if self.is_on_duty and self._runs:
            for alarm, sound in waiting:
                if (alarm, sound) not in self.shown:
                    await self.browser.post(f"/api/v1/alarms/{alarm}/shown", {"console": self.console})
                    self.shown.add((alarm, sound))

    @property
    def _runs(self) -> bool:
        return self.is_connected and not self.is_frozen

    async def renew(self, now_ms: int) -> None:
        """The pages that are open say so; one whose alarm is somebody else's is closed."""
        for alarm, due_ms in list(self.pages.items()):
            if due_ms > now_ms or not self._runs:
                continue
            try:
                await self.browser.post(f"/api/v1/alarms/{alarm}/renew")
                self.pages[alarm] = now_ms + RENEW_MS
            except RefusedError as error:
                if error.status != CONFLICT:
                    raise
                del self.pages[alarm]

    @property
    def dues(self) -> list[int]:
        """When their pages next say something."""
        return list(self.pages.values()) if self._runs else []

    def open_page(self, alarm: str, now_ms: int) -> None:
        """Of an alarm that they have."""
        self.pages[alarm] = now_ms + RENEW_MS

    def close_page(self, alarm: str) -> None:
        """They have it no longer."""
        self.pages.pop(alarm, None)


def come_to_work(central: Central, workers: tuple[Worker, ...], accounts: dict[str, str]) -> dict[str, Working]:
    """Everybody, each with a browser of their own."""
    app = create_console_app(central.services)
    found = {}
    for worker in workers:
        account = accounts[worker.key]

        async def new_link(account: str = account) -> str:
            services = central.services
            return await Accounts(services.store, services.clock).new_link(account, LINK_MIN)

        found[worker.key] = Working(worker, account, Browser(app, new_link))
    return found


def find_again(central: Central, working: dict[str, Working]) -> None:
    """Central was restarted: their sessions, consoles and pages go on."""
    accounts = {key: one.account for key, one in working.items()}
    again = come_to_work(central, tuple(one.worker for one in working.values()), accounts)
    for key, one in working.items():
        again[key].browser.take_session_of(one.browser)
        one.browser, one.is_connected = again[key].browser, True
