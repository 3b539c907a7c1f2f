"""The bodies that requests come with, read once and looked at before anything else reads them.

What is not what it says it is gets a clear answer: text that is no UTF-8 or holds a NUL, JSON that is none or names a
thing twice, a form where JSON is meant.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote_to_bytes

from starlette.types import Message, Receive

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
MULTIPART = "multipart/form-data"
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
"""As it stands in JSON: after no backslash that is a backslash itself."""


class BodyError(Exception):
    """A body, or an address, that cannot be read. `reason` is a word for programs, `detail` says where."""

    def __init__(self, status: int, reason: str, detail: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.detail = detail


class GoneError(Exception):
    """Whoever asked has hung up."""


async def whole(receive: Receive, limit: int) -> bytes:
    """All of a body. Raises BodyError for one that grows past the limit, GoneError."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise GoneError
        body += message.get("body", b"")
        if len(body) > limit:
            raise BodyError(413, "too_long", f"more than {limit} bytes")
        if not message.get("more_body", False):
            return bytes(body)


def again(body: bytes, receive: Receive) -> Receive:
    """For who reads it next; after it comes what really comes."""
    is_read = False

    async def read() -> Message:
        nonlocal is_read
        if is_read:
            return await receive()
        is_read = True
        return {"type": "http.request", "body": body, "more_body": False}

    return read


def check_address(path: bytes, query: bytes) -> None:
    """Raises BodyError for an address that is no text."""
    for where, part in (("path", path), ("query", query)):
        _text(unquote_to_bytes(part), where)


def check(body: bytes, content_type: str, *, is_api: bool) -> None:
    """Raises BodyError for a body that cannot be taken as what it says it is."""
    media_type = content_type.partition(";")[0].strip().lower()
    if is_api:
        if body and media_type != JSON:
            raise BodyError(415, "json_wanted", f"send it as {JSON}")
        if body:
            _json(body)
    elif body and media_type not in {FORM, MULTIPART}:
        raise BodyError(415, "form_wanted", f"send it as {FORM}")
    elif media_type == FORM:
        _whole_text(unquote_to_bytes(body.replace(b"+", b" ")))
    elif b"\x00" in body:
        raise _no_text("form")


def _text(part: bytes, where: str) -> str:
    try:
        return part.decode()
    except UnicodeDecodeError as error:
        raise BodyError(400, "not_utf8", f"{where}: byte {error.start} is no UTF-8") from None


def _whole_text(form: bytes) -> None:
    if "\x00" in _text(form, "form"):
        raise _no_text("form")


def _no_text(where: str) -> BodyError:
    # SQLite would take it, PostgreSQL would not, and nobody means it.
    return BodyError(400, "no_text", f"{where}: a NUL is no character of a text")


def _json(body: bytes) -> None:
    text = _text(body, "body")
    try:
        made = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
        # A half of a surrogate pair is JSON and no text: nothing could store or answer it.
        again = json.dumps(made, ensure_ascii=False)
        again.encode()
        if _NUL.search(again):
            raise _no_text("body")
    except BodyError:
        raise
    except UnicodeEncodeError:
        raise BodyError(400, "not_utf8", "half of a surrogate pair") from None
    except json.JSONDecodeError as error:
        raise BodyError(400, "no_json", f"line {error.lineno}, column {error.colno}: {error.msg}") from None
    except (ValueError, RecursionError):
        raise BodyError(400, "no_json", "a number too long or brackets too deep") from None


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise BodyError(400, "twice", f"{twice[:64]!a} stands there twice")
    return made


def _no_constant(word: str) -> None:
    raise BodyError(400, "no_json", f"{word} is no number of JSON")
