from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cloud_sync import signing
from cloud_sync.identity import new_id
from gateway import identity_store
from gateway.identity_store import IdentityError

if TYPE_CHECKING:
    from tests.gateway.conftest import Central  # type: ignore[import-not-found]
else:
    Central = Any


async def test_an_identity_is_read_back_as_it_was_written(tmp_path: Path, central: Central) -> None:
    identity = central.identity()
    identity_store.store(tmp_path / "state", identity)
    found = identity_store.load(tmp_path / "state")
    assert (found.hub, found.lineage, found.central, found.suite) == (
        identity.hub,
        identity.lineage,
        identity.central,
        identity.suite,
    )
    assert signing.raw_private(found.key) == signing.raw_private(identity.key)
    assert found.trust.raw == identity.trust.raw


async def test_nobody_else_can_read_the_key(tmp_path: Path, central: Central) -> None:
    identity_store.store(tmp_path / "state", central.identity())
    folder = tmp_path / "state" / "identity"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()] == [0o600] * 3
    (folder / "hub.key").chmod(0o644)
    with pytest.raises(IdentityError, match="chmod 600"):
        identity_store.load(tmp_path / "state")


async def test_an_identity_is_not_overwritten_unless_that_is_asked_for(tmp_path: Path, central: Central) -> None:
    first = central.identity()
    identity_store.store(tmp_path, first)
    second = replace(first, hub=new_id())
    with pytest.raises(IdentityError, match="--replace"):
        identity_store.store(tmp_path, second)
    assert identity_store.load(tmp_path).hub == first.hub
    identity_store.store(tmp_path, second, is_replaced=True)
    assert identity_store.load(tmp_path).hub == second.hub
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["identity"]


async def test_power_that_goes_in_the_middle_of_a_replacement_leaves_the_old_identity(
    tmp_path: Path, central: Central, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = central.identity()
    identity_store.store(tmp_path, first)
    real, renamed = Path.rename, 0

    def rename(self: Path, target: Path) -> Path:
        nonlocal renamed
        renamed += 1
        if renamed == 2:
            raise OSError(5, "the power is gone", str(self))
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(IdentityError, match="the power is gone"):
        identity_store.store(tmp_path, replace(first, hub=new_id()), is_replaced=True)
    assert not (tmp_path / "identity").exists()
    assert identity_store.load(tmp_path).hub == first.hub
    assert (tmp_path / "identity").exists()


def test_a_hub_without_an_identity_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(IdentityError, match="vaktpost hub enrol --central"):
        identity_store.load(tmp_path)


@pytest.mark.parametrize("file", ["hub.key", "trust.bundle", "hub.json"])
async def test_a_damaged_identity_is_told_apart_from_none(tmp_path: Path, central: Central, file: str) -> None:
    identity_store.store(tmp_path, central.identity())
    path = tmp_path / "identity" / file
    path.write_bytes(b"\x00" + path.read_bytes()[:-3])
    with pytest.raises(IdentityError, match="damaged"):
        identity_store.load(tmp_path)


@pytest.mark.parametrize("file", ["hub.key", "trust.bundle", "hub.json"])
async def test_a_damaged_identity_is_stood_in_for_by_the_spare_one(tmp_path: Path, central: Central, file: str) -> None:
    identity = central.identity()
    identity_store.store(tmp_path, identity)
    identity_store.keep_spare(tmp_path)
    assert identity_store.load(tmp_path).damage == ""
    path = tmp_path / "identity" / file
    path.write_bytes(b"\x00" + path.read_bytes()[:-3])
    found = identity_store.load(tmp_path)
    assert (found.hub, signing.raw_private(found.key)) == (identity.hub, signing.raw_private(identity.key))
    assert found.damage
    identity_store.keep_spare(tmp_path)  # of the damaged one no copy is made
    assert identity_store.load(tmp_path).hub == identity.hub
    path.unlink()
    assert "No such file" in identity_store.load(tmp_path).damage
    spare = tmp_path / "identity.spare" / file
    spare.write_bytes(spare.read_bytes()[:-3])
    with pytest.raises(IdentityError, match="cannot be read"):
        identity_store.load(tmp_path)


async def test_the_spare_identity_is_for_its_owner_only_and_counts_for_no_hub_without_one(
    tmp_path: Path, central: Central
) -> None:
    identity_store.store(tmp_path, central.identity())
    identity_store.keep_spare(tmp_path)
    folder = tmp_path / "identity.spare"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()] == [0o600] * 3
    (tmp_path / "identity").rename(tmp_path / "taken-away")
    with pytest.raises(IdentityError, match="not enrolled"):
        identity_store.load(tmp_path)


async def test_a_new_identity_has_no_spare_of_the_old_one(tmp_path: Path, central: Central) -> None:
    first = central.identity()
    identity_store.store(tmp_path, first)
    identity_store.keep_spare(tmp_path)
    second = replace(first, hub=new_id())
    identity_store.store(tmp_path, second, is_replaced=True)
    assert not (tmp_path / "identity.spare").exists()
    identity_store.keep_spare(tmp_path)
    (tmp_path / "identity" / "hub.json").write_bytes(b"")
    assert identity_store.load(tmp_path).hub == second.hub


async def test_a_spare_identity_that_is_old_or_damaged_is_made_anew(tmp_path: Path, central: Central) -> None:
    identity_store.store(tmp_path, central.identity())
    identity_store.keep_spare(tmp_path)
    spare = tmp_path / "identity.spare"
    made_ns = spare.stat().st_mtime_ns
    identity_store.keep_spare(tmp_path)
    assert spare.stat().st_mtime_ns == made_ns  # the card is not written to for nothing
    (spare / "hub.key").unlink()
    identity_store.keep_spare(tmp_path)
    assert (spare / "hub.key").read_bytes() == (tmp_path / "identity" / "hub.key").read_bytes()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["identity", "identity.spare"]
