"""Logging: snake_case facts on standard error. Never personal data or secrets: fields that could hold some are cut."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

REMOVED = "[removed]"
_PRIVATE = re.compile(
    r"(?:^|_)(?:name|note|password|secret|token|code|resident|phone|address|email|label|body)s?(?:_|$)"
)
_PRIVATE_TEXT = re.compile(
    r"\br-[0-9a-f]{6,16}\b"  # a resident's pseudonym
    r"|\b\d{6} ?\d{5}\b"  # a Norwegian national identity number
    r"|\b(?:[A-Z2-7]{4}-){9}[A-Z2-7]{4}\b"  # an enrolment code
    r"|/link/[\w-]+"  # a sign-in link
    r"|[\w.+-]+@[\w-]+\.[\w.]+"  # an e-mail address
)


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: a net for what should not have been given to a logger to begin with."""
    for field, value in event.items():
        if _PRIVATE.search(field):
            event[field] = REMOVED
        elif isinstance(value, str):
            event[field] = _PRIVATE_TEXT.sub(REMOVED, value)
        elif isinstance(value, bytes):
            event[field] = value.hex() if len(value) <= 8 else f"[{len(value)} bytes]"
    return event


class _Unbreakable:
    """Standard error, whose reader may go away or whose disk may be full: a log that nobody takes stops no alarm."""

    def write(self, text: str) -> int:
        try:
            return sys.stderr.write(text)
        except (OSError, ValueError):
            return len(text)

    def flush(self) -> None:
        try:
            sys.stderr.flush()
        except (OSError, ValueError):
            return


def configure(level: str, *, as_json: bool | None = None) -> None:
    """Log from `level` up: JSON, or text when standard error is a terminal."""
    wants_json = not sys.stderr.isatty() if as_json is None else as_json
    number = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(
        level=max(number, logging.WARNING), stream=sys.stderr, format="%(levelname)s %(name)s %(message)s"
    )
    unbreakable: Any = _Unbreakable()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redact,
            structlog.processors.JSONRenderer() if wants_json else structlog.dev.ConsoleRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=unbreakable),
    )
