"""A member's phone as it is stored: encrypted for its row, and two blind indexes to find it by."""

from typing import TypedDict
from uuid import UUID

from app.blind_index.keys import BlindIndexer


class SealedPhone(TypedDict):
    """The three columns of a phone; see `seal_phone`."""

    phone_cipher: bytes
    phone_index: bytes
    phone_last4_index: bytes


def seal_phone(indexer: BlindIndexer, org_id: UUID, member_id: UUID, phone: str) -> SealedPhone:
    """The columns for a phone in its normal form.

    The cipher text is bound to the member's id, so that it can move to another org with its row; the index of the
    last four digits is the org's own, so that equal ones in two orgs do not show.
    """
    return {
        "phone_cipher": indexer.cipher.encrypt(phone, member_id),
        "phone_index": indexer.index_phone(phone),
        "phone_last4_index": indexer.index_last4(org_id, phone),
    }
