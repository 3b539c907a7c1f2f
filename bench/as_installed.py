"""The hub as it is where only the hub is installed: an environment of its own, from the locked requirements.

Developers' tools cost memory without being used: structlog, for one, loads `rich` when it happens to be there. The
environment is kept in `.run/` and made anew when the requirements change; the checkout is installed into it as a copy
at every run, compiled, as on a Raspberry Pi.
"""

from __future__ import annotations

import asyncio
import hashlib
import platform
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path

from bench.errors import BenchError
from simulators.demo.program import ProgramError, run

REQUIREMENTS = Path("requirements/hub.txt")
UNIT = Path("systemd/vaktpost-hub.service")
INSTALL_TIMEOUT_S = 600


async def install_hub(say: Callable[[str], None]) -> Path:
    """The folder of programs of such an environment. Raises BenchError."""
    if not REQUIREMENTS.exists():
        raise BenchError("run it from the folder of the checkout")
    key = hashlib.sha256(REQUIREMENTS.read_bytes() + platform.python_version().encode()).hexdigest()[:12]
    here = Path(".run").resolve() / f"hub-{key}"
    python = here / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    try:
        if not (here / "complete").exists():
            say(f"installing the hub's requirements into {here} (once)")
            shutil.rmtree(here, ignore_errors=True)
            await run("venv", [sys.executable, "-m", "venv", str(here)], timeout_s=INSTALL_TIMEOUT_S)
            required = [*pip, "--require-hashes", "-r", str(REQUIREMENTS)]
            await run("pip install", required, timeout_s=INSTALL_TIMEOUT_S)
            (here / "complete").touch()
        say("installing the checkout beside them")
        with tempfile.TemporaryDirectory(prefix="vaktpost-source-") as name:
            source = await asyncio.to_thread(_copy, Path(name))
            ours = [*pip, "--no-deps", "--no-build-isolation", "--force-reinstall", str(source)]
            await run("pip install", ours, timeout_s=INSTALL_TIMEOUT_S)
    except ProgramError as error:
        raise BenchError(
            f"the hub cannot be installed by itself, which its memory and its start are measured in: {error}"
        ) from error
    return here / "bin"


def _copy(folder: Path) -> Path:
    """What the distribution is built from, so that nothing is written into the checkout."""
    project = tomllib.loads(Path("pyproject.toml").read_text())
    for pattern in project["tool"]["setuptools"]["packages"]["find"]["include"]:
        for package in Path().glob(pattern):
            if (package / "__init__.py").exists():
                shutil.copytree(package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (*map(Path, ("pyproject.toml", "README.md", "LICENSE")), *Path().glob("*.py")):
        shutil.copy(name, folder)
    return folder


def unit_environment(text: str) -> dict[str, str]:
    """`Environment=` of a systemd unit: what the hub is started with in service."""
    pairs = [line.removeprefix("Environment=") for line in text.splitlines() if line.startswith("Environment=")]
    words = [word.strip('"') for pair in pairs for word in pair.split()]
    return dict(word.split("=", 1) for word in words)
