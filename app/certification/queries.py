"""Reads of invitations, applications and the hierarchy around an org."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import DateTime, Uuid, any_, bindparam, case, exists, func, or_, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import aliased

from app.authz.access import OrgCard
from app.certification.errors import InvitationExpired, InvitationUnknown, InvitationUsedUp
from app.certification.schemas import (
    ApplicationOut,
    CertificationOut,
    ReceivedApplicationOut,
    SubordinateOut,
    SuperiorOut,
)
from app.core.cipher import hash_secret
from app.core.search import SearchBy
from app.database.db import Readable
from app.database.paging import Page, PagedStatement, Paging, Slice
from app.database.rows import fetch_row, fetch_rows, one_or_404
from app.hierarchy import tree
from app.orgs.advice import build_advice, list_edge_advice
from app.orgs.queries import ORG_NAMES
from app.orgs.regions import format_region_path
from app.schema.approvals import CertificationState
from app.schema.auth import User
from app.schema.certification import Certification, Invitation
from app.schema.orgs import Org


class InvitationRow(NamedTuple):
    """A stored invitation. `token_cipher` is the token, encrypted with the invitation's id as associated data."""

    id: UUID
    token_cipher: bytes
    expires_at: datetime
    max_uses: int
    uses: int
    revoked_at: datetime | None
    created_at: datetime


class LiveInvitation(NamedTuple):
    """An unrevoked invitation, with the card of its org."""

    id: UUID
    org_id: UUID
    expires_at: datetime
    expired: bool
    used_up: bool
    org_name: str
    org_kind: str
    region_code: str

    @property
    def kind(self) -> str:
        return self.org_kind


class OrgNode(NamedTuple):
    """An org as a node of the displayed tree."""

    id: UUID
    name: str
    has_subordinates: bool


INVITATION_COLUMNS = (
    Invitation.id,
    Invitation.token_cipher,
    Invitation.expires_at,
    Invitation.max_uses,
    Invitation.uses,
    Invitation.revoked_at,
    Invitation.created_at,
)
APPLICATION_COLUMNS = (
    Certification.id,
    Certification.superior_id,
    Certification.subordinate_id,
    Certification.state,
    Certification.requested_at,
    Certification.decided_at,
    Certification.reason,
)


_ORG_ID = bindparam("org_id", type_=Uuid())

_INVITATIONS_OF_ORG = select(*INVITATION_COLUMNS).where(Invitation.org_id == _ORG_ID)
_INVITATION = _INVITATIONS_OF_ORG.where(Invitation.id == bindparam("invitation_id"))
_INVITATIONS = PagedStatement(_INVITATIONS_OF_ORG, Invitation.id.desc(), row=InvitationRow)
_LIVE_INVITATION = (
    select(
        Invitation.id,
        Invitation.org_id,
        Invitation.expires_at,
        (Invitation.expires_at <= func.now()).label("expired"),
        (Invitation.uses >= Invitation.max_uses).label("used_up"),
        Org.name.label("org_name"),
        Org.kind.label("org_kind"),
        Org.region_code,
    )
    .join(Org, Org.id == Invitation.org_id)
    .where(Invitation.token_hash == bindparam("token_hash"), Invitation.revoked_at.is_(None), Org.status == "live")
)


async def list_invitations(db: Readable, org_id: UUID, paging: Paging) -> Slice[InvitationRow]:
    """Return the org's invitations, the newest first."""
    return await _INVITATIONS.fetch(db, paging, org_id=org_id)


async def get_invitation(db: Readable, org_id: UUID, invitation_id: UUID) -> InvitationRow:
    """Return one of the org's invitations. Raises NotFound."""
    return await one_or_404(db, _INVITATION, InvitationRow, {"org_id": org_id, "invitation_id": invitation_id})


async def get_live_invitation(db: Readable, token: str) -> LiveInvitation:
    """Return the usable invitation with this token, with the card of its org (S6).

    Raises InvitationUnknown (no such invitation, or it is revoked, or its org is closed), InvitationExpired,
    InvitationUsedUp.
    """
    row = await fetch_row(db, _LIVE_INVITATION, LiveInvitation, {"token_hash": hash_secret(token)})
    if row is None:
        raise InvitationUnknown
    if row.expired:
        raise InvitationExpired
    if row.used_up:
        raise InvitationUsedUp
    return row


