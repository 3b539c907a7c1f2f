"""Plays a night before a real central: its database, its ingest, its API and its chores; only time is ours.

Between two moments at which something can happen, nothing does: so the clock goes from one to the next, and what
central does every second is done there, in the same order, by central itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from central.daemon import Central, open_central
from central.errors import NotStoredError
from central.settings import CentralSettings
from central.sql import Sql
from simulators.municipality.account import Lamp
from simulators.municipality.founding import Ids, contact_phone, found_municipality
from simulators.municipality.homes import Home
from simulators.municipality.hours import SECOND_MS, TownClock
from simulators.municipality.killing import cut_off
from simulators.municipality.script import (
    Accepts,
    Act,
    Calls,
    CentralDies,
    CentralStarts,
    Closes,
    ConsoleDies,
    ConsoleFreezes,
    ConsolesComeBack,
    ConsoleThaws,
    Defers,
    GoesOffDuty,
    GoesOnDuty,
    Line,
    Offers,
    Raises,
    Replies,
    Says,
    Script,
    Sends,
    Storm,
    TakesNext,
)
from simulators.municipality.town import Town
from simulators.municipality.webhook import hand_in
from simulators.municipality.workers import Working, come_to_work, find_again

CHORES = ("duty", "leases", "escalation", "folding", "notify-sms", "replies", "settle")
"""In the order in which a second of central's is played. Homes here send no heartbeats: who is silent is not played."""
UNSEEN_MS = 16_000
"""After so long a console that died is missed."""
BEAT_MS = 10 * SECOND_MS
"""While an alarm waits, consoles are seen at least so often: one that is not seen for longer counts as gone."""
LONGEST_MS = 15 * 60 * SECOND_MS
STORM_AT_ONCE = 64
LAST_WORD = "last_word"
"""A security event that central has noted when it is killed, and would have written as it closes."""

_DUE = Sql(
    """SELECT min(due) FROM (
      SELECT min(due_ms) AS due FROM escalation WHERE state IN ('due', 'running')
      UNION ALL SELECT min(lease_until_ms) FROM alarm WHERE closed_ms IS NULL
      UNION ALL SELECT min(due_ms) FROM dispatch WHERE state IN ('sent', 'delivered')
      UNION ALL SELECT min(expires_ms) FROM handover WHERE state = 'offered'
      UNION ALL SELECT min(next_ms) FROM notification WHERE state = 'pending'
      UNION ALL SELECT min(v.to_ms) FROM visit v JOIN alarm a ON a.deferred_visit = v.id AND a.handling = 'deferred'
    ) AS dues"""
)
_ON_SCREEN = Sql(
    "SELECT id, sound_no FROM alarm WHERE queue = 'personal' AND closed_ms IS NULL ORDER BY rank, raised_ms"
)
_IS_WAITED = Sql("SELECT 1 FROM alarm WHERE queue = 'personal' AND handling = 'waiting' AND closed_ms IS NULL LIMIT 1")
_OPEN = Sql(
    "SELECT id FROM alarm WHERE resident = :resident AND queue = 'personal' AND closed_ms IS NULL ORDER BY raised_ms"
)
_CONTACT = Sql("SELECT id FROM contact WHERE resident = :resident AND position = :place AND ended_ms IS NULL")
_DISPATCH = Sql(
    "SELECT id FROM dispatch WHERE alarm = :alarm AND team = :team AND state NOT IN ('declined', 'done', 'cancelled')"
)
_OFFER = Sql("SELECT id FROM handover WHERE alarm = :alarm AND state = 'offered'")
_VISIT = Sql("SELECT id FROM visit WHERE resident = :resident AND state = 'planned' ORDER BY from_ms")
_FORSAKEN = Sql(
    """SELECT a.id, a.resident, a.handling FROM alarm a WHERE a.queue = 'personal' AND a.closed_ms IS NULL
    AND NOT (a.handling = 'claimed' AND a.lease_until_ms IS NOT NULL)
    AND NOT (a.handling = 'deferred' AND EXISTS (
      SELECT 1 FROM visit v WHERE v.id = a.deferred_visit AND v.state = 'planned' AND v.to_ms > :now))
    AND NOT EXISTS (SELECT 1 FROM escalation e WHERE e.alarm = a.id AND e.state IN ('due', 'running'))"""
)


