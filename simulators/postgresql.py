"""A real PostgreSQL of our own, on a Unix socket, for as long as a block lasts. Nothing of the machine's is touched."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_TIMEOUT_S = 30.0
USER = "vaktpost"
_PLACES = "/usr/lib/postgresql"
_UNPRIVILEGED = ("postgres", "nobody")

_SETTINGS = """
listen_addresses = ''
unix_socket_directories = '{folder}'
max_connections = 200
shared_buffers = 64MB
fsync = on
synchronous_commit = on
autovacuum = off
log_min_messages = warning
"""

_GUARD = """read -r _
kill -INT "$1" 2>/dev/null
for _ in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$1" 2>/dev/null || break; sleep 0.5; done
kill -KILL "-$1" 2>/dev/null
[ -z "$2" ] || rm -rf -- "$2"
"""
"""Waits for the end of a pipe; then ends a server, and removes its folder if one is named."""


class PostgresUnavailableError(RuntimeError):
    """PostgreSQL is not installed or did not start; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Postgres:
    """A server that runs. `folder` holds its data, its socket and its log."""

    folder: Path
    process: subprocess.Popen[bytes]
    tools: Path

    def url(self, database: str) -> str:
        """For central's settings."""
        return f"postgresql+asyncpg://{USER}@/{database}?host={self.folder}"

    def create(self, database: str, template: str = "template0") -> None:
        """A new database. The names are the caller's own and plain."""
        self.run(f'CREATE DATABASE "{database}" TEMPLATE "{template}"')

    def drop(self, database: str) -> None:
        """Away with it, whoever is still connected."""
        self.run(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    def run(self, statement: str, database: str = "postgres") -> str:
        """One statement of an administrator. Raises PostgresUnavailableError with what the server said."""
        command: list[str | Path] = [
            self.tools / "psql",
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            self.folder,
            "-U",
            USER,
        ]
        done = subprocess.run([*command, "-d", database, "-c", statement], capture_output=True, text=True, check=False)
        if done.returncode:
            raise PostgresUnavailableError(done.stderr.strip())
        return done.stdout.strip()

    def kill(self) -> None:
        """As a power cut would: no shutdown, no last checkpoint."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def tools() -> Path:
    """The folder of PostgreSQL's programs. Raises PostgresUnavailableError."""
    versions = Path(_PLACES).glob("*/bin/initdb")
    newest = max(versions, key=lambda path: float(path.parent.parent.name), default=None)
    found = newest or (Path(on_path) if (on_path := shutil.which("initdb")) else None)
    if found is None:
        raise PostgresUnavailableError("PostgreSQL is not installed; on Debian: apt-get install postgresql")
    return found.resolve().parent


@contextlib.contextmanager
def running(folder: Path | None = None) -> Iterator[Postgres]:
    """Start a server, new in `folder` (or in a temporary one), and end it. Raises PostgresUnavailableError.

    PostgreSQL refuses to run as root: then it runs as an unprivileged user of the system, in a folder of that user's.
    """
    programs = tools()
    home = folder or Path(tempfile.mkdtemp(prefix="vaktpost-pg-"))
    user = _user()
    try:
        if user is not None:
            os.chown(home, user.pw_uid, user.pw_gid)
        if not (home / "data").exists():
            _found(programs, home, user)
        with _served(programs, home, user, is_temporary=folder is None) as server:
            yield server
    finally:
        if folder is None:
            shutil.rmtree(home, ignore_errors=True)


def _user() -> pwd.struct_passwd | None:
    """Whom to run as; None: as we are."""
    if os.geteuid() != 0:
        return None
    for name in _UNPRIVILEGED:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise PostgresUnavailableError("PostgreSQL does not run as root, and there is no user postgres or nobody")


def _found(programs: Path, home: Path, user: pwd.struct_passwd | None) -> None:
    command: list[str | Path] = [
        programs / "initdb",
        "--no-sync",
        "-A",
        "trust",
        "-U",
        USER,
        "-E",
        "UTF8",
        "--locale",
        "C",
    ]
    done = subprocess.run(
        [*command, "-D", home / "data"], capture_output=True, text=True, check=False, cwd=home, **_as(user)
    )
    if done.returncode:
        raise PostgresUnavailableError(done.stderr.strip())
    with (home / "data" / "postgresql.conf").open("a") as file:
        file.write(_SETTINGS.format(folder=home))


@contextlib.contextmanager
def _served(programs: Path, home: Path, user: pwd.struct_passwd | None, *, is_temporary: bool) -> Iterator[Postgres]:
    with (home / "server.log").open("ab") as log:
        process = subprocess.Popen(
            [programs / "postgres", "-D", home / "data"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=home, start_new_session=True, **_as(user),
        )  # fmt: skip
    server = Postgres(home, process, programs)
    try:
        with _not_outliving(process.pid, home if is_temporary else None):
            _await(server)
            yield server
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)  # a fast shutdown: connections are ended, commits are kept
            try:
                process.wait(START_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                server.kill()


@contextlib.contextmanager
def _not_outliving(server: int, folder: Path | None) -> Iterator[None]:
    """In this block the server ends with us, also when nobody is left to end it: whoever is killed closes a pipe.

    A process of its own reads that pipe, so that neither the thread we were called in nor a change of user matters.
    """
    command: list[str | Path] = ["/bin/sh", "-c", _GUARD, "guard", str(server), folder or ""]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as guard:
        try:
            yield
        finally:
            guard.kill()  # before its pipe closes


def _await(server: Postgres) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            server.run("SELECT 1")
        except PostgresUnavailableError as error:
            if server.process.poll() is not None or time.monotonic() > deadline:
                log = (server.folder / "server.log").read_text(errors="replace")
                raise PostgresUnavailableError(f"PostgreSQL did not start: {error}\n{log[-2000:]}") from None
            time.sleep(0.05)
        else:
            return


def _as(user: pwd.struct_passwd | None) -> dict[str, Any]:
    return {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
