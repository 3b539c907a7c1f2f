"""What an SMS provider speaks to: texts that came, and what became of those that were sent.

A listener of its own, so that nothing else of central has to be reachable from a provider's network. Every request is
sealed with a secret that both know. An answer of 2xx means that it is committed; anything else, that it is to be sent
again (5xx) or never will be taken (4xx).
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from central.answering import Said, body_of, machine_app
from central.clock import Clock
from central.notify.duty_answers import DutyAnswers
from central.notify.kin import KinAnswers
from central.security import SecurityLog
from central.sms_http import SIGNATURE, TIMESTAMP, Seal
from central.sms_ingest import PATH, SmsIngest
from cloud_sync.errors import MalformedError, WireError

INBOUND_PATH = "/sms/v1/inbound"
RECEIPT_PATH = "/sms/v1/receipt"
MAX_BODY = 16 * 1024
SAID = Said(again="send it again", too_large_reason="sms_length", too_large="longer than any text may be")
Receipts = Callable[[str, str], Awaitable[bool]]
"""Takes a reference and what went wrong (or nothing); says whether it was its text."""


class SmsApi:
    """The endpoints. `sms_app` makes the application of them."""

    def __init__(
        self,
        *,
        seal: Seal,
        ingest: SmsIngest,
        kin: KinAnswers,
        technicians: DutyAnswers,
        receipts: Sequence[Receipts],
        security: SecurityLog,
        clock: Clock,
    ) -> None:
        self._seal = seal
        self._ingest = ingest
        self._kin = kin
        self._technicians = technicians
        self._receipts = receipts
        self._security = security
        self._clock = clock

    async def inbound(self, request: Request) -> Response:
        """A text: `{"from": "+47…", "text": "…"}`."""
        return await self._sealed(request, self._text)

    async def receipt(self, request: Request) -> Response:
        """What became of one: `{"id": "…", "state": "delivered"}`; any other state means that it was not."""
        return await self._sealed(request, self._fate)

    async def _sealed(self, request: Request, act: Callable[[dict[str, Any]], Awaitable[str]]) -> Response:
        body = await body_of(request, MAX_BODY)
        signature = request.headers.get(SIGNATURE, "")
        try:
            is_seen = self._seal.check(request.headers.get(TIMESTAMP, ""), signature, body, self._clock.now_ms() / 1000)
        except WireError as error:
            self._security.note(error.reason, hub=None, path=PATH, detail=error.detail)
            raise
        if is_seen:
            return JSONResponse({"ok": True, "what": "seen"})
        what = await act(_fields(body))
        self._seal.taken(signature)
        return JSONResponse({"ok": True, "what": what})

    async def _text(self, fields: dict[str, Any]) -> str:
        number, text = _string(fields, "from", 20), _string(fields, "text", 1600)
        what = await self._ingest.receive(number, text)
        if what != "no_stub":
            return what
        return await self._technicians.receive(number, text) or await self._kin.receive(number, text)

    async def _fate(self, fields: dict[str, Any]) -> str:
        state = _string(fields, "state", 32)
        reference, error = _string(fields, "id", 64), "" if state == "delivered" else state
        for take in self._receipts:
            if await take(reference, error):
                return "noted"
        return "unknown"


def _fields(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise MalformedError("sms_json", "the body is no JSON") from None
    if not isinstance(found, dict):
        raise MalformedError("sms_json", "an object is expected")
    return found


def _string(fields: dict[str, Any], name: str, limit: int) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise MalformedError("sms_field", f'"{name}" is to be text')
    return value.replace("\x00", "")[:limit]


def sms_app(api: SmsApi) -> Starlette:
    """The application behind the provider's listener."""
    return machine_app((("POST", INBOUND_PATH, api.inbound), ("POST", RECEIPT_PATH, api.receipt)), SAID)
