"""The kinds of approval: for each the table, the requester, the deciders and the lifetime of a request."""

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
from app.schema.joins import JoinRequest
from app.schema.members import LinkRequest
from app.schema.orgs import Closure, Merger, Promotion
from app.schema.own_rows import RemovalRequest
from app.schema.person_transfers import GroupTransfer, PersonTransfer

Column = InstrumentedAttribute[Any]

# Literals, not parameters: the planner uses the partial indexes of pending requests only for a literal.
PENDING: ColumnElement[str] = literal_column(f"'{State.PENDING}'")
EXPIRED: ColumnElement[str] = literal_column(f"'{State.EXPIRED}'")


@dataclass(frozen=True, slots=True, eq=False)
class AdminsOf:
    """The admins of the org in this column decide. In a request with two steps they decide only the step `step`, which
    is open under the condition `when`."""

    org: InstrumentedAttribute[UUID]
    step: str | None = None
    when: ColumnElement[bool] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class AdminsOfSuperior:
    """The admins of the superior of the org in this column decide. It is the superior at the time of the decision."""

    org: InstrumentedAttribute[UUID]


@dataclass(frozen=True, slots=True, eq=False)
class MainAdminOf:
    """The main admin of the org in this column decides. It is the main admin at the time of the decision."""

    org: InstrumentedAttribute[UUID]


@dataclass(frozen=True, slots=True, eq=False)
class Invitee:
    """One person decides: the account in this column or, if it is null, the user who has the phone."""

    user_id: InstrumentedAttribute[UUID | None]
    phone_index: InstrumentedAttribute[bytes]


Decider = AdminsOf | AdminsOfSuperior | MainAdminOf | Invitee


@dataclass(frozen=True, eq=False)
class Kind:
    """One kind of approval."""

    name: str
    """The name in the inbox. With underscores it is the noun of the audit actions."""
    subject: str
    """The subject type of its decisions in the audit log."""
    table: type[Approval]
    unique_columns: Sequence[Column]
    """At most one request with the same values in these columns is pending: the unique index `<table>_one_open_key`."""
    requesting_org: InstrumentedAttribute[UUID] | None
    """The column of the org that requests; None if a person makes the request."""
    requester: InstrumentedAttribute[UUID]
    """The column of the user who requests. The user gets a message when another one, or time, ends the request."""
    named_org: InstrumentedAttribute[UUID]
    """The column of the org that this message names."""
    deciders: Sequence[Decider]
    lifetime: timedelta | None = None
    """The time after which a pending request expires; None if it never expires."""
    erased: Sequence[Column] = ()
    """The columns that identify a person. They are set to null when the request ends."""
    secret: bool = False
    """Whether the deciding org may not know of a request before it decides: then the audit entry of a request that ends
    in another way has no org."""

    @property
    def expires_at(self) -> InstrumentedAttribute[datetime]:
        """Return the column with the time of expiry. Only a kind with a lifetime has it."""
        assert issubclass(self.table, ExpiringApproval)
        return self.table.expires_at

    @cached_property
    def pending(self) -> ColumnElement[bool]:
        """Return the SQL condition that the request has not ended. Such a request may be overdue."""
        return self.table.state == PENDING

    @cached_property
    def waiting(self) -> ColumnElement[bool]:
        """Return the SQL condition that the request can be decided: it is pending and not overdue."""
        return self.pending if self.lifetime is None else and_(self.pending, self.expires_at > func.now())

    @cached_property
    def state(self) -> ColumnElement[str]:
        """Return the SQL expression of the present state. A pending request that is overdue counts as expired, even
        before the clean-up job stores this state."""
        if self.lifetime is None:
            return self.table.state.label("state")
        overdue = and_(self.pending, self.expires_at <= func.now())
        return case((overdue, EXPIRED), else_=self.table.state).label("state")

    @cached_property
    def deciding_orgs(self) -> Sequence[InstrumentedAttribute[UUID]]:
        """Return the columns of the orgs whose admins decide."""
        return [decider.org for decider in self.deciders if isinstance(decider, AdminsOf)]

    @cached_property
    def orgs(self) -> Sequence[InstrumentedAttribute[UUID]]:
        """Return the columns of the orgs that request or decide."""
        return [*([] if self.requesting_org is None else [self.requesting_org]), *self.deciding_orgs]

    @property
    def noun(self) -> str:
        """Return the first word of the names of this kind's audit actions: `transfer` in `transfer.accepted`."""
        return self.name.replace("-", "_")


