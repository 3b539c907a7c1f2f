"""`vaktpost hub enrol` is run by root, and the daemon by a user of its own: it must be able to read its keys."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway import identity_store

if TYPE_CHECKING:
    from tests.gateway.conftest import Central  # type: ignore[import-not-found]
else:
    Central = Any


def test_the_identity_belongs_to_the_owner_of_the_state_folder(
    central: Central, tmp_path: Path, monkeypatch: Any
) -> None:
    owners: dict[str, int] = {}
    real_chown, is_root = os.chown, os.geteuid() == 0
    if is_root:
        real_chown(tmp_path, 65534, 65534)

    def chown(path: Path, uid: int, gid: int, *, follow_symlinks: bool = True) -> None:
        owners[Path(path).name] = uid
        if is_root:
            real_chown(path, uid, gid, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(os, "chown", chown)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    identity_store.store(tmp_path, central.identity())
    assert {"hub.key", "trust.bundle", "hub.json"} <= owners.keys()
    assert set(owners.values()) == {tmp_path.stat().st_uid}
    assert identity_store.load(tmp_path).hub == central.hub