class ScriptError(Exception):
    """The night went another way than it is written: an actor could not do what the script says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stormed:
    """How it went when everything came at once. Real seconds."""

    envelopes: int
    took_s: float
    presses_s: tuple[float, ...]
    before_presses: int
    """Envelopes of the storm that were receipted when the last press was."""


@dataclass(slots=True)
class Night:
    """What a night leaves behind beside the database."""

    lamps: list[Lamp] = field(default_factory=list)
    storms: list[Stormed] = field(default_factory=list)
    away: list[tuple[int, int]] = field(default_factory=list)
    """When there was no central."""
    forsaken: list[str] = field(default_factory=list)
    """Personal alarms that nobody had and no plan moved on, as seen after each second."""
    moments: int = 0


def _whole(at_ms: int) -> int:
    return math.ceil(at_ms / SECOND_MS) * SECOND_MS


class Stage:
    """One municipality and its central."""

    def __init__(self, settings: CentralSettings, clock: TownClock, town: Town, say: Callable[[str], None]) -> None:
        self._settings = settings
        self._clock = clock
        self._town = town
        self._say = say
        self._stack = AsyncExitStack()
        self._central: Central | None = None
        self._ids: Ids | None = None
        self._working: dict[str, Working] = {}
        self._moments: list[int] = []
        self.night = Night()
        self.homes = {label: Home(label, clock, self._lamp) for label in town.hubs}

    @classmethod
    @asynccontextmanager
    async def open(
        cls, settings: CentralSettings, clock: TownClock, town: Town, say: Callable[[str], None]
    ) -> AsyncIterator[Stage]:
        """A central without a municipality."""
        stage = cls(settings, clock, town, say)
        await stage._open()
        try:
            yield stage
        finally:
            await stage._close()

    async def _open(self) -> None:
        self._central = await self._stack.enter_async_context(open_central(self._settings, self._clock))

    async def _close(self) -> None:
        self._central = None
        stack, self._stack = self._stack, AsyncExitStack()
        await stack.aclose()

    async def _kill(self) -> None:
        """In the middle of the night, without a last word: what it had only in mind is lost."""
        self.central.services.security.note(LAST_WORD, hub=None, path="https")
        async with cut_off(self._settings.database_url):
            with contextlib.suppress(NotStoredError):  # so it is to it: what it had to say is not taken
                await self._close()

    @property
    def central(self) -> Central:
        """The central that runs. Raises ScriptError while there is none."""
        if self._central is None:
            raise ScriptError("there is no central now")
        return self._central

    @property
    def ids(self) -> Ids:
        """What central calls whom. Raises ScriptError before the founding."""
        if self._ids is None:
            raise ScriptError("the municipality is not founded yet")
        return self._ids

    def _lamp(self, _label: str, alarm: bytes, state: str) -> None:
        self.night.lamps.append(Lamp(at_ms=self._clock.now_ms(), alarm=alarm.hex(), state=state))

    # ------------------------------------------------------------------------------------------------ the night

    async def found(self, script: Script) -> None:
        """Everything that is there before the evening."""
        self._say(f"founding a municipality of {len(self._town.residents)} residents, {len(self.homes)} hubs")
        self._ids = await found_municipality(self.central, self._town, self.homes, script.visits)
        self._working = come_to_work(self.central, self._town.workers, dict(self.ids.accounts))
        for home in self.homes.values():
            await home.connect(self.central)

    async def play(self, script: Script) -> Night:
        """From the first line to the last, and on to the end of the night."""
        self._clock.set_to(script.begin_ms)
        await self._second()
        scene = ""
        for line in script.lines:
            if line.scene != scene:
                scene = line.scene
                self._say(scene)
            await self._until(line.at_ms)
            await self._perform(line)
        await self._until(script.end_ms)
        return self.night

    async def _until(self, at_ms: int) -> None:
        while self._clock.now_ms() < at_ms:
            if self._central is None:
                self._clock.set_to(at_ms)
                return
            due_ms = await self._next_due()
            pages_ms = min((due for one in self._working.values() for due in one.dues), default=at_ms)
            moment = max(self._clock.now_ms() + SECOND_MS, _whole(min(due_ms, pages_ms, at_ms, await self._furthest())))
            self._clock.set_to(moment)
            if due_ms <= moment:
                await self._second()
            else:  # central's rounds would find nothing to do: only the consoles have something to say
                await self._consoles()
                await self.central.rounds["duty"]()

    async def _furthest(self) -> int:
        """No longer than this without a sign of the consoles."""
        is_waited = await self.central.services.store.fetch(_IS_WAITED.value)
        return self._clock.now_ms() + (BEAT_MS if is_waited else LONGEST_MS)

    async def _next_due(self) -> int:
        """When central, or whoever looks for a console that died, has something to do."""
        now = self._clock.now_ms()
        due: int | None = await self.central.services.store.fetch(_DUE.value)
        return min([moment for moment in self._moments if moment > now] + [now + LONGEST_MS if due is None else due])

    async def _consoles(self) -> None:
        on_screen = [(str(row[0]), int(row[1])) for row in await self.central.services.store.fetch(_ON_SCREEN.rows)]
        for one in self._working.values():
            one.hold(self.central)
            await one.look(on_screen)
            await one.renew(self._clock.now_ms())
        self.night.moments += 1

    async def _second(self) -> None:
        """What happens in one second of central's, and what homes and consoles do in it."""
        central = self.central
        await self._consoles()
        for name in CHORES:
            await central.rounds[name]()
        for home in self.homes.values():
            await home.report()
        rows = await central.services.store.fetch(
            lambda connection: _FORSAKEN.rows(connection, now=self._clock.now_ms())
        )
        self.night.forsaken += [f"{self._town.named(row[1])} ({row[2]}) at {self._clock.now_ms()}" for row in rows]

    async def _perform(self, line: Line) -> None:
        if line.act is None:
            return
        try:
            await self._do(line.act)
        except Exception as error:
            raise ScriptError(f"{line.scene}: {line.act} could not be done: {error!r}") from error
        if self._central is not None:
            await self._second()

    async def _do(self, act: Act) -> None:
        match act:
            case Raises() | Storm():
                await self._at_home(act)
            case CentralDies() | CentralStarts() | ConsolesComeBack() | ConsoleDies():
                await self._trouble(act)
            case ConsoleFreezes(worker) | ConsoleThaws(worker):
                self._working[worker].is_frozen = isinstance(act, ConsoleFreezes)
            case Replies(resident, place, text):
                await self._reply(resident, place, text)
            case GoesOnDuty(worker):
                await self._working[worker].go_on_duty()
            case GoesOffDuty(worker):
                await self._working[worker].go_off_duty()
            case _:
                await self._handle(act, self._working[act.worker], act.resident)

    # ------------------------------------------------------------------------------------------------- homes

    async def _at_home(self, act: Raises | Storm) -> None:
        if isinstance(act, Raises):
            await self._raise(act.resident, act.kind)
            return
        self.night.storms.append(await self._storm(act))

    async def _raise(self, number: int, *kinds: str, is_personal: bool = True) -> None:
        resident = self._town.resident(number)
        who = resident.pseudonym if is_personal else None
        device = resident.device if is_personal else ""
        await self.homes[resident.hub].raise_event(*kinds, device=device, resident=who)

    async def _storm(self, act: Storm) -> Stormed:
        turn = asyncio.Semaphore(STORM_AT_ONCE)
        half = asyncio.Event()
        done = 0
        presses_s: list[float] = []
        before = 0

        async def fault(number: int) -> None:
            nonlocal done
            async with turn:
                await self._raise(number, *act.kinds, is_personal=False)
            done += 1
            if done >= len(act.residents) // 4:
                half.set()

        async def press(number: int, kind: str) -> None:
            nonlocal before
            await half.wait()
            begun_s = time.perf_counter()
            await self._raise(number, kind)
            presses_s.append(time.perf_counter() - begun_s)
            before = done

        begun_s = time.perf_counter()
        pressing = {number for number, _kind in act.presses}
        async with asyncio.TaskGroup() as group:
            for number in act.residents:
                if number not in pressing:
                    group.create_task(fault(number))
            for number, kind in act.presses:
                group.create_task(press(number, kind))
        storm_s = time.perf_counter() - begun_s
        for number in pressing:
            await self._raise(number, *act.kinds, is_personal=False)
        return Stormed(envelopes=len(act.residents), took_s=storm_s, presses_s=tuple(presses_s), before_presses=before)

    # ----------------------------------------------------------------------------------------------- trouble

    async def _trouble(self, act: CentralDies | CentralStarts | ConsolesComeBack | ConsoleDies) -> None:
        match act:
            case CentralDies():
                for home in self.homes.values():
                    home.hang_up()
                for one in self._working.values():
                    one.is_connected = False
                await self._kill()
                self.night.away.append((self._clock.now_ms(), self._clock.now_ms()))
            case CentralStarts():
                await self._open()
                begun, _ = self.night.away.pop()
                self.night.away.append((begun, self._clock.now_ms()))
                for home in self.homes.values():
                    await home.connect(self.central)
            case ConsolesComeBack():
                find_again(self.central, self._working)
            case ConsoleDies(worker):
                self._working[worker].lose_console()
                self._moments.append(self._clock.now_ms() + UNSEEN_MS)

    # ---------------------------------------------------------------------------------------------- handling

    async def _alarm(self, number: int) -> str:
        resident = self._town.resident(number).pseudonym
        rows = await self.central.services.store.fetch(lambda connection: _OPEN.rows(connection, resident=resident))
        if not rows:
            raise ScriptError(f"{self._town.resident(number).name} has no open alarm")
        return str(rows[0][0])

    async def _reply(self, resident: int, place: int, text: str) -> None:
        parts, sms = self.central.sms, self._settings.sms
        if parts is None or sms is None:
            raise ScriptError("this central has no SMS")
        number, secret = contact_phone(resident, place), sms.inbound_secret_file.read_bytes().strip()
        what = await hand_in(parts.app, secret, self._clock.now_ms(), number, text)
        if what not in {"yes", "no"}:
            raise ScriptError(f"central took the answer for {what}")

    async def _one(self, statement: Sql, **values: str | int) -> str:
        found = await self.central.services.store.fetch(lambda connection: statement.value(connection, **values))
        if found is None:
            raise ScriptError(f"there is none: {values}")
        return str(found)

    async def _handle(
        self,
        act: TakesNext | Calls | Sends | Says | Defers | Offers | Accepts | Closes,
        one: Working,
        resident: int,
    ) -> None:
        alarm, alarms, pseudonym = (
            await self._alarm(resident), self.central.services.alarms, self._town.resident(resident).pseudonym
        )  # fmt: skip
        match act:
            case TakesNext():
                taken = (await one.browser.post("/api/v1/alarms/next", {"queue": "personal"}))["alarm"]
                if taken is None or taken["id"] != alarm:
                    raise ScriptError(f"central picked {taken and taken['id']}, not {alarm}")
                one.open_page(alarm, self._clock.now_ms())
            case Closes(disposition=disposition, outcome=outcome):
                body = {"disposition": disposition, "outcome": outcome}
                await one.browser.post(f"/api/v1/alarms/{alarm}/close", body)
                one.close_page(alarm)
            case Calls(called=called, result=result, place=place):
                contact = await self._one(_CONTACT, resident=pseudonym, place=place) if called == "contact" else ""
                await alarms.call(alarm, one.actor, called, contact, result)
            case Sends(team=team):
                await alarms.dispatch(alarm, one.actor, self.ids.teams[team])
            case Says(step=step, reason=reason):
                team = self.ids.teams[one.worker.team]
                await alarms.dispatch_step(await self._one(_DISPATCH, alarm=alarm, team=team), one.actor, step, reason)
            case Defers():
                await alarms.defer(alarm, one.actor, await self._one(_VISIT, resident=pseudonym))
                one.close_page(alarm)
            case Offers(to=to):
                await alarms.offer(alarm, one.actor, to_account=self._working[to].account)
            case Accepts():
                await alarms.accept_offer(await self._one(_OFFER, alarm=alarm), one.actor)
                one.open_page(alarm, self._clock.now_ms())
