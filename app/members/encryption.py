"""A member's phone in the database: encrypted, with two blind indexes."""

from typing import TypedDict
from uuid import UUID

from app.blind_index.keys import BlindIndexer


class EncryptedPhone(TypedDict):
    """The three columns of a phone."""

    phone_cipher: bytes
    phone_index: bytes
    phone_last4_index: bytes


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
