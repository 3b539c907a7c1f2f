"""The modem's lines: each fault once, where it is, with what to do."""

from __future__ import annotations

import pytest

from cloud_sync.health import Outcome
from cloud_sync.health_texts import HealthWords
from cloud_sync.modem import ModemState, Registration, Sim
from gateway.health.modem_lines import judge_modem

GOOD = {
    "is_present": True,
    "sim": Sim.READY,
    "registration": Registration.HOME,
    "operator": "Nettverk",
    "signal_dbm": -79,
}


def judged(**changes):
    return {line.id: line for line in judge_modem(ModemState(**(GOOD | changes)))}


def outcomes(**changes):
    return {name: line.result.value for name, line in judged(**changes).items()}


def test_a_good_modem_is_three_good_lines():
    assert outcomes() == {"modem.sim": "ok", "modem.network": "ok", "modem.signal": "ok"}
    assert judged()["modem.signal"].value == -79


@pytest.mark.parametrize(
    ("changes", "expected", "next_key"),
    [
        ({"is_present": False, "last_error": "unplugged"}, {"modem.sim": "fail"}, "plug_in_modem"),
        ({"sim": Sim.UNKNOWN}, {"modem.sim": "unknown"}, "ask_again"),
        ({"sim": Sim.PIN_WANTED}, {"modem.sim": "fail"}, "give_sim_pin"),
        ({"sim": Sim.PIN_REFUSED}, {"modem.sim": "fail"}, "correct_sim_pin"),
        ({"sim": Sim.PUK_WANTED}, {"modem.sim": "fail"}, "unblock_sim"),
        ({"sim": Sim.ABSENT}, {"modem.sim": "fail"}, "insert_sim"),
        ({"sim": Sim.FAULTY}, {"modem.sim": "fail"}, "replace_sim"),
        ({"registration": Registration.SEARCHING}, {"modem.sim": "ok", "modem.network": "fail"}, "move_modem"),
        ({"registration": Registration.DENIED}, {"modem.sim": "ok", "modem.network": "fail"}, "ask_operator"),
        ({"registration": Registration.UNKNOWN}, {"modem.sim": "ok", "modem.network": "unknown"}, "ask_again"),
    ],
)
def test_a_fault_is_named_once_with_its_next_step(changes, expected, next_key):
    assert outcomes(**changes) == expected
    worst = list(judged(**changes).values())[-1]
    assert worst.next_key == next_key


@pytest.mark.parametrize(("dbm", "result"), [(-100, "ok"), (-101, "warn"), (-111, "fail"), (None, "unknown")])
def test_the_signal_has_limits(dbm, result):
    assert outcomes(signal_dbm=dbm)["modem.signal"] == result


def test_texts_that_did_not_go_are_a_deviation():
    assert outcomes(failed=2, last_error="denied: barred")["modem.network"] == "warn"


@pytest.mark.parametrize("language", ["en", "nb"])
def test_every_state_has_words_in_both_languages(language):
    words = HealthWords(language)
    states = [{"sim": sim} for sim in Sim] + [{"registration": one} for one in Registration]
    for changes in [*states, {"is_present": False}, {"failed": 1}, {"signal_dbm": None}, {"signal_dbm": -120}]:
        for line in judged(**changes, last_error="why").values():
            assert words.what(line) != line.id
            assert words.found(line) or line.value is not None
            assert words.next_step(line) or line.result is Outcome.OK
