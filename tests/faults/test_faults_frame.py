"""What judges faults is itself held to account: every scenario is played by a test, and what is lost is seen."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from cloud_sync.vocabulary import BY_WORD
from simulators.faults.__main__ import main
from simulators.faults.kept import Choice, keep, kept
from simulators.faults.ledger import Ledger, Press
from simulators.faults.registry import Scenario, all_scenarios
from simulators.faults.report import Line, table, write
from simulators.faults.verdict import Verdict


def test_every_scenario_is_played_by_a_test_of_its_own_file() -> None:
    here = Path(__file__).parent
    tested = "\n".join(path.read_text() for path in here.glob("test_*.py"))
    for module in {one.play.__module__.rpartition(".")[2] for one in all_scenarios().values()}:
        assert f'FAULTS = "{module}"' in tested, f"no file under tests/faults plays {module}"


def test_the_page_names_exactly_the_faults_that_make_test_leaves_out() -> None:
    page = (Path(__file__).parents[2] / "docs" / "testing-faults.md").read_text(encoding="utf-8")
    named = dict(re.findall(r"^\| `([a-z-]+)` \| (.+) \|$", page, re.MULTILINE))
    assert named == {one.name: one.title for one in all_scenarios().values() if one.is_soak_only}


class Central:
    """Central's tables, as far as the ledger looks at them."""

    def __init__(self) -> None:
        self.database = sqlite3.connect(":memory:")
        self.database.executescript(
            "CREATE TABLE event (epoch, lane, seq, kind, device, boot_ms, received_ms);"
            "CREATE TABLE alarm (id INTEGER PRIMARY KEY, kind, device, repeats);"
            "CREATE TABLE log_entry (alarm, what);"
        )
        self.seq = 0

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        return self.database.execute(sql, values).fetchall()

    def event(self, boot_ms: int, *, effects: int = 1, kind: str = "pendant_pressed", device: str = "button-1") -> None:
        self.seq += 1
        self.database.execute(
            "INSERT INTO event VALUES ('e', 1, ?, ?, ?, ?, ?)",
            (self.seq, BY_WORD[kind].code, device, boot_ms, boot_ms + 40),
        )
        for _ in range(effects):
            self.database.execute("INSERT INTO alarm VALUES (NULL, ?, ?, 0)", (kind, device))
            self.database.execute("INSERT INTO log_entry VALUES (last_insert_rowid(), 'raised')")


@pytest.fixture
def central() -> Central:
    return Central()


def ledger(*pressed_s: float) -> Ledger:
    found = Ledger(0)
    found.presses = [Press(device="button-1", pressed_s=at, confirmed_s=at + 0.01) for at in pressed_s]
    found.asked["button-1"] = len(pressed_s)
    return found


def test_all_that_was_confirmed_and_is_there_once_is_counted_as_good(central: Central) -> None:
    central.event(1000)
    central.event(2000)
    count = ledger(1.0, 2.0).compare(central.rows, 0)
    assert (count.events_in, count.lost, count.doubled, count.complaints) == (2, 0, 0, [])
    assert [at for _, at in count.arrivals] == [1.04, 2.04]


def test_a_confirmed_press_that_is_not_there_is_lost(central: Central) -> None:
    central.event(1000)
    assert ledger(1.0, 2.0).compare(central.rows, 0).lost == 1


def test_a_press_that_came_as_two_events_is_doubled(central: Central) -> None:
    central.event(1000)
    central.event(1000)
    assert ledger(1.0).compare(central.rows, 0).doubled


def test_a_nurse_call_may_be_raised_again_once_for_every_kill_and_that_is_told(central: Central) -> None:
    for at_ms in (1000, 2000, 3000):
        central.event(at_ms, kind="nurse_call", device="room-3")
    found = Ledger(0)
    found.called["3"], found.acked["3"] = 2, 2
    assert found.compare(central.rows, 0).doubled == 1
    found.hub_kills = 1
    count = found.compare(central.rows, 0)
    assert (count.doubled, count.calls_again, count.complaints) == (0, 1, [])
    found.acked["3"] = 4
    assert found.compare(central.rows, 0).lost == 1


