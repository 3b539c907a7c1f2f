"""The night in which the clock is put back: every trouble that a centre fears, once, with what must come of it."""

from __future__ import annotations

import random
from datetime import date
from zoneinfo import ZoneInfo

from simulators.municipality.hours import SECOND_MS, Hours
from simulators.municipality.pen import Pen
from simulators.municipality.script import Script
from simulators.municipality.sentences import KINDS
from simulators.municipality.town import LATE_MIN, MORNING_MIN, SOUTH_FROM, WARD_FROM, Town

HOURS = Hours(date(2026, 10, 24), ZoneInfo("Europe/Oslo"))
BEGIN, END = "21:45", "07:15"
ORDINARY = 40
"""So many alarms beside those of the scenes."""
HOMES = tuple(range(1, WARD_FROM))
USED = frozenset(
    {17, 18, 23, 33, 34, 36, 41, 42, 43, 45, 46, 47, 60, 81, 99, 113, 150, 201, 204, 207, 213, 220, 252, 285}
)


def write(town: Town, seed: int) -> Script:
    """The script, the same for the same seed."""
    pen = Pen(town, HOURS)
    for scene in (
        _evening, _first_press, _presses_again, _console_dies, _consoles_freeze, _patrol_declines, _next_of_kin,
        _plan_sends, _storm, _missed_visit, _summer_time, _winter_time, _nurse_call, _nobody_on_duty, _central_killed,
        _handed_over, _many_rounds, _morning,
    ):  # fmt: skip
        pen.scene(scene.__doc__ or "")
        scene(pen)
    _ordinary(pen, random.Random(seed))
    return Script(
        begin_ms=HOURS.at(BEGIN),
        end_ms=HOURS.at(END),
        visits=tuple(pen.visits),
        lines=tuple(sorted(pen.lines, key=lambda line: line.at_ms)),
    )


def _evening(pen: Pen) -> None:
    """The evening shift comes on duty."""
    for team in ("Centre A", "Centre B", "Ward staff"):
        pen.at(BEGIN).nobody(team)
    pen.at("21:49:30").on_duty("A1", covers="Centre A")
    pen.later(20).on_duty("A2")
    pen.at("21:50").on_duty("B1", covers="Centre B")
    pen.at("21:51").on_duty("W1", covers="Ward staff")


def _first_press(pen: Pen) -> None:
    """A press, an answer, an outcome."""
    pen.at("22:05").raises(17).later(20).takes_next("A1", 17)
    pen.later(60).calls("A1", 17, "resident", "answered").later(90).closes("A1", 17, "cleared_by_phone", "anxiety")


def _presses_again(pen: Pen) -> None:
    """Somebody presses again and again, before and after it is taken."""
    pen.at("22:20").raises(23).later(15).again(23).later(15).again(23).later(10).takes_next("A2", 23)
    pen.later(50).again(23).later(120).closes("A2", 23, "visit_now", "practical_help")


def _console_dies(pen: Pen) -> None:
    """A console dies with a claim: the alarm comes back, the home is told, a colleague takes it."""
    pen.at("22:40").raises(41).later(20).takes_next("A1", 41).at("22:41").console_dies("A1")
    pen.at("22:42:21").returns(41, "no_presence").later(19).takes_next("A2", 41)
    pen.later(140).closes("A2", 41, "cleared_by_phone", "nausea").at("22:47").on_duty("A1")


def _consoles_freeze(pen: Pen) -> None:
    """A tab is put to sleep and a lid closed: connected, with sound, and blind. Others take what waits there."""
    pen.at("22:48").raises(45).later(20).takes_next("A2", 45)
    pen.at("22:49").console_freezes("A1").console_freezes("A2")
    pen.at("22:50:21").returns(45, "no_presence").at("22:50:40").raises(46)
    pen.at("22:51:21").goes_on(45, 1, asks="Centre B", is_unseen=True).shows_nothing()
    pen.later(9).takes_next("B1", 45).at("22:51:40").goes_on(46, 1, asks="Centre B", is_unseen=True)
    pen.at("22:52:20").closes("B1", 45, "cleared_by_phone", "anxiety").later(5).takes_next("B1", 46)
    pen.at("22:53").raises(47).later(40).console_thaws("A1", shows_again=True).later(10).takes_next("A1", 47)
    pen.later(20).closes("B1", 46, "visit_now", "nausea").at("22:55").closes("A1", 47, "cleared_by_phone", "mis_press")
    pen.later(30).console_thaws("A2")


def _patrol_declines(pen: Pen) -> None:
    """A patrol cannot come; another one goes."""
    pen.at("23:10").raises(60, "fall").later(15).takes_next("A1", 60).later(45).sends("A1", 60, "Patrol North")
    pen.later(40).says("N1", 60, "declined", "busy").later(30).sends("A1", 60, "Patrol South")
    pen.later(30).says("S1", 60, "accepted").later(20).says("S1", 60, "on_the_way")
    pen.at("23:27").says("S1", 60, "on_site").at("23:41").says("S1", 60, "done")
    pen.later(40).closes("A1", 60, "visit_now", "fall")


