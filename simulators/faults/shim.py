"""Builds the library of storage faults, and writes the rules that a process under it obeys.

shim = build_shim(folder)
faults = StorageFaults(folder / "rules")
start(..., env=os.environ | faults.environment(shim))
faults.set("sync alarm.db hang")        # from now on
faults.clear()
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("shim.c")


def build_shim(folder: Path) -> Path:
    """Compile shim.c into `folder`. Raises RuntimeError with what to install when there is no compiler."""
    library = folder / "vaktpost-faults.so"
    command = ["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-o", str(library), str(SOURCE), "-ldl", "-lpthread"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise RuntimeError("storage faults need a C compiler: apt-get install gcc libc6-dev") from None
    if done.returncode:
        raise RuntimeError(f"shim.c does not compile: {done.stderr}")
    return library


class StorageFaults:
    """The file of rules. See shim.c for their words."""

    def __init__(self, rules: Path) -> None:
        self._rules = rules
        self.clear()

    def environment(self, library: Path) -> dict[str, str]:
        """What a process needs to come under the rules."""
        return {"LD_PRELOAD": str(library), "VAKTPOST_FAULTS": str(self._rules)}

    def set(self, *rules: str) -> None:
        """These rules and no others, from the next call of the process on."""
        fresh = self._rules.with_suffix(".new")
        fresh.write_text("".join(f"{rule}\n" for rule in rules), encoding="utf-8")
        fresh.replace(self._rules)
        os.utime(self._rules)

    def clear(self) -> None:
        """The card is well."""
        self.set()
