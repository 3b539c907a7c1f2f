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
from central.escalation.duty import teams_with_sound
from central.escalation.receivers import HOUSE, Receiver, receivers_of
from central.routing.plan import DEFAULT_PLAN, Channel, Plan, ReceiverKind, Step
from central.routing.store import DEFAULT_ZONE
from central.sql import Sql
from central.views import SYSTEM
from cloud_sync.identity import new_id

log = structlog.get_logger()

NOBODY_WITH_SOUND = "nobody_with_sound"
NO_RECEIVER = "no_receiver"

_SNAPSHOT = Sql("SELECT snapshot, variant FROM alarm_plan WHERE alarm = :alarm")
_STEP = Sql(
    """INSERT INTO escalation (alarm, no, round, state, due_ms, started_ms, ended_ms, why)
    VALUES (:alarm, :no, :round, :state, :due, :now, :ended, :why) ON CONFLICT DO NOTHING"""
)
_RECEIVES = Sql(
    "INSERT INTO alarm_receiver (alarm, team, since_ms) VALUES (:alarm, :team, :now) ON CONFLICT DO NOTHING"
)
_TELL = Sql(
    """INSERT INTO notification (id, key, alarm, step, channel, team, contact, what, language, state, next_ms, made_ms,
       sent_ms)
    VALUES (:id, :key, :alarm, :step, :channel, :team, :contact, :what, :language, :state, :next, :now, :sent)
    ON CONFLICT (key) DO NOTHING"""
)
_TOLD = Sql(
    """SELECT channel, team, contact, language, min(step) FROM notification
    WHERE alarm = :alarm AND key LIKE :prefix AND channel <> 'console' AND what <> 'taken'
      AND state IN ('sent', 'delivered', 'failed') GROUP BY channel, team, contact, language"""
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
    has_sound = False
    if Channel.CONSOLE in step.channels:
        on_duty = await teams_with_sound(connection, now)
        has_sound = any(one.covers(on_duty) for one in receivers)
    is_told = await _tell_all(connection, case, no, step, receivers, now, has_sound=has_sound)
    fault = ""
    if not (has_sound or is_told):
        fault = NOBODY_WITH_SOUND if Channel.CONSOLE in step.channels and receivers else NO_RECEIVER
    has_failed = bool(fault) and not case.is_last(no)
    await _STEP.rows(
        connection,
        alarm=case.alarm,
        no=no,
        round=case.round,
        state="failed" if has_failed else "running",
        due=now if has_failed else now + step.patience_s * 1000,
        now=now,
        ended=now if has_failed else None,
        why=fault,
    )
    return fault


async def _tell_all(
    connection: AsyncConnection,
    case: Case,
    no: int,
    step: Step,
    receivers: Sequence[Receiver],
    now: int,
    *,
    has_sound: bool,
) -> bool:
    """Puts the alarm into the receivers' queues and says so to them. Returns whether one is told beyond a console."""
    is_told = False
    wait_ms = step.patience_s * 1000 // max(1, len(receivers)) if step.receiver is ReceiverKind.CONTACTS else 0
    for place, one in enumerate(receivers):
        if one.team is not None:
            await _RECEIVES.rows(connection, alarm=case.alarm, team=one.team, now=now)
        for channel in step.channels:
            if one.can_be_told(channel):
                what = "alarm_waits" if one.contact is None else "alarm_waits_contact"
                await _tell(
                    connection, case.alarm, case.round, no, one, channel, what, now, next_ms=now + place * wait_ms
                )
                is_told = is_told or channel is not Channel.CONSOLE
        # Nobody hears the console: whoever carries the duty telephone is to know, whatever the plan says.
        if Channel.CONSOLE in step.channels and not has_sound and Channel.SMS not in step.channels and one.phone:
            await _tell(connection, case.alarm, case.round, no, one, Channel.SMS, "nobody_on_duty", now, next_ms=now)
    return is_told


async def _tell(
    connection: AsyncConnection,
    alarm: str,
    number: int,
    no: int | None,
    one: Receiver,
    channel: Channel,
    what: str,
    now: int,
    *,
    next_ms: int,
) -> None:
    is_console = channel is Channel.CONSOLE  # what is committed is on its way to every console by the feed
    where = "taken" if what == "taken" else str(no)
    await _TELL.rows(
        connection,
        id=new_id().hex(),
        key=f"{alarm}:{number}:{where}:{channel.value}:{one.contact or one.team or HOUSE}",
        alarm=alarm,
        step=no,
        channel=channel.value,
        team=one.team,
        contact=one.contact,
        what=what,
        language=one.language,
        state="sent" if is_console else "pending",
        next=next_ms,
        now=now,
        sent=now if is_console else None,
    )


async def tell_taken(connection: AsyncConnection, alarm: str, number: int, now: int) -> None:
    """Whoever was called by telephone or letter in this round hears that nobody need come any more. Once each."""
    for channel, team, contact, language, step in await _TOLD.rows(
        connection, alarm=alarm, prefix=f"{alarm}:{number}:%"
    ):
        one = Receiver(team=team, contact=contact, language=language)
        await _tell(connection, alarm, number, step, one, Channel(channel), "taken", now, next_ms=now)
