from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from cloud_sync.central_messages import Address, AlarmReply, LocalDeadlines, Reply, ReplyState
from cloud_sync.identity import EventId, Lane
from cloud_sync.stub import LocalAction
from cloud_sync.stub_answer import AnswerState, StubAnswer
from drivers.contract import Lamp
from gateway.annunciator import Annunciator
from gateway.clock import HubClock
from gateway.home import Home
from gateway.replies import LEAST_REASSURING_FIRST, Replies

HUB, EPOCH = b"h" * 8, b"e" * 8
NOW = 1_000_000
LATER = NOW + 90_000


def event(seq: int = 1) -> EventId:
    return EventId(HUB, EPOCH, Lane.ALARM, seq)


def alarm(state: ReplyState, *events: EventId, name: int = 1, version: int = 1, until: int = LATER) -> AlarmReply:
    return AlarmReply(
        alarm=bytes([name]) * 8, version=version, state=state, events=events or (event(),), valid_until_ms=until
    )


def reply(*alarms: AlarmReply, at: int = NOW, is_snapshot: bool = False) -> Reply:
    return Reply(to=Address(hub=HUB, hub_epoch=EPOCH, central_ms=at), alarms=alarms, is_snapshot=is_snapshot)


def raised(*seqs: int, action: LocalAction = LocalAction.LAMP_AND_BUZZER, is_receipted: bool = True) -> Replies:
    replies = Replies()
    for seq in seqs:
        replies.raised(event(seq), action)
        if is_receipted:
            replies.receipted([event(seq)], NOW)
    return replies


def test_with_nothing_open_the_lamp_is_off() -> None:
    assert Replies().view(NOW).lamp is Lamp.OFF


def test_until_central_has_it_an_alarm_is_unknown_and_then_it_waits() -> None:
    replies = raised(1, is_receipted=False)
    assert replies.view(NOW).lamp is Lamp.UNKNOWN
    replies.receipted([event(1)], NOW)
    assert replies.view(NOW).lamp is Lamp.WAITING


def test_a_person_taking_it_and_coming_is_shown() -> None:
    replies = raised(1)
    replies.heard(reply(alarm(ReplyState.TAKEN, version=2)))
    assert replies.view(NOW).lamp is Lamp.TAKEN
    replies.heard(reply(alarm(ReplyState.ON_THE_WAY, version=3)))
    assert replies.view(NOW).lamp is Lamp.ON_THE_WAY
    replies.heard(reply(alarm(ReplyState.CLOSED, version=4)))
    view = replies.view(NOW)
    assert view.lamp is Lamp.OFF
    assert [(one.version, one.word) for one in view.alarms] == [(4, "closed")]


def test_an_older_reply_changes_nothing_also_after_closing() -> None:
    replies = raised(1)
    replies.heard(reply(alarm(ReplyState.WAITING, version=5)))
    replies.heard(reply(alarm(ReplyState.TAKEN, version=4)))
    assert replies.view(NOW).lamp is Lamp.WAITING
    replies.heard(reply(alarm(ReplyState.CLOSED, version=6)))
    replies.heard(reply(alarm(ReplyState.TAKEN, version=5)))
    assert replies.view(NOW).lamp is Lamp.OFF


def test_a_closed_alarm_with_more_events_than_one_entry_names_leaves_none_behind() -> None:
    replies = raised(1, 2, 3)
    replies.heard(
        reply(alarm(ReplyState.CLOSED, event(1), event(2), version=4), alarm(ReplyState.CLOSED, event(3), version=4))
    )
    assert replies.view(NOW).lamp is Lamp.OFF


def test_an_event_offered_again_after_its_alarm_was_closed_is_over_too() -> None:
    replies = raised(1)
    replies.heard(reply(alarm(ReplyState.CLOSED, version=4)))
    replies.raised(event(1), LocalAction.LAMP)
    replies.receipted([event(1)], NOW)
    assert replies.view(NOW).lamp is Lamp.WAITING
    replies.heard(reply(alarm(ReplyState.CLOSED, version=4)))
    assert replies.view(NOW).lamp is Lamp.OFF


def test_a_reply_that_expires_falls_back_to_waiting_and_a_refresh_keeps_it() -> None:
    replies = raised(1)
    replies.heard(reply(alarm(ReplyState.TAKEN, version=2, until=NOW + 1000)))
    view = replies.view(NOW)
    assert (view.lamp, view.next_change_ms) == (Lamp.TAKEN, NOW + 1000)
    assert replies.view(NOW + 999).lamp is Lamp.TAKEN
    assert replies.view(NOW + 1000).lamp is Lamp.WAITING
    replies.heard(reply(alarm(ReplyState.TAKEN, version=2, until=NOW + 5000)))
    assert replies.view(NOW + 1000).lamp is Lamp.TAKEN


