"""Encryption at rest, blind indexes and secret hashes. Only this module uses the data keys.

A cipher text is `length of key id | key id | nonce | AES-256-GCM`. It is bound to the id of its row as associated data,
so that a value copied to another row does not decrypt.

A blind index is an HMAC: equal values have equal indexes, and phone numbers cannot be tried against it without the key.
It is `16 bytes of HMAC-SHA-256 | generation`. An index of the first key has no generation byte. An index of a later key
is the HMAC, with that key, of the index by the earlier keys. A new key can therefore follow without knowledge of the
value: of ID numbers and of former phones, only the index is stored, and nothing more should be. The price is that every
index key stays in XUEZU_INDEX_KEY. Only the last key of the chain must be secret: a leaked key is useless as soon as
another key follows it.
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

from app.core.services import Service
from app.core.settings import Settings

_NONCE = 12


class Undecryptable(Exception):
    """The value belongs to another row, was altered, or its key is no longer configured."""


class Cipher:
    def __init__(self, settings: Settings) -> None:
        keys = settings.parse_data_keys()
        self.primary = next(iter(keys))
        self.data_key_checks = {key_id: build_key_check(key) for key_id, key in keys.items()}
        self._keys = {key_id: AESGCM(key) for key_id, key in keys.items()}
        key_id = self.primary.encode()
        self.primary_prefix = bytes([len(key_id)]) + key_id
        """The first bytes of every cipher text by the first data key."""
        self._index_keys = settings.parse_index_keys()[::-1]  # index in the list = generation
        self._next_index_key = settings.parse_next_index_key()

    def encrypt(self, plain: str | bytes, row: UUID | str) -> bytes:
        nonce = os.urandom(_NONCE)
        text = plain.encode() if isinstance(plain, str) else plain
        return self.primary_prefix + nonce + self._keys[self.primary].encrypt(nonce, text, str(row).encode())

    def decrypt(self, encrypted: bytes, row: UUID | str) -> bytes:
        end = 1 + encrypted[0]
        key = self._keys.get(encrypted[1:end].decode())
        if key is None:
            raise Undecryptable
        try:
            return key.decrypt(encrypted[end : end + _NONCE], encrypted[end + _NONCE :], str(row).encode())
        except InvalidTag:
            raise Undecryptable from None

    def decrypt_text(self, encrypted: bytes, row: UUID | str) -> str:
        return self.decrypt(encrypted, row).decode()

    def index(self, *parts: str) -> bytes:
        """Return the blind index (16 bytes and the generation) of `parts`: first a purpose, then the value."""
        index = _hmac(self._index_keys[0], "\x1f".join(parts).encode())
        for generation, key in enumerate(self._index_keys[1:], 1):
            index = _hmac(key, index) + _mark(generation)
        return index

    def index_phone(self, phone: str) -> bytes:
        """Return the blind index of a phone number in its normal form. Users and members have the same."""
        return self.index("phone", phone)

    @property
    def generation(self) -> int:
        """Return the generation of the newest key in XUEZU_INDEX_KEY; the first key has 0."""
        return len(self._index_keys) - 1

    @property
    def is_rotating(self) -> bool:
        """Return whether a next index key is configured."""
        return self._next_index_key is not None

    def list_indexes(self, *parts: str) -> list[bytes]:
        """Return every index that the value can have now: one, or two during a rotation of the index key."""
        index = self.index(*parts)
        return [index, self.reindex_value(index)] if self.is_rotating else [index]

    def list_phone_indexes(self, phone: str) -> list[bytes]:
        return self.list_indexes("phone", phone)

    def reindex_value(self, index: bytes) -> bytes:
        """Return the index that the next key gives to a value, from its index that the current keys give."""
        assert self._next_index_key is not None
        return _hmac(self._next_index_key, index) + _mark(self.generation + 1)

    def is_current(self, index: bytes) -> bool:
        """Return whether this index was computed with the current keys only, without the next key."""
        return index[_INDEX:] == self.current_suffix

    @property
    def current_suffix(self) -> bytes:
        """Return the bytes that follow the 16 bytes of an index that the current keys give."""
        return _mark(self.generation) if self.generation else b""

    @property
    def index_key_checks(self) -> list[bytes]:
        """Return the hash of each index key (`build_key_check`), by generation."""
        return [build_key_check(key) for key in self._index_keys]

    @property
    def next_key_check(self) -> bytes:
        assert self._next_index_key is not None
        return build_key_check(self._next_index_key)


_INDEX = 16


CIPHER = Service[Cipher]("cipher")


def _hmac(key: bytes, value: bytes) -> bytes:
    return hmac.digest(key, value, "sha256")[:_INDEX]


def get_key_id(encrypted: bytes) -> str:
    """Return the id of the key that encrypted a value; an empty text if the value is too short to be one."""
    end = 1 + (encrypted[0] if encrypted else 0)
    return encrypted[1:end].decode("ascii", "replace") if len(encrypted) > end + _NONCE else ""


def build_key_check(key: bytes) -> bytes:
    """Return a hash that identifies an index key or a data key and reveals nothing about it."""
    return _hmac(key, b"which key is this")


def _mark(generation: int) -> bytes:
    return bytes([generation])


def create_secret() -> str:
    """Return a secret of 256 random bits in base64url."""
    return secrets.token_urlsafe(32)


def hash_secret(secret: str) -> bytes:
    """Return the SHA-256 of a secret of high entropy (`create_secret`), by which the secret is found. Not for codes
    that can be guessed."""
    return hashlib.sha256(secret.encode()).digest()


async def _cipher(request: Request) -> Cipher:
    return CIPHER.get(request)


CipherDep = Annotated[Cipher, Depends(_cipher)]
