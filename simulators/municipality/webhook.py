"""A text from somebody's telephone, as the provider hands it to central's webhook: sealed, in this process."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

from starlette.applications import Starlette

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
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "method": "POST",
        "path": "/sms/v1/inbound", "raw_path": b"/sms/v1/inbound", "query_string": b"", "root_path": "",
        "headers": [(key.encode(), value.encode()) for key, value in headers.items()],
        "client": ("192.0.2.3", 40000), "server": ("central", 80),
    }  # fmt: skip
    begun: dict[str, Any] = {}
    parts: list[bytes] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            begun.update(message)
        else:
            parts.append(message.get("body", b""))

    await app(scope, receive, send)
    if begun["status"] != OK:
        raise NotTakenError(f"{begun['status']}: {b''.join(parts)!r}")
    what: str = json.loads(b"".join(parts))["what"]
    return what
