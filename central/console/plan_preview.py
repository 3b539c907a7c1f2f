"""What a response plan means, beside its form and on its page: in words, on the week, tried out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from central.access import Scope
from central.console.gate import Visit
from central.console.plan_draft import day_in, minute_of
from central.console.roles import Action
from central.console.week_grid import WeekGrid, plan_grid
from central.notify.channels import at_consoles
from central.routing import calendar
from central.routing.duty import account_names
from central.routing.plan import WEEKDAYS, Plan, ReceiverKind, local_time
from central.routing.plans import Plans
from central.routing.store import zone_of
from central.routing.teams import team_names
from central.routing.trying import Trial, try_out
from central.routing.words import channels_words, clock_at, in_words, receiver_words


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedLine:
    """One step of a trial as it is shown."""

    at: str
    who: str
    how: str
    covers: tuple[tuple[str, str], ...]
    """For each team: a sign (`ok`, `warn`, `unknown`) and a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedView:
    """What would happen, or why that cannot be said."""

    day: str = ""
    time: str = ""
    second: str = ""
    fault: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    title: str = ""
    variant: str = ""
    lines: tuple[TriedLine, ...] = ()
    ends: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A plan in words, on the week, and tried."""

    sentences: tuple[tuple[str, str], ...]
    grid: WeekGrid
    tried: TriedView
    zone: str
    local: str
    defer: str


def plans_of(visit: Visit) -> Plans:
    """The plans of this central."""
    return Plans(visit.desk.services.store, visit.desk.services.clock)


def scope_of(visit: Visit, action: Action = Action.SEE_PLANS) -> Scope:
    """What whoever asks may see of it."""
    return visit.scope_for(action)


async def preview_of(visit: Visit, plan: Plan, tenant: str | None, tried: TriedView) -> Preview:
    """Everything beside the form."""
    store, now = visit.desk.services.store, visit.now_ms()

    async def work(connection: AsyncConnection) -> tuple[str, Mapping[str, str]]:
        return await zone_of(connection, tenant), await team_names(connection)

    zone_name, names = await store.fetch(work)
    zone = ZoneInfo(zone_name)
    tried, marked = await _tried(visit, plan, tenant, zone, tried)
    t = visit.words
    return Preview(
        sentences=tuple(
            (variant.name, sentence) for variant, sentence in zip(plan.variants, in_words(plan, names, t), strict=True)
        ),
        grid=plan_grid(plan, [t(f"weekday.s{day}") for day in WEEKDAYS], now=local_time(now, zone), tried=marked),
        tried=tried,
        zone=zone_name,
        local=t("plan.local_words", receipt=plan.local.no_receipt_s, claim=plan.local.no_claim_s),
        defer=t.count("plan.defer_words", plan.defer_within_h),
    )


async def _tried(
    visit: Visit, plan: Plan, tenant: str | None, zone: ZoneInfo, asked: TriedView
) -> tuple[TriedView, tuple[int, int] | None]:
    now = visit.now_ms()
    day_text = asked.day or calendar.local(now, zone)[0].isoformat()
    if not asked.time:
        return TriedView(day=day_text, time=""), None
    base = TriedView(day=day_text, time=asked.time, second=asked.second)
    t = visit.words
    minute = minute_of(asked.time)
    day = day_in(day_text)
    if minute is None or day is None:
        return replace(base, fault=t("try.bad_time")), None
    try:
        at = calendar.chosen(zone, day, minute, second={"1": False, "2": True}.get(asked.second))
    except calendar.LocalTimeError as error:
        if error.reason == "twice":
            return replace(
                base,
                fault=t("try.twice", time=asked.time),
                choices=(("1", t("try.first_time")), ("2", t("try.second_time"))),
            ), None
        before, after = (clock_at(choice, zone) for choice in error.choices)
        return replace(base, fault=t("try.no_such_time", time=asked.time, before=before, after=after)), None
    name = zone.key

    async def work(connection: AsyncConnection) -> tuple[Trial, Mapping[str, str], Mapping[str, str]]:
        trial = await try_out(connection, plan, tenant=tenant, zone=name, at_ms=at, now_ms=now)
        return trial, await team_names(connection), await account_names(connection)

    trial, names, accounts = await visit.desk.services.store.fetch(work)
    view = replace(
        base,
        title=t("try.title_at", day=t(f"weekday.d{day.weekday()}"), date=visit.figures.date(at), time=asked.time),
        variant=trial.variant.name,
        lines=tuple(_lines(visit, trial, zone, names, accounts)),
        ends=t("try.again", time=_to_the_second(trial.ends_ms, zone)),
    )
    return view, (day.weekday(), minute)


def _lines(
    visit: Visit, trial: Trial, zone: ZoneInfo, names: Mapping[str, str], accounts: Mapping[str, str]
) -> Sequence[TriedLine]:
    t = visit.words
    found = []
    for step in trial.steps:
        covers: list[tuple[str, str]] = []
        for one in step.asked:
            if one.by_rota is None:
                covers.append(("unknown", t("try.no_rota", team=one.team.name)))
            elif not one.by_rota:
                covers.append(("warn", t("try.gap", team=one.team.name)))
            else:
                people = ", ".join(accounts.get(who, who) if who else t("rota.phone") for who in one.by_rota)
                covers.append(("ok", t("try.on_duty", team=one.team.name, people=people)))
            if at_consoles(step.step.channels):
                key = "sound_now" if one.has_sound else "no_sound_now"
                covers.append(("ok" if one.has_sound else "warn", t(f"try.{key}", team=one.team.name)))
        if step.step.receiver is ReceiverKind.CONTACTS:
            covers.append(("unknown", t("try.contacts")))
        found.append(
            TriedLine(
                at=_to_the_second(step.at_ms, zone),
                who=receiver_words(step.step, names, t),
                how=channels_words(step.step, t),
                covers=tuple(covers),
            )
        )
    return found


def _to_the_second(at_ms: int, zone: ZoneInfo) -> str:
    return f"{clock_at(at_ms, zone)}:{at_ms // 1000 % 60:02d}"
