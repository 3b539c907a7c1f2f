"""What goes out to people: sent at least once, never twice under one key, and given up loudly or not at all.

Who is to be told stands in a row since the transaction that made it necessary. Each channel has a task of its own, so
that a mail server that hangs holds up no text. A row that is being sent comes up again should this process die; the
carrier is given the same reference then. What could not be sent is a technical alarm, and the plan goes on at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from central import event_log, feed
from central.clock import Clock
from central.errors import NotStoredError
from central.escalation import patrols, steps
from central.escalation.tick import GIVEN_UP, hasten
from central.lifecycle import CENTRAL_KINDS
from central.metrics import Metrics
from central.notify import asks as asking
from central.notify import duty_asks
from central.notify.addresses import Contacts, Reach, place_of, reach_of
from central.notify.channel import Address, Awaited, Carrier, ChannelError, Message
from central.notify.channels import carried, promise_of
from central.notify.numbers import same_form
from central.notify.receipts import Receipts, note_receipt
from central.notify.texts import compose
from central.opening import Source
from central.raising import end_condition, raise_technical
from central.routing.plan import local_time
from central.routing.store import DEFAULT_ZONE
from central.routing.words import clock_words
from central.sql import Row, Sql
from central.store import Priority, Store
from central.technical import called
from central.views import SYSTEM
from central.wakeup import Wakeup

log = structlog.get_logger()

AT_ONCE = 8
BACK_OFF_MS = (2_000, 4_000, 8_000, 15_000, 30_000, 60_000)
POLL_S = 1.0
KIND = "notification_failed"
_ASKS = frozenset({"alarm_waits", "alarm_waits_contact", "nobody_on_duty", "dispatch"})
"""Messages without which a step cannot come to anything."""

_ANY = Sql("SELECT 1 FROM notification WHERE state = 'pending' AND channel = :channel AND next_ms <= :now LIMIT 1")
_DUE = Sql(
    """UPDATE notification SET next_ms = :held, attempts = attempts + 1, fence = fence + 1
    WHERE id IN (SELECT id FROM notification WHERE state = 'pending' AND channel = :channel AND next_ms <= :now
                 ORDER BY next_ms, id LIMIT :limit)
      AND state = 'pending' AND next_ms <= :now
    RETURNING id, alarm, round, step, dispatch, team, contact, what, language, fence, attempts, made_ms, account,
       call_out"""
)
_SENT = Sql(
    """UPDATE notification SET state = 'sent', sent_ms = :now, provider_ref = :ref, fault = ''
    WHERE id = :id AND fence = :fence AND state = 'pending' RETURNING id"""
)
# It was called off while it was on its way: said is said, and has to be taken back.
_SAID = Sql(
    """UPDATE notification SET state = 'sent', sent_ms = :now, provider_ref = :ref
    WHERE id = :id AND state = 'cancelled' RETURNING id"""
)
_LATER = Sql(
    "UPDATE notification SET next_ms = :due, fault = :fault WHERE id = :id AND fence = :fence AND state = 'pending'"
)
_GIVEN_UP = Sql(
    """UPDATE notification SET state = 'given_up', fault = :fault
    WHERE id = :id AND state IN ('pending', 'sent', 'unconfirmed')
    RETURNING alarm, round, step, dispatch, what, call_out"""
)
_HUB = Sql("SELECT hub, handling, closed_ms, escalation_round FROM alarm WHERE id = :alarm")
# Whoever sent them has to find another way to reach them.
_TELL_OWNER = Sql(
    """UPDATE alarm SET sound_no = sound_no + 1, version = version + 1 WHERE id = :alarm AND handling = 'claimed'
    AND EXISTS (SELECT 1 FROM dispatch d WHERE d.id = :dispatch AND d.state = 'sent')"""
)
_IS_OFF = Sql("SELECT 1 FROM dispatch WHERE id = :id AND state = 'cancelled'")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Due:
    """A row that is being sent."""

    id: str
    alarm: str
    round: int | None
    step: int | None
    dispatch: str | None
    team: str | None
    contact: str | None
    what: str
    language: str
    fence: int
    attempts: int
    made_ms: int
    account: str | None
    call_out: str | None
    channel: str


_DUE_NAMES = (
    "id", "alarm", "round", "step", "dispatch", "team", "contact", "what", "language", "fence", "attempts", "made_ms",
    "account", "call_out",
)  # fmt: skip


def _how(due: _Due) -> str:
    """The text that says how to answer, for a message that asks something."""
    if due.what in duty_asks.NAMES_CODE:
        return "fault_how"
    return "kin_how" if due.what in asking.SAYS_HOW else ""


def _address(kind: Address, reach: Reach) -> str:
    match kind:
        case Address.PHONE:
            return reach.phone
        case Address.EMAIL:
            return reach.email
        case _:
            return ""


class Outgoing:
    """The notifications of one database. Any number of processes may send."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        metrics: Metrics,
        wakeup: Wakeup,
        channels: Mapping[str, Carrier],
        contacts: Contacts,
        public_url: str,
        place: str = "",
        zone: str = DEFAULT_ZONE,
        give_up_ms: int,
        held_ms: int = 30_000,
        awaited: Mapping[str, Awaited | None] | None = None,
    ) -> None:
        """`channels`: those that are set up; `awaited`: their receipts. `held_ms`: longer than any carrier takes.

        A row that is being sent comes up again after that.
        """
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._wakeup = wakeup
        self._channels = channels
        self._contacts = contacts
        self._public_url = public_url
        self._place = place
        self._zone = ZoneInfo(zone)
        self._give_up_ms = give_up_ms
        self._held_ms = held_ms
        self.receipts = Receipts(store=store, clock=clock, metrics=metrics, wakeup=wakeup, awaited=awaited or {})
        self._is_troubled = dict.fromkeys(carried(), True)  # perhaps since before a restart: the first success ends it

    async def run(self) -> None:
        """Sends what is due and looks for receipts, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.receipts.run(), name="receipts")
            for channel in carried():
                group.create_task(self._run(channel), name=f"notify-{channel}")

    async def _run(self, channel: str) -> None:
        while True:
            seen = self._wakeup.count
            try:
                sent = await self.send_due(channel)
            except NotStoredError as error:
                log.warning("notifications_not_sent", channel=channel, reason=str(error))
                await asyncio.sleep(POLL_S)
                continue
            if not sent:
                await self._wakeup.wait(seen, POLL_S)

    async def send_due(self, channel: str) -> int:
        """Hand over what is due on a channel now. Returns how many rows there were."""
        now = self._clock.now_ms()
        if not await self._store.ask(_ANY, channel=channel, now=now):
            return 0

        async def work(connection: AsyncConnection) -> list[Row]:
            now = self._clock.now_ms()
            return await _DUE.rows(connection, channel=channel, now=now, held=now + self._held_ms, limit=AT_ONCE)

        rows = await self._store.transact(Priority.PEOPLE, work)
        due = [_Due(**dict(zip(_DUE_NAMES, row, strict=True)), channel=channel) for row in rows]
        await asyncio.gather(*(self._send(one) for one in due))
        return len(due)

    async def _send(self, due: _Due) -> None:
        try:
            await self._hand_over(due)
        except NotStoredError:
            raise
        except Exception as error:  # noqa: BLE001  # a fault over one of them must not hold up those to all others
            # Its text may hold what was to be kept secret.
            await self._failed(due, ChannelError(f"fault: {type(error).__name__}"))

    async def _hand_over(self, due: _Due) -> None:
        carrier = self._channels.get(due.channel)
        if carrier is None:
            await self._give_up(due.id, due.channel, "no_channel")
            return
        address, message = await self._composed(due)
        if not address:
            await self._give_up(due.id, due.channel, "no_address")
            return
        try:
            async with asyncio.timeout(self._held_ms / 1000):  # one that says a little now and then
                reference = await carrier.send(address, message, reference=due.id)
        except ChannelError as error:
            await self._failed(due, error)
            return
        except TimeoutError:
            await self._failed(due, ChannelError("timeout"))
            return
        await self._sent(due, reference)

    async def _composed(self, due: _Due) -> tuple[str, Message]:
        promise = promise_of(due.channel)

        async def work(connection: AsyncConnection) -> tuple[str, Message]:
            reach = await reach_of(
                connection, self._contacts, team=due.team, contact=due.contact, alarm=due.alarm, account=due.account
            )
            place, phone = await place_of(connection, due.alarm)
            message = compose(
                due.what,
                reach.language or due.language,
                url=f"{self._public_url}/alarms/{due.alarm}",
                place=place or self._place,
                phone=phone,
                codes=await self._codes(connection, due, reach),
                how=_how(due) if promise.takes_answers else "",
            )
            return _address(promise.address, reach), message

        if due.contact is None and due.what not in duty_asks.NAMES_CODE:
            return await self._store.fetch(work)
        return await self._store.transact(Priority.PEOPLE, work)  # opening is an entry in the access log

    async def _codes(self, connection: AsyncConnection, due: _Due, reach: Reach) -> list[tuple[str, str]]:
        """What a yes by SMS has to name: of this question, or of all that are open to the number."""
        calls = due.call_out if due.what in duty_asks.NAMES_CODE else None
        if not promise_of(due.channel).takes_answers or not (due.contact or calls) or not reach.phone:
            return []
        now = self._clock.now_ms()
        mark = await self._contacts.number_mark(connection, same_form(reach.phone))
        if calls is not None:
            return [(await duty_asks.code_for(connection, due.id, calls, mark, now), "")]
        if due.contact is None:
            return []
        if due.what == asking.ASK:
            code = await asking.code_for(connection, due.id, mark, now, alarm=due.alarm, contact=due.contact)
            return [(code, "")]
        if due.what not in asking.NAMES_CODES:
            return []
        asks = [one for one in await asking.asks_of(connection, mark, now) if one.is_open]
        return [(one.code, clock_words(local_time(one.asked_ms, self._zone)[1])) for one in reversed(asks)]

    async def _sent(self, due: _Due, reference: str) -> None:
        async def work(connection: AsyncConnection) -> None:
            now = self._clock.now_ms()
            row = await _HUB.one(connection, alarm=due.alarm)
            if not await _SENT.one(connection, id=due.id, fence=due.fence, now=now, ref=reference or None):
                if not await _SAID.one(connection, id=due.id, now=now, ref=reference or None):
                    return
                await self._take_back(connection, due, row, now)
            if self._is_troubled[due.channel]:
                await end_condition(connection, "", due.channel, KIND, now)
            content = {"channel": due.channel, "what": due.what, "step": due.step, "attempts": due.attempts}
            hub = None if row is None else row[0]
            await event_log.append(connection, now, "notified", SYSTEM, alarm=due.alarm, hub=hub, content=content)
            await feed.publish(connection, now, "alarm", due.alarm, "notified")

        await self._store.transact(Priority.PEOPLE, work)
        self._is_troubled[due.channel] = False
        self._metrics.count(f"notify.{due.channel}.sent")
        self._wakeup.wake()

    @staticmethod
    async def _take_back(connection: AsyncConnection, due: _Due, alarm: Row | None, now: int) -> None:
        if due.call_out is not None:
            await called.was_said(connection, due.call_out, now)
            return
        if due.dispatch is not None:
            if due.what == "dispatch" and await _IS_OFF.one(connection, id=due.dispatch):
                await patrols.called_off(connection, due.dispatch, now)
            return
        is_answered = alarm is not None and (alarm[1] != "waiting" or alarm[2] is not None)
        if alarm is not None and due.round is not None and alarm[3] == due.round and is_answered:
            await steps.tell_taken(connection, due.alarm, due.round, now)

    async def _failed(self, due: _Due, error: ChannelError) -> None:
        now = self._clock.now_ms()
        self._metrics.count(f"notify.{due.channel}.failed")
        log.warning("notification_not_sent", channel=due.channel, reason=error.reason, attempts=due.attempts)
        if error.is_final or now - due.made_ms >= self._give_up_ms:
            await self._give_up(due.id, due.channel, error.reason)
            return
        later = now + BACK_OFF_MS[min(due.attempts, len(BACK_OFF_MS)) - 1]
        later = min(later, due.made_ms + self._give_up_ms)

        async def work(connection: AsyncConnection) -> None:
            await _LATER.rows(connection, id=due.id, fence=due.fence, due=later, fault=error.reason[:64])

        await self._store.transact(Priority.PEOPLE, work)

    async def _give_up(self, notification: str, channel: str, fault: str, *, is_receipt: bool = False) -> None:
        """Say so to the technicians, and let the plan go on at once if it has somebody else to try."""

        async def work(connection: AsyncConnection) -> None:
            now = self._clock.now_ms()
            row = await _GIVEN_UP.one(connection, id=notification, fault=fault[:64])
            if row is None:
                return
            alarm, number, step, dispatch, what, call_out = row
            if is_receipt:
                await note_receipt(connection, channel, now)
            source = Source(hub="", device=channel, happened_ms=now)
            await raise_technical(connection, CENTRAL_KINDS[KIND], source, now)
            if call_out is not None and what == called.WHAT:
                await called.hasten(connection, call_out, number, step, now)
            if what in _ASKS and number is not None and step is not None:
                await hasten(connection, alarm, number, step, now, GIVEN_UP)
            if what == "dispatch":
                await _TELL_OWNER.rows(connection, alarm=alarm, dispatch=dispatch)
            found = await _HUB.one(connection, alarm=alarm)
            content = {"channel": channel, "what": what, "step": step, "fault": fault[:64]}
            hub = None if found is None else found[0]
            await event_log.append(
                connection, now, "notification_given_up", SYSTEM, alarm=alarm, hub=hub, content=content
            )
            await feed.publish(connection, now, "alarm", alarm, "notification_given_up")

        await self._store.transact(Priority.PEOPLE, work)
        self._is_troubled[channel] = True
        log.warning("notification_given_up", channel=channel, reason=fault)
        self._metrics.count("notify.given_up")
        self._wakeup.wake()

    async def delivered(self, reference: str, error: str = "") -> bool:
        """The carrier says what became of a message. False: it is none of ours."""
        row = await self.receipts.of(reference)
        if row is None:
            return False
        if error:
            await self._give_up(row[0], row[1], f"undelivered: {error}", is_receipt=True)
        else:
            await self.receipts.arrived(row[0])
        return True
