"""Alipay's keys: the application's private key, the key that checks Alipay's signatures, and the certificates' numbers.

There are two modes. In the mode of keys the operator copies Alipay's public key. In certificate mode each request names
the application's certificate and Alipay's roots, each answer names the certificate that signed it, and that certificate
must come from a root.
"""

import base64
import binascii
import hashlib
import re
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from app.core.settings import ConfigurationError
from app.identity.providers.settings import AlipaySettings

_PREFIX = "XUEZU_IDENTITY_ALIPAY_"
_RSA_SIGNATURES = "1.2.840.113549.1.1."
"""The object identifiers of signatures by RSA. The roots also have one of the national algorithm SM2."""
_SHORT = {"2.5.4.3": "CN", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.10": "O", "2.5.4.11": "OU"}
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_MIN_BITS = 2048


@dataclass(frozen=True, slots=True)
class AlipayKeys:
    """The keys. In certificate mode the numbers of the certificates, else None. `valid_until` is the end of the one
    that expires first."""

    private: RSAPrivateKey
    alipay: RSAPublicKey
    app_cert_sn: str | None = None
    root_cert_sn: str | None = None
    alipay_cert_sn: str | None = None
    valid_until: datetime | None = None

    def sign(self, text: str) -> str:
        """Return the base64 of the signature RSA2: RSASSA-PKCS1-v1_5 with SHA-256."""
        return base64.b64encode(self.private.sign(text.encode(), PKCS1v15(), hashes.SHA256())).decode()

    def is_signed(self, text: bytes, signature: str) -> bool:
        """Return whether Alipay has signed the text."""
        try:
            self.alipay.verify(base64.b64decode(signature, validate=True), text, PKCS1v15(), hashes.SHA256())
        except (InvalidSignature, binascii.Error, ValueError):
            return False
        return True


def load_keys(settings: AlipaySettings) -> AlipayKeys:
    """Return the keys of the settings. Raises ConfigurationError, which contains nothing of a key."""
    private = _load_private(settings.private_key.get_secret_value())
    if settings.public_key is not None:
        return AlipayKeys(private, _load_public(settings.public_key))
    assert settings.app_cert is not None, "the settings have all certificates or none"
    assert settings.alipay_cert is not None, "the settings have all certificates or none"
    assert settings.root_cert is not None, "the settings have all certificates or none"
    app, *_ = _load_certificates(settings.app_cert, "APP_CERT")
    alipay, *between = _load_certificates(settings.alipay_cert, "ALIPAY_CERT")
    roots = _load_certificates(settings.root_cert, "ROOT_CERT")
    if app.public_key() != private.public_key():
        raise ConfigurationError(f"{_PREFIX}APP_CERT is not the certificate of {_PREFIX}PRIVATE_KEY.")
    key = alipay.public_key()
    if not isinstance(key, RSAPublicKey) or not _is_issued(alipay, between, roots):
        raise ConfigurationError(f"{_PREFIX}ALIPAY_CERT was not issued by a root of {_PREFIX}ROOT_CERT.")
    for certificate, name in ((app, "APP_CERT"), (alipay, "ALIPAY_CERT")):
        if not certificate.not_valid_before_utc <= datetime.now(UTC) <= certificate.not_valid_after_utc:
            raise ConfigurationError(
                f"{_PREFIX}{name} is valid from {certificate.not_valid_before_utc:%Y-%m-%d} to "
                f"{certificate.not_valid_after_utc:%Y-%m-%d}: download a new one from Alipay's console."
            )
    return AlipayKeys(
        private,
        key,
        app_cert_sn=get_serial(app),
        root_cert_sn="_".join(get_serial(root) for root in roots),
        alipay_cert_sn=get_serial(alipay),
        valid_until=min(app.not_valid_after_utc, alipay.not_valid_after_utc),
    )


def get_serial(certificate: x509.Certificate) -> str:
    """Return the number by which Alipay names a certificate: the MD5 of its issuer and its serial number."""
    issuer = ",".join(
        f"{_SHORT.get(part.oid.dotted_string, part.oid.dotted_string)}={part.value!s}"
        for part in reversed(list(certificate.issuer))
    )
    return hashlib.md5(f"{issuer}{certificate.serial_number}".encode(), usedforsecurity=False).hexdigest()


def _load_certificates(text: str, name: str) -> list[x509.Certificate]:
    found = []
    for pem in _PEM.findall(text.encode()):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Alipay's own certificates have parameters that RFC 5280 forbids
                certificate = x509.load_pem_x509_certificate(pem)
                if certificate.signature_algorithm_oid.dotted_string.startswith(_RSA_SIGNATURES):
                    certificate.public_key()
                    found.append(certificate)
        except ValueError:
            continue
    if not found:
        raise ConfigurationError(f"{_PREFIX}{name} contains no certificate of RSA in PEM.")
    return found


def _is_issued(leaf: x509.Certificate, between: list[x509.Certificate], roots: list[x509.Certificate]) -> bool:
    """Return whether a chain of signatures leads from the certificate to a root."""
    if any(_has_signed(root, leaf) for root in roots):
        return True
    for index, issuer in enumerate(between):
        if _has_signed(issuer, leaf):
            return _is_issued(issuer, between[:index] + between[index + 1 :], roots)
    return False


def _has_signed(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _decode(text: str) -> bytes:
    return base64.b64decode("".join(text.split()), validate=True)


def _load_private(text: str) -> RSAPrivateKey:
    try:
        if "-----BEGIN" in text:
            key = serialization.load_pem_private_key(text.strip().encode(), None)
        else:
            key = serialization.load_der_private_key(_decode(text), None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, RSAPrivateKey) or key.key_size < _MIN_BITS:
        raise ConfigurationError(
            f"{_PREFIX}PRIVATE_KEY is no private RSA key of at least {_MIN_BITS} bits without a password: give the "
            "PEM, or the base64 in it."
        )
    return key


def _load_public(text: str) -> RSAPublicKey:
    try:
        if "-----BEGIN" in text:
            key = serialization.load_pem_public_key(text.strip().encode())
        else:
            key = serialization.load_der_public_key(_decode(text))
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, RSAPublicKey) or key.key_size < _MIN_BITS:
        raise ConfigurationError(
            f"{_PREFIX}PUBLIC_KEY is no public RSA key: copy Alipay's key, not the application's own public key."
        )
    return key
