"""One step of a plan at work: who is asked, how they are told, and whether that can reach anybody at all.

A step that asks a team at its consoles while no console with working sound is on duty has failed before it began, and
so has one that finds no receiver: the next one starts at once. The last step stands in any case, and repeats.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection

from central import event_log
from central.escalation import patrols
from central.escalation.duty import teams_with_sound
from central.escalation.receivers import HOUSE, Receiver, receivers_of
from central.escalation.seen import comeback
from central.escalation.telling import tell
from central.lifecycle import GOERS
from central.notify.channels import at_consoles, carried
from central.routing.plan import DEFAULT_PLAN, Channel, Ends, Plan, ReceiverKind, Step
from central.routing.store import DEFAULT_ZONE
from central.sql import Sql
from central.views import SYSTEM

log = structlog.get_logger()

NOBODY_WITH_SOUND = "nobody_with_sound"
NO_RECEIVER = "no_receiver"
COMING_BACK = "coming_back"
"""Consoles that were on duty before central was restarted are waited for, for a few seconds."""

_SNAPSHOT = Sql("SELECT snapshot, variant FROM alarm_plan WHERE alarm = :alarm")
_STEP = Sql(
    """INSERT INTO escalation (alarm, no, round, state, due_ms, started_ms, ended_ms, why)
    VALUES (:alarm, :no, :round, :state, :due, :now, :ended, :why) ON CONFLICT DO NOTHING"""
)
_REST = Sql(
    """UPDATE escalation SET due_ms = :due, why = '', fence = fence + 1
    WHERE alarm = :alarm AND round = :round AND no = :no AND state = 'running'"""
)
_RECEIVES = Sql(
    "INSERT INTO alarm_receiver (alarm, team, since_ms) VALUES (:alarm, :team, :now) ON CONFLICT DO NOTHING"
)
_TOLD = Sql(
    """SELECT channel, team, contact, language, min(step) FROM notification
    WHERE alarm = :alarm AND round = :round AND dispatch IS NULL
      AND what IN ('alarm_waits', 'alarm_waits_contact', 'nobody_on_duty') AND (answer IS NULL OR answer <> 'no')
      AND state IN ('sent', 'unconfirmed', 'delivered', 'failed') GROUP BY channel, team, contact, language"""
)


class Snapshot(BaseModel):
    """The plan as it was when the alarm was raised, and the time zone in which its hours are meant."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    plan: Plan = DEFAULT_PLAN
    zone: str = DEFAULT_ZONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """An alarm that waits, and the steps of its present round."""

    alarm: str
    hub: str
    tenant: str | None
    resident: str | None
    kind: str
    round: int
    steps: tuple[Step, ...]
    zone: str

    def step(self, no: int) -> Step:
        """The step of a number; beyond the end, the last one again."""
        return self.steps[min(no, len(self.steps) - 1)]

    def is_last(self, no: int) -> bool:
        """Whether there is nothing else to try than the same again."""
        return no >= len(self.steps) - 1


async def snapshot_of(connection: AsyncConnection, alarm: str) -> Snapshot | None:
    """The plan that an alarm began with. One that cannot be read counts as none."""
    row = await _SNAPSHOT.one(connection, alarm=alarm)
    if row is None:
        return None
    try:
        return Snapshot.model_validate_json(row[0])
    except ValidationError as error:
        log.warning("snapshot_unreadable", alarm=alarm, problems=error.error_count())
        return None


async def steps_of(connection: AsyncConnection, alarm: str) -> tuple[tuple[Step, ...], str]:
    """The steps of an alarm's present round, and its zone."""
    snapshot = await snapshot_of(connection, alarm) or Snapshot()
    row = await _SNAPSHOT.one(connection, alarm=alarm)
    name = row[1] if row is not None else ""
    variants = snapshot.plan.variants
    found = next((variant for variant in variants if variant.name == name), variants[-1])
    return found.steps, snapshot.zone


async def run_from(connection: AsyncConnection, case: Case, no: int, now: int) -> int:
    """Start a step, and the next one at once as long as one can reach nobody. Returns the number that runs now."""
    passed: list[dict[str, object]] = []
    while fault := await _start(connection, case, no, now):
        passed.append({"step": no, "why": fault})
        if case.is_last(no):
            break
        no += 1
    if passed:
        what = NOBODY_WITH_SOUND if any(one["why"] == NOBODY_WITH_SOUND for one in passed) else NO_RECEIVER
        content = {"round": case.round, "steps": passed}
        await event_log.append(connection, now, what, SYSTEM, alarm=case.alarm, hub=case.hub, content=content)
    return no


async def _start(connection: AsyncConnection, case: Case, no: int, now: int) -> str:
    """Returns why this step can reach nobody, or nothing when it can."""
    step = case.step(no)
    receivers = await receivers_of(
        connection, step, tenant=case.tenant, resident=case.resident, kind=case.kind, now=now, zone=case.zone
    )
    is_told = any(one.can_be_told(channel) for one in receivers for channel in step.channels if channel in carried())
    has_sound, until_ms = await _hearing(connection, step, receivers, now)
    fault = ""
    if not (has_sound or is_told):
        fault = NOBODY_WITH_SOUND if at_consoles(step.channels) and receivers else NO_RECEIVER
    has_failed = bool(fault) and not case.is_last(no)
    due_ms = now + step.patience_s * 1000
    is_waited_for = until_ms is not None and not is_told
    if is_waited_for and until_ms is not None:
        due_ms = min(due_ms, until_ms)
    telling = _Telling(case=case, no=no, step=step, due_ms=due_ms, is_heard=has_sound, has_failed=has_failed)
    await telling.tell_all(connection, receivers, now)
    await _STEP.rows(
        connection,
        alarm=case.alarm,
        no=no,
        round=case.round,
        state="failed" if has_failed else "running",
        due=now if has_failed else due_ms,
        now=now,
        ended=now if has_failed else None,
        why=fault or (COMING_BACK if is_waited_for else ""),
    )
    return fault


