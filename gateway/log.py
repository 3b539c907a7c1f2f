"""Logging: snake_case facts on standard error, as JSON or, at a terminal, readable. Never personal data or secrets.

Two nets hold personal data back: fields whose name says that they hold some, and text that looks like some. Both are
nets, not permission: nothing of the kind should be given to a logger to begin with.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any, TextIO

import structlog

REMOVED = "[removed]"

_PRIVATE_WORDS = frozenset(
    {
        "address",
        "authorization",
        "birth",
        "body",
        "code",
        "cookie",
        "email",
        "key",
        "keys",
        "message",
        "name",
        "names",
        "note",
        "password",
        "payload",
        "person",
        "phone",
        "plaintext",
        "private",
        "pseudonym",
        "resident",
        "residents",
        "secret",
        "secrets",
        "surname",
        "text",
        "token",
        "tokens",
    }
)
_OWN_FIELDS = frozenset({"driver_name", "uplink_name", "logger_name"})
_PRIVATE_TEXT = re.compile(
    r"\br-[0-9a-f]{6,16}\b"  # a resident's pseudonym
    r"|\b\d{6}[ ]?\d{5}\b"  # a Norwegian national identity number
    r"|\b[0-9a-fA-F]{32,}\b"  # key material
    r"|\b(?:[A-Z2-7]{4}-){9}[A-Z2-7]{4}\b"  # an enrolment code
    r"|[\w.+-]+@[\w-]+\.[\w.]+"  # an e-mail address
)


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: replace private fields and private-looking text, at any depth."""
    for field, value in event.items():
        event[field] = _clean(field, value)
    return event


def _clean(field: str, value: Any) -> Any:
    if field not in _OWN_FIELDS and not _PRIVATE_WORDS.isdisjoint(re.split(r"[^a-z]+", field.lower())):
        return REMOVED
    if isinstance(value, str):
        return _PRIVATE_TEXT.sub(REMOVED, value)
    if isinstance(value, bytes | bytearray):
        return value.hex() if len(value) <= 8 else f"[{len(value)} bytes]"
    if isinstance(value, Mapping):
        return {str(key): _clean(str(key), inner) for key, inner in value.items()}
    if isinstance(value, Sequence | set | frozenset):
        return [_clean(field, inner) for inner in value]
    if isinstance(value, BaseException):
        return _PRIVATE_TEXT.sub(REMOVED, f"{type(value).__name__}: {value}")
    return value


class _Unbreakable:
    """A text stream whose reader may go away: a log that nobody reads never stops an alarm."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except (OSError, ValueError):
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError):
            return


def configure(*, level: str = "info", as_json: bool | None = None, stream: TextIO | None = None) -> None:
    """Send structlog and the standard library's logging through the nets to `stream` (standard error).

    `as_json` None: readable at a terminal, JSON elsewhere. Libraries are heard from "warning" on only.
    """
    target = sys.stderr if stream is None else stream
    number = logging.getLevelNamesMapping()[level.upper()]
    is_json = not target.isatty() if as_json is None else as_json
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    ends: list[Any] = [
        structlog.processors.format_exc_info,
        redact,
        structlog.processors.JSONRenderer(sort_keys=False)
        if is_json
        else structlog.dev.ConsoleRenderer(colors=target.isatty()),
    ]
    unbreakable: Any = _Unbreakable(target)
    structlog.configure(
        processors=[*shared, *ends],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=unbreakable),
        cache_logger_on_first_use=False,
    )
    bridge = logging.StreamHandler(unbreakable)
    bridge.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ends],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [bridge]
    root.setLevel(max(number, logging.WARNING))
