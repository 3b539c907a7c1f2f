"""Write requirements/*.txt: every package pinned and hashed, out of pyproject.toml. Run by `make lock`.

`hub` and `central` are what an installation needs, `run` is both and the demo, `dev` adds the tools of a developer.
setuptools is locked too, so that installing the checkout itself downloads nothing unpinned.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADER = "# Written by `make lock` from pyproject.toml. Install with: pip install --require-hashes -r {name}\n"


def _group(groups: dict[str, list[str | dict[str, str]]], name: str) -> list[str]:
    """A dependency group with its includes."""
    found: list[str] = []
    for entry in groups[name]:
        found += _group(groups, entry["include-group"]) if isinstance(entry, dict) else [entry]
    return found


def main() -> int:
    """Compile all files, upgrading with --upgrade."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    base = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    extras = project["project"]["optional-dependencies"]
    both = [*base, *extras["hub"], *extras["central"], *extras["demo"]]
    sets = {
        "hub": [*base, *extras["hub"]],
        "central": [*base, *extras["central"]],
        "run": both,
        "dev": [*both, *_group(project["dependency-groups"], "dev")],
    }
    for name, wanted in sets.items():
        target = ROOT / "requirements" / f"{name}.txt"
        print(f"locking {target.relative_to(ROOT)} ...", flush=True)
        with tempfile.NamedTemporaryFile("w", suffix=".in") as source:
            source.write("\n".join(wanted) + "\n")
            source.flush()
            options = ["--generate-hashes", "--allow-unsafe", "--strip-extras", "--no-header", "--no-annotate"]
            options += ["--no-emit-index-url", "--no-emit-find-links", "--no-emit-trusted-host", "--no-emit-options"]
            command = [sys.executable, "-m", "piptools", "compile", *options, *sys.argv[1:]]
            subprocess.run([*command, "--quiet", "--output-file", str(target), source.name], check=True, cwd=ROOT)
        target.write_text(HEADER.format(name=target.relative_to(ROOT)) + target.read_text())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
