from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gateway.selector import INSTANT_S, Attempt, PathView, Timing, bulk_path, choose, handed

TIMING = Timing()
NAMES = ("main", "mobile", "spare")


def up(name: str, session: int = 1, **rest: object) -> PathView:
    return PathView(name=name, is_up=True, session=session, **rest)  # type: ignore[arg-type]


def down(name: str) -> PathView:
    return PathView(name=name, is_up=False)


def test_a_new_alarm_goes_to_the_first_path_at_once_and_to_no_other() -> None:
    choice = choose({}, None, [up("main"), up("mobile")], 100.0, TIMING)
    assert choice.send == ("main",)
    assert choice.next_s == 102.0


def test_a_path_that_is_down_is_passed_over() -> None:
    assert choose({}, None, [down("main"), up("mobile")], 100.0, TIMING).send == ("mobile",)


def test_a_silent_path_comes_after_one_that_answers() -> None:
    assert choose({}, None, [up("main", is_answering=False), up("mobile")], 0.0, TIMING).send == ("mobile",)
    assert bulk_path([up("main", is_answering=False), up("mobile")]) == "mobile"
    assert bulk_path([up("main", is_answering=False), down("mobile")]) == "main"
    assert bulk_path([down("main")]) is None


def test_without_a_receipt_a_second_path_is_used_after_two_seconds_and_a_third_after_ten() -> None:
    attempts = {"main": Attempt(session=1, sent_s=100.0)}
    paths = [up("main"), up("mobile"), up("spare")]
    early = choose(attempts, 100.0, paths, 101.9, TIMING)
    assert early.send == ()
    assert early.next_s == 102.0
    assert choose(attempts, 100.0, paths, 102.0, TIMING).send == ("mobile",)
    attempts["mobile"] = Attempt(session=1, sent_s=102.0)
    assert choose(attempts, 100.0, paths, 102.1, TIMING).send == ()
    assert choose(attempts, 100.0, paths, 104.9, TIMING).send == ()
    answering = [up("main", heard_s=104.0), up("mobile", heard_s=104.0), up("spare")]
    assert "spare" not in choose(attempts, 100.0, answering, 109.9, TIMING).send
    assert "spare" in choose(attempts, 100.0, answering, 110.0, TIMING).send


def test_when_the_first_path_fails_the_second_is_tried_at_once() -> None:
    attempts = {"main": Attempt(session=1, sent_s=100.0, has_failed=True)}
    assert choose(attempts, 100.0, [up("main"), up("mobile")], 100.01, TIMING).send == ("mobile",)
    attempts = {"main": Attempt(session=1, sent_s=100.0)}
    assert choose(attempts, 100.0, [down("main"), up("mobile")], 100.01, TIMING).send == ("mobile",)


def test_a_fresh_connection_gets_the_alarm_at_once() -> None:
    attempts = {"main": Attempt(session=1, sent_s=100.0)}
    assert choose(attempts, 100.0, [up("main", session=2)], 100.01, TIMING).send == ("main",)


def test_after_five_seconds_without_a_receipt_a_fresh_connection_is_asked_for() -> None:
    attempts = {"main": Attempt(session=1, sent_s=100.0)}
    assert choose(attempts, 100.0, [up("main")], 104.9, TIMING).renew == ()
    assert choose(attempts, 100.0, [up("main")], 105.0, TIMING).renew == ("main",)


def test_a_connection_that_carried_an_answer_meanwhile_is_used_again() -> None:
    attempts = {"main": Attempt(session=1, sent_s=100.0)}
    choice = choose(attempts, 100.0, [up("main", heard_s=103.0)], 105.0, TIMING)
    assert (choice.send, choice.renew) == (("main",), ())


def test_the_wait_for_a_receipt_doubles_so_that_a_slow_path_gets_its_chance() -> None:
    waits = [TIMING.receipt_wait_s(count) for count in range(1, 8)]
    assert waits == [5, 10, 20, 40, 60, 60, 60]


def test_failures_alternate_between_the_same_and_a_fresh_connection() -> None:
    first = {"main": Attempt(session=1, sent_s=100.0, has_failed=True, count=1)}
    assert choose(first, 100.0, [up("main")], 100.6, TIMING).send == ("main",)
    second = {"main": Attempt(session=1, sent_s=101.0, has_failed=True, count=2)}
    assert choose(second, 100.0, [up("main")], 110.0, TIMING).renew == ("main",)


attempt_values = st.builds(
    Attempt,
    session=st.integers(0, 3),
    sent_s=st.floats(0, 1000),
    count=st.integers(1, 12),
    has_failed=st.booleans(),
)
path_values = st.builds(
    PathView,
    name=st.just(""),
    is_up=st.booleans(),
    is_answering=st.booleans(),
    session=st.integers(0, 3),
    opened_s=st.floats(0, 1000),
    heard_s=st.none() | st.floats(0, 1000),
)


