"""The whole JSON API against its own description, in every role: requests as they should be and as they should not.

A round is bounded and the same each time; `make soak` goes on for longer, on both databases.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import pytest
import schemathesis
from schemathesis.engine import from_schema
from schemathesis.engine.events import FatalError, NonFatalError, ScenarioFinished

from central.console.roles import Role
from central.listener import serve
from tests.central.console.conftest import FREE_IN_PATHS, Console, Holdings, holdings

SEED = 20261122
START_S = 60
CHECKS = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance",
          "response_headers_conformance", "negative_data_rejection", "unsupported_method",
          "allow_header_conformance")  # fmt: skip
LEFT_OUT = ("/api/v1/feed",)
"""A stream that does not end by itself; it has tests of its own."""
REFUSALS = ["400", "401", "403", "404", "405", "406", "409", "413", "415", "422", "428", "429"]
"""What refuses a request that is not as described. 413: a list of a thousand long names is more than a body may be."""


class Served:
    """A central with one of everything and its console on a socket, in a thread with a loop of its own."""

    def __init__(self, open_bench: Callable[[], Any]) -> None:
        self._open = open_bench
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._fault: BaseException | None = None
        self.url = ""
        self.towns: list[Holdings] = []
        self.console: Any = None
        self._thread = threading.Thread(target=self._run, name="console")

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(START_S)
        if self._fault is not None:
            raise self._fault
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as error:
            self._fault = error
            raise
        finally:
            self._loop.close()
            self._ready.set()

    async def _serve(self) -> None:
        async with self._open() as bench:
            self.console = Console(bench)
            self.towns = [
                await holdings(self.console, "Aure", "r-own"),
                await holdings(self.console, "Smøla", "r-other"),
            ]
            listener = socket.create_server(("127.0.0.1", 0))
            listener.setblocking(False)
            self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            self._ready.set()
            await serve(self.console.app, listener, self._stop)

    def do(self, work: Any) -> Any:
        """Something in the other loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(START_S)

    def session(self, role: Role) -> dict[str, str]:
        """The headers of somebody with this role, signed in."""

        async def begin() -> dict[str, str]:
            account = await self.console.accounts.add(f"Fuzz {role}", role)
            sessions = self.console.desk.sessions
            token = await sessions.start(account)
            session = await sessions.find(token)
            return {"Cookie": f"{self.console.desk.session_cookie}={token}", "X-CSRF-Token": session.csrf}

        return self.do(begin())


@pytest.fixture
def served(open_bench: Callable[[], Any]) -> Iterator[Served]:
    with Served(open_bench) as served:
        yield served


@contextmanager
def described(served: Served, headers: dict[str, str], phases: dict[str, Any], examples: int) -> Iterator[Any]:
    names = {name: [town[name] for town in served.towns] for name in served.towns[0].ids if name.endswith("_id")}
    names |= {name: [value] for name, value in FREE_IN_PATHS.items()}
    config = schemathesis.Config.from_dict(
        {
            "seed": SEED,
            "base-url": served.url,
            "headers": headers,
            "request-timeout": 30,
            "workers": 1,
            "continue-on-failure": True,
            "generation": {"max-examples": examples, "deterministic": True, "database": "none", "no-shrink": True,
                           "with-security-parameters": False, "mode": "all"},
            "phases": {"stateful": {"enabled": False}} | phases,
            "checks": {"enabled": False} | {name: {"enabled": True} for name in CHECKS}
            | {"negative_data_rejection": {"enabled": True, "expected-statuses": REFUSALS}},
            "dictionaries": {name: {"values": values} for name, values in names.items()},
            "parameters": {
                f"path.{name}": {"dictionary": name, "probability": 0.8} for name in names
            },
            "suppress-health-check": ["all"],
        }
    )  # fmt: skip
    schema = schemathesis.openapi.from_url(f"{served.url}/api/v1/openapi.json", config=config, timeout=60)
    for path in LEFT_OUT:
        schema = schema.exclude(path=path)
    yield schema.exclude(path="/api/v1/session", method="DELETE")


def faults(schema: Any) -> tuple[list[str], int]:
    """What was not as described, and how many requests were made."""
    found: dict[str, str] = {}
    count = 0
    for event in from_schema(schema).execute():
        if isinstance(event, FatalError | NonFatalError):
            found[str(event)] = str(event.info if isinstance(event, NonFatalError) else event.exception)
        if not isinstance(event, ScenarioFinished):
            continue
        count += len(event.recorder.interactions)
        for checks in event.recorder.checks.values():
            for check in checks:
                if check.failure_info is not None:
                    failure = check.failure_info.failure
                    found[f"{event.label} {check.name} {failure.title} {failure.message[:80]}"] = (
                        f"{event.label}: {failure.title}: {failure.message}\n    {check.failure_info.code_sample}"
                    )
    return list(found.values()), count


def check(served: Served, role: Role, examples: int, *, is_whole: bool) -> None:
    phases = {"coverage": {"enabled": is_whole}, "examples": {"enabled": is_whole, "fill-missing": True}}
    with described(served, served.session(role), phases, examples) as schema:
        wrong, count = faults(schema)
    assert not wrong, f"{len(wrong)} in {count} requests:\n" + "\n".join(sorted(wrong))
    assert count > 50


@pytest.mark.sqlite
@pytest.mark.timeout(900)
@pytest.mark.parametrize("role", list(Role))
def test_the_api_answers_as_it_is_described_in_every_role(served: Served, role: Role) -> None:
    """Everything at its borders as a lead, who may do most; a few of each in the other roles."""
    check(served, role, 2 if role is Role.LEAD else 1, is_whole=role is Role.LEAD)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("role", list(Role))
def test_the_api_answers_as_it_is_described_for_long(served: Served, role: Role) -> None:
    """Most for a lead, who may do most: nearly all that the others send is refused before it is read."""
    check(served, role, 100 if role is Role.LEAD else 20, is_whole=True)
