"""Encryption at rest, blind indexes and secret hashes: the one place that holds the data keys.

A cipher text is `length of key id | key id | nonce | AES-256-GCM`, bound to the id of its row as associated data, so
that a value copied onto another row does not decrypt. An index is an HMAC: equal values have equal indexes, and
without the key nobody can try phone numbers against it.
"""

import hashlib
import hmac
import os
import secrets
from typing import Annotated
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from fastapi import Depends, Request

from app.settings import Settings

_NONCE = 12


class Undecryptable(Exception):  # noqa: N818
    """The value belongs to another row, was altered, or its key is no longer given."""


class Cipher:
    def __init__(self, settings: Settings) -> None:
        keys = settings.parsed_data_keys()
        self.primary = next(iter(keys))
        self._keys = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._index_key = settings.parsed_index_key()

    @property
    def mark(self) -> bytes:
        """How a cipher text of the first key begins."""
        key_id = self.primary.encode()
        return bytes([len(key_id)]) + key_id

    def encrypt(self, plain: str | bytes, row: UUID | str) -> bytes:
        nonce = os.urandom(_NONCE)
        text = plain.encode() if isinstance(plain, str) else plain
        return self.mark + nonce + self._keys[self.primary].encrypt(nonce, text, str(row).encode())

    def decrypt(self, sealed: bytes, row: UUID | str) -> bytes:
        end = 1 + sealed[0]
        key = self._keys.get(sealed[1:end].decode())
        if key is None:
            raise Undecryptable
        try:
            return key.decrypt(sealed[end : end + _NONCE], sealed[end + _NONCE :], str(row).encode())
        except InvalidTag:
            raise Undecryptable from None

    def decrypt_text(self, sealed: bytes, row: UUID | str) -> str:
        return self.decrypt(sealed, row).decode()

    def index(self, *parts: str) -> bytes:
        """Blind index of a value: 16 bytes of HMAC-SHA-256 over `parts` (a purpose first, then the value)."""
        return hmac.digest(self._index_key, "\x1f".join(parts).encode(), "sha256")[:16]

    def phone_index(self, phone: str) -> bytes:
        """The blind index of a whole phone number in its normal form, the same for users and members."""
        return self.index("phone", phone)


def new_secret() -> str:
    """A secret of 256 bits in base64url."""
    return secrets.token_urlsafe(32)


def hash_secret(secret: str) -> bytes:
    """SHA-256 of a secret of high entropy (`new_secret`), for look-up; not for codes that can be guessed."""
    return hashlib.sha256(secret.encode()).digest()


async def _cipher(request: Request) -> Cipher:
    cipher: Cipher = request.app.state.cipher
    return cipher


CipherDep = Annotated[Cipher, Depends(_cipher)]
