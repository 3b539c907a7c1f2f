"""CBOR as the wire uses it: a strict writer, a lenient but bounded reader.

Maps have small integer keys, so that a field costs one byte and a new one is ignored by an old reader. Only null,
booleans, 64-bit integers, floats, byte and text strings, lists and maps exist; tags, indefinite lengths, duplicate
keys and deep nesting are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn, TypeVar

import cbor2

from cloud_sync.errors import MalformedError

MAX_DEPTH = 8
_TAGS = (*range(6), 21, 22, 23, 25, 28, 29, 30, 35, 36, 37, 100, 256, 258, 260, 261, 1004, 43000, 55799)

T = TypeVar("T")
Body = Mapping[int, Any]


def dumps(value: object) -> bytes:
    """Encode deterministically (shortest forms, sorted keys)."""
    return cbor2.dumps(value, canonical=True)


def dumps_plain(value: Mapping[int, int | bool | bytes]) -> bytes:
    """The same bytes as `dumps` in half the time, for a map whose keys rise and whose values have one form only."""
    return cbor2.dumps(value)


def _refuse_tag(*_: object) -> NoReturn:
    raise MalformedError("cbor_tag")


_NO_TAGS = dict.fromkeys(_TAGS, _refuse_tag)


def loads(data: bytes) -> Any:
    """Decode one value that fills `data` exactly. Raises MalformedError on anything else."""
    try:
        value = cbor2.loads(
            data,
            max_depth=MAX_DEPTH,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            tag_hook=_refuse_tag,
            semantic_decoders=_NO_TAGS,
        )
    except MalformedError:
        raise
    except Exception as error:  # noqa: BLE001  # cbor2 wraps most faults, not all; the bytes are at fault
        raise MalformedError("cbor", type(error).__name__) from None
    return value


def load_map(data: bytes) -> dict[int, Any]:
    """Decode a map with integer keys."""
    value = loads(data)
    if not isinstance(value, dict) or not all(type(key) is int for key in value):
        raise MalformedError("not_a_map")
    return value


def take(body: Body, key: int, kind: type[T]) -> T:
    """The field `key`, which must be there and of exactly this type (bool is no int; an int serves as a float)."""
    value = body.get(key)
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise MalformedError("field", f"{key} is not {kind.__name__}")
    return value


def take_uint(body: Body, key: int, limit: int = 2**63) -> int:
    """An integer field in [0, limit)."""
    value = take(body, key, int)
    if not 0 <= value < limit:
        raise MalformedError("field", f"{key} is out of range")
    return value


def take_bytes(body: Body, key: int, length: int) -> bytes:
    """A byte string of exactly `length`."""
    value = take(body, key, bytes)
    if len(value) != length:
        raise MalformedError("field", f"{key} is not {length} bytes")
    return value


def take_optional(body: Body, key: int, kind: type[T]) -> T | None:
    """As `take`, or None when the field is absent or null."""
    return None if body.get(key) is None else take(body, key, kind)


def take_list(body: Body, key: int, limit: int) -> list[Any]:
    """A list of at most `limit` entries; absent means empty."""
    value = body.get(key, [])
    if type(value) is not list or len(value) > limit:
        raise MalformedError("field", f"{key} is no list of at most {limit}")
    return value
