"""Founding a central: its root, what the root certifies, its TLS authority, and the first settings.

The root, the authority's key and a copy of the seal key go into DATA/offline: they are for a safe, not for the server.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from central.errors import CentralError
from central.keys import KEYS, TRUST_FILE, seal_file, sign_file, write_private
from cloud_sync.identity import new_id
from cloud_sync.seal import SealPrivateKey, SealSuite
from cloud_sync.signing import raw_private, raw_public
from cloud_sync.trust import KeyCertificate, Purpose, TrustBundle, fingerprint

OFFLINE = "offline"
_LIFE = timedelta(days=3652)
_OFFLINE_README = """These files are central's identity. Keep them off the server.

root.key        certifies central's keys. Whoever has it can pose as central to every enrolled hub.
tls-ca.key      vouches for the name under which hubs reach central.
master.key      copy of the key that residents' records are sealed under. Without any copy, they cannot be read
                after the server is lost. A rotation (`central rotate-master`) makes this copy old: renew it then.
seal-*.key      copy (escrow) of the key that opens what hubs have sealed. Without any copy, what hubs still
                hold cannot be read after the server is lost.

Now: copy this folder to two media that are locked away in two places, check that the copies can be read,
and delete the folder here. Central runs without it. It is needed again to renew keys and to rebuild a lost server.
"""
_SETTINGS = """# Settings of central. Paths are relative to this file.
data_dir = "."
language = "{language}"

[hubs]                      # where hubs come in, always by TLS
host = "{hub_host}"
port = {hub_port}
names = [{names}]    # the names in central's certificate

[console]                   # where people come in: loopback, or behind a reverse proxy that does TLS
host = "{console_host}"
port = {console_port}
public_url = "{public_url}"

# [database]                # SQLite in the data directory, unless:
# url = "postgresql+asyncpg://vaktpost@localhost/vaktpost"

# [mqtt]                    # a broker shared with hubs (MQTT 5)
# host = "broker.example.net"
# port = 8883
# username = "central"
# password_file = "keys/mqtt.password"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be founded, and where."""

    data_dir: Path
    names: Sequence[str]
    hub_host: str = "127.0.0.1"
    hub_port: int = 8443
    console_host: str = "127.0.0.1"
    console_port: int = 8080
    public_url: str = ""
    language: str = "nb"
    suite: SealSuite = SealSuite.X25519_MLKEM768


@dataclass(frozen=True, slots=True, kw_only=True)
class Founded:
    """What there is now."""

    settings: Path
    offline: Path
    root_fingerprint: str


def found(plan: Plan, now_ms: int) -> Founded:
    """Make keys, certificates and settings in an empty (or new) directory. Raises CentralError, touching nothing."""
    data = plan.data_dir
    settings = data / "central.toml"
    for taken in (settings, data / KEYS, data / TRUST_FILE, data / OFFLINE):
        if taken.exists():
            raise CentralError(f"{taken} is there already: a central was founded here. Nothing was changed.")
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    offline = data / OFFLINE
    root, sign, seal = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate(), SealPrivateKey.generate(plan.suite)
    sign_id, seal_id, ca_id = new_id(), new_id(), new_id()
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    authority_key, authority = _authority(now)
    tls_key, tls_certificate = _server(authority_key, authority, plan.names, now)

    write_private(offline / "root.key", _pem(root))
    write_private(offline / "tls-ca.key", _pem(authority_key))
    write_private(offline / seal_file(data, seal_id, plan.suite).name, seal.raw)
    master = secrets.token_bytes(32)
    write_private(offline / "master.key", master)
    write_private(data / KEYS / "master.key", master)
    write_private(offline / "README.txt", _OFFLINE_README.encode())
    write_private(sign_file(data, sign_id), raw_private(sign))
    write_private(seal_file(data, seal_id, plan.suite), seal.raw)
    write_private(data / KEYS / "tls.key", _pem(tls_key))
    (data / KEYS / "tls.crt").write_bytes(_certificate_pem(tls_certificate) + _certificate_pem(authority))
    (data / KEYS / "tls-ca.crt").write_bytes(_certificate_pem(authority))

    certificates = [
        KeyCertificate(
            purpose=Purpose.SIGN, key_id=sign_id, key=raw_public(sign.public_key()), created_ms=now_ms
        ).signed(root),
        KeyCertificate(
            purpose=Purpose.SEAL, key_id=seal_id, key=seal.public().raw, suite=int(plan.suite), created_ms=now_ms
        ).signed(root),
        KeyCertificate(
            purpose=Purpose.TLS_CA, key_id=ca_id, key=authority.public_bytes(Encoding.DER), created_ms=now_ms
        ).signed(root),
    ]
    root_public = raw_public(root.public_key())
    (data / TRUST_FILE).write_bytes(TrustBundle.write(root_public, certificates))
    settings.write_text(
        _SETTINGS.format(
            language=plan.language,
            hub_host=plan.hub_host,
            hub_port=plan.hub_port,
            names=", ".join(f'"{name}"' for name in plan.names),
            console_host=plan.console_host,
            console_port=plan.console_port,
            public_url=plan.public_url or f"http://{plan.console_host}:{plan.console_port}",
        ),
        encoding="utf-8",
    )
    os.sync()
    return Founded(settings=settings, offline=offline, root_fingerprint=fingerprint(root_public).hex())


def _authority(now: datetime) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Vaktpost central authority")])
    builder = (
        _builder(name, name, key, now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(is_authority=True), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    return key, builder.sign(key, hashes.SHA256())


def _server(
    authority_key: ec.EllipticCurvePrivateKey, authority: x509.Certificate, names: Sequence[str], now: datetime
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    builder = (
        _builder(subject, authority.subject, key, now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(is_authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
    )
    return key, builder.sign(authority_key, hashes.SHA256())


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _LIFE)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        return x509.DNSName(name.encode("idna").decode())
    except UnicodeError:
        raise CentralError(f"{name!r} is neither a host name nor an address.") from None


def _pem(key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _certificate_pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)