_APPLICATION = select(*APPLICATION_COLUMNS).where(Certification.id == bindparam("application_id"))
# The applications that an org has received, each with the applicant's name and verification state.
_RECEIVED_APPLICATIONS = (
    select(
        *APPLICATION_COLUMNS,
        Org.name.label("subordinate_name"),
        Org.kind.label("subordinate_kind"),
        Org.region_code.label("subordinate_region"),
        User.verified_name.label("applicant_name"),
        User.verified_at.is_not(None).label("applicant_verified"),
    )
    .join(Org, Org.id == Certification.subordinate_id)
    .join(User, User.id == Certification.requested_by)
    .where(Certification.superior_id == _ORG_ID)
)
_RECEIVED_APPLICATION = _RECEIVED_APPLICATIONS.where(Certification.id == bindparam("application_id"))


@cache
def _select_received_applications(*, in_state: bool) -> PagedStatement[ReceivedApplicationOut]:
    statement = _RECEIVED_APPLICATIONS
    if in_state:
        statement = statement.where(Certification.state == bindparam("state"))
    return PagedStatement(statement, Certification.id.desc(), row=ReceivedApplicationOut)


async def get_application(db: Readable, application_id: UUID) -> ApplicationOut:
    """Return one application, for either of its two orgs. Raises NotFound."""
    return await one_or_404(db, _APPLICATION, ApplicationOut, {"application_id": application_id})


_RECEIVED_BY_ID = _RECEIVED_APPLICATIONS.where(
    Certification.id == any_(bindparam("application_ids", type_=ARRAY(Uuid)))
)


async def list_received_by_id(
    db: Readable, org: OrgCard, application_ids: Sequence[UUID]
) -> dict[UUID, ReceivedApplicationOut]:
    """Return those of these applications that the org has received, by id."""
    parameters = {"org_id": org.id, "application_ids": list(application_ids)}
    found = await fetch_rows(db, _RECEIVED_BY_ID, ReceivedApplicationOut, parameters)
    return {application.id: _complete_application(org, application) for application in found}


async def list_received_applications(
    db: Readable, org: OrgCard, state: CertificationState | None, paging: Paging
) -> Page[ReceivedApplicationOut]:
    """Return the applications that an org has received, the newest first; with `state`, only those in this state."""
    parameters = {"org_id": org.id} if state is None else {"org_id": org.id, "state": state}
    found = await _select_received_applications(in_state=state is not None).fetch(db, paging, **parameters)
    return Page[ReceivedApplicationOut].from_slice(found.map(partial(_complete_application, org)))


async def get_received_application(db: Readable, org: OrgCard, application_id: UUID) -> ReceivedApplicationOut:
    """Return one application that an org has received. Raises NotFound."""
    parameters = {"org_id": org.id, "application_id": application_id}
    return _complete_application(org, await one_or_404(db, _RECEIVED_APPLICATION, ReceivedApplicationOut, parameters))


class _Applicant(NamedTuple):
    kind: str
    region_code: str


def _complete_application(org: OrgCard, application: ReceivedApplicationOut) -> ReceivedApplicationOut:
    """Return the application with the region's name in place of its code, and with advice about the edge."""
    applicant = _Applicant(application.subordinate_kind, application.subordinate_region)
    region = format_region_path(applicant.region_code)
    advice = build_advice(list_edge_advice(org, applicant)) if application.state is CertificationState.PENDING else []
    return application.model_copy(update={"subordinate_region": region, "advice": advice})


@dataclass(frozen=True, slots=True)
class TimeRange:
    """The half-open interval [since, until). None means that this side has no limit."""

    since: datetime | None = None
    until: datetime | None = None


# The edges from an org to its superiors, each with the superior's name.
_EDGES_TO_SUPERIORS = (
    select(*APPLICATION_COLUMNS, Org.name.label("superior_name"), Certification.certified_at, Certification.ended_at)
    .join(Org, Org.id == Certification.superior_id)
    .where(Certification.subordinate_id == _ORG_ID)
)
_EDGE_TO_SUPERIOR = _EDGES_TO_SUPERIORS.where(Certification.id == bindparam("certification_id"))