APPLICATION = Kind(
    "application",
    "certification",
    Certification,
    unique_columns=[Certification.subordinate_id],
    requesting_org=Certification.subordinate_id,
    requester=Certification.requested_by,
    named_org=Certification.superior_id,
    deciders=[AdminsOf(Certification.superior_id)],
)
CHANGE_REQUEST = Kind(
    "change-request",
    "change_request",
    ChangeRequest,
    unique_columns=[ChangeRequest.org_id, ChangeRequest.kind],
    requesting_org=ChangeRequest.org_id,
    requester=ChangeRequest.requested_by,
    named_org=ChangeRequest.org_id,
    deciders=[AdminsOfSuperior(ChangeRequest.org_id)],
    lifetime=timedelta(days=30),
)
TRANSFER = Kind(
    "transfer",
    "transfer",
    Transfer,
    unique_columns=[Transfer.org_id],
    requesting_org=Transfer.org_id,
    requester=Transfer.requested_by,
    named_org=Transfer.org_id,
    deciders=[
        AdminsOf(Transfer.from_id, "release", Transfer.released_at.is_(None)),
        AdminsOf(Transfer.to_id, "acceptance", Transfer.released_at.is_not(None)),
    ],
)
LINK_REQUEST = Kind(
    "link-request",
    "link_request",
    LinkRequest,
    unique_columns=[LinkRequest.org_id, LinkRequest.user_id],
    requesting_org=None,
    requester=LinkRequest.user_id,
    named_org=LinkRequest.org_id,
    deciders=[AdminsOf(LinkRequest.org_id)],
    lifetime=timedelta(days=30),
    erased=[LinkRequest.name_key, LinkRequest.pinyin],
    secret=True,
)
PERSON_TRANSFER = Kind(
    "person-transfer",
    "person_transfer",
    PersonTransfer,
    unique_columns=[PersonTransfer.org_id, PersonTransfer.member_id],
    requesting_org=PersonTransfer.org_id,
    requester=PersonTransfer.requested_by,
    named_org=PersonTransfer.to_id,
    deciders=[AdminsOf(PersonTransfer.to_id)],
    lifetime=timedelta(days=30),
)
GROUP_TRANSFER = Kind(
    "group-transfer",
    "group_transfer",
    GroupTransfer,
    unique_columns=[GroupTransfer.org_id, GroupTransfer.to_id],
    requesting_org=GroupTransfer.org_id,
    requester=GroupTransfer.requested_by,
    named_org=GroupTransfer.to_id,
    deciders=[AdminsOf(GroupTransfer.to_id)],
    lifetime=timedelta(days=30),
)
ADMIN_INVITATION = Kind(
    "admin-invitation",
    "admin_invitation",
    AdminInvitation,
    unique_columns=[AdminInvitation.phone_index, AdminInvitation.org_id],
    requesting_org=AdminInvitation.org_id,
    requester=AdminInvitation.requested_by,
    named_org=AdminInvitation.org_id,
    deciders=[Invitee(AdminInvitation.invitee_id, AdminInvitation.phone_index)],
    lifetime=timedelta(days=14),
    erased=[AdminInvitation.phone_cipher, AdminInvitation.invitee_name],
)
PROMOTION = Kind(
    "promotion",
    "promotion",
    Promotion,
    unique_columns=[Promotion.org_id, Promotion.unit_id],
    requesting_org=Promotion.org_id,
    requester=Promotion.requested_by,
    named_org=Promotion.org_id,
    deciders=[Invitee(Promotion.invitee_id, Promotion.phone_index)],
    lifetime=timedelta(days=14),
    erased=[Promotion.phone_cipher, Promotion.invitee_name],
)
CLOSURE = Kind(
    "closure",
    "closure",
    Closure,
    unique_columns=[Closure.org_id],
    requesting_org=Closure.org_id,
    requester=Closure.requested_by,
    named_org=Closure.org_id,
    deciders=[MainAdminOf(Closure.org_id)],
    lifetime=timedelta(days=30),
)
MERGER = Kind(
    "merger",
    "merger",
    Merger,
    unique_columns=[Merger.org_id],
    requesting_org=Merger.org_id,
    requester=Merger.requested_by,
    named_org=Merger.to_id,
    deciders=[AdminsOf(Merger.to_id)],
    lifetime=timedelta(days=30),
)
JOIN_REQUEST = Kind(
    "join-request",
    "join_request",
    JoinRequest,
    unique_columns=[JoinRequest.org_id, JoinRequest.user_id],
    requesting_org=None,
    requester=JoinRequest.user_id,
    named_org=JoinRequest.org_id,
    deciders=[AdminsOf(JoinRequest.org_id)],
    lifetime=timedelta(days=30),
    erased=[JoinRequest.name],
)
REMOVAL_REQUEST = Kind(
    "removal-request",
    "removal_request",
    RemovalRequest,
    unique_columns=[RemovalRequest.org_id, RemovalRequest.user_id],
    requesting_org=None,
    requester=RemovalRequest.user_id,
    named_org=RemovalRequest.org_id,
    deciders=[AdminsOf(RemovalRequest.org_id)],
    lifetime=timedelta(days=30),
)

KINDS = (
    *(APPLICATION, CHANGE_REQUEST, TRANSFER, LINK_REQUEST, PERSON_TRANSFER, GROUP_TRANSFER, ADMIN_INVITATION),
    *(PROMOTION, CLOSURE, MERGER, JOIN_REQUEST, REMOVAL_REQUEST),
)
