"""Writes a night line by line, each with what must be told of it afterwards; what is written is frozen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from simulators.municipality.hours import SECOND_MS, Hours
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
    Sends,
    Storm,
    TakesNext,
    Told,
    Visit,
)
from simulators.municipality.sentences import (
    CENTRAL,
    KIN_NAME,
    NOT_SHOWN,
    ROOM,
    asked,
    called_out,
    duty_covered,
    escalated,
    finds_nobody,
    lamp,
    nobody_on_duty,
    raised,
    technical,
    text,
    unseen,
)
from simulators.municipality.town import Town, first_team

LAMP_AFTER = {"on_the_way": "on_the_way", "done": "taken"}


class Pen:
    """Writes lines. The time moves with `at` and `later`; each method writes one line at that time."""

    def __init__(self, town: Town, hours: Hours) -> None:
        self._town = town
        self._hours = hours
        self._now = 0
        self._scene = ""
        self._second = False
        self.lines: list[Line] = []
        self.visits: list[Visit] = []

    @property
    def now_ms(self) -> int:
        """The time of the next line."""
        return self._now

    def scene(self, title: str) -> None:
        """What follows belongs to this."""
        self._scene = title

    @contextmanager
    def second_time(self) -> Iterator[None]:
        """In this block wall times that come twice mean the later one."""
        self._second = True
        try:
            yield
        finally:
            self._second = False

    def at(self, wall: str) -> Pen:
        """The next line is written at this wall time."""
        self._now = self._hours.at(wall, second=self._second)
        return self

    def at_ms(self, at_ms: int) -> Pen:
        """The next line is written at this instant."""
        self._now = at_ms
        return self

    def later(self, seconds: int) -> Pen:
        """The next line is written so many seconds after this one."""
        self._now += seconds * SECOND_MS
        return self

    def _write(self, act: Act | None, *told: tuple[str, str]) -> Pen:
        lines = tuple(Told(self._now, who, what) for who, what in told)
        self.lines.append(Line(at_ms=self._now, act=act, told=lines, scene=self._scene))
        return self

    def _name(self, resident: int) -> str:
        return self._town.resident(resident).name

    def _lamp(self, resident: int, state: str) -> tuple[str, str]:
        return lamp(self._name(resident), state)

    def planned_visit(self, resident: int, team: str, begin: str, end: str) -> Pen:
        """A visit that home care has planned."""
        times = (self._hours.at(wall, second=self._second) for wall in (begin, end))
        from_ms, to_ms = times
        self.visits.append(Visit(resident=resident, team=team, from_ms=from_ms, to_ms=to_ms))
        return self

    def on_duty(self, worker: str, *, covers: str = "") -> Pen:
        """Goes on duty; `covers` names a team that had nobody before."""
        told = [(CENTRAL, duty_covered(covers))] if covers else []
        return self._write(GoesOnDuty(worker), *told)

    def off_duty(self, worker: str, *, leaves: str = "") -> Pen:
        """Goes off duty; `leaves` names a team that has nobody now."""
        return self._write(GoesOffDuty(worker), *([(CENTRAL, nobody_on_duty(leaves))] if leaves else []))

    def console_dies(self, worker: str) -> Pen:
        """Nothing is told: nobody knows yet."""
        return self._write(ConsoleDies(worker))

    def console_freezes(self, worker: str) -> Pen:
        """Nothing is told: its connection stands, and looks as it did."""
        return self._write(ConsoleFreezes(worker))

    def console_thaws(self, worker: str, *, shows_again: bool = False) -> Pen:
        """`shows_again`: its team was known to show nothing, and has something to show now."""
        over = (CENTRAL, f"{technical(1, NOT_SHOWN)} over")
        return self._write(ConsoleThaws(worker), *([over] if shows_again else []))

    def shows_nothing(self) -> Pen:
        """Central notices that consoles which were to sound do not show what they were asked about."""
        return self._write(None, (CENTRAL, technical(1, NOT_SHOWN)))

    def nobody(self, team: str) -> Pen:
        """Central notices that a team has no console with sound."""
        return self._write(None, (CENTRAL, nobody_on_duty(team)))

    def raises(self, resident: int, kind: str = "pendant_pressed", *, is_heard: bool = True) -> Pen:
        """A press, a fall. `is_heard` false: central is away, and hears of it when it is back."""
        return self._write(Raises(resident, kind), *(self._raised(resident, kind) if is_heard else ()))

    def heard_of(self, resident: int, kind: str = "pendant_pressed") -> Pen:
        """What a home had kept is stored now."""
        return self._write(None, *self._raised(resident, kind))

    def _raised(self, resident: int, kind: str) -> list[tuple[str, str]]:
        name = self._name(resident)
        return [raised(name, kind), self._lamp(resident, "waiting"), self._first_asked(resident)]

    def _first_asked(self, resident: int) -> tuple[str, str]:
        place = self._town.resident(resident).place
        return CENTRAL, asked(first_team(place, self._hours.minute(self._now)), self._name(resident))

    def again(self, resident: int, kind: str = "pendant_pressed") -> Pen:
        """The same resident presses again while the alarm is open."""
        return self._write(Raises(resident, kind), (self._name(resident), "pressed again"))

    def takes_next(self, worker: str, resident: int) -> Pen:
        """Central hands the most urgent one over."""
        return self._write(
            TakesNext(worker, resident),
            (self._who(worker), f"took {self._name(resident)}"),
            self._lamp(resident, "taken"),
        )

    def _who(self, worker: str) -> str:
        return self._town.worker(worker).name

    def closes(self, worker: str, resident: int, disposition: str, outcome: str) -> Pen:
        """The end of an alarm."""
        return self._write(
            Closes(worker, resident, disposition, outcome),
            (self._who(worker), f"closed {self._name(resident)}: {disposition}, {outcome}"),
            self._lamp(resident, "closed"),
        )

    def calls(self, worker: str, resident: int, called: str, result: str, *, place: int = 0) -> Pen:
        """A telephone call and what came of it."""
        what = f"called {called} about {self._name(resident)}: {result}"
        return self._write(Calls(worker, resident, called, result, place), (self._who(worker), what))

    def sends(self, worker: str, resident: int, team: str) -> Pen:
        """A patrol is sent: it hears of it at its consoles and on its telephone."""
        what = f"sent {team} to {self._name(resident)}"
        return self._write(Sends(worker, resident, team), (self._who(worker), what), *self._called_out(resident, team))

    def plan_sends(self, resident: int, team: str) -> Pen:
        """A step of the plan sends a patrol by itself."""
        what = f"sent {team} to {self._name(resident)}"
        return self._write(None, (CENTRAL, what), *self._called_out(resident, team))

    def _called_out(self, resident: int, team: str) -> tuple[tuple[str, str], ...]:
        name = self._name(resident)
        return (CENTRAL, called_out(team, name)), (CENTRAL, text(team, "dispatch", name))

    def takes_by_going(self, worker: str, resident: int) -> Pen:
        """A patrol that the plan has sent accepts: nobody had the alarm, and now they have it."""
        told = [(self._who(worker), f"{what} {self._name(resident)}") for what in ("took", "accepted for")]
        return self._write(Says(worker, resident, "accepted"), *told, self._lamp(resident, "taken"))

    def replies(self, resident: int, place: int, text_back: str, meant: str, answer: str) -> Pen:
        """Next of kin answer by SMS: `meant` as it is told, `answer` what central says to it."""
        name = self._name(resident)
        told = (KIN_NAME, f"{meant} {name}"), (CENTRAL, text(f"next of kin {place}", answer, name))
        return self._write(Replies(resident, place, text_back), *told)

    def says(self, worker: str, resident: int, step: str, reason: str = "") -> Pen:
        """A patrol answers. On the way is shown at home; and when they have left, that somebody has it still."""
        what = f"{step} for {self._name(resident)}" + (f": {reason}" if reason else "")
        told = [(self._who(worker), what)]
        if step in LAMP_AFTER:
            told.append(self._lamp(resident, LAMP_AFTER[step]))
        return self._write(Says(worker, resident, step, reason), *told)

    def defers(self, worker: str, resident: int) -> Pen:
        """To the planned visit; the home goes on showing that it is taken."""
        what = f"put {self._name(resident)} off to a planned visit"
        return self._write(Defers(worker, resident), (self._who(worker), what))

    def offers(self, worker: str, resident: int, to: str) -> Pen:
        """An offer to a colleague."""
        what = f"offered {self._name(resident)} to {self._who(to)}"
        return self._write(Offers(worker, resident, to), (self._who(worker), what))

    def accepts(self, worker: str, resident: int) -> Pen:
        """The claim passes on."""
        return self._write(Accepts(worker, resident), (self._who(worker), f"accepted {self._name(resident)}"))

    def returns(self, resident: int, why: str) -> Pen:
        """Central gives an alarm back to the queue, the home is told, and the plan begins anew."""
        what = f"put {self._name(resident)} back into the queue: {why}"
        return self._write(None, (CENTRAL, what), self._lamp(resident, "waiting"), self._first_asked(resident))

    def goes_on(self, resident: int, step: int, *, asks: str = "", is_unseen: bool = False) -> Pen:
        """Nobody has answered: the next step of the plan. `asks`: the team that it turns to at its consoles.

        `is_unseen`: no console of those who were asked before has shown the alarm.
        """
        told = [(CENTRAL, (unseen if is_unseen else escalated)(self._name(resident), step))]
        if asks:
            told.append((CENTRAL, asked(asks, self._name(resident))))
        return self._write(None, *told)

    def passes_over(self, resident: int, step: int, *, then_asks: str) -> Pen:
        """A step that asks at consoles finds none with sound: the next one begins at once."""
        name = self._name(resident)
        return self._write(None, (CENTRAL, finds_nobody(name, [step])), (CENTRAL, asked(then_asks, name)))

    def texts(self, to: str, what: str, resident: int) -> Pen:
        """A message leaves by SMS."""
        return self._write(None, (CENTRAL, text(to, what, self._name(resident))))

    def presence(self, resident: int) -> Pen:
        """Staff at the room: that claims the call."""
        return self._write(
            Raises(resident, "nurse_presence"),
            (ROOM, f"took {self._name(resident)}"),
            self._lamp(resident, "taken"),
        )

    def reset(self, resident: int) -> Pen:
        """The reset at the room: that closes the call."""
        return self._write(
            Raises(resident, "nurse_reset"),
            (ROOM, f"closed {self._name(resident)}: visit_now, seen_at_room"),
            self._lamp(resident, "closed"),
        )

    def storm(
        self, residents: tuple[int, ...], kinds: tuple[str, ...], presses: tuple[tuple[int, str], ...] = ()
    ) -> Pen:
        """Technical alarms from everywhere, and people in the middle of it."""
        told = [(CENTRAL, technical(len(residents), kind)) for kind in kinds]
        for resident, kind in presses:
            told += self._raised(resident, kind)
        return self._write(Storm(residents, kinds, presses), *told)

    def central_dies(self) -> Pen:
        """Nobody is left to tell of it."""
        return self._write(CentralDies())

    def central_starts(self) -> Pen:
        """What it finds is told by the lines after this."""
        return self._write(CentralStarts())

    def consoles_come_back(self, *, covers: tuple[str, ...] = ()) -> Pen:
        """The open pages are connected again; `covers` names teams that had nobody since."""
        return self._write(ConsolesComeBack(), *((CENTRAL, duty_covered(team)) for team in covers))
