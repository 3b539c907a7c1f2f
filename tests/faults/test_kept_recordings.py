"""A recording that was kept gives its disks again, whatever has become of the hub that was recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulators.faults.power_cut import Cut, keep, look_again, main
from simulators.faults.recording import packed_mark

EPOCH, HUB = "0e" * 16, b"h" * 16
DURABLE = packed_mark({"durable": [EPOCH, 1, 7], "digest": "00" * 8})


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """One record was called durable, and nothing had been written."""
    file = tmp_path / "recording"
    file.write_bytes(DURABLE)
    return file


async def test_a_kept_recording_says_itself_what_was_recorded(recording: Path, tmp_path: Path) -> None:
    kept = tmp_path / "below" / "one.recording"
    keep(recording, "/gone/home/state", HUB, kept)
    outcome = await look_again(kept, Cut(step=0, chance=5), copy=tmp_path / "copy")
    assert outcome.missing == [(EPOCH, 1, 7)]
    assert outcome.refusal == ""
    assert (tmp_path / "copy").is_dir()


def test_the_command_ends_with_1_for_a_disk_that_has_lost_something(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "one.recording"
    keep(recording, "/gone/home/state", HUB, kept)
    monkeypatch.setattr("sys.argv", ["power_cut", str(kept), *Cut(step=0, chance=5).words.split()])
    assert main() == 1
    assert "1 promised, 1 missing" in capsys.readouterr().out


@pytest.mark.parametrize(("is_kept", "cut", "said"), [(True, 1, "none is number 1"), (False, 0, "was kept")])
def test_what_cannot_be_looked_at_again_is_refused_in_words(
    recording: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    is_kept: bool,
    cut: int,
    said: str,
) -> None:
    kept = recording
    if is_kept:
        kept = tmp_path / "one.recording"
        keep(recording, "/gone/home/state", HUB, kept)
    monkeypatch.setattr("sys.argv", ["power_cut", str(kept), "--cut", str(cut), "--chance", "5"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
