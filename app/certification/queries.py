"""Reads of invitations, applications and the hierarchy around an org."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, case, exists, func, literal, or_, select, tuple_
from sqlalchemy.orm import aliased

from app.certification.errors import InvitationExpired, InvitationUnknown, InvitationUsedUp
from app.core.cipher import hash_secret
from app.core.db import Readable
from app.core.errors import NotFound
from app.core.paging import Paging
from app.hierarchy import tree
from app.orgs.queries import name_has
from app.schema.auth import User
from app.schema.certification import Certification, Invitation
from app.schema.orgs import Org

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
    Certification.applied_at,
    Certification.decided_at,
    Certification.reason,
)


async def list_invitations(db: Readable, org_id: UUID, paging: Paging) -> Sequence[Any]:
    """The org's invitations, newest first."""
    statement = (
        select(*INVITATION_COLUMNS)
        .where(Invitation.org_id == org_id)
        .order_by(Invitation.id.desc())
        .limit(paging.limit + 1)
    )
    if paging.after is not None:
        statement = statement.where(Invitation.id < paging.after[0])
    return (await db.execute(statement)).all()


async def get_invitation(db: Readable, org_id: UUID, invitation_id: UUID) -> Any:
    statement = select(*INVITATION_COLUMNS).where(Invitation.org_id == org_id, Invitation.id == invitation_id)
    row = (await db.execute(statement)).one_or_none()
    if row is None:
        raise NotFound
    return row


async def get_live_invitation(db: Readable, token: str) -> Any:
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
    row = (await db.execute(statement)).one_or_none()
    if row is None:
        raise InvitationUnknown
    if row.expired:
        raise InvitationExpired
    if row.used_up:
        raise InvitationUsedUp
    return row


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
        .join(User, User.id == Certification.applied_by)
        .where(Certification.superior_id == org_id)
    )


async def list_received_applications(db: Readable, org_id: UUID, state: str | None, paging: Paging) -> Sequence[Any]:
    """The applications made to an org, newest first."""
    statement = _received_applications(org_id).order_by(Certification.id.desc()).limit(paging.limit + 1)
    if state is not None:
        statement = statement.where(Certification.state == state)
    if paging.after is not None:
        statement = statement.where(Certification.id < paging.after[0])
    return (await db.execute(statement)).all()


async def get_received_application(db: Readable, org_id: UUID, application_id: UUID) -> Any:
    """One application made to an org. Raises NotFound."""
    row = (await db.execute(_received_applications(org_id).where(Certification.id == application_id))).one_or_none()
    if row is None:
        raise NotFound
    return row


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
            Certification.released_at,
        )
        .join(Org, Org.id == Certification.superior_id)
        .where(Certification.subordinate_id == org_id)
    )


async def get_certification(db: Readable, org_id: UUID, certification_id: UUID) -> Any:
    """One edge that there was or is asked for above an org. Raises NotFound."""
    row = (await db.execute(_certifications(org_id).where(Certification.id == certification_id))).one_or_none()
    if row is None:
        raise NotFound
    return row


async def list_certifications(
    db: Readable, org_id: UUID, paging: Paging, during: TimeRange = TimeRange()
) -> Sequence[Any]:
    """Every edge there was or is asked for above an org, newest first, with its time range: of those that held or
    waited at some time of `during`."""
    statement = _certifications(org_id).order_by(Certification.id.desc()).limit(paging.limit + 1)
    if during.since is not None:
        ended = case((Certification.certified_at.is_(None), Certification.decided_at), else_=Certification.released_at)
        statement = statement.where(or_(ended.is_(None), ended >= during.since))
    if during.until is not None:
        statement = statement.where(Certification.applied_at < during.until)
    if paging.after is not None:
        statement = statement.where(Certification.id < paging.after[0])
    return (await db.execute(statement)).all()


async def list_subordinates(db: Readable, org_id: UUID, paging: Paging, wanted: str | None = None) -> Sequence[Any]:
    """The orgs certified directly under one, by name; one index serves any page of any org alike. `wanted` finds them
    by characters of the name, by pinyin or initials."""
    statement = (
        select(Org.id, Org.name, Org.kind, Org.region_code, Certification.certified_at)
        .join(Org, Org.id == Certification.subordinate_id)
        .where(Certification.superior_id == org_id, Certification.state == "certified")
        .order_by(Certification.subordinate_name, Certification.subordinate_id)
        .limit(paging.limit + 1)
    )
    if wanted is not None:
        statement = statement.where(name_has(wanted))
    if paging.after is not None:
        key = tuple_(Certification.subordinate_name, Certification.subordinate_id)
        statement = statement.where(key > tuple_(*map(literal, paging.after)))
    return (await db.execute(statement)).all()


async def get_subordinate(db: Readable, org_id: UUID, subordinate_id: UUID) -> Any:
    """One org certified directly under another. Raises NotFound."""
    statement = (
        select(Org.id, Org.name, Org.kind, Org.region_code, Certification.certified_at)
        .join(Org, Org.id == Certification.subordinate_id)
        .where(Certification.superior_id == org_id, Certification.state == "certified", Org.id == subordinate_id)
    )
    row = (await db.execute(statement)).one_or_none()
    if row is None:
        raise NotFound
    return row


async def list_subordinate_nodes(db: Readable, org_id: UUID, paging: Paging) -> Sequence[Any]:
    """The same as the branches of a tree: each with whether orgs are certified under it in turn."""
    below = aliased(Certification, name="below")
    has_subordinates = exists().where(below.superior_id == Org.id, below.state == "certified").correlate(Org)
    statement = (
        select(Org.id, Org.name, has_subordinates.label("has_subordinates"))
        .join(Certification, Certification.subordinate_id == Org.id)
        .where(Certification.superior_id == org_id, Certification.state == "certified")
        .order_by(Certification.subordinate_name, Certification.subordinate_id)
        .limit(paging.limit + 1)
    )
    if paging.after is not None:
        key = tuple_(Certification.subordinate_name, Certification.subordinate_id)
        statement = statement.where(key > tuple_(*map(literal, paging.after)))
    return (await db.execute(statement)).all()


async def list_superiors(db: Readable, org_id: UUID) -> Sequence[Any]:
    """The chain above an org, the direct superior first."""
    above = tree.ancestors(org_id)
    statement = (
        select(Org.id, Org.name, above.c.distance)
        .join(above, above.c.id == Org.id)
        .where(above.c.distance > 0)
        .order_by(above.c.distance)
    )
    return (await db.execute(statement)).all()
