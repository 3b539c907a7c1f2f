"""A text from somebody's telephone, as the provider hands it to central's webhook: sealed, in this process."""

from __future__ import annotations

import hashlib
import hmac
import json

from starlette.applications import Starlette

from simulators.asgi import exchange, scope_of

OK = 200


class NotTakenError(Exception):
    """Central did not take the text."""


async def hand_in(app: Starlette, secret: bytes, now_ms: int, number: str, text: str) -> str:
    """Returns what central took it for. Raises NotTakenError."""
    body = json.dumps({"from": number, "text": text}).encode()
    stamp = str(now_ms // 1000)
    seal = hmac.new(secret, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    headers = {
        "host": "central", "content-type": "application/json", "content-length": str(len(body)),
        "x-sms-timestamp": stamp, "x-sms-signature": f"sha256={seal}",
    }  # fmt: skip
    answer = await exchange(app, scope_of("POST", "/sms/v1/inbound", headers, client="192.0.2.3"), body)
    if answer.status != OK:
        raise NotTakenError(f"{answer.status}: {answer.body!r}")
    what: str = json.loads(answer.body)["what"]
    return what
