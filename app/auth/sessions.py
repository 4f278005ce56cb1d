"""Sessions: every kind of sign-in starts one, refresh tokens continue it, and one or all sessions of a user can end.

A session is the family of its refresh tokens. Each token is valid for one use. A token that is used twice was copied,
so it ends the session for the thief and for the owner (RFC 9700 §4.14).
"""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from pydantic import Field
from sqlalchemy import Interval, bindparam, exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import Actor, record
from app.auth.oauth.protocol import Client, OAuthError, build_invalid_grant
from app.authz.tokens import LIFETIME, TokenIssuer, TokenVerifier
from app.core.cipher import create_secret, hash_secret
from app.schema.auth import OAuthClient, RefreshToken, Session, User
from app.web.errors import Unauthorized
from app.web.schemas import Out


class TokenOut(Out):
    """A token response (RFC 6749 §5.1)."""

    access_token: str
    token_type: str = "Bearer"
    expires_in: int = Field(default=LIFETIME, description="Seconds.")
    refresh_token: str | None = Field(default=None, description="Good for one use; the answer has the next.")
    scope: str | None = None


_LOCK_CLIENT = (
    select(OAuthClient.id)
    .where(OAuthClient.id == bindparam("client_id"), OAuthClient.revoked_at.is_(None))
    .with_for_update(read=True)
)
_INSERT_SESSION = (
    insert(Session).values(expires_at=func.now() + bindparam("lifetime", type_=Interval())).returning(Session.id)
)
_SESSION_EXPIRY = select(Session.expires_at).where(Session.id == bindparam("of_session")).scalar_subquery()
_INSERT_TOKEN = insert(RefreshToken).values(
    expires_at=func.least(func.now() + bindparam("lifetime", type_=Interval()), _SESSION_EXPIRY)
)
_TOKEN_OF_CLIENT = (
    RefreshToken.token_hash == bindparam("digest"),
    exists().where(Session.id == RefreshToken.session_id, Session.client_id == bindparam("of_client")),
)
_USE_TOKEN = (
    update(RefreshToken)
    .where(*_TOKEN_OF_CLIENT, RefreshToken.used_at.is_(None), RefreshToken.expires_at > func.now())
    .values(used_at=func.now())
    .returning(RefreshToken.session_id)
)
_FIND_USED_TOKEN = select(RefreshToken.session_id).where(*_TOKEN_OF_CLIENT, RefreshToken.used_at.is_not(None))
# The parameter `address` is also the new value of the column.
_TOUCH_SESSION = (
    update(Session)
    .where(Session.id == bindparam("of_session"), Session.ended_at.is_(None), Session.expires_at > func.now())
    .values(refreshed_at=func.now())
    .returning(Session.user_id)
)
_REFRESH_SESSION = _TOUCH_SESSION.where(User.id == Session.user_id, User.status == "active")


async def start_session(
    db: AsyncConnection,
    issuer: TokenIssuer,
    actor: Actor,
    client: Client,
    user_id: UUID,
    *,
    methods: Sequence[str],
    device: str | None,
) -> TokenOut:
    """Start a new session and return its first tokens. It takes over nothing from before the sign-in.

    The caller has locked the user's row, as `end_sessions` does, so no session starts during a call that ends all
    sessions. This function locks the client's row FOR SHARE, and waits for a concurrent revocation of the client.
    Raises OAuthError (invalid_client).
    """
    if await db.scalar(_LOCK_CLIENT, {"client_id": client.id}) is None:
        raise OAuthError("invalid_client", "the client was revoked", status=401)
    started = {
        "user_id": user_id,
        "client_id": client.id,
        "methods": list(methods),
        "device": device,
        "address": actor.address,
        "lifetime": timedelta(seconds=client.session_seconds),
    }
    session_id = (await db.execute(_INSERT_SESSION, started)).scalar_one()
    await record(
        db,
        actor,
        "session.started",
        subject=("session", session_id),
        after={"client": client.id, "device": device, "methods": list(methods)},
    )
    return await _issue_tokens(db, issuer, client, user_id, session_id)


