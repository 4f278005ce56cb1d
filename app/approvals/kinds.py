"""The seven kinds of approval: the table of each, who requests, who decides, and how long a request waits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, case, func, literal_column
from sqlalchemy.orm import InstrumentedAttribute

from app.schema.admins import AdminInvitation, ChangeRequest
from app.schema.approvals import Approval, ExpiringApproval, State
from app.schema.certification import Certification, Transfer
from app.schema.members import LinkRequest
from app.schema.orgs import Promotion
from app.schema.person_transfers import PersonTransfer

Column = InstrumentedAttribute[Any]

# Written into each statement: the partial indexes of what is pending serve no statement with a parameter in its place.
PENDING: ColumnElement[str] = literal_column(f"'{State.PENDING}'")
EXPIRED: ColumnElement[str] = literal_column(f"'{State.EXPIRED}'")


@dataclass(frozen=True, slots=True, eq=False)
class AdminsOf:
    """The admins of the org in this column decide, for a request of two steps only at one of them."""

    org: InstrumentedAttribute[UUID]
    step: str | None = None
    when: ColumnElement[bool] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class AdminsAbove:
    """The admins of the superior of the org in this column decide: of its superior at the time of the decision."""

    org: InstrumentedAttribute[UUID]


@dataclass(frozen=True, slots=True, eq=False)
class Invitee:
    """One person decides: the account of this column, or where it is null the user who has the phone."""

    user_id: InstrumentedAttribute[UUID | None]
    phone_index: InstrumentedAttribute[bytes]


Decider = AdminsOf | AdminsAbove | Invitee


@dataclass(frozen=True, eq=False)
class Kind:
    """One kind of approval."""

    name: str
    """As the inbox names it; with underscores, the noun of its audit actions."""
    subject: str
    """What its decisions are about, in the audit log."""
    table: type[Approval]
    one_of: Sequence[Column]
    """Of requests that agree in these columns one is pending at a time: the unique index `<table>_one_open_key`."""
    requesting_org: InstrumentedAttribute[UUID] | None
    """None: a person requests, for themselves."""
    deciders: Sequence[Decider]
    lifetime: timedelta | None = None
    """None: it waits until it is decided."""
    erased: Sequence[Column] = ()
    """What identifies a person and is stored only while the request is pending."""

    @property
    def expires_at(self) -> InstrumentedAttribute[datetime]:
        """When its time is over; only where the kind has a lifetime."""
        assert issubclass(self.table, ExpiringApproval)
        return self.table.expires_at

    @cached_property
    def pending(self) -> ColumnElement[bool]:
        """Whether it was not ended yet; it may be overdue."""
        return self.table.state == PENDING

    @cached_property
    def waiting(self) -> ColumnElement[bool]:
        """Whether it can be decided: pending, and its time is not over."""
        return self.pending if self.lifetime is None else and_(self.pending, self.expires_at > func.now())

    @cached_property
    def state(self) -> ColumnElement[str]:
        """The state as it is now: what is pending and overdue has expired, also before the clean-up comes to it."""
        if self.lifetime is None:
            return self.table.state.label("state")
        overdue = and_(self.pending, self.expires_at <= func.now())
        return case((overdue, EXPIRED), else_=self.table.state).label("state")

    @cached_property
    def deciding_orgs(self) -> Sequence[InstrumentedAttribute[UUID]]:
        """The columns of the orgs that a request names as its deciders."""
        return [decider.org for decider in self.deciders if isinstance(decider, AdminsOf)]


APPLICATION = Kind(
    "application",
    "certification",
    Certification,
    one_of=[Certification.subordinate_id],
    requesting_org=Certification.subordinate_id,
    deciders=[AdminsOf(Certification.superior_id)],
)
CHANGE_REQUEST = Kind(
    "change-request",
    "change_request",
    ChangeRequest,
    one_of=[ChangeRequest.org_id, ChangeRequest.kind],
    requesting_org=ChangeRequest.org_id,
    deciders=[AdminsAbove(ChangeRequest.org_id)],
    lifetime=timedelta(days=30),
)
TRANSFER = Kind(
    "transfer",
    "transfer",
    Transfer,
    one_of=[Transfer.org_id],
    requesting_org=Transfer.org_id,
    deciders=[
        AdminsOf(Transfer.from_id, "release", Transfer.released_at.is_(None)),
        AdminsOf(Transfer.to_id, "acceptance", Transfer.released_at.is_not(None)),
    ],
)
LINK_REQUEST = Kind(
    "link-request",
    "link_request",
    LinkRequest,
    one_of=[LinkRequest.org_id, LinkRequest.user_id],
    requesting_org=None,
    deciders=[AdminsOf(LinkRequest.org_id)],
    lifetime=timedelta(days=30),
    erased=[LinkRequest.name_key, LinkRequest.pinyin],
)
PERSON_TRANSFER = Kind(
    "person-transfer",
    "person_transfer",
    PersonTransfer,
    one_of=[PersonTransfer.org_id, PersonTransfer.member_id],
    requesting_org=PersonTransfer.org_id,
    deciders=[AdminsOf(PersonTransfer.to_id)],
    lifetime=timedelta(days=30),
)
ADMIN_INVITATION = Kind(
    "admin-invitation",
    "admin_invitation",
    AdminInvitation,
    one_of=[AdminInvitation.phone_index, AdminInvitation.org_id],
    requesting_org=AdminInvitation.org_id,
    deciders=[Invitee(AdminInvitation.invitee_id, AdminInvitation.phone_index)],
    lifetime=timedelta(days=14),
    erased=[AdminInvitation.phone_cipher, AdminInvitation.invitee_name],
)
PROMOTION = Kind(
    "promotion",
    "promotion",
    Promotion,
    one_of=[Promotion.org_id, Promotion.unit_id],
    requesting_org=Promotion.org_id,
    deciders=[Invitee(Promotion.invitee_id, Promotion.phone_index)],
    lifetime=timedelta(days=14),
    erased=[Promotion.phone_cipher, Promotion.invitee_name],
)

KINDS = (APPLICATION, CHANGE_REQUEST, TRANSFER, LINK_REQUEST, PERSON_TRANSFER, ADMIN_INVITATION, PROMOTION)
