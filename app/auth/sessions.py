"""Sessions: every kind of sign-in starts one, refresh tokens continue it, and one or all sessions of a user can end.

A session is the family of its refresh tokens. Each token is valid for one use. A token that is used twice was copied,
so it ends the session for the thief and for the owner (RFC 9700 §4.14). The exception is a client that did not get the
answer: within REPEAT_WINDOW and from the same address it may send its token again, as long as no token of the lost
answers was used. These then count as copied, so a thief who repeats the call ends the session at the owner's next one.
"""

from collections.abc import Collection, Sequence
from datetime import timedelta
from uuid import UUID

from pydantic import Field
from sqlalchemy import DateTime, Interval, bindparam, cast, exists, func, insert, select, update
from sqlalchemy.dialects.postgresql import INET
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from app.audit_log.entries import Actor, record
from app.auth.oauth.protocol import Client, OAuthError, build_invalid_grant, build_invalid_scope
from app.authz.access import UserScope
from app.authz.scopes import OWN_SCOPES
from app.authz.tokens import LIFETIME, TokenIssuer, TokenVerifier
from app.core.cipher import create_secret, hash_secret
from app.messages.delivery import add_device_message
from app.schema.auth import RefreshToken, Session, User
from app.schema.sign_in import OAuthClient
from app.web.errors import Unauthorized
from app.web.schemas import Out

REPEAT_WINDOW = timedelta(seconds=10)
"""How long a refresh whose answer was lost can be repeated from the same address."""


class TokenOut(Out):
    """A token response (RFC 6749 §5.1)."""

    access_token: str
    token_type: str = "Bearer"
    expires_in: int = Field(default=LIFETIME, description="Seconds.")
    refresh_token: str | None = Field(default=None, description="Good for one use; the answer has the next.")
    scope: str = Field(description="The scopes of the token, with blanks between them.")


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
    .values(used_at=func.now(), used_from=cast(bindparam("used_by"), INET))
    .returning(RefreshToken.session_id)
)
_FIND_USED_TOKEN = (
    select(
        RefreshToken.session_id,
        RefreshToken.used_at,
        (
            (RefreshToken.used_at > func.now() - bindparam("window", type_=Interval()))
            & (RefreshToken.used_from == cast(bindparam("used_by"), INET))
        ).label("repeated"),
    )
    .where(*_TOKEN_OF_CLIENT, RefreshToken.used_at.is_not(None))
    .with_for_update()
)
_later = aliased(RefreshToken)
# `used_from` of a replaced token is NULL. If the token of the lost answer is used at the same time, this statement
# waits for it and then finds no token to replace.
_REPLACE_LOST_TOKEN = (
    update(RefreshToken)
    .where(RefreshToken.session_id == bindparam("of_session"), RefreshToken.used_at.is_(None))
    .where(
        ~exists().where(
            _later.session_id == RefreshToken.session_id,
            _later.used_at > bindparam("first_used_at", type_=DateTime(timezone=True)),
            _later.used_from.is_not(None),
        )
    )
    .values(used_at=func.now())
    .returning(RefreshToken.session_id)
)
# The parameter `address` is also the new value of the column.
_TOUCH_SESSION = (
    update(Session)
    .where(Session.id == bindparam("of_session"), Session.ended_at.is_(None), Session.expires_at > func.now())
    .values(refreshed_at=func.now())
)
_REFRESH_SESSION = _TOUCH_SESSION.where(User.id == Session.user_id, User.status == "active").returning(
    Session.user_id, Session.scopes
)
_TOUCH_LIVE_SESSION = _TOUCH_SESSION.returning(Session.id)