@st.composite
def situations(draw: st.DrawFn) -> tuple[dict[str, Attempt], list[PathView], float | None, float]:
    paths = []
    for name in NAMES[: draw(st.integers(1, 3))]:
        view = draw(path_values)
        paths.append(
            PathView(
                name=name,
                is_up=view.is_up,
                is_answering=view.is_answering,
                session=view.session,
                opened_s=view.opened_s,
                heard_s=view.heard_s,
            )
        )
    attempts = draw(st.dictionaries(st.sampled_from([path.name for path in paths]), attempt_values))
    now_s = draw(st.floats(0, 2000))
    first = min((attempt.sent_s for attempt in attempts.values()), default=None)
    return attempts, paths, first, now_s


@given(situations())
def test_nothing_is_sent_twice_or_where_there_is_no_connection(
    situation: tuple[dict[str, Attempt], list[PathView], float | None, float],
) -> None:
    attempts, paths, first, now_s = situation
    choice = choose(attempts, first, paths, now_s, TIMING)
    connected = {path.name for path in paths if path.is_up}
    assert len(set(choice.send)) == len(choice.send)
    assert set(choice.send) <= connected
    assert set(choice.renew) <= connected
    assert not set(choice.send) & set(choice.renew)


@given(situations())
def test_while_any_path_is_up_something_is_done_or_will_be_within_a_minute(
    situation: tuple[dict[str, Attempt], list[PathView], float | None, float],
) -> None:
    attempts, paths, first, now_s = situation
    choice = choose(attempts, first, paths, now_s, TIMING)
    if any(path.is_up for path in paths):
        latest = max([now_s, *(a.sent_s for a in attempts.values()), *(p.opened_s for p in paths)])
        assert choice.send or choice.renew or (choice.next_s is not None and choice.next_s <= latest + 60.01)
    if choice.next_s is not None:
        assert choice.next_s > now_s or choice.send or choice.renew


@given(
    changes=st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(["up", "down", "fail", "hear"])), max_size=30),
    gap_s=st.floats(0.01, 20),
)
def test_an_alarm_is_always_on_its_way_once_any_path_stays_up(changes: list[tuple[str, str]], gap_s: float) -> None:
    """A run of the rules over changing paths: after the last change, an attempt on a live connection is made."""
    paths = {name: PathView(name=name, is_up=False) for name in NAMES}
    attempts: dict[str, Attempt] = {}
    first: float | None = None
    sent: list[str] = []
    now_s = 0.0

    def act() -> float | None:
        nonlocal first
        choice = choose(attempts, first, list(paths.values()), now_s, TIMING)
        for name in choice.send:
            attempts[name] = handed(attempts.get(name), paths[name], now_s, TIMING)
            sent.append(name)
            first = now_s if first is None else first
        for name in choice.renew:
            paths[name] = up(name, session=paths[name].session + 1, opened_s=now_s)
        return choice.next_s

    for name, change in [*changes, ("mobile", "up")]:
        now_s += gap_s
        view = paths[name]
        if change == "up":
            paths[name] = up(name, session=view.session + 1, opened_s=now_s)
        elif change == "down":
            paths[name] = down(name)
        elif change == "hear" and view.is_up:
            paths[name] = up(name, session=view.session, opened_s=view.opened_s, heard_s=now_s)
        elif change == "fail" and name in attempts:
            old = attempts[name]
            attempts[name] = Attempt(session=old.session, sent_s=now_s, count=old.count, has_failed=True)
        act()
    sent.clear()
    for _ in range(200):
        next_s = act()
        if sent:
            return
        now_s = max(now_s + 0.01, next_s if next_s is not None else now_s + 1)
    raise AssertionError("the alarm was given up")


def test_what_was_sent_before_central_was_heard_on_a_connection_is_sent_again_soon_after() -> None:
    attempts = {"main": Attempt(session=1, sent_s=100.0)}
    unheard = [up("main", opened_s=99.9)]
    assert choose(attempts, 100.0, unheard, 101.5, TIMING).send == ()
    greeted = [up("main", opened_s=99.9, greeted_s=101.5, heard_s=101.5)]
    choice = choose(attempts, 100.0, greeted, 101.5, TIMING)
    assert (choice.send, choice.renew, choice.next_s) == ((), (), 102.5)
    choice = choose(attempts, 100.0, greeted, 102.5, TIMING)
    assert (choice.send, choice.renew) == (("main",), ())
    again = {"main": Attempt(session=1, sent_s=102.5, count=2)}
    assert choose(again, 100.0, greeted, 105.0, TIMING).send == ()


