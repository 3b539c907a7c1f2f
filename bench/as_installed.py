"""Starts the hub as it is where only the hub is installed: without what developers' tools and central bring along.

structlog, for one, loads `rich` when it happens to be there; on a Raspberry Pi it is not, and would only cost memory.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import PackageNotFoundError, packages_distributions, requires

PROJECT = "vaktpost"


def hub_python() -> list[str]:
    """What stands in the place of `python -m vaktpost`."""
    absent = dict.fromkeys(_absent())
    return [
        sys.executable,
        "-c",
        f"import sys; sys.modules.update({absent}); from vaktpost import main; sys.exit(main())",
    ]


def _absent() -> list[str]:
    """Importable names here that an installation of the extra `hub` would not have."""
    there = _brought_by_hub()
    found = packages_distributions()
    return sorted(name for name, by in found.items() if there.isdisjoint(map(_plain, by)) and name.isidentifier())


def _brought_by_hub() -> set[str]:
    """Names of the distributions that `pip install vaktpost[hub]` brings."""
    there = {PROJECT, "pip", "setuptools"}
    left = [_name(line) for line in requires(PROJECT) or () if _is_of_hub(line)]
    while left:
        name = left.pop()
        if name in there:
            continue
        there.add(name)
        try:
            left += [_name(line) for line in requires(name) or () if "extra ==" not in line]
        except PackageNotFoundError:  # for other systems than this one
            continue
    return there


def _is_of_hub(line: str) -> bool:
    extra = re.search(r"extra == ['\"](\w+)['\"]", line)
    return extra is None or extra[1] == "hub"


def _name(line: str) -> str:
    found = re.match(r"[\w.-]+", line)
    return _plain(found[0]) if found else ""


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