def test_one_event_with_two_effects_is_doubled_and_one_without_is_lost(central: Central) -> None:
    central.event(1000, effects=2)
    assert ledger(1.0).compare(central.rows, 0).doubled == 1
    other = Central()
    other.event(1000, effects=0)
    assert ledger(1.0).compare(other.rows, 0).lost == 1


def test_a_record_that_lay_on_the_card_and_never_came_is_lost(central: Central) -> None:
    central.event(1000)
    found = ledger(1.0)
    found.on_card = {("e", 1, 1), ("e", 4, 7)}
    assert found.compare(central.rows, 0).lost == 1


async def _nothing(_run: Any) -> Verdict:
    return Verdict()


def test_a_run_that_confirmed_nothing_is_not_good_and_one_that_must_fail_has_to() -> None:
    one = Scenario(name="x", title="x", short=1, long=1, play=_nothing)
    broken = Scenario(name="y", title="y", short=1, long=1, play=_nothing, must_fail=True)
    assert not Verdict().is_good
    assert not Line(scenario=broken, rounds=1, verdict=Verdict(events_in=5), took_s=0, revision="a").is_good
    caught = Line(scenario=broken, rounds=1, verdict=Verdict(events_in=5, lost=2), took_s=0, revision="a")
    assert caught.is_good
    lost = Line(scenario=one, rounds=3, verdict=Verdict(events_in=5, lost=2), took_s=0, revision="a")
    assert not lost.is_good
    assert "FAILED" in table([lost])
    assert "caught" in table([caught])


def test_a_run_goes_on_with_what_it_did_not_come_to_and_what_it_found_bad(tmp_path: Path) -> None:
    known = all_scenarios()
    good = Verdict(events_in=5, longest_silence_s=0.25, notes={"worst_ms": 3})
    bad = Verdict(events_in=5, complaints=("the hub does not answer",))
    lines = [
        Line(scenario=known[name], rounds=4, verdict=verdict, took_s=60.0, revision=revision)
        for name, verdict, revision in (("kill-hub", good, "a"), ("card-full", bad, "a"), ("bad-line", good, "b"))
    ]
    choice = Choice(seed=7, share=0.25)
    keep(tmp_path / "run.json", choice, lines)
    again, found = kept(tmp_path / "run.json", known)
    assert again == choice
    assert found == {"kill-hub": lines[0], "bad-line": lines[2]}
    assert choice.rounds_of(known["kill-hub"]) == 25
    write(tmp_path / "report.md", lines, of=33, words=choice.words)
    report = (tmp_path / "report.md").read_text()
    assert "--share 0.25 --seed 7" in report
    assert "revision a for 2, b for 1" in report
    assert "not whole: 3 of 33" in report
    assert "a full ext4, then one without inodes (loop device): the hub does not answer" in report


def test_a_run_that_is_not_there_or_cannot_be_read_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="no run before this one"):
        kept(tmp_path / "run.json", all_scenarios())
    (tmp_path / "run.json").write_text('{"choice": {}, "lines": [{"scenario": "kill-hub"}]}')
    with pytest.raises(LookupError, match="cannot be read"):
        kept(tmp_path / "run.json", all_scenarios())


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (["--go-on", "--seed", "7"], "leave --seed out"),
        (["--go-on", "--only", "kill-hub"], "leave --only out"),
        (["--go-on", "--share", "0.5"], "leave --share out"),
        (["--go-on", "--short"], "leave --short out"),
        (["--go-on", "--dry"], "leave --dry out"),
        (["--rounds", "0"], '"0" is not a number of 1 or more'),
        (["--share", "0"], '"0" is not a share'),
        (["--share", "-1"], '"-1" is not a share'),
        (["--share", "nan"], '"nan" is not a share'),
        (["--jobs", "0"], '"0" is not a number of 1 to 16'),
        (["--only", "kill-hup"], 'did you mean "kill-hub"'),
    ],
)
def test_what_contradicts_itself_on_the_command_line_is_refused(
    told: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["faults", *told])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / ".run").exists()
