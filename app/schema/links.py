"""The columns that the tables of links with a token share: invitations to be certified, links to join an org."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, Integer, LargeBinary, Uuid, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.database.db import Table


class OrgLink(Table):
    """A link of an org with an expiry, a number of uses and a revocation. Its token is found by the hash; the encrypted
    token can be shown again."""

    __abstract__ = True

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, server_default=text("uuidv7()"))
    org_id: Mapped[UUID] = mapped_column(ForeignKey("orgs.id"))
    token_hash: Mapped[bytes] = mapped_column(LargeBinary)
    token_cipher: Mapped[bytes] = mapped_column(LargeBinary)
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    max_uses: Mapped[int] = mapped_column(Integer)
    uses: Mapped[int] = mapped_column(Integer, server_default="0")
    revoked_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    created_by: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