def test_without_knowing_centrals_time_green_is_not_shown() -> None:
    replies = raised(1)
    replies.heard(reply(alarm(ReplyState.TAKEN, version=2)))
    assert replies.view(None).lamp is Lamp.WAITING


def test_a_second_press_on_a_taken_alarm_is_unknown_until_central_has_it() -> None:
    replies = raised(1)
    replies.heard(reply(alarm(ReplyState.TAKEN, version=2)))
    replies.raised(event(2), LocalAction.LAMP_AND_BUZZER)
    assert replies.view(NOW).lamp is Lamp.UNKNOWN
    replies.receipted([event(2)], NOW)
    assert replies.view(NOW).lamp is Lamp.WAITING
    replies.heard(reply(alarm(ReplyState.TAKEN, event(1), event(2), version=3)))
    assert replies.view(NOW).lamp is Lamp.TAKEN


def test_the_least_reassuring_of_several_alarms_is_shown() -> None:
    replies = raised(1, 2)
    replies.heard(reply(alarm(ReplyState.ON_THE_WAY, event(1), name=1, version=3)))
    replies.heard(reply(alarm(ReplyState.TAKEN, event(2), name=2, version=2)))
    assert replies.view(NOW).lamp is Lamp.TAKEN
    replies.heard(reply(alarm(ReplyState.CLOSED, event(2), name=2, version=3)))
    assert replies.view(NOW).lamp is Lamp.ON_THE_WAY


def test_a_snapshot_closes_what_it_does_not_name() -> None:
    replies = raised(1, 2)
    replies.heard(reply(alarm(ReplyState.TAKEN, event(1), version=2)))
    replies.heard(reply(alarm(ReplyState.TAKEN, event(2), name=2, version=2), at=NOW + 5000, is_snapshot=True))
    view = replies.view(NOW)
    assert view.lamp is Lamp.TAKEN
    assert [one.word for one in view.alarms] == ["taken", "closed"]


def test_a_snapshot_made_before_the_alarm_was_known_does_not_close_it() -> None:
    replies = raised(1)
    replies.heard(reply(at=NOW + 100, is_snapshot=True))
    assert replies.view(NOW).lamp is Lamp.WAITING
    replies.raised(event(2), LocalAction.LAMP)
    replies.heard(reply(at=NOW + 60_000, is_snapshot=True))
    view = replies.view(NOW)
    assert view.lamp is Lamp.UNKNOWN
    assert [name for name, _ in view.unnamed] == [event(2)]


def test_a_snapshot_tells_a_restarted_hub_what_is_open() -> None:
    replies = Replies()
    replies.heard(reply(alarm(ReplyState.TAKEN, version=7), is_snapshot=True))
    assert replies.view(NOW).lamp is Lamp.TAKEN


def test_an_alarm_that_is_not_to_be_seen_at_home_shows_nothing() -> None:
    replies = raised(1, action=LocalAction.NONE, is_receipted=False)
    assert replies.view(NOW).lamp is Lamp.OFF
    replies.heard(reply(alarm(ReplyState.TAKEN, version=2)))
    assert replies.view(NOW).lamp is Lamp.OFF
    assert not replies.view(NOW).may_sound


def test_a_test_is_answered_and_never_shown() -> None:
    replies = Replies()
    replies.test_raised(event(9))
    replies.heard(reply(alarm(ReplyState.CLOSED, event(9), version=1)))
    answer = replies.test_answer(event(9))
    assert answer is not None
    assert answer.state is ReplyState.CLOSED
    assert replies.view(NOW).alarms == ()


def test_when_central_was_restored_nothing_it_said_before_counts() -> None:
    replies = raised(1)
    replies.heard(reply(alarm(ReplyState.TAKEN, version=9)))
    replies.central_replaced()
    assert replies.view(NOW).lamp is Lamp.UNKNOWN
    replies.receipted([event(1)], NOW)
    assert replies.view(NOW).lamp is Lamp.WAITING
    replies.heard(reply(alarm(ReplyState.TAKEN, version=1)))
    assert replies.view(NOW).lamp is Lamp.TAKEN


