"""The caller of a request: the live session, its user and the user's roles in an org, read by one statement as one row.

`app.authz.access` decides which permissions follow.
"""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Select, and_, bindparam, case, exists, func, null, select, text
from sqlalchemy.orm import aliased

from app.authz.permissions import Role
from app.authz.step_up import KEY_PROOF_LIFETIME
from app.database.driver import DriverStatement
from app.hierarchy import tree
from app.schema.admins import OrgAdmin
from app.schema.approvals import CertificationState
from app.schema.auth import Operator, Session, User
from app.schema.certification import Certification
from app.schema.members import Member
from app.schema.orgs import Org
from app.schema.sign_in import OAuthClient

_user_columns = (
    User.id.label("user_id"),
    User.verified_name,
    User.party_member,
    Session.methods,
    (Session.key_checked_at > func.now() - text(f"interval '{int(KEY_PROOF_LIFETIME.total_seconds())} seconds'")).label(
        "key_proved"
    ),
)
_live_session = and_(
    Session.id == bindparam("session_id"),
    Session.ended_at.is_(None),
    Session.expires_at > func.now(),
    User.id == Session.user_id,
    User.status == "active",
)
# The columns of an OrgCard.
ORG_CARD_COLUMNS = (
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
    """The scopes and the kind of a live client."""

    scopes: list[str]
    kind: str


class SessionRow(NamedTuple):
    """The user of a live session."""

    user_id: UUID
    verified_name: str | None
    party_member: bool
    methods: list[str]
    key_proved: bool | None
    """Whether the session has a proof of a security key not older than KEY_PROOF_LIFETIME."""


class OperatorRow(NamedTuple):
    """The user of a live session, and whether the user is a platform operator."""

    user_id: UUID
    verified_name: str | None
    party_member: bool
    methods: list[str]
    key_proved: bool | None
    operator: bool


class OrgRow(NamedTuple):
    """The user of a live session, the org (NULL without an org of this id) and the user's roles in it."""

    user_id: UUID
    verified_name: str | None
    party_member: bool
    methods: list[str]
    key_proved: bool | None
    id: UUID
    name: str
    region_code: str
    kind: str
    status: str
    version: int
    created_at: datetime
    closed_at: datetime | None
    main_admin_id: UUID | None
    superior_id: UUID | None
    main_admin: bool | None
    admin: bool
    member: bool
    keyless_superior: bool | None
    """Whether the user is an admin of a superior that requires no security key; None if admin of no superior."""


SESSION_STATEMENT = DriverStatement(
    select(*_user_columns).select_from(Session).join(User, _live_session), "session_id", row=SessionRow
)
OPERATOR_STATEMENT = DriverStatement(
    select(*_user_columns, exists().where(Operator.user_id == User.id, Operator.removed_at.is_(None)).label("operator"))
    .select_from(Session)
    .join(User, _live_session),
    "session_id",
    row=OperatorRow,
)

CLIENT_STATEMENT = DriverStatement(
    select(OAuthClient.scopes, OAuthClient.kind).where(
        OAuthClient.id == bindparam("client_id"), OAuthClient.revoked_at.is_(None)
    ),
    "client_id",
    row=ClientRow,
)


def _build_org_select() -> Select[*tuple[Any, ...]]:
    """Build the select of an OrgRow: one row, or no row if the session has ended."""
    org_id = bindparam("org_id", type_=Org.id.type)
    admin = exists().where(OrgAdmin.org_id == Org.id, OrgAdmin.user_id == User.id).correlate(Org, User)
    member = (
        exists()
        .where(Member.org_id == Org.id, Member.user_id == User.id, Member.removed_at.is_(None))
        .correlate(Org, User)
    )
    superiors = tree.build_ancestors(org_id)
    superior = aliased(Org)
    keyless_superior = (
        select(func.bool_or(func.right(superior.region_code, 4) != "0000"))
        .select_from(superiors)
        .join(OrgAdmin, and_(OrgAdmin.org_id == superiors.c.id, OrgAdmin.user_id == User.id))
        .join(superior, superior.id == superiors.c.id)
        .where(superiors.c.distance > 0)
        .correlate(User)
        .scalar_subquery()
    )
    return (
        select(
            *_user_columns,
            *ORG_CARD_COLUMNS,
            (Org.main_admin_id == User.id).label(Role.MAIN_ADMIN),
            admin.label(Role.ADMIN),
            member.label(Role.MEMBER),
            # An admin sees everything that a superior's admin sees, so the recursive query is not needed for an admin.
            case((admin, null()), else_=keyless_superior).label("keyless_superior"),
        )
        .select_from(Session)
        .join(User, _live_session)
        .outerjoin(Org, Org.id == org_id)
    )


ORG_STATEMENT = DriverStatement(_build_org_select(), "session_id", "org_id", row=OrgRow)
