"""Columns that the tables of all kinds of approval share. `app.approvals` uses no other columns."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, LargeBinary, Text, Uuid, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.database.db import Table


class State(StrEnum):
    """The state of a request. Every state except `pending` is final."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"


class CertificationState(StrEnum):
    """The state of a certification: an accepted application is a `live` edge of the hierarchy until it has `ended`."""

    PENDING = "pending"
    LIVE = "live"
    ENDED = "ended"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"


class Approval(Table):
    """A request that one party makes and another party decides."""

    __abstract__ = True

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, server_default=text("uuidv7()"))
    state: Mapped[str] = mapped_column(Text, server_default=State.PENDING)
    requested_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    decided_at: Mapped[datetime | None] = mapped_column(
        DateTime(timezone=True), comment="when the state stopped being pending"
    )


class ExpiringApproval(Approval):
    """A request with a time limit: from `expires_at` on it cannot be decided, whatever its state is."""

    __abstract__ = True

    expires_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), comment="from then on the request cannot be decided"
    )


class Offer(ExpiringApproval):
    """A request that one person decides: the account in `invitee_id`, or if that is null the user with this phone.

    The phone and the name are stored only while the offer is pending.
    """

    __abstract__ = True

    phone_index: Mapped[bytes] = mapped_column(LargeBinary, comment="the blind index of the invitee's phone")
    phone_cipher: Mapped[bytes | None] = mapped_column(
        LargeBinary, comment="the encrypted phone; NULL once the offer is decided"
    )
    invitee_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("users.id"), comment="the account linked to the member row; NULL: the user with the phone decides"
    )
    invitee_name: Mapped[str | None] = mapped_column(
        Text, comment="the name in a member row without an account; the user's verified name must equal it"
    )
    reason: Mapped[str | None] = mapped_column(Text, comment="the reason of a declined offer: name-differs")
