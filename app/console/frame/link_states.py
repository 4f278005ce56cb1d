"""The state of a link with an expiry, a number of uses and a revocation."""

from datetime import UTC, datetime
from typing import Protocol


class Link(Protocol):
    """A link of an org: an invitation to be certified, or a join link."""

    expires_at: datetime
    max_uses: int
    uses: int
    revoked_at: datetime | None


def find_state(link: Link) -> str:
    """Return `live`, or the reason why the link cannot be used."""
    if link.revoked_at is not None:
        return "revoked"
    if link.expires_at <= datetime.now(UTC):
        return "expired"
    return "used-up" if link.uses >= link.max_uses else "live"