async def start_session(
    db: AsyncConnection,
    issuer: TokenIssuer,
    actor: Actor,
    client: Client,
    user_id: UUID,
    *,
    methods: Sequence[str],
    device: str | None,
    scopes: Collection[str] = OWN_SCOPES,
) -> TokenOut:
    """Start a new session with these scopes and return its first tokens. It takes over nothing from before the sign-in.

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
        "scopes": None if client.has_all_scopes and scopes == OWN_SCOPES else sorted(scopes),
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
    await add_device_message(db, user_id, session_id)
    return await _issue_tokens(db, issuer, client, user_id, session_id, scopes)


async def _issue_tokens(
    db: AsyncConnection, issuer: TokenIssuer, client: Client, user_id: UUID, session_id: UUID, scopes: Collection[str]
) -> TokenOut:
    refresh_token = create_secret()
    added = {
        "token_hash": hash_secret(refresh_token),
        "session_id": session_id,
        "of_session": session_id,
        "lifetime": timedelta(seconds=client.refresh_seconds),
    }
    await db.execute(_INSERT_TOKEN, added)
    access_token = await issuer.issue(user_id, client_id=client.id, session_id=session_id, scopes=scopes)
    return TokenOut(access_token=access_token, refresh_token=refresh_token, scope=" ".join(sorted(scopes)))


async def refresh_session(
    db: AsyncConnection, issuer: TokenIssuer, actor: Actor, client: Client, refresh_token: str, *, wanted: str = ""
) -> TokenOut | OAuthError:
    """Return the next tokens of a session in exchange for its newest refresh token (RFC 6749 §6).

    The access token has the session's scopes that the client still has, or of these the `wanted` ones. Raises
    OAuthError (invalid_scope) for others.

    A reused token ends the session, unless the call repeats one whose answer was lost. The OAuthError for it is
    returned, not raised, so that the transaction commits.
    """
    which = {"digest": hash_secret(refresh_token), "of_client": client.id, "used_by": actor.address}
    refused = build_invalid_grant("the refresh token is unknown, used, revoked or expired")
    session_id = await db.scalar(_USE_TOKEN, which)
    if session_id is None:
        used = (await db.execute(_FIND_USED_TOKEN, which | {"window": REPEAT_WINDOW})).one_or_none()
        if used is None:
            return refused
        lost = {"of_session": used.session_id, "first_used_at": used.used_at}
        if used.repeated:
            session_id = await db.scalar(_REPLACE_LOST_TOKEN, lost)
        if session_id is None:
            await end_session(db, actor, used.session_id, reason="refresh-token-reused")
            return refused
    session = (await db.execute(_REFRESH_SESSION, {"of_session": session_id, "address": actor.address})).one_or_none()
    if session is None:
        return refused
    granted = client.choose_scopes({}) & frozenset(OWN_SCOPES if session.scopes is None else session.scopes)
    scopes = frozenset(wanted.split()) or granted
    if not scopes or not scopes <= granted:
        raise build_invalid_scope()
    return await _issue_tokens(db, issuer, client, session.user_id, session_id, scopes)


async def touch_session(db: AsyncConnection, session_id: UUID, address: str | None) -> bool:
    """Store the time and the address of the last use of a live session. Return False if the session has ended."""
    return await db.scalar(_TOUCH_LIVE_SESSION, {"of_session": session_id, "address": address}) is not None


_LOCK_ACCOUNT = select(User.id).where(User.id == bindparam("user_id")).with_for_update()
_FIND_LIVE_SESSION = select(Session.id).where(
    Session.id == bindparam("of_session"),
    Session.ended_at.is_(None),
    exists().where(User.id == Session.user_id, User.status == "active"),
)


async def lock_account(db: AsyncConnection, scope: UserScope) -> None:
    """Lock the caller's account FOR UPDATE, and then require that the session of the call is still live.

    A recovery or a sign-out everywhere may have ended it after the call was authorized. Raises Unauthorized.
    """
    await db.execute(_LOCK_ACCOUNT, {"user_id": scope.user_id})
    if await db.scalar(_FIND_LIVE_SESSION, {"of_session": scope.session_id}) is None:
        raise Unauthorized


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
    """End all live sessions of a user, except `except_session`. Return the number of ended sessions.

    The function locks the user's row. So it waits for transactions that start a session of this user, and ends these
    sessions too.
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