async def _issue_tokens(
    db: AsyncConnection, issuer: TokenIssuer, client: Client, user_id: UUID, session_id: UUID
) -> TokenOut:
    refresh_token = create_secret()
    added = {
        "token_hash": hash_secret(refresh_token),
        "session_id": session_id,
        "of_session": session_id,
        "lifetime": timedelta(seconds=client.refresh_seconds),
    }
    await db.execute(_INSERT_TOKEN, added)
    access_token = await issuer.issue(user_id, client_id=client.id, session_id=session_id)
    return TokenOut(access_token=access_token, refresh_token=refresh_token)


async def refresh_session(
    db: AsyncConnection, issuer: TokenIssuer, actor: Actor, client: Client, refresh_token: str
) -> TokenOut | OAuthError:
    """Return the next tokens of a session in exchange for its newest refresh token (RFC 6749 §6).

    A reused token ends the session. The OAuthError for it is returned, not raised, so that the transaction commits.
    """
    which = {"digest": hash_secret(refresh_token), "of_client": client.id}
    refused = build_invalid_grant("the refresh token is unknown, used, revoked or expired")
    session_id = await db.scalar(_USE_TOKEN, which)
    if session_id is None:
        copied = await db.scalar(_FIND_USED_TOKEN, which)
        if copied is not None:
            await end_session(db, actor, copied, reason="refresh-token-reused")
        return refused
    user_id = await db.scalar(_REFRESH_SESSION, {"of_session": session_id, "address": actor.address})
    if user_id is None:
        return refused
    return await _issue_tokens(db, issuer, client, user_id, session_id)


async def touch_session(db: AsyncConnection, session_id: UUID, address: str | None) -> bool:
    """Store the time and the address of the last use of a live session. Return False if the session has ended."""
    return await db.scalar(_TOUCH_SESSION, {"of_session": session_id, "address": address}) is not None


async def end_session(
    db: AsyncConnection, actor: Actor, session_id: UUID, *, reason: str, of_user: UUID | None = None
) -> bool:
    """End a live session of the user: its tokens are refused at their next use. Return False if there is no such
    session."""
    ending = update(Session).where(Session.id == session_id, Session.ended_at.is_(None))
    if of_user is not None:
        ending = ending.where(Session.user_id == of_user)
    ended = await db.scalar(ending.values(ended_at=func.now()).returning(Session.id))
    if ended is None:
        return False
    await record(db, actor, "session.ended", subject=("session", session_id), after={"reason": reason})
    return True


async def end_sessions(
    db: AsyncConnection, actor: Actor, user_id: UUID, *, reason: str, except_session: UUID | None = None
) -> int:
    """End all live sessions of a user except one. Return their number.

    It locks the user's row, and so waits for sessions that are starting and ends them too.
    """
    await db.execute(select(User.id).where(User.id == user_id).with_for_update(key_share=True))
    ending = update(Session).where(Session.user_id == user_id, Session.ended_at.is_(None))
    if except_session is not None:
        ending = ending.where(Session.id != except_session)
    ended = (await db.scalars(ending.values(ended_at=func.now()).returning(Session.id))).all()
    for session_id in ended:
        await record(db, actor, "session.ended", subject=("session", session_id), after={"reason": reason})
    return len(ended)


async def revoke_token(db: AsyncConnection, verifier: TokenVerifier, actor: Actor, client: Client, token: str) -> None:
    """End the session of one of the client's tokens (RFC 7009). An unknown token is no error.

    A service's access token has no session. It expires within minutes, or ends at once with its client.
    Raises OAuthError (unsupported_token_type) for it.
    """
    if "." in token:
        try:
            access = await verifier.verify(token)
        except Unauthorized:
            return
        if access.session_id is None:
            raise OAuthError("unsupported_token_type", "a service's token cannot be revoked by itself")
        session_id = access.session_id if access.client_id == client.id else None
    else:
        session_id = await db.scalar(
            select(RefreshToken.session_id)
            .join(Session, Session.id == RefreshToken.session_id)
            .where(RefreshToken.token_hash == hash_secret(token), Session.client_id == client.id)
        )
    if session_id is not None:
        await end_session(db, actor, session_id, reason="revoked")
