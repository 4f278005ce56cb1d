"""A member's phone in the database: encrypted, with two blind indexes; all three are NULL without a phone."""

from typing import TypedDict
from uuid import UUID

from app.blind_index.keys import BlindIndexer
from app.core.cipher import Cipher
from app.core.phones import mask


class EncryptedPhone(TypedDict):
    """The three columns of a phone."""

    phone_cipher: bytes
    phone_index: bytes
    phone_last4_index: bytes


class NoPhone(TypedDict):
    """The values of the three columns for a person without a mobile phone."""

    phone_cipher: None
    phone_index: None
    phone_last4_index: None


def encrypt_phone(indexer: BlindIndexer, org_id: UUID, member_id: UUID, phone: str) -> EncryptedPhone:
    """Encrypt a phone in normal form and compute its blind indexes.

    The cipher text is bound to the member's id, so that it stays valid when the row moves to another org. The index of
    the last four digits depends on the org, so that equal digits in two orgs have different indexes.
    """
    return {
        "phone_cipher": indexer.cipher.encrypt(phone, member_id),
        "phone_index": indexer.index_phone(phone),
        "phone_last4_index": indexer.index_last4(org_id, phone),
    }


def encrypt_phone_if_any(
    indexer: BlindIndexer, org_id: UUID, member_id: UUID, phone: str | None
) -> EncryptedPhone | NoPhone:
    """Return the columns of a phone (`encrypt_phone`), or of a person without one."""
    if phone is None:
        return {"phone_cipher": None, "phone_index": None, "phone_last4_index": None}
    return encrypt_phone(indexer, org_id, member_id, phone)


def decrypt_phone(cipher: Cipher, phone_cipher: bytes | None, member_id: UUID) -> str | None:
    """Return the whole phone of a member row, or None for a person without one."""
    return None if phone_cipher is None else cipher.decrypt_text(phone_cipher, member_id)


def decrypt_masked_phone(cipher: Cipher, phone_cipher: bytes | None, member_id: UUID) -> str | None:
    """Return the masked phone of a member row, or None for a person without one."""
    phone = decrypt_phone(cipher, phone_cipher, member_id)
    return None if phone is None else mask(phone)
