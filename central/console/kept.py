"""What somebody had typed when their session was over: it comes back to them, and opens for nobody else.

The answer to the form carries its fields, sealed; the next sign-in brings them back. Central keeps nothing: the key
comes from the token that the page of the form was made with, which stands with the session that is over. So a form
that no page of ours ever held cannot be slipped in, and whoever else signs in gets nothing. Sending it again is the
person's own act, with the token of the new session.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from fastapi import Request

from central.console.bodies import FORM
from central.console.sessions import Origin
from central.people.facts import SECRET as SECRET_FACTS

KEPT_MS = 30 * 60_000
"""So long it can be brought back. Longer than a sign-in takes, shorter than a shift."""

MAX_SEALED = 40_000
"""Characters: what is larger could not be sent back in one request."""

TOKEN = "csrf"  # noqa: S105  # the name of a field
SECRET = frozenset({"password", "new", "again", "current", "token"})
"""A form with one of these is typed again, and so is a fact that is shown to nobody unasked."""

_VERSION = b"\x01"
_HASH, _TIME, _NONCE = 32, 8, 12
_HEAD = len(_VERSION) + _HASH + _TIME
_LABEL = b"vaktpost/1/kept-form\x00"

Fields = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A form as it was sent: where to, what was in it in order, and on which page it stood (empty: not known)."""

    action: str
    fields: Fields
    page: str = ""


class LostError(Exception):
    """It does not come back: `reason` is `other` (somebody else's), `old` or `unreadable`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


async def form_of(request: Request) -> Form | None:
    """The form of a request that was refused. None: it is none, or holds what nobody keeps."""
    if not request.headers.get("content-type", "").startswith(FORM):
        return None
    typed = (await request.form()).multi_items()
    fields = tuple((name, value) for name, value in typed if isinstance(value, str) and name != TOKEN)
    if any(name in SECRET or (name == "kind" and value in SECRET_FACTS) for name, value in fields):
        return None
    here = request.url
    from_page = urlsplit(request.headers.get("referer", ""))
    is_own = from_page.netloc == request.headers.get("host")
    return Form(
        action=here.path + (f"?{here.query}" if here.query else ""),
        fields=fields,
        page=(from_page.path + (f"?{from_page.query}" if from_page.query else "")) if is_own else "",
    )


def seal(form: Form, origin: Origin, now_ms: int) -> str | None:
    """For the page that says that the session is over. None: too long to be kept."""
    head = _VERSION + bytes.fromhex(origin.token_hash) + now_ms.to_bytes(_TIME, "big")
    nonce = secrets.token_bytes(_NONCE)
    text = json.dumps([form.action, form.page, form.fields], ensure_ascii=False).encode()
    sealed = base64.urlsafe_b64encode(
        head + nonce + AESGCM(_key(origin)).encrypt(nonce, zlib.compress(text), head + origin.account.encode())
    ).decode()
    return sealed if len(sealed) <= MAX_SEALED else None


def session_in(sealed: str) -> str:
    """The session that a sealed form was made in, by its hash. Raises LostError."""
    return _blob(sealed)[len(_VERSION) : len(_VERSION) + _HASH].hex()


def unseal(sealed: str, origin: Origin | None, account: str, now_ms: int) -> Form:
    """The form of the account that is signed in now; `origin` is of `session_in(sealed)`. Raises LostError."""
    blob = _blob(sealed)
    if origin is None:
        raise LostError("old")
    if origin.account != account:
        raise LostError("other")
    head, rest = blob[:_HEAD], blob[_HEAD:]
    try:
        opened = AESGCM(_key(origin)).decrypt(rest[:_NONCE], rest[_NONCE:], head + account.encode())
    except (InvalidTag, ValueError):
        raise LostError("unreadable") from None
    made_ms = int.from_bytes(head[-_TIME:], "big")
    if now_ms - made_ms > KEPT_MS:
        raise LostError("old")
    action, page, fields = json.loads(zlib.decompress(opened))
    return Form(action=action, page=page, fields=tuple((name, value) for name, value in fields))


def shown(fields: Sequence[tuple[str, str]], labels: Sequence[str]) -> tuple[Fields, int]:
    """What is shown of it, with a name that there is a word for; and how many other fields come along."""
    said = tuple((name, value) for name, value in fields if name in labels and value.strip())
    return said, sum(1 for name, value in fields if name not in labels and value.strip())


def _blob(sealed: str) -> bytes:
    try:
        blob = base64.urlsafe_b64decode(sealed.encode("ascii"))
    except (binascii.Error, ValueError):
        raise LostError("unreadable") from None
    if len(sealed) > MAX_SEALED or blob[:1] != _VERSION or len(blob) <= _HEAD + _NONCE:
        raise LostError("unreadable")
    return blob


def _key(origin: Origin) -> bytes:
    return hmac.digest(origin.csrf.encode(), _LABEL, hashlib.sha256)
