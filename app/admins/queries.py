"""Reads of admins and invitations."""

from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

from sqlalchemy import Uuid, bindparam, case, select
from sqlalchemy.orm import aliased

from app.admins.invitees import is_offered_to
from app.admins.schemas import (
    AdminInvitationOut,
    AdminOut,
    ReceivedAdminInvitationOut,
    RecoveryOfferOut,
)
from app.approvals.kinds import ADMIN_INVITATION
from app.core.cipher import Cipher
from app.core.phones import mask
from app.database.db import Readable
from app.database.paging import Page, PagedStatement, Paging
from app.database.rows import fetch_rows, one_or_404
from app.orgs.regions import format_region_path
from app.schema.admins import AdminInvitation, OrgAdmin
from app.schema.approvals import State
from app.schema.auth import User
from app.schema.orgs import Org

_Requester = aliased(User, name="requester")


_ORG_ID = bindparam("org_id", type_=Uuid())
_IS_MAIN = Org.main_admin_id == OrgAdmin.user_id
_ADMINS = (
    select(OrgAdmin.user_id, User.verified_name.label("name"), _IS_MAIN.label("main"), OrgAdmin.since)
    .join(Org, Org.id == OrgAdmin.org_id)
    .join(User, User.id == OrgAdmin.user_id)
    .where(OrgAdmin.org_id == _ORG_ID)
    .order_by(_IS_MAIN.desc(), OrgAdmin.since, OrgAdmin.user_id)
)


async def list_admins(db: Readable, org_id: UUID) -> list[AdminOut]:
    """Return the org's admins: the main admin first, then the others in the order in which they became admins."""
    return await fetch_rows(db, _ADMINS, AdminOut, {"org_id": org_id})


class _Invitation(NamedTuple):
    id: UUID
    phone_cipher: bytes | None
    state: str
    recovery: bool
    requested_by: str | None
    requested_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    reason: Literal["name-differs"] | None


_IS_RECOVERY = AdminInvitation.is_recovery()
# The org does not learn the name of the person who offers a recovery.
_INVITED_BY = case((_IS_RECOVERY, None), else_=User.verified_name).label("requested_by")
_INVITATIONS_OF_ORG = (
    select(
        AdminInvitation.id,
        AdminInvitation.phone_cipher,
        ADMIN_INVITATION.state,
        _IS_RECOVERY.label("recovery"),
        _INVITED_BY,
        AdminInvitation.requested_at,
        AdminInvitation.expires_at,
        AdminInvitation.decided_at,
        AdminInvitation.reason,
    )
    .join(User, User.id == AdminInvitation.requested_by)
    .where(AdminInvitation.org_id == _ORG_ID)
)
_INVITATION = _INVITATIONS_OF_ORG.where(AdminInvitation.id == bindparam("invitation_id"))
_INVITATIONS = PagedStatement(_INVITATIONS_OF_ORG, AdminInvitation.id.desc(), row=_Invitation)


def _build_admin_invitation(cipher: Cipher, row: _Invitation) -> AdminInvitationOut:
    phone = None if row.phone_cipher is None else mask(cipher.decrypt_text(row.phone_cipher, row.id))
    return AdminInvitationOut(
        id=row.id,
        phone=phone,
        state=State(row.state),
        recovery=row.recovery,
        requested_by=row.requested_by,
        requested_at=row.requested_at,
        expires_at=row.expires_at,
        decided_at=row.decided_at,
        reason=row.reason,
    )


async def list_admin_invitations(
    db: Readable, cipher: Cipher, org_id: UUID, paging: Paging
) -> Page[AdminInvitationOut]:
    """Return the admin invitations that the org has sent, the newest first, with masked phones."""
    found = await _INVITATIONS.fetch(db, paging, org_id=org_id)
    return Page[AdminInvitationOut].from_slice(found.map(lambda row: _build_admin_invitation(cipher, row)))


async def get_admin_invitation(db: Readable, cipher: Cipher, org_id: UUID, invitation_id: UUID) -> AdminInvitationOut:
    """Return one admin invitation that the org has sent. Raises NotFound."""
    parameters = {"org_id": org_id, "invitation_id": invitation_id}
    return _build_admin_invitation(cipher, await one_or_404(db, _INVITATION, _Invitation, parameters))


class _ReceivedInvitation(NamedTuple):
    id: UUID
    org_id: UUID
    org_name: str
    region_code: str
    recovery: bool
    superior_name: str | None
    requested_by: str | None
    expires_at: datetime


