"""Reads of invitations, applications and the hierarchy around an org."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import DateTime, Uuid, bindparam, case, exists, func, or_, select
from sqlalchemy.orm import aliased

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
from app.orgs.queries import ORG_NAMES
from app.orgs.regions import path_of
from app.schema.approvals import CertificationState
from app.schema.auth import User
from app.schema.certification import Certification, Invitation
from app.schema.orgs import Org


class InvitationRow(NamedTuple):
    """An invitation as it is stored; `token_cipher` is encrypted for its id."""

    id: UUID
    token_cipher: bytes
    expires_at: datetime
    max_uses: int
    uses: int
    revoked_at: datetime | None
    created_at: datetime


class LiveInvitation(NamedTuple):
    """An invitation that can be used, with the card of its org."""

    id: UUID
    org_id: UUID
    expires_at: datetime
    expired: bool
    used_up: bool
    org_name: str
    org_kind: str
    region_code: str


class Branch(NamedTuple):
    """An org as a branch of a tree."""

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
    """The org's invitations, newest first."""
    return await _INVITATIONS.fetch(db, paging, org_id=org_id)


async def get_invitation(db: Readable, org_id: UUID, invitation_id: UUID) -> InvitationRow:
    """One of the org's invitations. Raises NotFound."""
    return await one_or_404(db, _INVITATION, InvitationRow, {"org_id": org_id, "invitation_id": invitation_id})


async def get_live_invitation(db: Readable, token: str) -> LiveInvitation:
    """The invitation that a token names, with the card of its org.

    Raises InvitationUnknown (never was, or revoked), InvitationExpired, InvitationUsedUp (S6).
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
# Made to an org, with the name and verification state of who applies.
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
def _received_applications(*, in_state: bool) -> PagedStatement[ReceivedApplicationOut]:
    found = _RECEIVED_APPLICATIONS
    if in_state:
        found = found.where(Certification.state == bindparam("state"))
    return PagedStatement(found, Certification.id.desc(), row=ReceivedApplicationOut)


async def get_application(db: Readable, application_id: UUID) -> ApplicationOut:
    """One application, whichever side of it asks. Raises NotFound."""
    return await one_or_404(db, _APPLICATION, ApplicationOut, {"application_id": application_id})


async def list_received_applications(
    db: Readable, org_id: UUID, state: CertificationState | None, paging: Paging
) -> Page[ReceivedApplicationOut]:
    """The applications made to an org, newest first."""
    given = {"org_id": org_id} if state is None else {"org_id": org_id, "state": state}
    found = await _received_applications(in_state=state is not None).fetch(db, paging, **given)
    return Page[ReceivedApplicationOut].from_slice(found.map(_with_region))


async def get_received_application(db: Readable, org_id: UUID, application_id: UUID) -> ReceivedApplicationOut:
    """One application made to an org. Raises NotFound."""
    which = {"org_id": org_id, "application_id": application_id}
    return _with_region(await one_or_404(db, _RECEIVED_APPLICATION, ReceivedApplicationOut, which))


def _with_region(application: ReceivedApplicationOut) -> ReceivedApplicationOut:
    """With the region's name instead of its code."""
    return application.model_copy(update={"subordinate_region": path_of(application.subordinate_region)})


@dataclass(frozen=True, slots=True)
class TimeRange:
    """From `since` on, before `until`; None: without end on that side."""

    since: datetime | None = None
    until: datetime | None = None


# The edges above an org, with the name of the org above.
_EDGES_ABOVE = (
    select(*APPLICATION_COLUMNS, Org.name.label("superior_name"), Certification.certified_at, Certification.ended_at)
    .join(Org, Org.id == Certification.superior_id)
    .where(Certification.subordinate_id == _ORG_ID)
)
_EDGE_ABOVE = _EDGES_ABOVE.where(Certification.id == bindparam("certification_id"))


