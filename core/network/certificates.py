"""Certificates of load balancers, and their keys: what is accepted of them. Pure.

What is kept is written anew from what was read: a key that stood beside the certificates in one text never gets to
where certificates are kept, and other text around them is gone. Nothing of a key is in any error.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from core.errors import Invalid
from core.sealing import Place

_CERTIFICATE: Final = "certificate"
_KEY: Final = "certificate_key"
_PEM_CERTIFICATE: Final = "PEM, -----BEGIN CERTIFICATE-----; more of the chain may follow the server's own"
_PEM_KEY: Final = "PEM, -----BEGIN PRIVATE KEY-----, without a passphrase"
_STRONG: Final = "RSA of at least 2048 bits, an elliptic curve of at least 224 bits, or Ed25519"
_RSA_BITS: Final = 2048
_CURVE_BITS: Final = 224
"""Less than 112 bits of security is what servers refuse by default (NIST SP 800-57 part 1, table 2)."""

_Key = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate with its chain, and the key that belongs to it, as PEM; it holds from `starts_at` to `ends_at`."""

    chain: str
    key: str = field(repr=False)
    starts_at: datetime
    ends_at: datetime


def place(balancer_id: str) -> Place:
    """Where the key of a balancer stands sealed."""
    return Place("certificate", "key", balancer_id)


def read(certificate: str, key: str, now: datetime) -> Pair:
    """Raises Invalid when one of them cannot be read, they do not belong together, the key is weak, or the certificate
    has expired. One that begins later is accepted."""
    chain, private = _chain(certificate), _private(key)
    own = chain[0]
    if _spelt(_public(own)) != _spelt(private.public_key()):
        raise Invalid(_KEY, "does not belong to the certificate", "the key that the certificate was made for")
    if own.not_valid_after_utc < now:
        raise Invalid(_CERTIFICATE, f"has expired: {own.not_valid_after_utc:%Y-%m-%d}", "a certificate that is valid")
    return Pair(
        chain="".join(one.public_bytes(Encoding.PEM).decode() for one in chain),
        key=private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        starts_at=own.not_valid_before_utc, ends_at=own.not_valid_after_utc,
    )  # fmt: skip


def usable(starts_at: datetime, ends_at: datetime, now: datetime) -> bool:
    """Whether a certificate holds now: its last moment is part of its time (RFC 5280, 4.1.2.5)."""
    return starts_at <= now <= ends_at


def _chain(text: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        raise Invalid(_CERTIFICATE, "is not a certificate", _PEM_CERTIFICATE) from None


def _public(certificate: x509.Certificate) -> PublicKeyTypes:
    try:
        return certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise Invalid(_CERTIFICATE, "is for an unknown kind of key", _STRONG) from None


def _private(text: str) -> _Key:
    try:
        key = load_pem_private_key(text.encode(), password=None)
    except TypeError:
        raise Invalid(_KEY, "has a passphrase", _PEM_KEY) from None
    except (ValueError, UnsupportedAlgorithm):
        raise Invalid(_KEY, "is not a private key", _PEM_KEY) from None
    match key:
        case RSAPrivateKey() if key.key_size >= _RSA_BITS:
            return key
        case EllipticCurvePrivateKey() if key.key_size >= _CURVE_BITS:
            return key
        case Ed25519PrivateKey():
            return key
    raise Invalid(_KEY, "is of a kind or size that is not secure", _STRONG)


def _spelt(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