def test_what_was_not_given_its_time_makes_no_later_wait_longer() -> None:
    first = handed(None, up("main", session=1), 100.0, TIMING)
    assert first.count == 1
    cut_off = handed(first, up("main", session=2), 100.8, TIMING)  # the broker took it, and was killed
    unheard = handed(cut_off, up("main", session=2, greeted_s=101.0), 102.0, TIMING)  # nobody was there before
    assert (cut_off.count, unheard.count) == (1, 1)
    waited = handed(unheard, up("main", session=3), 102.0 + TIMING.resend_s, TIMING)
    assert (waited.count, waited.session) == (2, 3)
    assert handed(replace(waited, has_failed=True), up("main", session=3), 107.5, TIMING).count == 3
    assert handed(replace(waited, sent_s=500.0), up("main", session=3), 107.5, TIMING).count == 3  # a clock set back


# Paths that carry stubs


def stub_path(name: str = "sms", session: int = 1, **rest: object) -> PathView:
    return PathView(name=name, is_up=True, session=session, carries_stubs=True, **rest)  # type: ignore[arg-type]


def test_a_path_for_stubs_waits_for_its_turn_behind_all_others() -> None:
    attempts = {"main": Attempt(session=1, sent_s=100.0)}
    alone = [stub_path(), up("main")]
    assert choose({}, None, alone, 100.0, TIMING).send == ("main",)
    assert choose(attempts, 100.0, alone, 101.9, TIMING).send == ()
    assert choose(attempts, 100.0, alone, 102.0, TIMING).send == ("sms",)
    three = [stub_path(), up("main"), up("mobile")]
    assert choose(attempts, 100.0, three, 102.0, TIMING).send == ("mobile",)
    attempts["mobile"] = Attempt(session=1, sent_s=102.0)
    assert choose(attempts, 100.0, three, 104.9, TIMING).send == ()
    assert "sms" in choose(attempts, 100.0, three, 110.0, TIMING).send


def test_a_failure_that_may_pass_sends_no_text_message_before_its_time() -> None:
    attempts = {"main": Attempt(session=1, sent_s=100.0, has_failed=True)}
    assert choose(attempts, 100.0, [up("main"), stub_path()], 100.1, TIMING).send == ()
    assert "sms" in choose(attempts, 100.0, [up("main"), stub_path()], 102.0, TIMING).send


def test_with_everything_else_down_for_a_while_the_stub_goes_at_once() -> None:
    lately = PathView(name="main", is_up=False, down_since_s=99.0)
    early = choose({}, None, [lately, stub_path()], 100.0, TIMING)
    assert (early.send, early.next_s) == ((), 101.0)
    assert choose({}, None, [lately, stub_path()], 101.0, TIMING).send == ("sms",)
    assert choose({}, None, [stub_path()], 100.0, TIMING).send == ("sms",)


def test_behind_a_connection_on_which_central_is_silent_the_stub_goes_at_once() -> None:
    assert choose({}, None, [up("main", is_answering=False), stub_path()], 100.0, TIMING).send == ("main", "sms")


def test_a_stub_that_the_network_took_is_sent_again_after_minutes_whatever_the_connection() -> None:
    sent = {"sms": Attempt(session=1, sent_s=100.0)}
    paths = [down("main"), stub_path(session=2)]
    assert choose(sent, 100.0, paths, 219.0, TIMING).send == ()
    assert choose(sent, 100.0, paths, 220.0, TIMING).send == ("sms",)
    failed = {"sms": Attempt(session=1, sent_s=100.0, has_failed=True)}
    assert choose(failed, 100.0, paths, 100.1, TIMING).send == ("sms",)  # another modem, another chance
    assert choose(failed, 100.0, [down("main"), stub_path()], 104.0, TIMING).send == ()
    assert choose(failed, 100.0, [down("main"), stub_path()], 105.0, TIMING).send == ("sms",)
    queued = {"sms": Attempt(session=1, sent_s=100.0, is_queued=True)}
    assert choose(queued, 100.0, paths, 9999.0, TIMING).send == ()


def test_of_two_paths_for_stubs_the_second_has_its_turn_even_when_the_first_is_dead() -> None:
    first, second = PathView(name="sms", is_up=False, carries_stubs=True), stub_path("other")
    assert choose({}, None, [down("main"), first, second], 100.0, TIMING).send == ("other",)
    sent = {"sms": Attempt(session=1, sent_s=100.0)}
    both = [down("main"), stub_path("sms"), second]
    assert choose(sent, 100.0, both, 101.0, TIMING).send == ()
    assert choose(sent, 100.0, both, 102.0, TIMING).send == ("other",)


# A whole run of the rules


ALL = (*NAMES, "sms")
happenings = st.one_of(
    st.tuples(st.sampled_from(ALL), st.sampled_from(["up", "down", "fail", "hear", "hush"])),
    st.tuples(st.just("clock"), st.sampled_from(["still", "suspend", "back"])),
)


