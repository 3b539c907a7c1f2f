"""Enrolment: a one-time code turns a fresh hub into one that central knows.

The trust bundle is fetched over TLS that nobody can verify yet, and is verified itself by the fingerprint in the code.
The claim then goes over TLS verified against the authority in that bundle, so the secret reaches that central only.
"""

from __future__ import annotations

import http.client
import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud_sync import signing
from cloud_sync.enrolment import CLAIM_PATH, TRUST_PATH, Claim, Grant
from cloud_sync.errors import ForgedError, MalformedError, WireError
from cloud_sync.seal import SealSuite
from cloud_sync.trust import EnrolmentCode, TrustBundle
from cloud_sync.uplinks.tls import client_context
from gateway.errors import HubError
from gateway.identity_store import Identity, is_enrolled, store

MAX_ANSWER = 256 * 1024
TIMEOUT_S = 10.0
SUITES = (SealSuite.X25519_MLKEM768, SealSuite.X25519)


class EnrolmentError(HubError):
    """The hub could not be enrolled. The text says what to do."""


@dataclass(frozen=True, slots=True)
class _Address:
    host: str
    port: int
    url: str


def enrol(state_dir: Path, central: str, code_text: str, *, software: str, is_replaced: bool = False) -> Identity:
    """Claim an identity and store it. Blocks. Raises EnrolmentError or IdentityError."""
    address = _address(central)
    try:
        code = EnrolmentCode.parse(code_text)
    except MalformedError as error:
        raise EnrolmentError(f"the code is not right: {error.detail}. Type it as central shows it") from error
    if is_enrolled(state_dir) and not is_replaced:
        raise EnrolmentError(
            f"this hub is enrolled already ({state_dir}); add --replace to give it a new identity. The code is unused"
        )
    trust = _fetch_trust(address, code)
    key = Ed25519PrivateKey.generate()
    claim = Claim(
        secret=code.secret,
        public_key=signing.raw_public(key.public_key()),
        suites=SUITES,
        software=software,
    )
    grant = _claim(address, trust, claim.signed(key))
    if grant.public_key != claim.public_key or grant.suite is not trust.seal_key()[1].suite:
        raise EnrolmentError("central answered for another hub or with another kind of key; ask for a new code")
    identity = Identity(
        hub=grant.hub,
        key=key,
        trust=trust,
        lineage=grant.lineage,
        central=address.url,
        suite=int(grant.suite),
        enrolled_ms=grant.central_ms,
    )
    store(state_dir, identity, is_replaced=is_replaced)
    return identity


def _address(central: str) -> _Address:
    text = central if "://" in central else f"https://{central}"
    parts = urlsplit(text)
    try:
        port = parts.port or 443
    except ValueError:
        raise EnrolmentError(f"{central!r} has no usable port; write it as https://central.example.org:8443") from None
    if parts.scheme != "https" or not parts.hostname or parts.path not in {"", "/"}:
        raise EnrolmentError(
            f"{central!r} is not the address of central's hub listener; write it as https://central.example.org:8443"
        )
    return _Address(parts.hostname, port, f"https://{parts.netloc}")


def _fetch_trust(address: _Address, code: EnrolmentCode) -> TrustBundle:
    blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    blind.check_hostname = False
    blind.verify_mode = ssl.CERT_NONE  # the content is verified by the fingerprint in the code
    status, body = _ask(address, blind, "GET", TRUST_PATH)
    if status != 200:
        raise EnrolmentError(f"{address.url} does not answer like central (status {status}); is this its hub listener?")
    try:
        trust = TrustBundle.read(body, code.root_fingerprint)
        trust.seal_key()
    except ForgedError as error:
        if error.reason == "root":
            raise EnrolmentError(
                f"{address.url} is not the central that this code was made for. Check the address; if it is right, "
                "somebody may be in between: do not go on"
            ) from error
        raise EnrolmentError(f"central's keys do not verify ({error.reason}); do not go on") from error
    except WireError as error:
        raise EnrolmentError(f"{address.url} does not answer like central ({error.reason})") from error
    return trust


def _claim(address: _Address, trust: TrustBundle, claim: bytes) -> Grant:
    verified = client_context(trust.tls_authorities())
    status, body = _ask(address, verified, "POST", CLAIM_PATH, claim)
    if status != 200:
        raise EnrolmentError(_refusal(status, body))
    try:
        return Grant.read(body, trust)
    except WireError as error:
        raise EnrolmentError(f"central's answer does not verify ({error.reason}); ask for a new code") from error


def _ask(
    address: _Address, context: ssl.SSLContext, method: str, path: str, body: bytes | None = None
) -> tuple[int, bytes]:
    connection = http.client.HTTPSConnection(address.host, address.port, timeout=TIMEOUT_S, context=context)
    headers = {"Accept": "*/*"}
    if body is not None:
        headers["Content-Type"] = "application/octet-stream"
    try:
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        content = answer.read(MAX_ANSWER + 1)
    except ssl.SSLCertVerificationError as error:
        raise EnrolmentError(
            f"{address.url} shows a certificate for another name or from another authority than central's own "
            f"({error.verify_message}). Use the name that central was set up with"
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise EnrolmentError(f"{address.url} cannot be reached: {str(error) or type(error).__name__}") from error
    finally:
        connection.close()
    if len(content) > MAX_ANSWER:
        raise EnrolmentError(f"{address.url} does not answer like central (answer too long)")
    return answer.status, content


def _refusal(status: int, body: bytes) -> str:
    detail = ""
    try:
        problem = json.loads(body)
        detail = str(problem.get("detail") or problem.get("title") or "")[:200]
    except (ValueError, AttributeError):
        detail = ""
    if status in {401, 403, 404, 409, 410}:
        return f"central refused the code: {detail or 'it is used, expired or unknown'}. Ask for a new one"
    if status == 429:
        return "central has seen too many wrong codes and waits; try again in some minutes"
    return f"central could not enrol the hub (status {status}) {detail}".rstrip()
