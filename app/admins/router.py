"""Who administers an org, over HTTP (S4, S11)."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from app.admins import operations, queries
from app.admins.errors import (
    AdminInvitationDecided,
    AdminInvitationExpired,
    AdminInvitationOpen,
    AlreadyAdmin,
    AlreadyMainAdmin,
    InviteeNameDiffers,
    MainAdminStays,
    RecoveryOfferStale,
    UnknownMember,
)
from app.admins.invitees import Invitee
from app.admins.schemas import AdminInvitationOut, AdminOut, AdminshipOut, ReceivedAdminInvitationOut
from app.authz.access import Can, OrgScope, SignedIn
from app.authz.errors import OrgClosed, RealNameRequired
from app.authz.permissions import Permission
from app.core.cipher import CipherDep
from app.database.db import ReadDb, TransactionalRoute, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.members.errors import PhoneOfAnotherMember
from app.orgs.advice import advice_out, levels_advice
from app.orgs.errors import PartyMemberRequired
from app.web.errors import Problem, problem_response, problems

router = APIRouter(prefix="/v1", route_class=TransactionalRoute, tags=["admins"])

Reader = Annotated[OrgScope, Can(Permission.ADMINS_READ)]
MainAdmin = Annotated[OrgScope, Can(Permission.ADMINS_WRITE)]
Resigning = Annotated[OrgScope, Can(Permission.ADMINS_RESIGN)]


@router.get("/orgs/{org_id}/admins")
async def list_admins(scope: Reader, db: ReadDb) -> list[AdminOut]:
    """The org's admins, the main one first."""
    return await queries.list_admins(db, scope.org_id)


@router.delete("/orgs/{org_id}/admins/me", status_code=204, responses=problems(MainAdminStays))
async def resign(scope: Resigning, db: WriteDb) -> None:
    """Give up one's own office. The main admin first hands over."""
    await operations.resign(db, scope)


@router.delete("/orgs/{org_id}/admins/{user_id}", status_code=204, responses=problems(MainAdminStays))
async def remove_admin(scope: MainAdmin, user_id: UUID, db: WriteDb) -> None:
    """Remove an admin; only the main admin does. As a member they stay."""
    await operations.remove_admin(db, scope, user_id)


@router.post(
    "/orgs/{org_id}/admin-invitations",
    status_code=201,
    responses=problems(UnknownMember, AlreadyAdmin, AdminInvitationOpen),
)
async def create_admin_invitation(
    scope: MainAdmin, body: Invitee, db: WriteDb, cipher: CipherDep
) -> AdminInvitationOut:
    """Invite somebody, by phone or by their member row, to be an admin. The answer is the same whoever holds the
    phone, if anybody does; verification is checked when they accept. An invitation of a member is made to the account
    that the row is linked to; without one, only a user of the member's name accepts it."""
    invitation_id = await operations.invite_admin(db, cipher, scope, body)
    return await queries.get_admin_invitation(db, cipher, scope.org_id, invitation_id)


@router.get("/orgs/{org_id}/admin-invitations")
async def list_admin_invitations(
    scope: Reader, db: ReadDb, cipher: CipherDep, paging: Annotated[Paging, paged_by(UUID)]
) -> Page[AdminInvitationOut]:
    """The org's invitations to be an admin, newest first."""
    return await queries.list_admin_invitations(db, cipher, scope.org_id, paging)


@router.get("/orgs/{org_id}/admin-invitations/{invitation_id}")
async def read_sent_admin_invitation(
    scope: Reader, invitation_id: UUID, db: ReadDb, cipher: CipherDep
) -> AdminInvitationOut:
    """One of the org's invitations to be an admin."""
    return await queries.get_admin_invitation(db, cipher, scope.org_id, invitation_id)


@router.delete(
    "/orgs/{org_id}/admin-invitations/{invitation_id}",
    status_code=204,
    responses=problems(AdminInvitationDecided, AdminInvitationExpired),
)
async def withdraw_admin_invitation(scope: MainAdmin, invitation_id: UUID, db: WriteDb) -> None:
    """Withdraw an invitation while it waits; also the offer of a recovery, which the main admin objects to thereby."""
    await operations.withdraw_admin_invitation(db, scope, invitation_id)


@router.get("/me/admin-invitations/{invitation_id}")
async def read_admin_invitation(user: SignedIn, invitation_id: UUID, db: ReadDb) -> ReceivedAdminInvitationOut:
    """An invitation to be an admin that waits for the caller; the inbox names it."""
    return await queries.get_received_admin_invitation(db, user.user_id, invitation_id)


@router.put(
    "/me/admin-invitations/{invitation_id}/acceptance",
    response_model=AdminshipOut,
    responses=problems(
        RealNameRequired,
        PartyMemberRequired,
        OrgClosed,
        AdminInvitationDecided,
        AdminInvitationExpired,
        AlreadyAdmin,
        AlreadyMainAdmin,
        InviteeNameDiffers,
        PhoneOfAnotherMember,
        RecoveryOfferStale,
    ),
)
async def accept_admin_invitation(
    request: Request, user: SignedIn, invitation_id: UUID, db: WriteDb, cipher: CipherDep
) -> AdminshipOut | JSONResponse:
    """Become an admin of the org that invites. The caller's real name must be verified by now.

    A recovery (`recovery` of the invitation) makes the caller the main admin. Where a member was invited who has
    another name than the caller, the invitation ends and the org is told.
    """
    org = await operations.accept_admin_invitation(db, cipher, user, invitation_id)
    if isinstance(org, Problem):
        return problem_response(request, org)
    advice = advice_out(await levels_advice(db, user.user_id))
    return AdminshipOut(org_id=org.id, org_name=org.name, advice=advice)


@router.put(
    "/me/admin-invitations/{invitation_id}/refusal",
    status_code=204,
    responses=problems(AdminInvitationDecided, AdminInvitationExpired),
)
async def refuse_admin_invitation(user: SignedIn, invitation_id: UUID, db: WriteDb) -> None:
    """Decline. The org is told that its invitation was declined, and no more."""
    await operations.refuse_admin_invitation(db, user, invitation_id)
