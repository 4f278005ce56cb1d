"""The reads of the user's own account."""

from uuid import UUID

from sqlalchemy import bindparam, func, select

from app.auth.accounts.schemas import MeOut, SessionOut
from app.auth.verification.schemas import VerificationOut
from app.auth.verification.verifications import VERIFICATION_COLUMNS
from app.authz.access import UserScope
from app.core.cipher import Cipher
from app.database.db import Readable
from app.database.paging import Page, PagedStatement, Paging
from app.database.rows import one_or_404
from app.schema.auth import Session, User, Verification
from app.schema.sign_in import OAuthClient
from app.web.errors import Unauthorized

_ME = select(
    User.id,
    User.phone_cipher,
    User.verified_name,
    User.verified_at,
    User.verification_method,
    User.party_member,
    User.created_at,
).where(User.id == bindparam("user_id"))
_SESSIONS_OF_USER = (
    select(
        Session.id,
        OAuthClient.name.label("client"),
        Session.device,
        Session.address,
        Session.created_at,
        Session.refreshed_at,
        (Session.id == bindparam("session_id")).label("current"),
    )
    .join(OAuthClient, OAuthClient.id == Session.client_id)
    .where(Session.user_id == bindparam("user_id"), Session.ended_at.is_(None), Session.expires_at > func.now())
    # A session that was unused for the lifetime of its tokens and its cookie has expired too.
    .where(Session.refreshed_at > func.now() - func.make_interval(0, 0, 0, 0, 0, 0, OAuthClient.refresh_seconds))
)
_SESSIONS = PagedStatement(_SESSIONS_OF_USER, Session.id.desc(), row=SessionOut)
_SESSION = _SESSIONS_OF_USER.where(Session.id == bindparam("of_session"))
_VERIFICATIONS_OF_USER = select(*VERIFICATION_COLUMNS).where(
    Verification.user_id == bindparam("user_id"), Verification.recovery_id.is_(None)
)
_VERIFICATION = _VERIFICATIONS_OF_USER.where(Verification.id == bindparam("verification_id"))
_VERIFICATIONS = PagedStatement(_VERIFICATIONS_OF_USER, Verification.id.desc(), row=VerificationOut)


async def get_me(db: Readable, cipher: Cipher, scope: UserScope) -> MeOut:
    """Return the user's account. Raises Unauthorized if it was closed after the request was authorized."""
    row = (await db.execute(_ME, {"user_id": scope.user_id})).one()
    if row.phone_cipher is None:  # closed after the caller was authorized
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
    """Return a page of the user's live sessions, the newest first."""
    found = await _SESSIONS.fetch(db, paging, user_id=scope.user_id, session_id=scope.session_id)
    return Page[SessionOut].from_slice(found)


async def get_session(db: Readable, scope: UserScope, session_id: UUID) -> SessionOut:
    """Return one of the user's live sessions. Raises NotFound."""
    given = {"user_id": scope.user_id, "session_id": scope.session_id, "of_session": session_id}
    return await one_or_404(db, _SESSION, SessionOut, given)


async def list_verifications(db: Readable, scope: UserScope, paging: Paging) -> Page[VerificationOut]:
    """Return a page of the user's real-name verifications, the newest first."""
    return Page[VerificationOut].from_slice(await _VERIFICATIONS.fetch(db, paging, user_id=scope.user_id))


async def get_verification(db: Readable, scope: UserScope, verification_id: UUID) -> VerificationOut:
    """Return one of the user's real-name verifications. Raises NotFound."""
    which = {"user_id": scope.user_id, "verification_id": verification_id}
    return await one_or_404(db, _VERIFICATION, VerificationOut, which)