@cache
def _select_certifications(*, since: bool, until: bool) -> PagedStatement[CertificationOut]:
    statement = _EDGES_TO_SUPERIORS
    if since:
        ended = case((Certification.certified_at.is_(None), Certification.decided_at), else_=Certification.ended_at)
        statement = statement.where(or_(ended.is_(None), ended >= bindparam("since", type_=DateTime(timezone=True))))
    if until:
        statement = statement.where(Certification.requested_at < bindparam("until"))
    return PagedStatement(statement, Certification.id.desc(), row=CertificationOut)


async def get_certification(db: Readable, org_id: UUID, certification_id: UUID) -> CertificationOut:
    """Return one certification of an org under a superior, in any state. Raises NotFound."""
    parameters = {"org_id": org_id, "certification_id": certification_id}
    return await one_or_404(db, _EDGE_TO_SUPERIOR, CertificationOut, parameters)


async def list_certifications(
    db: Readable, org_id: UUID, paging: Paging, during: TimeRange = TimeRange()
) -> Page[CertificationOut]:
    """Return the org's certifications under superiors, in any state, the newest first: those that were pending or live
    at some time in `during`."""
    times = {name: at for name, at in (("since", during.since), ("until", during.until)) if at is not None}
    statement = _select_certifications(since="since" in times, until="until" in times)
    return Page[CertificationOut].from_slice(await statement.fetch(db, paging, org_id=org_id, **times))


_BY_NAME = (Certification.subordinate_sort_key, Certification.subordinate_id)
_SUBORDINATES = (
    select(Org.id, Org.name, Org.kind, Org.region_code, Certification.certified_at)
    .join(Org, Org.id == Certification.subordinate_id)
    .where(Certification.superior_id == _ORG_ID, Certification.state == CertificationState.LIVE)
)
_SUBORDINATE = _SUBORDINATES.where(Org.id == bindparam("subordinate_id"))
_LowerEdge = aliased(Certification, name="lower_edge")
_NODES = PagedStatement(
    select(
        Org.id,
        Org.name,
        exists()
        .where(_LowerEdge.superior_id == Org.id, _LowerEdge.state == CertificationState.LIVE)
        .correlate(Org)
        .label("has_subordinates"),
    )
    .join(Certification, Certification.subordinate_id == Org.id)
    .where(Certification.superior_id == _ORG_ID, Certification.state == CertificationState.LIVE),
    *_BY_NAME,
    row=OrgNode,
)
_ANCESTORS = tree.build_ancestors(_ORG_ID)
_SUPERIORS = (
    select(Org.id, Org.name, _ANCESTORS.c.distance)
    .join(_ANCESTORS, _ANCESTORS.c.id == Org.id)
    .where(_ANCESTORS.c.distance > 0)
    .order_by(_ANCESTORS.c.distance)
)


@cache
def _select_subordinates(search: SearchBy | None) -> PagedStatement[SubordinateOut]:
    statement = _SUBORDINATES if search is None else _SUBORDINATES.where(ORG_NAMES.build_condition(search))
    return PagedStatement(statement, *_BY_NAME, row=SubordinateOut)


async def list_subordinates(
    db: Readable, org_id: UUID, paging: Paging, wanted: str | None = None
) -> Page[SubordinateOut]:
    """Return the direct subordinates of an org, ordered by name. `wanted` searches the names by characters, pinyin or
    initials. One index serves each page of each org, so that every page costs the same."""
    statement = _select_subordinates(None if wanted is None else SearchBy.choose(wanted))
    parameters = {} if wanted is None else ORG_NAMES.build_parameters(wanted)
    return Page[SubordinateOut].from_slice(await statement.fetch(db, paging, org_id=org_id, **parameters))


async def get_subordinate(db: Readable, org_id: UUID, subordinate_id: UUID) -> SubordinateOut:
    """Return one direct subordinate of an org. Raises NotFound."""
    parameters = {"org_id": org_id, "subordinate_id": subordinate_id}
    return await one_or_404(db, _SUBORDINATE, SubordinateOut, parameters)


async def list_subordinate_nodes(db: Readable, org_id: UUID, paging: Paging) -> Slice[OrgNode]:
    """Return the direct subordinates as nodes of a tree, ordered by name; each says whether it has subordinates."""
    return await _NODES.fetch(db, paging, org_id=org_id)


async def list_superiors(db: Readable, org_id: UUID) -> list[SuperiorOut]:
    """Return the org's superiors, the direct superior first."""
    return await fetch_rows(db, _SUPERIORS, SuperiorOut, {"org_id": org_id})
