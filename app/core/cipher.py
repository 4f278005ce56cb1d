"""Encryption at rest, blind indexes and secret hashes: the one place that holds the data keys.

A cipher text is `length of key id | key id | nonce | AES-256-GCM`, bound to the id of its row as associated data, so
that a value copied onto another row does not decrypt.

An index is an HMAC: equal values have equal indexes, and without the key nobody can try phone numbers against it. It
is `16 bytes of HMAC-SHA-256 | generation`: the first key's have no generation behind them; those of a key that came
after are the HMAC, by it, of the index by the keys before it. So a key can follow another without the value being
known: of ID numbers, and of phones that people once had, nothing is kept but the index, and nothing more ought to be.
The price is that every index key stays in XUEZU_INDEX_KEY; but of a chain the last key is what nobody may have, and
one that has leaked is of no use to anybody once another has followed.
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


class Undecryptable(Exception):  # noqa: N818
    """The value belongs to another row, was altered, or its key is no longer given."""


class Cipher:
    def __init__(self, settings: Settings) -> None:
        keys = settings.parsed_data_keys()
        self.primary = next(iter(keys))
        self._keys = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._index_keys = settings.parsed_index_keys()[::-1]  # in the order of their generations
        self._next_index_key = settings.parsed_next_index_key()

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
        """Blind index of a value: 16 bytes, and the generation, over `parts` (a purpose first, then the value)."""
        index = _hmac(self._index_keys[0], "\x1f".join(parts).encode())
        for generation, key in enumerate(self._index_keys[1:], 1):
            index = _hmac(key, index) + _mark(generation)
        return index

    def phone_index(self, phone: str) -> bytes:
        """The blind index of a whole phone number in its normal form, the same for users and members."""
        return self.index("phone", phone)

    @property
    def generation(self) -> int:
        """Of the newest key of XUEZU_INDEX_KEY; the first key's is 0."""
        return len(self._index_keys) - 1

    @property
    def rotating(self) -> bool:
        """Whether another index key is given that is to follow."""
        return self._next_index_key is not None

    def indexes(self, *parts: str) -> list[bytes]:
        """All that a value may be indexed by at the moment: one, or two while the index key is rotated."""
        index = self.index(*parts)
        return [index, self.reindex(index)] if self.rotating else [index]

    def phone_indexes(self, phone: str) -> list[bytes]:
        return self.indexes("phone", phone)

    def reindex(self, index: bytes) -> bytes:
        """An index by the keys until now as it is by the next."""
        assert self._next_index_key is not None
        return _hmac(self._next_index_key, index) + _mark(self.generation + 1)

    def is_settled(self, index: bytes) -> bool:
        """Whether an index is by the keys until now, and not by the next."""
        return index[_INDEX:] == self.settled_mark

    @property
    def settled_mark(self) -> bytes:
        """How an index by the keys until now ends, behind its 16 bytes."""
        return _mark(self.generation) if self.generation else b""

    @property
    def key_check(self) -> bytes:
        return key_check(self._index_keys[-1])

    @property
    def next_key_check(self) -> bytes:
        assert self._next_index_key is not None
        return key_check(self._next_index_key)


_INDEX = 16


CIPHER = Service[Cipher]("cipher")


def _hmac(key: bytes, value: bytes) -> bytes:
    return hmac.digest(key, value, "sha256")[:_INDEX]


def key_check(key: bytes) -> bytes:
    """What tells an index key from any other, and nothing of it."""
    return _hmac(key, b"which key is this")


def _mark(generation: int) -> bytes:
    return bytes([generation])


def new_secret() -> str:
    """A secret of 256 bits in base64url."""
    return secrets.token_urlsafe(32)


def hash_secret(secret: str) -> bytes:
    """SHA-256 of a secret of high entropy (`new_secret`), for look-up; not for codes that can be guessed."""
    return hashlib.sha256(secret.encode()).digest()


async def _cipher(request: Request) -> Cipher:
    return CIPHER.of(request)


CipherDep = Annotated[Cipher, Depends(_cipher)]
