"""The database of a test run never outlives it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

PROGRAM = """
import sys
from simulators import postgresql
with postgresql.running() as server:
    print(server.process.pid, server.folder, flush=True)
    sys.stdin.read()
"""
TIMEOUT_S = 20.0


def started() -> tuple[subprocess.Popen[str], int, Path]:
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    pid, folder = program.stdout.readline().split()
    assert is_running(int(pid))
    return program, int(pid), Path(folder)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_a_run_that_is_killed_takes_its_server_and_its_folder_with_it() -> None:
    program, pid, folder = started()
    with program:
        program.kill()
    deadline = time.monotonic() + TIMEOUT_S
    while is_running(pid) or folder.exists():
        assert time.monotonic() < deadline, "the server outlived the run that started it"
        time.sleep(0.05)


def test_a_run_that_ends_leaves_nothing_either() -> None:
    program, pid, folder = started()
    with program:
        program.communicate("", timeout=TIMEOUT_S)
    assert program.returncode == 0
    assert not is_running(pid)
    assert not folder.exists()
