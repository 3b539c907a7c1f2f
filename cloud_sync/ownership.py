"""Whose files these are to be: what root writes into a service's folder belongs to the service."""

from __future__ import annotations

import os
from pathlib import Path


def hand_over(made: Path, folder: Path) -> None:
    """Give what was made (a file, or a folder with all in it) to the owner of `folder`, when root made it.

    Otherwise a service that runs as a user of its own could not read its keys, and nobody would know before the next
    start. A link is given away itself, never what it points to. Raises OSError.
    """
    if os.geteuid() != 0:
        return
    owner = folder.stat()
    if owner.st_uid == 0:
        return
    paths = [made, *made.rglob("*")] if made.is_dir() and not made.is_symlink() else [made]
    for path in paths:
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
