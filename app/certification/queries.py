"""Reads of invitations, applications and the hierarchy around an org."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Select, case, exists, func, or_, select
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
from app.database.db import Readable
from app.database.paging import Page, Paging, Slice, fetch_page
from app.database.rows import fetch_row, fetch_rows, one_or_404
from app.hierarchy import tree
from app.orgs.queries import name_has
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


async def list_invitations(db: Readable, org_id: UUID, paging: Paging) -> Slice[InvitationRow]:
    """The org's invitations, newest first."""
    statement = select(*INVITATION_COLUMNS).where(Invitation.org_id == org_id)
    return await fetch_page(db, statement, paging, Invitation.id.desc(), row=InvitationRow)


async def get_invitation(db: Readable, org_id: UUID, invitation_id: UUID) -> InvitationRow:
    """One of the org's invitations. Raises NotFound."""
    statement = select(*INVITATION_COLUMNS).where(Invitation.org_id == org_id, Invitation.id == invitation_id)
    return await one_or_404(db, statement, InvitationRow)


async def get_live_invitation(db: Readable, token: str) -> LiveInvitation:
    """The invitation that a token names, with the card of its org.

    Raises InvitationUnknown (never was, or revoked), InvitationExpired, InvitationUsedUp (S6).
    """
    statement = (
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
        .where(Invitation.token_hash == hash_secret(token), Invitation.revoked_at.is_(None), Org.status == "live")
    )
    row = await fetch_row(db, statement, LiveInvitation)
    if row is None:
        raise InvitationUnknown
    if row.expired:
        raise InvitationExpired
    if row.used_up:
        raise InvitationUsedUp
    return row


async def get_application(db: Readable, application_id: UUID) -> ApplicationOut:
    """One application, whichever side of it asks. Raises NotFound."""
    return await one_or_404(db, select(*APPLICATION_COLUMNS).where(Certification.id == application_id), ApplicationOut)


def _received_applications(org_id: UUID) -> Select[*tuple[Any, ...]]:
    """Applications made to an org, with the name and verification state of who applies."""
    return (
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
        .where(Certification.superior_id == org_id)
    )


async def list_received_applications(
    db: Readable, org_id: UUID, state: CertificationState | None, paging: Paging
) -> Page[ReceivedApplicationOut]:
    """The applications made to an org, newest first."""
    statement = _received_applications(org_id)
    if state is not None:
        statement = statement.where(Certification.state == state)
    found = await fetch_page(db, statement, paging, Certification.id.desc(), row=ReceivedApplicationOut)
    return Page[ReceivedApplicationOut].from_slice(found.map(_with_region))


async def get_received_application(db: Readable, org_id: UUID, application_id: UUID) -> ReceivedApplicationOut:
    """One application made to an org. Raises NotFound."""
    one = _received_applications(org_id).where(Certification.id == application_id)
    return _with_region(await one_or_404(db, one, ReceivedApplicationOut))


def _with_region(application: ReceivedApplicationOut) -> ReceivedApplicationOut:
    """With the region's name instead of its code."""
    return application.model_copy(update={"subordinate_region": path_of(application.subordinate_region)})


@dataclass(frozen=True, slots=True)
class TimeRange:
    """From `since` on, before `until`; None: without end on that side."""

    since: datetime | None = None
    until: datetime | None = None


def _certifications(org_id: UUID) -> Select[*tuple[Any, ...]]:
    """The edges above an org, with the name of the org above."""
    return (
        select(
            *APPLICATION_COLUMNS,
            Org.name.label("superior_name"),
            Certification.certified_at,
            Certification.ended_at,
        )
        .join(Org, Org.id == Certification.superior_id)
        .where(Certification.subordinate_id == org_id)
    )


async def get_certification(db: Readable, org_id: UUID, certification_id: UUID) -> CertificationOut:
    """One edge that there was or is asked for above an org. Raises NotFound."""
    return await one_or_404(db, _certifications(org_id).where(Certification.id == certification_id), CertificationOut)


async def list_certifications(
    db: Readable, org_id: UUID, paging: Paging, during: TimeRange = TimeRange()
) -> Page[CertificationOut]:
    """Every edge there was or is asked for above an org, newest first, with its time range: of those that were live or
    pending at some time of `during`."""
    statement = _certifications(org_id)
    if during.since is not None:
        ended = case((Certification.certified_at.is_(None), Certification.decided_at), else_=Certification.ended_at)
        statement = statement.where(or_(ended.is_(None), ended >= during.since))
    if during.until is not None:
        statement = statement.where(Certification.requested_at < during.until)
    return Page[CertificationOut].from_slice(
        await fetch_page(db, statement, paging, Certification.id.desc(), row=CertificationOut)
    )


def _subordinates(org_id: UUID) -> Select[*tuple[Any, ...]]:
    return (
        select(Org.id, Org.name, Org.kind, Org.region_code, Certification.certified_at)
        .join(Org, Org.id == Certification.subordinate_id)
        .where(Certification.superior_id == org_id, Certification.state == CertificationState.LIVE)
    )


async def list_subordinates(
    db: Readable, org_id: UUID, paging: Paging, wanted: str | None = None
) -> Page[SubordinateOut]:
    """The orgs certified directly under one, by name; one index serves any page of any org alike. `wanted` finds them
    by characters of the name, by pinyin or initials."""
    statement = _subordinates(org_id)
    if wanted is not None:
        statement = statement.where(name_has(wanted))
    by_name = (Certification.subordinate_name, Certification.subordinate_id)
    return Page[SubordinateOut].from_slice(await fetch_page(db, statement, paging, *by_name, row=SubordinateOut))


async def get_subordinate(db: Readable, org_id: UUID, subordinate_id: UUID) -> SubordinateOut:
    """One org certified directly under another. Raises NotFound."""
    return await one_or_404(db, _subordinates(org_id).where(Org.id == subordinate_id), SubordinateOut)


async def list_subordinate_nodes(db: Readable, org_id: UUID, paging: Paging) -> Slice[Branch]:
    """The same as the branches of a tree: each with whether orgs are certified under it in turn."""
    below = aliased(Certification, name="below")
    live = below.state == CertificationState.LIVE
    has_subordinates = exists().where(below.superior_id == Org.id, live).correlate(Org)
    statement = (
        select(Org.id, Org.name, has_subordinates.label("has_subordinates"))
        .join(Certification, Certification.subordinate_id == Org.id)
        .where(Certification.superior_id == org_id, Certification.state == CertificationState.LIVE)
    )
    by_name = (Certification.subordinate_name, Certification.subordinate_id)
    return await fetch_page(db, statement, paging, *by_name, row=Branch)


async def list_superiors(db: Readable, org_id: UUID) -> list[SuperiorOut]:
    """The chain above an org, the direct superior first."""
    above = tree.ancestors(org_id)
    statement = (
        select(Org.id, Org.name, above.c.distance)
        .join(above, above.c.id == Org.id)
        .where(above.c.distance > 0)
        .order_by(above.c.distance)
    )
    return await fetch_rows(db, statement, SuperiorOut)
