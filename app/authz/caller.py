"""Where a caller stands: the live session, its user, and what the user is to an org, each in one statement and one row.

What rights follow from it is decided in `app.authz.access`.
"""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Select, and_, bindparam, case, exists, func, null, select, text
from sqlalchemy.orm import aliased

from app.authz.permissions import Role
from app.authz.step_up import KEY_LASTS
from app.database.driver import DriverStatement
from app.hierarchy import tree
from app.schema.admins import OrgAdmin
from app.schema.approvals import CertificationState
from app.schema.auth import OAuthClient, Operator, Session, User
from app.schema.certification import Certification
from app.schema.members import Member
from app.schema.orgs import Org

_user_columns = (
    User.id.label("user_id"),
    User.verified_name,
    User.party_member,
    Session.methods,
    (Session.key_checked_at > func.now() - text(f"interval '{int(KEY_LASTS.total_seconds())} seconds'")).label("keyed"),
)
_live_session = and_(
    Session.id == bindparam("session_id"),
    Session.ended_at.is_(None),
    Session.expires_at > func.now(),
    User.id == Session.user_id,
    User.status == "active",
)
# What everybody who sees an org sees of it: an OrgCard.
CARD = (
    Org.id,
    Org.name,
    Org.region_code,
    Org.kind,
    Org.status,
    Org.version,
    Org.created_at,
    Org.closed_at,
    Org.main_admin_id,
    select(Certification.superior_id)
    .where(Certification.subordinate_id == Org.id, Certification.state == CertificationState.LIVE)
    .correlate(Org)
    .scalar_subquery()
    .label("superior_id"),
)


class ClientRow(NamedTuple):
    scopes: list[str]


class SessionRow(NamedTuple):
    """The user of a live session."""

    user_id: UUID
    verified_name: str | None
    party_member: bool
    methods: list[str]
    keyed: bool | None
    """Whether a security key was used in the session lately."""


class OperatorRow(NamedTuple):
    """The same, and whether the user is a platform operator."""

    user_id: UUID
    verified_name: str | None
    party_member: bool
    methods: list[str]
    keyed: bool | None
    operator: bool


class OrgRow(NamedTuple):
    """The same, the org (NULL if there is none of this id), and what the user is to it."""

    user_id: UUID
    verified_name: str | None
    party_member: bool
    methods: list[str]
    keyed: bool | None
    id: UUID
    name: str
    region_code: str
    kind: str
    status: str
    version: int
    created_at: datetime
    closed_at: datetime | None
    main_admin_id: UUID
    superior_id: UUID | None
    main_admin: bool | None
    admin: bool
    member: bool
    keyless_above: bool | None
    """Whether an org above, of which the user is an admin, needs no security key; None if they are admin of none."""


SESSION = DriverStatement(
    select(*_user_columns).select_from(Session).join(User, _live_session), "session_id", row=SessionRow
)
OPERATOR = DriverStatement(
    select(*_user_columns, exists().where(Operator.user_id == User.id, Operator.removed_at.is_(None)).label("operator"))
    .select_from(Session)
    .join(User, _live_session),
    "session_id",
    row=OperatorRow,
)

CLIENT = DriverStatement(
    select(OAuthClient.scopes).where(OAuthClient.id == bindparam("client_id"), OAuthClient.revoked_at.is_(None)),
    "client_id",
    row=ClientRow,
)


def _org_statement() -> Select[*tuple[Any, ...]]:
    """The session's user, the org, and what the one is to the other: one row, or none where the session is dead."""
    org_id = bindparam("org_id", type_=Org.id.type)
    admin = exists().where(OrgAdmin.org_id == Org.id, OrgAdmin.user_id == User.id).correlate(Org, User)
    member = (
        exists()
        .where(Member.org_id == Org.id, Member.user_id == User.id, Member.removed_at.is_(None))
        .correlate(Org, User)
    )
    above = tree.ancestors(org_id)
    # Whether one of the orgs above that the user administers demands no key; null where they administer none.
    higher = aliased(Org)
    keyless_above = (
        select(func.bool_or(func.right(higher.region_code, 4) != "0000"))
        .select_from(above)
        .join(OrgAdmin, and_(OrgAdmin.org_id == above.c.id, OrgAdmin.user_id == User.id))
        .join(higher, higher.id == above.c.id)
        .where(above.c.distance > 0)
        .correlate(User)
        .scalar_subquery()
    )
    return (
        select(
            *_user_columns,
            *CARD,
            (Org.main_admin_id == User.id).label(Role.MAIN_ADMIN),
            admin.label(Role.ADMIN),
            member.label(Role.MEMBER),
            # An admin sees all that a superior's admin sees: the walk up is spared.
            case((admin, null()), else_=keyless_above).label("keyless_above"),
        )
        .select_from(Session)
        .join(User, _live_session)
        .outerjoin(Org, Org.id == org_id)
    )


ORG = DriverStatement(_org_statement(), "session_id", "org_id", row=OrgRow)