def test_a_restored_central_that_knows_nothing_of_an_alarm_does_not_put_the_lamp_out() -> None:
    replies = raised(1)
    replies.heard(reply(alarm(ReplyState.TAKEN, version=9)))
    replies.central_replaced()
    replies.heard(reply(at=NOW + 60_000, is_snapshot=True))
    assert replies.view(NOW + 60_000).lamp is Lamp.UNKNOWN
    replies.receipted([event(1)], NOW + 61_000)
    assert replies.view(NOW + 61_000).lamp is Lamp.WAITING
    replies.heard(reply(at=NOW + 90_000, is_snapshot=True))
    assert replies.view(NOW + 90_000).lamp is Lamp.OFF


def test_nor_does_it_for_an_alarm_of_an_earlier_run() -> None:
    replies = Replies()
    replies.heard(reply(alarm(ReplyState.TAKEN, version=9)))
    replies.central_replaced()
    replies.heard(reply(at=NOW + 60_000, is_snapshot=True))
    assert replies.view(NOW + 60_000).lamp is Lamp.UNKNOWN


def test_a_silent_alarm_of_an_earlier_run_stays_silent() -> None:
    before = Replies()
    remembered = before.keep_quiet([event(5)])
    after = Replies()
    after.keep_quiet(remembered)
    after.heard(reply(alarm(ReplyState.TAKEN, event(5)), is_snapshot=True))
    assert after.view(NOW).lamp is Lamp.OFF
    after.central_replaced()
    assert after.view(NOW).lamp is Lamp.OFF
    for seq in range(100):
        remembered = after.keep_quiet([event(seq + 10)])
    assert len(remembered) == 16


def test_what_was_closed_is_forgotten_in_the_end() -> None:
    replies = Replies()
    for number in range(1, 3000):
        name = number.to_bytes(8, "big")
        one = AlarmReply(alarm=name, version=1, state=ReplyState.CLOSED, events=(event(number),), valid_until_ms=0)
        replies.heard(reply(one))
    assert len(replies._closed) <= 256
    assert replies._alarms == {}


states = st.sampled_from(list(ReplyState))
alarm_replies = st.builds(
    lambda name, version, state, seqs, until: alarm(
        state, *(event(seq) for seq in seqs), name=name, version=version, until=until
    ),
    st.integers(1, 3),
    st.integers(1, 6),
    states,
    st.sets(st.integers(1, 4), min_size=1),
    st.integers(NOW - 1000, NOW + 1000),
)


@given(st.lists(alarm_replies, max_size=12), st.randoms(use_true_random=False))
def test_the_order_in_which_replies_arrive_does_not_matter(many: list[AlarmReply], chance: object) -> None:
    unique = {(one.alarm, one.version): one for one in many}  # central says one thing per version
    said = list(unique.values())
    closing = {one.alarm for one in said if one.state is ReplyState.CLOSED}
    said = [one for one in said if one.alarm not in closing or one.state is not ReplyState.CLOSED]
    shuffled = list(said)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    first, second = Replies(), Replies()
    for one in said:
        first.heard(reply(one))
    for one in shuffled:
        second.heard(reply(one))
    one_view, other_view = first.view(NOW), second.view(NOW)
    assert one_view.lamp is other_view.lamp
    assert set(one_view.alarms) == set(other_view.alarms)


@given(st.lists(alarm_replies, max_size=12), st.sets(st.integers(1, 4)))
def test_green_is_only_ever_shown_when_every_open_alarm_rests_on_a_valid_reply(
    said: list[AlarmReply], presses: set[int]
) -> None:
    replies = Replies()
    for seq in presses:
        replies.raised(event(seq), LocalAction.LAMP)
    for one in said:
        replies.heard(reply(one))
    view = replies.view(NOW)
    if view.lamp in {Lamp.TAKEN, Lamp.ON_THE_WAY}:
        assert view.unnamed == ()
        newest: dict[bytes, AlarmReply] = {}
        for one in said:
            known = newest.get(one.alarm)
            if known is None or (one.version, one.valid_until_ms) >= (known.version, known.valid_until_ms):
                newest[one.alarm] = one
        assert any(
            one.state in {ReplyState.TAKEN, ReplyState.ON_THE_WAY} and one.valid_until_ms > NOW
            for one in newest.values()
        )
        assert all(one.state in {Lamp.TAKEN, Lamp.ON_THE_WAY, Lamp.OFF} for one in view.alarms)
    order = [*LEAST_REASSURING_FIRST, Lamp.OFF]
    assert all(order.index(view.lamp) <= order.index(state) for _, state in view.unnamed)


