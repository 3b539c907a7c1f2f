"""The control station's side of ESPA 4.4.4: for panels that say nothing until they are polled. Pure, like `codec`.

The control station owns the line. It polls each station in turn with `EOT <station> ENQ`:

* `EOT` as the answer: nothing to send. The next station is due after the poll interval.
* `<our address> ENQ`: the station has become temporary master and selects us. From there on it is master and we are
  slave, with the rules of `codec.Slave`, until its EOT gives the line back. Then the same station is polled again at
  once: it may have more. A station that sends its block without selecting anybody first is taken to mean us.
* Nothing within `reply_s`: counted, the next station is due after the interval.

A temporary master that falls silent for `talk_s`, while no answer of ours is owed, has lost the line: EOT takes it
back. Bytes come in and go out with the time given; `tick` says what to send, `due_s` when to ask again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from drivers.espa.codec import ENQ, EOT, Ended, Fragment, Heard, Slave

TALK_S = 3.0
"""A master answers within a second; one that needs longer than this between two things it says has gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered(Heard):
    """A station that was polled has answered.

    `is_idle`: it has nothing to send, and has said so before on this line (the first EOT may end an older talk).
    """

    station: str
    is_idle: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered(Heard):
    """A station that was polled has said nothing in time, or lost the line in the middle of a talk."""

    station: str


class Control:
    """Polls `polled` in turn as station `station`."""

    __slots__ = (
        "_awaited",
        "_deadline_s",
        "_due_s",
        "_idle",
        "_interval_s",
        "_place",
        "_polled",
        "_reply_s",
        "_slave",
        "_talk_s",
        "_talking",
    )

    def __init__(
        self,
        *,
        station: str,
        polled: Sequence[str],
        strip_high_bit: bool = False,
        interval_s: float = 1.0,
        reply_s: float = 1.0,
        talk_s: float = TALK_S,
    ) -> None:
        self._slave = Slave(station=station, strip_high_bit=strip_high_bit)
        self._polled = tuple(polled)
        self._interval_s = interval_s
        self._reply_s = reply_s
        self._talk_s = talk_s
        self._place = 0
        self._idle: set[str] = set()
        """The stations that have answered a poll on this line with nothing."""
        self._due_s = 0.0
        """When the next poll is due."""
        self._awaited: str | None = None
        """The station whose answer is waited for until `_deadline_s`."""
        self._talking: str | None = None
        """The temporary master, which must say something until `_deadline_s`."""
        self._deadline_s = 0.0

    @property
    def is_mid_block(self) -> bool:
        return self._slave.is_mid_block

    def restart(self) -> None:
        """A new line: poll from the first station."""
        self._slave.restart()
        self._awaited = self._talking = None
        self._due_s = 0.0
        self._place = 0
        self._idle.clear()

    def due_s(self) -> float:
        """When `tick` has something to do, if nothing is heard until then."""
        if self._talking is not None:
            return float("inf") if self._slave.owes_answer else self._deadline_s
        return self._due_s if self._awaited is None else self._deadline_s

    def tick(self, now_s: float) -> tuple[bytes, list[Heard]]:
        """What to send now, and what follows from nobody having said anything."""
        heard: list[Heard] = []
        station = self._awaited or self._talking
        if station is not None:
            if now_s < self.due_s():
                return b"", heard
            heard.append(Unanswered(station=station))
            self._go_on(now_s + self._interval_s)
        if now_s < self._due_s:
            return b"", heard
        station = self._polled[self._place]
        self._awaited, self._deadline_s = station, now_s + self._reply_s
        return self._pretend_polled(station, now_s), heard

    def feed(self, chunk: bytes, now_s: float) -> list[Heard]:
        """What `chunk`, received at `now_s`, says."""
        heard: list[Heard] = []
        for fact in self._slave.feed(chunk, now_s):
            if self._awaited is not None and not isinstance(fact, Fragment):
                station, self._awaited = self._awaited, None
                is_idle = isinstance(fact, Ended)
                heard.append(Answered(station=station, is_idle=is_idle and station in self._idle))
                self._talking = None if is_idle else station
                if is_idle:
                    self._idle.add(station)
                    self._next(now_s)
            elif self._talking is not None and isinstance(fact, Ended):
                self._talking = None
                self._due_s = now_s  # the same station again: it may have more
            heard.append(fact)
        if self._talking is not None:
            self._deadline_s = now_s + self._talk_s
        elif self._awaited is not None and self._slave.is_mid_block:
            # Its block has begun without a selection: that is an answer, though the fact comes with the block's end.
            self._deadline_s = now_s + self._talk_s
        return heard

    def answer(self, number: int, now_s: float, *, is_accepted: bool) -> bytes:
        """See `Slave.answer`. The master gets its time to go on from here."""
        self._deadline_s = now_s + self._talk_s
        answer = self._slave.answer(number, is_accepted=is_accepted)
        if answer and is_accepted and self._talking is not None:
            # The master may select us again without an EOT between: nobody ever polls a control station.
            self._pretend_polled(self._talking, now_s)
        return answer

    def _pretend_polled(self, station: str, now_s: float) -> bytes:
        """As if we were on the line and heard our own poll: from here on our own address is a selection."""
        said = bytes([EOT]) + station.encode("ascii") + bytes([ENQ])
        self._slave.feed(said, now_s)
        return said

    def _next(self, now_s: float) -> None:
        """The answered station is done. The round through all stations takes one interval."""
        self._go_on(now_s + self._interval_s / len(self._polled))

    def _go_on(self, due_s: float) -> None:
        self._awaited = self._talking = None
        self._slave.restart()
        self._place = (self._place + 1) % len(self._polled)
        self._due_s = due_s
