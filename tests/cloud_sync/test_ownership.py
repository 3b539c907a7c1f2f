"""What root writes into a service's folder belongs to the service."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from central import cli as central_cli
from cloud_sync.ownership import hand_over

SERVICE = 65534


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, int]:
    """What root gives away, by name. Whoever is not root here only says so."""
    found: dict[str, int] = {}
    real_chown, is_root = os.chown, os.geteuid() == 0
    if is_root:
        real_chown(tmp_path, SERVICE, SERVICE)

    def chown(path: Path, uid: int, gid: int, *, follow_symlinks: bool = True) -> None:
        found[Path(path).name] = uid
        assert not follow_symlinks
        if is_root:
            real_chown(path, uid, gid, follow_symlinks=False)

    monkeypatch.setattr(os, "chown", chown)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return found


def test_everything_in_a_folder_goes_to_the_owner_and_links_are_not_followed(
    given: dict[str, int], tmp_path: Path
) -> None:
    made = tmp_path / "identity"
    made.mkdir()
    (made / "hub.key").write_text("x")
    (made / "link").symlink_to("/etc/passwd")
    before = Path("/etc/passwd").stat().st_uid
    hand_over(made, tmp_path)
    owner = tmp_path.stat().st_uid
    assert given == {"identity": owner, "hub.key": owner, "link": owner}
    assert Path("/etc/passwd").stat().st_uid == before


def test_in_a_folder_of_roots_own_nothing_is_given_away(given: dict[str, int], tmp_path: Path) -> None:
    hand_over(tmp_path, Path("/"))
    assert given == {}


def test_whoever_is_not_root_gives_nothing_away(
    given: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    hand_over(tmp_path, tmp_path)
    assert given == {}


def test_a_central_that_root_founded_in_the_services_folder_is_the_services(
    given: dict[str, int], tmp_path: Path
) -> None:
    assert central_cli.main(["init", "--data", str(tmp_path), "--json"]) == 0
    owner = tmp_path.stat().st_uid
    assert {"central.toml", "central.db", "keys", "tls.key"} <= {name for name, uid in given.items() if uid == owner}
