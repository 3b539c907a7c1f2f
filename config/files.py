"""Files that settings name: whether they are there, and which one was probably meant."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from config.lines import parts
from config.nearest import nearest
from drivers.contract import DriverPlugin, DriverSettings

MAX_LOOKED_AT = 500


def check_files(
    base: Path,
    *,
    plugins: Mapping[str, DriverPlugin],
    drivers: Mapping[str, DriverSettings],
    uplinks: Mapping[str, BaseModel],
    report: Callable[..., None],
) -> None:
    """Report every file that settings name and that cannot be read."""
    for name, settings in drivers.items():
        for key, path in plugins[name].files(settings):
            _check(base, path, ("drivers", name, *parts(key)), report)
    for name, uplink in uplinks.items():
        for key in type(uplink).model_fields:
            value = getattr(uplink, key)
            if isinstance(value, Path):
                _check(base, value, ("uplinks", name, key), report)


def nearest_file(wanted: Path) -> Path | None:
    """The file that is called most like the wanted one, in its folder or, without that, near it."""
    try:
        return _nearest_file(wanted)
    except OSError:  # a folder that this user may not look into
        return None


def _nearest_file(wanted: Path) -> Path | None:
    folder = wanted.parent
    if folder.is_dir():
        found = {each.name: each for each in islice(folder.iterdir(), MAX_LOOKED_AT) if each.is_file()}
        near = nearest(wanted.name, found)
        return None if near is None else found[near]
    around = folder.parent
    if not around.is_dir():
        return None
    deeper = {str(each.relative_to(around)): each for each in islice(_files_below(around), MAX_LOOKED_AT)}
    near = nearest(str(wanted.relative_to(around)), deeper)
    return None if near is None else deeper[near]


def _check(base: Path, path: str | Path, key: tuple[str | int, ...], report: Callable[..., None]) -> None:
    wanted = base / path
    try:
        is_folder = stat.S_ISDIR(wanted.stat().st_mode)
        is_readable = os.access(wanted, os.R_OK, effective_ids=True)
    except (FileNotFoundError, NotADirectoryError):
        near = nearest_file(wanted)
        hint = f'did you mean "{_relative(near, base)}"?' if near is not None else f"put the file at {wanted}"
        report(key, f"there is no file {wanted}", hint)
        return
    except PermissionError:
        is_folder = is_readable = False
    except OSError as error:
        report(key, f"{wanted} cannot be read: {error.strerror or error}", "put a whole copy of the file there")
        return
    if is_folder:
        report(key, f"{wanted} is a folder, not a file", "name the file in it")
    elif not is_readable:
        report(key, f"{wanted} may not be read by this user", "let the user that the hub runs as read it")


def _files_below(folder: Path) -> Iterator[Path]:
    for each in folder.iterdir():
        if each.is_file():
            yield each
        elif each.is_dir() and not each.name.startswith("."):
            yield from (inner for inner in each.iterdir() if inner.is_file())


def _relative(path: Path, base: Path) -> Any:
    return path.relative_to(base) if path.is_relative_to(base) else path
