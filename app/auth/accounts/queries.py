"""What a user reads of their own account."""

from uuid import UUID

from sqlalchemy import func, select

from app.auth.accounts.schemas import MeOut, SessionOut
from app.auth.verification.schemas import VerificationOut
from app.auth.verification.verifications import COLUMNS
from app.authz.access import UserScope
from app.core.cipher import Cipher
from app.database.db import Readable
from app.database.paging import Page, Paging, fetch_page
from app.database.rows import one_or_404
from app.schema.auth import OAuthClient, Session, User, Verification
from app.web.errors import Unauthorized


async def get_me(db: Readable, cipher: Cipher, scope: UserScope) -> MeOut:
    """The user's account. Raises Unauthorized if it was closed since the request was authorized."""
    statement = select(
        User.id,
        User.phone_cipher,
        User.verified_name,
        User.verified_at,
        User.verification_method,
        User.party_member,
        User.created_at,
    ).where(User.id == scope.user_id)
    row = (await db.execute(statement)).one()
    if row.phone_cipher is None:  # closed since the caller was let in
        raise Unauthorized
    return MeOut(
        id=row.id,
        phone=cipher.decrypt_text(row.phone_cipher, row.id),
        verified_name=row.verified_name,
        verified_at=row.verified_at,
        verification_method=row.verification_method,
        party_member=row.party_member,
        created_at=row.created_at,
    )


async def list_sessions(db: Readable, scope: UserScope, paging: Paging) -> Page[SessionOut]:
    """A page of the user's live sessions, the newest first."""
    statement = (
        select(
            Session.id,
            OAuthClient.name.label("client"),
            Session.device,
            Session.address,
            Session.created_at,
            Session.refreshed_at,
            (Session.id == scope.session_id).label("current"),
        )
        .join(OAuthClient, OAuthClient.id == Session.client_id)
        .where(Session.user_id == scope.user_id, Session.ended_at.is_(None), Session.expires_at > func.now())
        # As long unused as its tokens and its cookie last, it has lapsed as well.
        .where(Session.refreshed_at > func.now() - func.make_interval(0, 0, 0, 0, 0, 0, OAuthClient.refresh_seconds))
    )
    return Page[SessionOut].from_slice(await fetch_page(db, statement, paging, Session.id.desc(), row=SessionOut))


async def list_verifications(db: Readable, scope: UserScope, paging: Paging) -> Page[VerificationOut]:
    """A page of the user's attempts to verify their name, the newest first."""
    statement = select(*COLUMNS).where(Verification.user_id == scope.user_id)
    return Page[VerificationOut].from_slice(
        await fetch_page(db, statement, paging, Verification.id.desc(), row=VerificationOut)
    )


async def get_verification(db: Readable, scope: UserScope, verification_id: UUID) -> VerificationOut:
    """One of the user's attempts. Raises NotFound."""
    statement = select(*COLUMNS).where(Verification.id == verification_id, Verification.user_id == scope.user_id)
    return await one_or_404(db, statement, VerificationOut)
