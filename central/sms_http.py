"""An SMS provider over HTTP: texts out by POST with a token, texts in by a signed webhook.

Out: `{"from", "to", "text", "reference"}` as JSON, `Authorization: Bearer`; 2xx takes it and may name it by `"id"`.
In: see docs/administrators. A provider that speaks otherwise gets a module beside this one, or a small translator.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import ssl
from collections import OrderedDict
from pathlib import Path
from urllib.parse import urlsplit

from central.errors import SettingsError
from central.lines import blocking
from central.settings import AuditSmsSettings, SmsSettings
from central.sms import SmsError
from cloud_sync.errors import ForgedError, MalformedError, ReplayedError

WINDOW_S = 300
"""A request whose time is further off than this is refused: it may have been recorded."""
MAX_SEEN = 20_000
MAX_ANSWER = 16 * 1024
MIN_SECRET = 16
TIMESTAMP, SIGNATURE = "x-sms-timestamp", "x-sms-signature"


def secret_in(path: Path, key: str, section: str = "sms") -> bytes:
    """What a file of the settings holds, without the line end. Raises SettingsError."""
    try:
        secret = path.read_bytes().strip()
    except OSError as error:
        raise SettingsError([f"{section}.{key}: {path} cannot be read: {error.strerror}."]) from None
    if len(secret) < MIN_SECRET:
        raise SettingsError([f"{section}.{key}: {path} holds fewer than {MIN_SECRET} characters: too easy to guess."])
    return secret


class HttpProvider:
    """See `central.sms.SmsProvider`. A new connection for each text: there are few."""

    def __init__(self, settings: SmsSettings | AuditSmsSettings, section: str = "sms") -> None:
        self._settings = settings
        token = secret_in(settings.outbound_token_file, "outbound_token_file", section)
        self._token = token.decode("ascii", "replace")
        self._url = urlsplit(settings.outbound_url)

    async def send(self, number: str, text: str, *, reference: str) -> str:
        """See `central.sms.SmsProvider`."""
        body = {"from": self._settings.number, "to": number, "text": text, "reference": reference}
        connection, content = self._connection(), json.dumps(body).encode()
        status, answer = await blocking(lambda: self._post(connection, content), lambda: connection.sock)
        if 200 <= status < 300:
            return _id_in(answer)
        # What is wrong with the request stays wrong; the rest may pass.
        raise SmsError(f"http_{status}", is_final=400 <= status < 500 and status not in {401, 403, 408, 425, 429})

    def _connection(self) -> http.client.HTTPConnection:
        """Not connected yet."""
        url, timeout_s = self._url, self._settings.timeout_s
        if url.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(url.hostname or "", url.port, timeout=timeout_s, context=context)
        return http.client.HTTPConnection(url.hostname or "", url.port, timeout=timeout_s)

    def _post(self, connection: http.client.HTTPConnection, body: bytes) -> tuple[int, bytes]:
        url = self._url
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"}
        try:
            connection.request("POST", (url.path or "/") + (f"?{url.query}" if url.query else ""), body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read(MAX_ANSWER)
        except TimeoutError:
            raise SmsError("timeout") from None
        except (OSError, http.client.HTTPException) as error:
            raise SmsError(f"unreachable: {type(error).__name__}") from None
        finally:
            connection.close()


def _id_in(answer: bytes) -> str:
    try:
        body = json.loads(answer)
    except ValueError:
        return ""
    found = body.get("id") if isinstance(body, dict) else None
    return found[:64].replace("\x00", "") if isinstance(found, str) else ""


def signature_of(secret: bytes, timestamp: str, body: bytes) -> str:
    """What stands in `X-Sms-Signature`: HMAC-SHA256 over `timestamp "." body`."""
    return "sha256=" + hmac.new(secret, timestamp.encode("ascii", "replace") + b"." + body, hashlib.sha256).hexdigest()


class Seal:
    """Whether a request to the webhook is the provider's, and new."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._seen: OrderedDict[str, None] = OrderedDict()

    def check(self, timestamp: str, signature: str, body: bytes, now_s: float) -> bool:
        """Whether this very request was taken before (then it is answered again, and nothing is done).

        Raises ForgedError, ReplayedError (too old) or MalformedError.
        """
        if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
            raise MalformedError("sms_timestamp", f"{TIMESTAMP} is to be seconds since 1970")
        expected = signature_of(self._secret, timestamp, body)
        if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace")):
            raise ForgedError("sms_signature", f"{SIGNATURE} does not fit the body")
        if abs(now_s - int(timestamp)) > WINDOW_S:
            raise ReplayedError("sms_too_old", f"the request is more than {WINDOW_S} s old, or the clock is wrong")
        return expected in self._seen

    def taken(self, signature: str) -> None:
        """What the request asked for is committed."""
        self._seen[signature] = None
        if len(self._seen) > MAX_SEEN:
            self._seen.popitem(last=False)
