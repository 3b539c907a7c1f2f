from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.selector import Attempt, PathView, Timing, bulk_path, choose

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


def test_without_a_receipt_a_second_path_is_used_after_two_seconds_and_a_third_after_four() -> None:
    attempts = {"main": Attempt(session=1, sent_s=100.0)}
    paths = [up("main"), up("mobile"), up("spare")]
    early = choose(attempts, 100.0, paths, 101.9, TIMING)
    assert early.send == ()
    assert early.next_s == 102.0
    assert choose(attempts, 100.0, paths, 102.0, TIMING).send == ("mobile",)
    attempts["mobile"] = Attempt(session=1, sent_s=102.0)
    assert choose(attempts, 100.0, paths, 102.1, TIMING).send == ()
    assert choose(attempts, 100.0, paths, 104.0, TIMING).send == ("spare",)


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
    now_s = 0.0

    def act() -> float | None:
        nonlocal first
        choice = choose(attempts, first, list(paths.values()), now_s, TIMING)
        for name in choice.send:
            before = attempts.get(name)
            attempts[name] = Attempt(
                session=paths[name].session, sent_s=now_s, count=1 if before is None else before.count + 1
            )
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
    sent_before = {name: attempt.count for name, attempt in attempts.items()}
    for _ in range(200):
        next_s = act()
        if any(attempt.count > sent_before.get(name, 0) for name, attempt in attempts.items()):
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
