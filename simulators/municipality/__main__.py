"""`python -m simulators.municipality`: play the night and print its account."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from pathlib import Path

import structlog

from simulators.municipality.play import SEED, play

_BEGUN_S = time.perf_counter()


def main() -> int:
    """0: the account agrees with the script and nothing is wrong; 1: it does not."""
    parser = argparse.ArgumentParser(prog="python -m simulators.municipality", description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED, help="another night of the same kind (default: %(default)s)")
    parser.add_argument("--database", default="", help="URL of an empty PostgreSQL database (default: SQLite)")
    words = parser.parse_args()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    with tempfile.TemporaryDirectory(prefix="vaktpost-night-") as name:
        played = asyncio.run(play(Path(name) / "central", database_url=words.database, seed=words.seed, say=_say))
    print(played.printed())
    return 0 if played.difference.is_none and not played.faults else 1


def _say(line: str) -> None:
    print(f"{time.perf_counter() - _BEGUN_S:6.1f} s  {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
