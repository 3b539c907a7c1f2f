"""What somebody searches for by a person's name, in an address that tells it to nobody.

A name in an address stands in the browser's history, in the logs of proxies and in what the next page is told of this
one. The form sends its words in the body; the answer leads to the page with the words sealed under the session's own
token. So going back, loading anew and the ways to other pages are those of any address, and in another session, or
after this one, it opens nothing. Central keeps nothing of it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import secrets
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from fastapi import APIRouter, Depends, Form, Query, Response
from fastapi.responses import RedirectResponse

from central.console.gate import Needs, Visit
from central.console.queries import SEALED
from central.console.roles import Action
from central.errors import IncompleteError

router = APIRouter(include_in_schema=False)
SignedIn = Annotated[Visit, Depends(Needs(Action.SIGNED_IN))]

Sealed = Annotated[str, Query(alias=SEALED, max_length=700)]
"""In the address of a page that is searched by names."""

_PAGE = re.compile(r"(/[a-z0-9-]{1,64}){1,4}")
_LABEL = b"vaktpost/1/search\x00"
_NONCE = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class HiddenSearch:
    """What was typed, why (where that is asked), and both as they stand in the address: empty for no search."""

    words: str = ""
    why: str = ""
    sealed: str = ""


@router.post("/find")
async def find(
    visit: SignedIn,
    page: Annotated[str, Form(max_length=200)] = "",
    q: Annotated[str, Form(max_length=64)] = "",
    why: Annotated[str, Form(max_length=64)] = "",
) -> Response:
    """Leads to a page of ours, with what was typed sealed in its address. The page says who may see it."""
    if not _PAGE.fullmatch(page):
        raise IncompleteError("unknown_choice", "page")
    words = " ".join(q.replace("\x00", "").split())
    asked = {SEALED: seal(visit, page, words, why)} if words or why else {}
    return RedirectResponse(page + (f"?{urlencode(asked)}" if asked else ""), 303)


def seal(visit: Visit, page: str, words: str, why: str = "") -> str:
    """For the address of this page, in this session."""
    nonce = secrets.token_bytes(_NONCE)
    text = json.dumps([words, why], ensure_ascii=False).encode()
    sealed = AESGCM(_key(visit)).encrypt(nonce, text, page.encode())
    return base64.urlsafe_b64encode(nonce + sealed).decode().rstrip("=")


def search_in(visit: Visit, page: str, sealed: str) -> HiddenSearch:
    """What was searched for on this page. Raises IncompleteError for what was not sealed for it in this session."""
    if not sealed:
        return HiddenSearch()
    try:
        blob = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
        opened = AESGCM(_key(visit)).decrypt(blob[:_NONCE], blob[_NONCE:], page.encode())
    except (InvalidTag, binascii.Error, ValueError):
        raise IncompleteError("search_over", SEALED) from None
    words, why = json.loads(opened)
    return HiddenSearch(words=words, why=why, sealed=sealed)


def _key(visit: Visit) -> bytes:
    return hmac.digest(visit.who.csrf.encode(), _LABEL, hashlib.sha256)
