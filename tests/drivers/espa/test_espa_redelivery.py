import pytest

from drivers.espa.redelivery import PROMPT_S, WAITING_LIMIT_S, LastBlock, Verdict

WINDOW_S = 15.0
CALL, RESET = b"1\x022\x1fANROP 101\x03", b"1\x022\x1fAVSTILT 101\x03"


def memory(remembered: str | None = None, boot_id: str = "boot-1") -> LastBlock:
    last = LastBlock(boot_id=boot_id, window_s=WINDOW_S)
    last.restore(remembered)
    return last


def delivered(last: LastBlock, raw: bytes, now_s: float) -> None:
    assert last.judge(raw, now_s) is Verdict.NEW
    last.confirm(last.digest(raw), now_s)


def acked(last: LastBlock, raw: bytes, now_s: float) -> None:
    delivered(last, raw, now_s)
    last.answered(last.digest(raw), now_s)


def test_a_block_whose_ack_was_lost_is_a_repeat() -> None:
    last = memory()
    acked(last, CALL, 100.0)
    assert last.judge(CALL, 101.0) is Verdict.REPEATED


def test_a_block_whose_ack_was_taken_is_a_new_call_however_soon() -> None:
    last = memory()
    acked(last, CALL, 100.0)
    last.went_on(100.0 + PROMPT_S)
    assert last.judge(CALL, 100.6) is Verdict.NEW


def test_a_panel_that_went_on_late_had_given_up_so_the_same_block_is_a_repeat() -> None:
    last = memory()
    acked(last, CALL, 100.0)
    last.went_on(100.0 + 2 * PROMPT_S)
    last.went_on(100.0 + 2 * PROMPT_S)
    assert last.judge(CALL, 102.0) is Verdict.REPEATED


def test_the_window_runs_from_the_confirmation_not_from_the_last_repeat() -> None:
    last = memory()
    acked(last, CALL, 100.0)
    for later in (5.0, 10.0, WINDOW_S):
        assert last.judge(CALL, 100.0 + later) is Verdict.REPEATED
        last.answered(last.digest(CALL), 100.0 + later)
    assert last.judge(CALL, 100.0 + WINDOW_S + 0.1) is Verdict.NEW


def test_any_other_block_in_between_makes_the_same_bytes_a_new_call() -> None:
    last = memory()
    acked(last, CALL, 100.0)
    acked(last, RESET, 101.0)
    assert last.judge(CALL, 102.0) is Verdict.NEW


def test_another_block_in_between_counts_while_the_first_still_waits() -> None:
    last = memory()
    assert last.judge(CALL, 100.0) is Verdict.NEW
    assert last.judge(RESET, 101.0) is Verdict.NEW
    assert last.judge(CALL, 102.0) is Verdict.NEW


def test_the_same_block_joins_the_wait_of_the_first_until_that_is_given_up() -> None:
    last = memory()
    assert last.judge(CALL, 100.0) is Verdict.NEW
    assert last.judge(CALL, 100.0 + WAITING_LIMIT_S) is Verdict.WAITING
    assert last.judge(CALL, 100.1 + WAITING_LIMIT_S) is Verdict.NEW


def test_a_block_confirmed_too_late_for_its_answer_is_a_repeat_next_time() -> None:
    last = memory()
    delivered(last, CALL, 100.0)
    last.went_on(100.1)
    assert last.judge(CALL, 101.0) is Verdict.REPEATED


def test_a_refused_block_is_new_next_time() -> None:
    last = memory()
    assert last.judge(CALL, 100.0) is Verdict.NEW
    last.refuse(last.digest(CALL))
    assert last.judge(CALL, 100.5) is Verdict.NEW


def test_a_block_that_is_forgotten_is_new_next_time() -> None:
    last = memory()
    acked(last, CALL, 100.0)
    last.forget()
    assert last.judge(CALL, 100.5) is Verdict.NEW


def test_after_a_restart_the_committed_block_is_a_repeat_once() -> None:
    before = memory()
    delivered(before, CALL, 100.0)
    after = memory(before.remember())
    assert after.judge(CALL, 103.0) is Verdict.REPEATED
    assert after.judge(CALL, 104.0) is Verdict.NEW


def test_after_a_restart_a_panel_that_has_nothing_to_send_is_done_with_the_committed_block() -> None:
    before = memory()
    delivered(before, CALL, 100.0)
    after = memory(before.remember())
    after.idle(102.0)
    assert after.judge(CALL, 103.0) is Verdict.NEW


def test_after_a_restart_the_bustle_before_a_block_is_no_sign_that_the_panel_is_done() -> None:
    before = memory()
    delivered(before, CALL, 100.0)
    after = memory(before.remember())
    after.went_on(102.0)
    assert after.judge(CALL, 103.0) is Verdict.REPEATED


def test_after_a_restart_and_the_window_it_is_a_new_call() -> None:
    before = memory()
    delivered(before, CALL, 100.0)
    assert memory(before.remember()).judge(CALL, 100.1 + WINDOW_S) is Verdict.NEW


def test_after_a_reboot_nothing_is_a_repeat_although_the_clock_fits() -> None:
    before = memory()
    delivered(before, CALL, 100.0)
    assert memory(before.remember(), boot_id="boot-2").judge(CALL, 103.0) is Verdict.NEW


@pytest.mark.parametrize("remembered", [None, "", "x", "0123456789abcdef@", "0123456789abcdef@-1", 7])
def test_what_we_did_not_write_is_no_memory(remembered: int | str | None) -> None:
    last = LastBlock(boot_id="boot-1", window_s=WINDOW_S)
    last.restore(remembered)
    assert last.judge(CALL, 100.0) is Verdict.NEW


def test_the_memory_does_not_give_the_text_away() -> None:
    last = memory()
    delivered(last, CALL, 100.0)
    assert last.remember().endswith("@100000")
    assert last.digest(CALL) != memory(boot_id="boot-2").digest(CALL)