def _next_of_kin(pen: Pen) -> None:
    """Nobody at the consoles, next of kin do not answer: back to the centre, and to its telephone."""
    pen.at("23:50").raises(81)
    pen.at("23:51").goes_on(81, 1).texts("next of kin 1", "alarm_waits_contact", 81)
    pen.at("23:52").texts("next of kin 2", "alarm_waits_contact", 81)
    pen.at("23:53").goes_on(81, 2, asks="Centre A").texts("Centre A", "alarm_waits", 81)
    pen.later(25).takes_next("A2", 81)
    for to in ("next of kin 1", "next of kin 2", "Centre A"):
        pen.texts(to, "taken", 81)
    pen.later(20).calls("A2", 81, "contact", "no_answer", place=1)
    pen.later(30).calls("A2", 81, "contact", "no_answer", place=2)
    pen.later(30).calls("A2", 81, "resident", "answered").later(60).closes("A2", 81, "cleared_by_phone", "palpitations")


def _plan_sends(pen: Pen) -> None:
    """Nobody at the consoles; the plan sends a patrol, which declines; next of kin cannot, or do not answer."""
    pen.at("00:05").raises(252).at("00:06").goes_on(252, 1).plan_sends(252, "Patrol South")
    pen.later(40).says("S1", 252, "declined", "busy").goes_on(252, 2)
    pen.texts("next of kin 1", "alarm_waits_contact", 252)
    pen.later(30).replies(252, 1, "Nei.", "cannot go to", "kin_no").texts("next of kin 2", "alarm_waits_contact", 252)
    pen.at("00:08:40").goes_on(252, 3).plan_sends(252, "Patrol North")
    pen.later(30).takes_by_going("N1", 252).texts("next of kin 2", "taken", 252)
    pen.later(20).says("N1", 252, "on_the_way").at("00:19").says("N1", 252, "on_site")
    pen.at("00:24").says("N1", 252, "done").later(40).closes("N1", 252, "visit_now", "fall")


def _storm(pen: Pen) -> None:
    """The mains fail everywhere: a storm of technical alarms, and two people press in the middle of it."""
    pen.at("00:30").storm(HOMES, ("mains_lost", "path_lost"), ((113, "smoke"), (213, "pendant_pressed")))
    pen.later(15).takes_next("A1", 113).later(10).takes_next("B1", 213)
    pen.later(60).closes("B1", 213, "cleared_by_phone", "anxiety")
    pen.later(60).closes("A1", 113, "emergency_services", "burn")
    pen.at("01:10").storm(HOMES, ("mains_back", "path_back"))


def _missed_visit(pen: Pen) -> None:
    """Put off to a planned visit, which does not happen."""
    pen.planned_visit(150, "Patrol South", "01:15", "01:45")
    pen.at("00:50").raises(150).later(20).takes_next("B1", 150).later(60).calls("B1", 150, "resident", "answered")
    pen.later(40).defers("B1", 150)
    pen.at("01:45").returns(150, "visit_missed").later(20).takes_next("B1", 150)
    pen.later(40).sends("B1", 150, "Patrol South").later(20).says("S1", 150, "accepted")
    pen.later(40).says("S1", 150, "on_the_way").at("02:01").says("S1", 150, "on_site")
    pen.at("02:20").says("S1", 150, "done").later(30).closes("B1", 150, "visit_now", "general_decline")


def _summer_time(pen: Pen) -> None:
    """The hour before the clock is put back; a console dies with a claim across the change."""
    pen.at("02:40").raises(33).later(20).takes_next("A1", 33).later(100).closes("A1", 33, "false_alarm", "mis_press")
    pen.at("02:57").raises(36).later(20).takes_next("A1", 36).at("02:59:30").console_dies("A1")
    with pen.second_time():
        pen.at("02:00:51").returns(36, "no_presence").later(19).takes_next("A2", 36)
        pen.later(120).closes("A2", 36, "cleared_by_phone", "confused").at("02:06").on_duty("A1")


def _winter_time(pen: Pen) -> None:
    """The same hour once more; at three o'clock other people are asked, once."""
    with pen.second_time():
        pen.at("02:40").raises(34).later(20).takes_next("A1", 34)
        pen.later(100).closes("A1", 34, "cleared_by_phone", "medication")
        pen.at("02:59:30").raises(42).later(20).takes_next("A1", 42)
    pen.at("03:00:30").raises(43).later(20).takes_next("B1", 43)
    pen.later(40).closes("A1", 42, "cleared_by_phone", "anxiety").later(20).closes(
        "B1", 43, "cleared_by_phone", "other"
    )


def _nurse_call(pen: Pen) -> None:
    """A call from a room in the ward: presence there claims it, the reset closes it."""
    pen.at("03:10").raises(285, "nurse_call").later(40).presence(285).later(200).reset(285)


