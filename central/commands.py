"""Asking a hub to do something, and waiting for its answer.

A command names the hub's running epoch and a number that rises within it, and expires after 60 seconds: a hub does it
at most once and never late. It goes down every open link, here or (`central.carrying`) of another process on the same
database; the parts of the answer come up by any path. No answer is an answer of its own, and is never shown as good.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from central import event_log, feed
from central.carrying import CARRIED_WITHIN_S, LOOK_S, Carrying
from central.clock import Clock
from central.errors import ActionError, NotFoundError
from central.keys import CentralKeys
from central.links import HubLinks
from central.presence import Presence
from central.sql import Row, RowsSql, Sql
from central.store import Priority, Store
from central.views import Actor
from central.wakeup import Wakeup
from cloud_sync import health
from cloud_sync.central_messages import COMMAND_LIFE_MS, Address, Command
from cloud_sync.errors import MalformedError
from cloud_sync.health import HealthResult, expectation
from cloud_sync.hub_messages import CommandResult
from cloud_sync.identity import new_id

MAX_WAITING = 200
CHECK_WITHIN_S = 12.0
"""A hub needs less than ten seconds for its health check; so late is no answer."""
MAX_PARTS = 64

_HUB = Sql("SELECT epoch FROM hub WHERE id = :hub")
_LOCK_HUB = Sql("UPDATE hub SET epoch = epoch WHERE id = :hub RETURNING id")
"""Numbers rise within a hub's run, whichever process asks."""
# A restored database has forgotten numbers that hubs have seen: from then on they begin above all of those.
_NUMBER = Sql(
    """SELECT 1 + CASE WHEN seen.number > base.number THEN seen.number ELSE base.number END FROM
      (SELECT coalesce(max(number), 0) AS number FROM command WHERE hub = :hub AND epoch = :epoch) AS seen,
      (SELECT coalesce(max(CAST(value AS BIGINT)), 0) AS number FROM central_state
        WHERE name = 'command_base') AS base"""
)
_INSERT = Sql(
    """INSERT INTO command (id, hub, epoch, number, name, arguments, actor, created_ms, expires_ms, state)
    VALUES (:id, :hub, :epoch, :number, :name, :arguments, :actor, :now, :expires, :state)"""
)
_DONE = Sql("UPDATE command SET state = :state, answered_ms = :answered, result = :result WHERE id = :id")
_CHECK = Sql("INSERT INTO health_check (id, hub, actor, asked_ms, state) VALUES (:id, :hub, :actor, :now, 'waiting')")
_CHECKED = Sql("UPDATE health_check SET state = :state, answered_ms = :answered, result = :result WHERE id = :id")
_CHECKS = Sql(
    """SELECT id, hub, actor, state, asked_ms, answered_ms, result FROM health_check WHERE hub = :hub
    ORDER BY asked_ms DESC LIMIT :limit"""
)
_LAST_CHECKS = RowsSql(
    """SELECT c.id, c.hub, c.actor, c.state, c.asked_ms, c.answered_ms, c.result FROM health_check c
    WHERE c.id IN (SELECT (SELECT l.id FROM health_check l WHERE l.hub = k.column1 AND l.state <> 'waiting'
       ORDER BY l.asked_ms DESC LIMIT 1) FROM (VALUES {rows}) AS k)""",
    1,
)
_OPERATOR = Sql("UPDATE hub SET operator = :operator WHERE id = :hub AND operator <> :operator")
_LOST = Sql("UPDATE health_check SET state = 'no_answer' WHERE state = 'waiting' AND asked_ms < :before")
_LOST_COMMANDS = Sql(
    "UPDATE command SET state = 'no_answer' WHERE state IN ('sent', 'wanted') AND created_ms < :before"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of a command. `state` is answered, no_answer or no_link; unknown is never shown as good."""

    id: str
    hub: str
    name: str
    state: str
    asked_ms: int
    answered_ms: int | None = None
    result: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """A health check that was asked for. `result` is `{"version": 1, "lines": [...]}` when it was answered."""

    id: str
    hub: str
    actor: str
    state: str  # waiting | answered | failed (the hub answered, but not with a result) | no_answer | no_link
    asked_ms: int
    answered_ms: int | None
    result: Mapping[str, Any] | None


@dataclass(slots=True)
class _Waiting:
    hub: bytes
    epoch: bytes
    done: asyncio.Event = field(default_factory=asyncio.Event)
    parts: dict[int, Any] = field(default_factory=dict)
    last: int | None = None

    @property
    def is_whole(self) -> bool:
        return self.last is not None and all(part in self.parts for part in range(self.last + 1))


class Commands:
    """The commands of one central."""

    def __init__(
        self, store: Store, keys: CentralKeys, clock: Clock, links: HubLinks, presence: Presence, wakeup: Wakeup
    ) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._links = links
        self._presence = presence
        self._wakeup = wakeup
        self._waiting: dict[bytes, _Waiting] = {}
        self._in_order = asyncio.Lock()
        self.carrying = Carrying(store, keys, clock, links, wakeup)

    async def load(self) -> None:
        """What an earlier run of central still waited for will not be answered to this one; other processes wait on."""
        before = self._clock.now_ms() + (-COMMAND_LIFE_MS if self.carrying.is_needed else 1)
        async with self._store.write(Priority.UPKEEP) as connection:
            await _LOST.rows(connection, before=before)
            await _LOST_COMMANDS.rows(connection, before=before)

    async def ask(
        self, hub: str, name: str, arguments: Mapping[str, Any], actor: Actor, *, timeout_s: float = 30.0
    ) -> Answer:
        """Send to all open links of the hub's newest run and wait.

        Raises NotFoundError for an unknown hub, ActionError when too much is being asked at once.
        """
        return await self._ask(new_id(), hub, name, arguments, actor, timeout_s)

    async def _ask(
        self, command_id: bytes, hub: str, name: str, arguments: Mapping[str, Any], actor: Actor, timeout_s: float
    ) -> Answer:
        if len(self._waiting) >= MAX_WAITING:
            raise ActionError("busy", "too many commands are waiting for an answer; try again in a minute")
        try:
            bytes.fromhex(hub)
        except ValueError:
            raise NotFoundError("hub", repr(hub)) from None
        asked_ms = self._clock.now_ms()
        links = self._links.of(bytes.fromhex(hub))
        epoch = self._presence.epoch(hub) or (links[-1].epoch.hex() if links else "")
        links = [link for link in links if link.epoch.hex() == epoch]
        command = Command(
            to=Address(hub=bytes.fromhex(hub), hub_epoch=bytes.fromhex(epoch), central_ms=asked_ms),
            command=command_id,
            number=0,
            expires_ms=asked_ms + COMMAND_LIFE_MS,
            name=name,
            arguments=arguments,
        )
        # The hub may hold its connection to another process: whoever has it carries the command.
        is_wanted = not links and bool(epoch) and self.carrying.is_needed
        state = "sent" if links else "wanted" if is_wanted else "no_link"
        waiting = self._waiting[command_id] = _Waiting(command.to.hub, command.to.hub_epoch)
        try:
            async with self._in_order:  # a hub refuses a number below one it has seen
                number = await self._store.transact(
                    Priority.PEOPLE, lambda connection: self._record(connection, command, actor, state)
                )
                self._wakeup.wake()
                if state == "no_link":
                    return Answer(id=command_id.hex(), hub=hub, name=name, state=state, asked_ms=asked_ms)
                frame = replace(command, number=number).pack(self._keys.sign_id, self._keys.sign)
                for link in links:
                    link.put(frame)
            with suppress(TimeoutError):
                async with asyncio.timeout(min(timeout_s, COMMAND_LIFE_MS / 1000)):
                    if not await self._is_answered(waiting, command_id.hex(), is_wanted=is_wanted):
                        return Answer(id=command_id.hex(), hub=hub, name=name, state="no_link", asked_ms=asked_ms)
        finally:
            del self._waiting[command_id]
        is_answered = waiting.is_whole
        answer = Answer(
            id=command_id.hex(),
            hub=hub,
            name=name,
            state="answered" if is_answered else "no_answer",
            asked_ms=asked_ms,
            answered_ms=self._clock.now_ms() if is_answered else None,
            result=_merged([waiting.parts[part] for part in sorted(waiting.parts)]) if is_answered else None,
        )
        async with self._store.write(Priority.PEOPLE) as connection:
            await _DONE.rows(
                connection,
                id=answer.id,
                state=answer.state,
                answered=answer.answered_ms,
                result=None if answer.result is None else json.dumps(answer.result, default=str),
            )
            await self.carrying.forget(connection, answer.id)
        return answer

    async def _is_answered(self, waiting: _Waiting, command_id: str, *, is_wanted: bool) -> bool:
        """Waits until all parts have come, here or at others. False: no process has a link to the hub."""
        if not self.carrying.is_needed:
            await waiting.done.wait()
            return True
        loop = asyncio.get_running_loop()
        give_up_s = loop.time() + CARRIED_WITHIN_S
        while not waiting.is_whole:
            seen = self._wakeup.count
            parts, last = await self.carrying.parts(command_id)
            waiting.parts |= parts
            waiting.last = waiting.last if last is None else last
            if is_wanted and not waiting.parts and loop.time() >= give_up_s:
                if await self.carrying.nobody_carries(command_id):
                    return False
                is_wanted = False
            if not waiting.is_whole:
                await self._wakeup.wait(seen, LOOK_S)
        return True

    async def _record(self, connection: AsyncConnection, command: Command, actor: Actor, state: str) -> int:
        hub, epoch, now = command.to.hub.hex(), command.to.hub_epoch.hex(), command.to.central_ms
        if await _LOCK_HUB.one(connection, hub=hub) is None:
            raise NotFoundError("hub", repr(hub))
        number = await _NUMBER.value(connection, hub=hub, epoch=epoch)
        await _INSERT.rows(
            connection,
            id=command.command.hex(),
            hub=hub,
            epoch=epoch,
            number=number,
            name=command.name,
            arguments=json.dumps(dict(command.arguments)),
            actor=actor.id,
            now=now,
            expires=command.expires_ms,
            state=state,
        )
        content = {"command": command.name, "has_link": state != "no_link"}
        await event_log.append(connection, now, "command_sent", actor, hub=hub, content=content)
        return int(number)

    async def result(self, message: CommandResult, content: Any) -> None:
        """One part of an answer, opened. What nobody waits for is let go."""
        waiting = self._waiting.get(message.command)
        sender = message.sender
        if waiting is None and self.carrying.is_needed and message.part < MAX_PARTS:
            await self.carrying.lay(message, content)
            return
        if waiting is None or (sender.hub, sender.sender_epoch) != (waiting.hub, waiting.epoch):
            return
        if message.part < MAX_PARTS:
            waiting.parts[message.part] = content
        if message.is_last:
            waiting.last = message.part
        if waiting.is_whole:
            waiting.done.set()
            self._wakeup.wake()

    async def check(self, hub: str, actor: Actor, *, timeout_s: float = CHECK_WITHIN_S) -> HealthCheck:
        """Run the hub's health check and keep the result."""
        command_id, now = new_id(), self._clock.now_ms()
        async with self._store.write(Priority.PEOPLE) as connection:
            if await _HUB.one(connection, hub=hub) is None:
                raise NotFoundError("hub", repr(hub))
            await _CHECK.rows(connection, id=command_id.hex(), hub=hub, actor=actor.id, now=now)
            await feed.publish(connection, now, "check", hub, "asked")
        self._wakeup.wake()
        arguments = expectation(await self._last_result(hub))
        answer = await self._ask(command_id, hub, health.COMMAND, arguments, actor, timeout_s)
        result, state, operator = None, answer.state, ""
        if state == "answered":
            try:
                read = HealthResult.from_plain(answer.result)
                result, operator = read.to_plain(), _operator_in(read)
            except (MalformedError, ValueError) as error:
                result, state = {"error": {"reason": "not_understood", "detail": str(error)[:200]}}, "failed"
        async with self._store.write(Priority.PEOPLE) as connection:
            await _CHECKED.rows(
                connection,
                id=answer.id,
                state=state,
                answered=answer.answered_ms,
                result=None if result is None else json.dumps(result, default=str),
            )
            if operator:
                await _OPERATOR.rows(connection, hub=hub, operator=operator)
            await feed.publish(connection, self._clock.now_ms(), "check", hub, state)
        self._wakeup.wake()
        return HealthCheck(
            id=answer.id,
            hub=hub,
            actor=actor.id,
            state=state,
            asked_ms=now,
            answered_ms=answer.answered_ms,
            result=result,
        )

    async def _last_result(self, hub: str) -> HealthResult | None:
        for check in await self.checks(hub, limit=5):
            if check.state == "answered" and check.result is not None:
                try:
                    return HealthResult.from_plain(check.result)
                except MalformedError:
                    continue
        return None

    async def checks(self, hub: str, *, limit: int = 20) -> Sequence[HealthCheck]:
        """Health checks of a hub, newest first."""
        rows = await self._store.fetch(lambda connection: _CHECKS.rows(connection, hub=hub, limit=limit))
        return [_check(row) for row in rows]

    async def last_checks(self, hubs: Sequence[str]) -> Mapping[str, HealthCheck]:
        """By hub, the newest that is over, of those that were ever checked."""
        keys = [(hub,) for hub in hubs]
        rows = await self._store.fetch(lambda connection: _LAST_CHECKS.rows(connection, keys))
        return {check.hub: check for check in map(_check, rows)}


def _check(row: Row) -> HealthCheck:
    check, hub, actor, state, asked_ms, answered_ms, result = row
    return HealthCheck(
        id=check,
        hub=hub,
        actor=actor,
        state=state,
        asked_ms=asked_ms,
        answered_ms=answered_ms,
        result=None if result is None else json.loads(result),
    )


def _merged(parts: list[Any]) -> Any:
    """One answer of its parts: maps are laid over one another, their lists one after the other."""
    if len(parts) == 1:
        return parts[0]
    if not all(isinstance(part, dict) for part in parts):
        return parts
    whole: dict[Any, Any] = {}
    for part in parts:
        for key, value in part.items():
            whole[key] = whole[key] + value if isinstance(value, list) and isinstance(whole.get(key), list) else value
    return whole


def _operator_in(result: HealthResult) -> str:
    """Whose mobile network the hub's modem is in: what fails together is told together."""
    line = result.line("modem.network")
    return "" if line is None else str(line.params.get("operator") or "").replace("\x00", "")[:64]
