"""The link of an invitation, which contains its token."""

from app.certification.queries import InvitationRow
from app.certification.schemas import InvitationOut
from app.core.app_links import build_invitation_link
from app.core.cipher import Cipher


def build_invitation_out(row: InvitationRow, cipher: Cipher, address: str) -> InvitationOut:
    """Return the invitation with its decrypted token and its link. `address` is the public address of the service."""
    token = cipher.decrypt_text(row.token_cipher, row.id)
    return InvitationOut(
        id=row.id,
        token=token,
        link=build_invitation_link(address, token),
        expires_at=row.expires_at,
        max_uses=row.max_uses,
        uses=row.uses,
        revoked_at=row.revoked_at,
        created_at=row.created_at,
    )