def _nobody_on_duty(pen: Pen) -> None:
    """Nobody on duty with sound: that counts as unanswered at once."""
    pen.at("03:37").off_duty("A1").at("03:38").off_duty("A2", leaves="Centre A")
    pen.later(10).off_duty("B1", leaves="Centre B")
    pen.at("03:40").raises(220).passes_over(220, 0, then_asks="Centre B")
    pen.texts("Centre A", "nobody_on_duty", 220).texts("Centre B", "alarm_waits", 220)
    pen.at("03:41:10").on_duty("B1", covers="Centre B").later(15).takes_next("B1", 220)
    pen.texts("Centre A", "taken", 220).texts("Centre B", "taken", 220)
    pen.later(90).closes("B1", 220, "cleared_by_phone", "anxiety")
    pen.at("03:45").on_duty("A1", covers="Centre A").later(5).on_duty("A2")


def _central_killed(pen: Pen) -> None:
    """Central is killed with one alarm taken and one waiting, somebody presses meanwhile, and it starts again."""
    pen.at("04:29").raises(201).later(15).takes_next("A1", 201).later(15).raises(204)
    pen.at("04:30").central_dies().at("04:32").raises(207, is_heard=False)
    pen.at("04:34").central_starts().heard_of(207)
    pen.returns(201, "no_presence")
    pen.goes_on(204, 1, asks="Centre B").texts("Centre B", "alarm_waits", 204)
    pen.later(5).consoles_come_back()  # before anybody had to say that nobody is there
    pen.later(15).takes_next("A1", 201)
    pen.later(3).takes_next("A2", 204).texts("Centre B", "taken", 204)
    pen.later(3).takes_next("B1", 207)
    pen.later(90).closes("A1", 201, "cleared_by_phone", "anxiety").later(5).closes("A2", 204, "visit_now", "nausea")
    pen.later(5).closes("B1", 207, "cleared_by_phone", "other")


def _handed_over(pen: Pen) -> None:
    """An alarm is offered to a colleague; the claim passes on when it is accepted."""
    pen.at("05:30").raises(18).later(15).takes_next("B1", 18).later(45).offers("B1", 18, "A1")
    pen.later(20).accepts("A1", 18).later(120).closes("A1", 18, "cleared_by_phone", "diabetes")


def _many_rounds(pen: Pen) -> None:
    """Nobody answers for five minutes: both centres, then the telephone, again and again."""
    pen.at("06:10").raises(99).at("06:11").goes_on(99, 1, asks="Centre B")
    for wall, step in (("06:12", 2), ("06:14", 3)):
        pen.at(wall).goes_on(99, step, asks="Centre A").texts("Centre A", "alarm_waits", 99)
    pen.at("06:15:10").takes_next("A1", 99).texts("Centre A", "taken", 99)
    pen.later(90).closes("A1", 99, "visit_now", "general_decline")


def _morning(pen: Pen) -> None:
    """The night is over."""
    pen.at("07:10").off_duty("A1").later(5).off_duty("A2", leaves="Centre A").later(5).off_duty("B1", leaves="Centre B")
    pen.later(5).off_duty("W1", leaves="Ward staff")


BEFORE_MS, AFTER_MS = 90 * SECOND_MS, 6 * 60 * SECOND_MS
STEP_MS = 60 * SECOND_MS
KINDS_AT_HOME = tuple(kind for kind in KINDS if kind not in {"nurse_call", "smoke"})
OUTCOMES = ("anxiety", "mis_press", "practical_help", "confused", "nausea", "medication", "other")


def _ordinary(pen: Pen, chance: random.Random) -> None:
    """What any night is made of, where no scene is played: a press, an answer within the minute, a talk, an outcome."""
    pen.scene("Ordinary alarms")
    busy = sorted(line.at_ms for line in pen.lines)
    begin, end = HOURS.at("21:52"), HOURS.at("07:00")
    free = [at for at in range(begin, end, STEP_MS) if _is_free(at, busy)]
    people = [number for number in HOMES if number not in USED]
    chance.shuffle(people)
    last = 0
    chosen: list[int] = []
    for at in sorted(chance.sample(free, min(len(free), 3 * ORDINARY))):
        if at >= last + AFTER_MS and len(chosen) < ORDINARY:
            chosen.append(at)
            last = at
    for at, number in zip(chosen, people, strict=False):
        is_late = LATE_MIN <= HOURS.minute(at) < MORNING_MIN
        is_a = (number < SOUTH_FROM) is not is_late
        worker = chance.choice(("A1", "A2")) if is_a else "B1"
        pen.at_ms(at).raises(number, chance.choice(KINDS_AT_HOME)).later(chance.randint(8, 50)).takes_next(
            worker, number
        )
        pen.later(chance.randint(10, 40)).calls(worker, number, "resident", "answered")
        pen.later(chance.randint(30, 150)).closes(worker, number, "cleared_by_phone", chance.choice(OUTCOMES))


def _is_free(at: int, busy: list[int]) -> bool:
    return not any(at - BEFORE_MS <= other <= at + AFTER_MS for other in busy)