def test_the_deadlines_of_an_alarms_plan_go_before_those_of_the_home_and_both_before_none() -> None:
    replies = raised(1, 2)
    assert replies.deadlines(event(1)) is None
    home, own = LocalDeadlines(no_receipt_s=10, no_claim_s=60), LocalDeadlines(no_receipt_s=15, no_claim_s=90)
    said = reply(replace(alarm(ReplyState.WAITING), local=own), is_snapshot=True)
    replies.heard(replace(said, home=home))
    assert replies.deadlines(event(1)) == own
    assert replies.deadlines(event(2)) == home
    replies.heard(reply(replace(alarm(ReplyState.WAITING, version=2), local=own)))
    assert replies.deadlines(event(2)) == home


def test_what_was_said_before_an_sms_told_more_changes_nothing_when_it_comes_late() -> None:
    replies = raised(1, is_receipted=False)
    name = event(1)
    told = StubAnswer(
        hub=HUB,
        epoch=EPOCH,
        lane=name.lane,
        seq=name.seq,
        central_ms=NOW,
        version=3,
        state=AnswerState.ON_THE_WAY,
    )
    replies.answered(told)
    assert replies.view(NOW).lamp is Lamp.ON_THE_WAY
    for version, state in ((1, ReplyState.WAITING), (2, ReplyState.TAKEN)):
        replies.heard(reply(alarm(state, version=version)))
        assert replies.view(NOW).lamp is Lamp.ON_THE_WAY
    replies.heard(reply(alarm(ReplyState.ON_THE_WAY, version=3)))
    replies.receipted([name], NOW)
    assert replies.view(NOW).lamp is Lamp.ON_THE_WAY
    replies.heard(reply(alarm(ReplyState.WAITING, version=4)))  # whoever was on the way gave it back
    assert replies.view(NOW).lamp is Lamp.WAITING


def test_when_centrals_clock_is_set_back_nobody_is_said_to_come_for_longer_than_it_is_known() -> None:
    replies, day_ms = raised(1), 86_400_000
    replies.heard(reply(alarm(ReplyState.TAKEN, version=2, until=LATER + day_ms), at=NOW + day_ms))
    assert replies.view(NOW + day_ms).lamp is Lamp.TAKEN
    replies.clock_set_back(NOW)
    assert replies.view(NOW).lamp is Lamp.WAITING
    replies.heard(reply(alarm(ReplyState.TAKEN, version=2, until=LATER)))  # the same again, by the right clock
    assert replies.view(NOW).lamp is Lamp.TAKEN
    assert replies.view(LATER).lamp is Lamp.WAITING
    replies.heard(reply(at=NOW + 1, is_snapshot=True))
    assert replies.view(NOW + 1).lamp is Lamp.OFF


def test_when_centrals_clock_is_set_back_a_stubs_answer_is_not_believed_for_longer_either() -> None:
    replies, day_ms = raised(1, is_receipted=False), 86_400_000
    told = StubAnswer(
        hub=HUB, epoch=EPOCH, lane=Lane.ALARM, seq=1, central_ms=NOW + day_ms, version=2, state=AnswerState.TAKEN
    )
    replies.answered(told)
    assert replies.view(NOW + day_ms).lamp is Lamp.TAKEN
    replies.clock_set_back(NOW)
    assert replies.view(NOW).lamp is Lamp.WAITING
    replies.answered(replace(told, central_ms=NOW + 1))
    assert replies.view(NOW + 1).lamp is Lamp.TAKEN


async def test_the_home_notices_by_itself_that_centrals_clock_was_set_back() -> None:
    async def report(*_: object) -> None:
        return None

    day_ms = 86_400_000
    clock = HubClock(boot_s=lambda: 100.0, wall_s=lambda: NOW / 1000, is_synchronised=lambda: False)
    home = Home(clock=clock, annunciator=Annunciator(), send_report=report)
    clock.learn(NOW + day_ms, sent_boot_s=99.98, received_boot_s=100.0)
    home.heard(reply(alarm(ReplyState.TAKEN, version=2, until=LATER + day_ms), at=NOW + day_ms))
    assert home.view.lamp is Lamp.TAKEN
    clock.learn(NOW, sent_boot_s=99.98, received_boot_s=100.0)
    home.heard(reply(alarm(ReplyState.TAKEN, version=2, until=LATER)))
    assert home.view.lamp is Lamp.TAKEN
    assert home.view.next_change_ms == LATER