class Run:
    """One record, four paths, and whatever happens to them; keeps every rule in view while it goes."""

    def __init__(self, timing: Timing) -> None:
        self.timing = timing
        self.now_s = 1000.0
        self.paths = {name: PathView(name=name, is_up=False, carries_stubs=name == "sms") for name in ALL}
        self.attempts: dict[str, Attempt] = {}
        self.first_s: float | None = None
        self.sent: list[tuple[str, float]] = []
        self.next_s: float | None = None

    def act(self) -> None:
        views = list(self.paths.values())
        choice = choose(self.attempts, self.first_s, views, self.now_s, self.timing)
        self.next_s = choice.next_s
        assert len(set(choice.send)) == len(choice.send)
        assert not set(choice.send) & set(choice.renew)
        frames_up = [view for view in views if view.is_up and not view.carries_stubs]
        if "sms" in choice.send and "sms" not in self.attempts and any(view.is_answering for view in frames_up):
            assert self.first_s is not None
            waited_s = self.now_s - self.first_s
            assert waited_s >= self.timing.rung_s(len(frames_up)) or self.first_s > self.now_s
        if self.first_s is None and frames_up:
            assert choice.send[0] in {view.name for view in frames_up}  # at once
        for name in choice.send:
            assert self.paths[name].is_up
            assert (name, self.now_s) not in self.sent, "twice in one instant"
            self.sent.append((name, self.now_s))
            self.attempts[name] = handed(self.attempts.get(name), self.paths[name], self.now_s, self.timing)
            self.first_s = self.now_s if self.first_s is None else self.first_s
        for name in choice.renew:
            assert name != "sms"
            self.open(name)

    def open(self, name: str) -> None:
        view = self.paths[name]
        self.paths[name] = PathView(
            name=name, is_up=True, session=view.session + 1, opened_s=self.now_s, carries_stubs=view.carries_stubs
        )

    def happen(self, name: str, what: str) -> None:
        if name == "clock":
            # A machine that slept, and what a boot clock never does: both are to be harmless.
            self.now_s += {"still": 0.0, "suspend": 50_000.0, "back": -400.0}[what]
            self.sent = [] if what == "back" else self.sent
            return
        view = self.paths[name]
        if what == "up":
            self.open(name)
        elif what == "down":
            self.paths[name] = replace(view, is_up=False, down_since_s=self.now_s)
        elif what == "hear" and view.is_up:
            self.paths[name] = replace(
                view, heard_s=self.now_s, greeted_s=view.greeted_s or self.now_s, is_answering=True
            )
        elif what == "hush" and view.is_up:
            self.paths[name] = replace(view, is_answering=False)
        elif what == "fail" and name in self.attempts:
            old = self.attempts[name]
            self.attempts[name] = replace(old, sent_s=self.now_s, has_failed=True)


@given(
    steps=st.lists(st.tuples(happenings, st.sampled_from([0.0, 0.001, 0.3, 2.0, 7.0, 61.0])), max_size=60),
    last=st.sampled_from(ALL),
)
def test_over_any_paths_and_clocks_no_rule_is_broken_and_nothing_is_given_up(
    steps: list[tuple[tuple[str, str], float]], last: str
) -> None:
    run = Run(TIMING)
    for happening, gap_s in steps:
        run.happen(*happening)
        run.act()
        run.now_s += gap_s
    for name in ALL:
        run.happen(name, "down")
    run.now_s += 3.0  # long enough for a path that carries stubs to be all there is
    run.happen(last, "up")
    began_s, sent_before = run.now_s, len(run.sent)
    patience_s = TIMING.stub_resend_max_s if last == "sms" else TIMING.resend_max_s
    run.act()
    while len(run.sent) == sent_before:
        assert run.next_s is not None, "the alarm was given up"
        assert run.next_s > run.now_s
        run.now_s = run.next_s
        run.act()
    assert run.now_s - began_s <= 2 * patience_s
    if last != "sms":
        assert run.now_s - began_s <= 2 * INSTANT_S  # a fresh connection gets it at once


@given(situation=situations(), later_s=st.floats(0, 5000))
def test_waiting_longer_never_takes_a_path_away(
    situation: tuple[dict[str, Attempt], list[PathView], float | None, float], later_s: float
) -> None:
    attempts, paths, first, now_s = situation
    latest = max([now_s, *(one.sent_s for one in attempts.values()), *(path.opened_s for path in paths)])
    first = latest if first is None else first
    early = choose(attempts, first, paths, latest, TIMING)
    late = choose(attempts, first, paths, latest + later_s, TIMING)
    assert set(early.send) <= set(late.send)
    assert set(early.renew) <= set(late.renew)
    if early.next_s is not None and latest + later_s >= early.next_s:
        assert len(late.send) + len(late.renew) > len(early.send) + len(early.renew)
