"""Certificates and keys for tests, made anew each time: nothing secret is in the repository."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from core.clock import VirtualClock

NOW = VirtualClock().now()
YEAR = timedelta(days=365)


@dataclass(frozen=True)
class Pem:
    chain: str
    key: str

    @property
    def secret(self) -> str:
        """The middle of the key: what must be nowhere else."""
        return self.key.splitlines()[1]


def pem(key: object | None = None, *, starts: datetime = NOW - YEAR, ends: datetime = NOW + YEAR) -> Pem:
    """A certificate that is its own issuer, and its key (by default a new one on P-256)."""
    private = key or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "www.example.org")])
    builder = x509.CertificateBuilder(
        name, name, private.public_key(), x509.random_serial_number(), starts.astimezone(UTC), ends.astimezone(UTC)  # type: ignore[attr-defined]
    )  # fmt: skip
    signed = builder.sign(private, SHA256())  # type: ignore[arg-type]
    return Pem(signed.public_bytes(Encoding.PEM).decode(), key_pem(private))  # type: ignore[arg-type]


def key_pem(key: CertificateIssuerPrivateKeyTypes, form: PrivateFormat = PrivateFormat.PKCS8) -> str:
    return key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()


@cache
def rsa_key(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65_537, bits)
