"""When a modem is started anew: the rule by itself, with times as values."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_sync.modem.errors import Reason
from cloud_sync.modem.stuck import AGAIN_S, NO_NETWORK_S, REFUSALS, Stuck


@pytest.mark.parametrize("reason", [Reason.BAD_NUMBER, Reason.CONGESTED, Reason.TOO_LONG, Reason.NO_SERVICE_CENTRE])
def test_what_a_restart_cannot_cure_never_asks_for_one(reason: Reason) -> None:
    stuck = Stuck()
    for _ in range(REFUSALS * 3):
        stuck.refused(reason, None)
    assert stuck.why(0.0) == ""


def test_a_message_that_goes_begins_the_count_anew() -> None:
    stuck = Stuck()
    for _ in range(REFUSALS - 1):
        stuck.refused(Reason.REFUSED, None)
    stuck.sent()
    stuck.refused(Reason.REFUSED, None)
    assert stuck.why(0.0) == ""


def test_what_could_not_have_gone_is_no_refusal() -> None:
    stuck = Stuck()
    for _ in range(REFUSALS * 3):
        stuck.refused(Reason.NO_NETWORK, Reason.NO_NETWORK)
    assert stuck.why(0.0) == ""


def test_a_long_time_without_a_network_is_counted_from_when_it_was_lost_last() -> None:
    stuck = Stuck()
    stuck.stands(Reason.NO_NETWORK, 0.0)
    stuck.stands(None, NO_NETWORK_S - 1)
    stuck.stands(Reason.NO_NETWORK, NO_NETWORK_S)
    assert stuck.why(NO_NETWORK_S + 1) == ""
    assert stuck.why(2 * NO_NETWORK_S) == "it has found no network for 15 minutes"


steps = st.lists(st.tuples(st.sampled_from(["refused", "out", "in", "sent"]), st.floats(0, 2_000)), max_size=60)


@given(steps)
def test_it_is_never_started_anew_twice_within_the_hour(steps: list[tuple[str, float]]) -> None:
    stuck, now_s = Stuck(), 0.0
    restarts: list[float] = []
    for what, pause_s in steps:
        now_s += pause_s
        match what:
            case "refused":
                stuck.refused(Reason.REFUSED, None)
            case "out":
                stuck.stands(Reason.NO_NETWORK, now_s)
            case "in":
                stuck.stands(None, now_s)
            case _:
                stuck.sent()
        if stuck.why(now_s):
            stuck.restarted(now_s)
            restarts.append(now_s)
    assert all(later - earlier >= AGAIN_S for earlier, later in pairwise(restarts))
