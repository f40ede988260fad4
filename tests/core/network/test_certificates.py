"""Certificates and keys: what is accepted, what is kept of it, and what is said about the rest."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, x25519
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import Invalid
from core.network import certificates
from tests.support.pem import NOW, YEAR, Pem, key_pem, pem, rsa_key

GOOD = pem()
OTHER = pem()
EC_PARAMETERS = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"


def refused(certificate: str, key: str) -> Invalid:
    with pytest.raises(Invalid) as fault:
        certificates.read(certificate, key, NOW)
    return fault.value


@pytest.mark.parametrize(
    "key", [rsa_key(2048), ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP256R1())]
)
@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_a_certificate_and_its_key_are_accepted_in_the_usual_forms(
    key: ec.EllipticCurvePrivateKey, form: PrivateFormat
) -> None:
    made = pem(key)
    pair = certificates.read(made.chain, key_pem(key, form), NOW)
    assert (pair.chain, pair.key) == (made.chain, made.key)
    assert (pair.starts_at, pair.ends_at) == (NOW - YEAR, NOW + YEAR)


def test_what_openssl_writes_around_keys_and_certificates_is_no_obstacle() -> None:
    text = f"subject=CN = www.example.org\n{GOOD.chain}".replace("\n", "\r\n")
    traditional = EC_PARAMETERS + GOOD.key
    assert certificates.read(text, traditional, NOW).chain == GOOD.chain


def test_the_chain_is_kept_and_the_servers_own_certificate_decides() -> None:
    old = pem(ends=NOW - timedelta(days=1))
    pair = certificates.read(GOOD.chain + old.chain, GOOD.key, NOW)
    assert pair.chain == GOOD.chain + old.chain
    assert pair.ends_at == NOW + YEAR
    assert refused(OTHER.chain + GOOD.chain, GOOD.key).field == "certificate_key"


def test_a_key_beside_the_certificate_is_not_kept_with_it() -> None:
    pair = certificates.read(GOOD.key + GOOD.chain + GOOD.key, GOOD.key, NOW)
    assert pair.chain == GOOD.chain
    assert "PRIVATE" not in pair.chain


@pytest.mark.parametrize(
    ("certificate", "key", "field", "problem"),
    [
        (GOOD.chain, OTHER.key, "certificate_key", "does not belong to the certificate"),
        ("certificate", GOOD.key, "certificate", "is not a certificate"),
        (GOOD.key, GOOD.key, "certificate", "is not a certificate"),
        (GOOD.chain.replace("-----BEGIN CERTIFICATE-----", "----BEGIN CERTIFICATE ----"), GOOD.key, "certificate",
         "is not a certificate"),
        (GOOD.chain[:200] + GOOD.chain[210:], GOOD.key, "certificate", "is not a certificate"),
        (GOOD.chain, GOOD.chain, "certificate_key", "is not a private key"),
        (GOOD.chain, GOOD.key[:60] + GOOD.key[80:], "certificate_key", "is not a private key"),
        (GOOD.chain, "schlüssel\ud800", "certificate_key", "is not a private key"),
    ],
)  # fmt: skip
def test_refusals_name_the_parameter_and_what_is_wrong(certificate: str, key: str, field: str, problem: str) -> None:
    fault = refused(certificate, key)
    assert (fault.field, fault.problem) == (field, problem)
    assert GOOD.secret not in str(fault)


def test_keys_that_servers_refuse_are_refused_here() -> None:
    weak = (
        rsa_key(1024),
        ec.generate_private_key(ec.SECP192R1()),
        dsa.generate_private_key(2048),
        x25519.X25519PrivateKey.generate(),
    )
    for key in weak:
        fault = refused(GOOD.chain, key_pem(key))  # type: ignore[arg-type]
        assert (fault.field, fault.problem) == ("certificate_key", "is of a kind or size that is not secure")


def test_a_key_with_a_passphrase_is_refused_as_such() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")).decode()
    assert refused(pem(key).chain, locked).problem == "has a passphrase"


def test_ed25519_is_accepted() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, NOW - YEAR, NOW + YEAR)
    chain = builder.sign(key, None).public_bytes(Encoding.PEM).decode()
    assert certificates.read(chain, key_pem(key), NOW).chain == chain


def test_an_expired_certificate_is_refused_with_its_day_and_one_of_the_future_is_not() -> None:
    old = pem(ends=NOW - timedelta(seconds=1))
    fault = refused(old.chain, old.key)
    assert (fault.field, fault.problem) == ("certificate", "has expired: 2025-12-31")
    last_moment = pem(ends=NOW)
    assert certificates.read(last_moment.chain, last_moment.key, NOW).ends_at == NOW
    coming = pem(starts=NOW + timedelta(days=1))
    assert not certificates.usable(NOW + timedelta(days=1), NOW + YEAR, NOW)
    assert certificates.read(coming.chain, coming.key, NOW).starts_at == NOW + timedelta(days=1)


@given(st.timedeltas(-2 * YEAR, 2 * YEAR))
def test_a_certificate_is_usable_from_its_first_to_its_last_moment(after: timedelta) -> None:
    assert certificates.usable(NOW - YEAR, NOW + YEAR, NOW + after) is (-YEAR <= after <= YEAR)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["chain", "key"]), st.integers(0, 2000), st.text(max_size=8) | st.sampled_from(["\n", "-", "A"]))
def test_a_changed_text_is_read_as_what_it_was_or_refused_without_a_word_of_the_key(
    part: str, position: int, text: str
) -> None:
    original = getattr(GOOD, part)
    position %= len(original)
    changed = original[:position] + text + original[position + len(text) :]
    made = Pem(changed, GOOD.key) if part == "chain" else Pem(GOOD.chain, changed)
    pair, fault = _read(made)
    if fault is None:
        assert pair is not None
        assert (pair.key, "CERTIFICATE" in pair.chain) == (GOOD.key, True)
    else:
        assert fault.field in {"certificate", "certificate_key"}
        assert GOOD.secret not in str(fault)


def _read(made: Pem) -> tuple[certificates.Pair | None, Invalid | None]:
    try:
        return certificates.read(made.chain, made.key, NOW), None
    except Invalid as fault:
        return None, fault


def test_the_pair_does_not_show_its_key() -> None:
    assert GOOD.secret not in repr(certificates.read(GOOD.chain, GOOD.key, NOW))