_Superior = aliased(Org, name="superior")
_RECEIVED_INVITATION = (
    select(
        AdminInvitation.id,
        AdminInvitation.org_id,
        Org.name.label("org_name"),
        Org.region_code,
        _IS_RECOVERY.label("recovery"),
        _Superior.name.label("superior_name"),
        _INVITED_BY,
        AdminInvitation.expires_at,
    )
    .join(Org, Org.id == AdminInvitation.org_id)
    .outerjoin(_Superior, _Superior.id == AdminInvitation.superior_id)
    .join(User, User.id == AdminInvitation.requested_by)
    .where(AdminInvitation.id == bindparam("invitation_id"), ADMIN_INVITATION.waiting)
    .where(is_offered_to(AdminInvitation, bindparam("user_id", type_=Uuid())))
)


async def get_received_admin_invitation(db: Readable, user_id: UUID, invitation_id: UUID) -> ReceivedAdminInvitationOut:
    """Return an invitation that is addressed to the user, pending and not expired. Raises NotFound."""
    parameters = {"user_id": user_id, "invitation_id": invitation_id}
    row = await one_or_404(db, _RECEIVED_INVITATION, _ReceivedInvitation, parameters)
    return ReceivedAdminInvitationOut(
        id=row.id,
        org_id=row.org_id,
        org_name=row.org_name,
        region=format_region_path(row.region_code),
        recovery=row.recovery,
        superior_name=row.superior_name,
        requested_by=row.requested_by,
        expires_at=row.expires_at,
    )


class _RecoveryOffer(NamedTuple):
    id: UUID
    org_id: UUID
    org_name: str
    phone_cipher: bytes | None
    state: str
    requested_at: datetime
    expires_at: datetime
    decided_at: datetime | None


_IS_OF_SUPERIOR = AdminInvitation.superior_id.is_not_distinct_from(bindparam("superior_id"))
_OFFERS = (
    select(
        AdminInvitation.id,
        AdminInvitation.org_id,
        Org.name.label("org_name"),
        AdminInvitation.phone_cipher,
        ADMIN_INVITATION.state,
        AdminInvitation.requested_at,
        AdminInvitation.expires_at,
        AdminInvitation.decided_at,
    )
    .join(Org, Org.id == AdminInvitation.org_id)
    .where(_IS_RECOVERY, _IS_OF_SUPERIOR)
)
_RECOVERY_OFFERS = PagedStatement(_OFFERS, AdminInvitation.id.desc(), row=_RecoveryOffer)
_OFFERS_TO = _OFFERS.where(AdminInvitation.org_id == _ORG_ID)
_RECOVERY_OFFERS_TO = PagedStatement(_OFFERS_TO, AdminInvitation.id.desc(), row=_RecoveryOffer)
_RECOVERY_OFFER = _OFFERS.where(AdminInvitation.id == bindparam("offer_id"))
_RECOVERY_OFFER_TO = _OFFERS_TO.where(AdminInvitation.id == bindparam("offer_id"))


async def list_recovery_offers(
    db: Readable, cipher: Cipher, superior_id: UUID | None, org_id: UUID | None, paging: Paging
) -> Page[RecoveryOfferOut]:
    """Return the recovery offers that a superior has made, the newest first, with masked phones.

    `superior_id` None selects the offers of the platform operators; `org_id` None selects the offers for all orgs.
    """
    if org_id is None:
        found = await _RECOVERY_OFFERS.fetch(db, paging, superior_id=superior_id)
    else:
        found = await _RECOVERY_OFFERS_TO.fetch(db, paging, superior_id=superior_id, org_id=org_id)
    return Page[RecoveryOfferOut].from_slice(found.map(lambda row: _build_recovery_offer(cipher, row)))


async def get_recovery_offer(
    db: Readable, cipher: Cipher, superior_id: UUID | None, org_id: UUID | None, offer_id: UUID
) -> RecoveryOfferOut:
    """Return one recovery offer that a superior has made, with a masked phone. Raises NotFound.

    `superior_id` None selects the offers of the platform operators; `org_id` None selects the offers for all orgs.
    """
    parameters = {"superior_id": superior_id, "offer_id": offer_id}
    if org_id is None:
        row = await one_or_404(db, _RECOVERY_OFFER, _RecoveryOffer, parameters)
    else:
        row = await one_or_404(db, _RECOVERY_OFFER_TO, _RecoveryOffer, parameters | {"org_id": org_id})
    return _build_recovery_offer(cipher, row)


def _build_recovery_offer(cipher: Cipher, row: _RecoveryOffer) -> RecoveryOfferOut:
    phone = None if row.phone_cipher is None else mask(cipher.decrypt_text(row.phone_cipher, row.id))
    return RecoveryOfferOut(
        id=row.id,
        org_id=row.org_id,
        org_name=row.org_name,
        phone=phone,
        state=State(row.state),
        requested_at=row.requested_at,
        expires_at=row.expires_at,
        decided_at=row.decided_at,
    )