@cache
def _certifications(*, since: bool, until: bool) -> PagedStatement[CertificationOut]:
    found = _EDGES_ABOVE
    if since:
        ended = case((Certification.certified_at.is_(None), Certification.decided_at), else_=Certification.ended_at)
        found = found.where(or_(ended.is_(None), ended >= bindparam("since", type_=DateTime(timezone=True))))
    if until:
        found = found.where(Certification.requested_at < bindparam("until"))
    return PagedStatement(found, Certification.id.desc(), row=CertificationOut)


async def get_certification(db: Readable, org_id: UUID, certification_id: UUID) -> CertificationOut:
    """One edge that there was or is asked for above an org. Raises NotFound."""
    which = {"org_id": org_id, "certification_id": certification_id}
    return await one_or_404(db, _EDGE_ABOVE, CertificationOut, which)


async def list_certifications(
    db: Readable, org_id: UUID, paging: Paging, during: TimeRange = TimeRange()
) -> Page[CertificationOut]:
    """Every edge there was or is asked for above an org, newest first, with its time range: of those that were live or
    pending at some time of `during`."""
    times = {name: at for name, at in (("since", during.since), ("until", during.until)) if at is not None}
    statement = _certifications(since="since" in times, until="until" in times)
    return Page[CertificationOut].from_slice(await statement.fetch(db, paging, org_id=org_id, **times))


_BY_NAME = (Certification.subordinate_name, Certification.subordinate_id)
_SUBORDINATES = (
    select(Org.id, Org.name, Org.kind, Org.region_code, Certification.certified_at)
    .join(Org, Org.id == Certification.subordinate_id)
    .where(Certification.superior_id == _ORG_ID, Certification.state == CertificationState.LIVE)
)
_SUBORDINATE = _SUBORDINATES.where(Org.id == bindparam("subordinate_id"))
_Below = aliased(Certification, name="below")
_NODES = PagedStatement(
    select(
        Org.id,
        Org.name,
        exists()
        .where(_Below.superior_id == Org.id, _Below.state == CertificationState.LIVE)
        .correlate(Org)
        .label("has_subordinates"),
    )
    .join(Certification, Certification.subordinate_id == Org.id)
    .where(Certification.superior_id == _ORG_ID, Certification.state == CertificationState.LIVE),
    *_BY_NAME,
    row=Branch,
)
_ABOVE = tree.ancestors(_ORG_ID)
_SUPERIORS = (
    select(Org.id, Org.name, _ABOVE.c.distance)
    .join(_ABOVE, _ABOVE.c.id == Org.id)
    .where(_ABOVE.c.distance > 0)
    .order_by(_ABOVE.c.distance)
)


@cache
def _subordinates(search: SearchBy | None) -> PagedStatement[SubordinateOut]:
    found = _SUBORDINATES if search is None else _SUBORDINATES.where(ORG_NAMES.condition(search))
    return PagedStatement(found, *_BY_NAME, row=SubordinateOut)


async def list_subordinates(
    db: Readable, org_id: UUID, paging: Paging, wanted: str | None = None
) -> Page[SubordinateOut]:
    """The orgs certified directly under one, by name; one index serves any page of any org alike. `wanted` finds them
    by characters of the name, by pinyin or initials."""
    statement = _subordinates(None if wanted is None else SearchBy.of(wanted))
    given = {} if wanted is None else ORG_NAMES.parameters(wanted)
    return Page[SubordinateOut].from_slice(await statement.fetch(db, paging, org_id=org_id, **given))


async def get_subordinate(db: Readable, org_id: UUID, subordinate_id: UUID) -> SubordinateOut:
    """One org certified directly under another. Raises NotFound."""
    which = {"org_id": org_id, "subordinate_id": subordinate_id}
    return await one_or_404(db, _SUBORDINATE, SubordinateOut, which)


async def list_subordinate_nodes(db: Readable, org_id: UUID, paging: Paging) -> Slice[Branch]:
    """The same as the branches of a tree: each with whether orgs are certified under it in turn."""
    return await _NODES.fetch(db, paging, org_id=org_id)


async def list_superiors(db: Readable, org_id: UUID) -> list[SuperiorOut]:
    """The chain above an org, the direct superior first."""
    return await fetch_rows(db, _SUPERIORS, SuperiorOut, {"org_id": org_id})