async def _hearing(
    connection: AsyncConnection, step: Step, receivers: Sequence[Receiver], now: int
) -> tuple[bool, int | None]:
    """Whether a console is there that sounds; and until when it is waited for, when it is only expected back."""
    if not at_consoles(step.channels):
        return False, None
    here = await teams_with_sound(connection, now, is_here=True)
    if any(one.covers(here) for one in receivers):
        return True, None
    waiting = await comeback(connection, now)
    if waiting is None:
        return False, None
    expected = await teams_with_sound(connection, now)
    return (True, waiting.until_ms) if any(one.covers(expected) for one in receivers) else (False, None)


async def has_come_back(connection: AsyncConnection, case: Case, no: int, started_ms: int, now: int) -> bool:
    """A step has waited for consoles to come back: one has, and the step has the rest of its time. Else it is over."""
    step = case.step(no)
    receivers = await receivers_of(
        connection, step, tenant=case.tenant, resident=case.resident, kind=case.kind, now=now, zone=case.zone
    )
    here = await teams_with_sound(connection, now, is_here=True)
    due_ms = started_ms + step.patience_s * 1000
    if due_ms <= now or not any(one.covers(here) for one in receivers):
        return False
    await _REST.rows(connection, alarm=case.alarm, round=case.round, no=no, due=due_ms)
    return True


async def tell_telephones(connection: AsyncConnection, case: Case, no: int, now: int) -> None:
    """Consoles that were expected back have not come: whoever carries the duty telephone is to know."""
    step = case.step(no)
    receivers = await receivers_of(
        connection, step, tenant=case.tenant, resident=case.resident, kind=case.kind, now=now, zone=case.zone
    )
    telling = _Telling(case=case, no=no, step=step, due_ms=now, is_heard=False, has_failed=True)
    for one in receivers:
        await telling.tell_telephone(connection, one, now)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Telling:
    """One step that begins: its receivers see the alarm in their queues, and are told."""

    case: Case
    no: int
    step: Step
    due_ms: int
    is_heard: bool
    has_failed: bool

    async def tell_all(self, connection: AsyncConnection, receivers: Sequence[Receiver], now: int) -> None:
        """Everybody whom the step turns to, next of kin one after another."""
        step, case = self.step, self.case
        wait_ms = step.patience_s * 1000 // max(1, len(receivers)) if step.receiver is ReceiverKind.CONTACTS else 0
        for place, one in enumerate(receivers):
            if one.team is not None:
                await _RECEIVES.rows(connection, alarm=case.alarm, team=one.team, now=now)
            if step.ends is Ends.ACCEPTED and one.kind in GOERS and not self.has_failed:
                await self._send(connection, one, now)
                continue
            for channel in step.channels:
                if one.can_be_told(channel):
                    what = "alarm_waits" if one.contact is None else "alarm_waits_contact"
                    await self._tell(connection, one, channel, what, now, next_ms=now + place * wait_ms)
            if not self.is_heard:
                await self.tell_telephone(connection, one, now)

    async def tell_telephone(self, connection: AsyncConnection, one: Receiver, now: int) -> None:
        """Nobody hears the console: whoever carries the duty telephone is to know, whatever the plan says."""
        if at_consoles(self.step.channels) and Channel.SMS not in self.step.channels and one.phone:
            await self._tell(connection, one, Channel.SMS, "nobody_on_duty", now, next_ms=now)

    async def _send(self, connection: AsyncConnection, one: Receiver, now: int) -> None:
        channels = self.step.channels
        if at_consoles(channels) and not self.is_heard and Channel.SMS not in channels:
            channels = (*channels, Channel.SMS)
        case = self.case
        await patrols.send(
            connection,
            one,
            channels,
            now,
            alarm=case.alarm,
            hub=case.hub,
            number=case.round,
            step=self.no,
            due_ms=self.due_ms,
        )

    async def _tell(
        self, connection: AsyncConnection, one: Receiver, channel: str, what: str, now: int, *, next_ms: int
    ) -> None:
        case = self.case
        key = _key(case.alarm, case.round, str(self.no), channel, one)
        await tell(
            connection, key, one, channel, what, now, alarm=case.alarm, number=case.round, step=self.no, next_ms=next_ms
        )


def _key(alarm: str, number: int, where: str, channel: str, one: Receiver) -> str:
    return f"{alarm}:{number}:{where}:{channel}:{one.contact or one.team or HOUSE}"


async def tell_taken(connection: AsyncConnection, alarm: str, number: int, now: int) -> None:
    """Whoever was called by telephone or letter in this round hears that nobody need come any more. Once each.

    Whoever has a console sees it there.
    """
    for channel, team, contact, language, step in await _TOLD.rows(connection, alarm=alarm, round=number):
        if channel not in carried():
            continue
        one = Receiver(team=team, contact=contact, language=language)
        key = _key(alarm, number, "taken", channel, one)
        await tell(connection, key, one, channel, "taken", now, alarm=alarm, number=number, step=step)
