"""Security keys (WebAuthn, S16): registration, names, and proof of a key in a session (step-up, RFC 9470).

A challenge belongs to one session and one purpose, and the first answer uses it up, right or wrong. A proof is stored
in the session and read at each call. So no token must be exchanged for a stronger one, and the proof ends with the
session.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlsplit
from uuid import UUID

import orjson
from sqlalchemy import Row, bindparam, delete, exists, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import record
from app.auth.errors import EnrolmentNeeded, FreshSignInNeeded, NoSecurityKey, SecurityKeyRefused, SecurityKeyTaken
from app.auth.rate_limits import Limit, take_token
from app.auth.security_keys.schemas import SecurityKeyOut
from app.auth.sessions import lock_account
from app.authz.access import UserScope
from app.authz.errors import StepUpNeeded
from app.authz.step_up import MAX_PROOF_AGE
from app.core.cipher import hash_secret
from app.database.db import Readable, on_constraint
from app.database.paging import Page, PagedStatement, Paging
from app.database.rows import one_or_404
from app.messages.delivery import add_account_message
from app.messages.kinds import MessageKind
from app.schema.auth import Operator, SecurityKey, SecurityKeyChallenge, Session
from app.web.errors import NotFound

CHALLENGE_LIFETIME = timedelta(minutes=5)
CHALLENGE_LIMIT = Limit("key-challenge", burst=30, every=timedelta(seconds=20))

Purpose = Literal["registration", "check"]
KEY_COLUMNS = (SecurityKey.id, SecurityKey.name, SecurityKey.created_at, SecurityKey.used_at)


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """The WebAuthn relying party: the host of the public address, and that address as the only origin."""

    id: str
    origin: str

    @classmethod
    def from_issuer(cls, issuer: str) -> "RelyingParty":
        return cls(urlsplit(issuer).hostname or "localhost", issuer)


@dataclass(frozen=True, slots=True)
class Challenge:
    """A challenge with the options for the browser."""

    id: UUID
    options: dict[str, Any]
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class KeyAnswer:
    """The credential that the browser got from the key for a challenge."""

    challenge_id: UUID
    credential: dict[str, Any]


async def make_challenge(
    db: AsyncConnection, scope: UserScope, party: RelyingParty, purpose: Purpose, user_name: str
) -> Challenge:
    """Store a new challenge and return it with the options for the browser's `navigator.credentials`. Raises
    TooManyRequests, and NoSecurityKey if the purpose is to prove a key and the user has none."""
    import webauthn  # The import takes 0.15 s, so `http_server.warm_up` does it after the start.
    from webauthn.helpers.structs import (
        AuthenticatorSelectionCriteria,
        AuthenticatorTransport,
        PublicKeyCredentialDescriptor,
        ResidentKeyRequirement,
    )

    await take_token(db, CHALLENGE_LIMIT, str(scope.user_id))
    keys = await db.execute(
        select(SecurityKey.credential_id, SecurityKey.transports).where(SecurityKey.user_id == scope.user_id)
    )
    known = [
        PublicKeyCredentialDescriptor(
            id=key.credential_id, transports=[AuthenticatorTransport(name) for name in key.transports]
        )
        for key in keys
    ]
    options: Any
    if purpose == "registration":
        options = webauthn.generate_registration_options(
            rp_id=party.id,
            rp_name="学组",
            user_id=scope.user_id.bytes,
            user_name=user_name,
            exclude_credentials=known,
            authenticator_selection=AuthenticatorSelectionCriteria(resident_key=ResidentKeyRequirement.DISCOURAGED),
        )
    else:
        if not known:
            raise NoSecurityKey
        options = webauthn.generate_authentication_options(rp_id=party.id, allow_credentials=known)
    values = {
        "session_id": scope.session_id,
        "purpose": purpose,
        "challenge": options.challenge,
        "expires_at": func.now() + CHALLENGE_LIFETIME,
    }
    statement = insert(SecurityKeyChallenge).values(values)
    row = (await db.execute(statement.returning(SecurityKeyChallenge.id, SecurityKeyChallenge.expires_at))).one()
    return Challenge(row.id, orjson.loads(webauthn.options_to_json(options)), row.expires_at)


async def _use_challenge(db: AsyncConnection, scope: UserScope, purpose: Purpose, challenge_id: UUID) -> bytes | None:
    used = (
        delete(SecurityKeyChallenge)
        .where(SecurityKeyChallenge.id == challenge_id, SecurityKeyChallenge.session_id == scope.session_id)
        .where(SecurityKeyChallenge.purpose == purpose, SecurityKeyChallenge.expires_at > func.now())
        .returning(SecurityKeyChallenge.challenge)
    )
    challenge: bytes | None = await db.scalar(used)
    return challenge


async def register_key(
    db: AsyncConnection,
    scope: UserScope,
    party: RelyingParty,
    answer: KeyAnswer,
    *,
    name: str,
    enrolment_code: str | None,
) -> SecurityKeyOut | SecurityKeyRefused:
    """Add a security key to the user's account. The first key needs a recent sign-in, and an operator's first key also
    the enrolment code. Each further key needs a recent proof of a registered key.

    SecurityKeyRefused is returned, not raised, so that the transaction commits and the challenge stays used.
    Raises StepUpNeeded, FreshSignInNeeded, EnrolmentNeeded, SecurityKeyTaken.
    """
    import webauthn  # The import takes 0.15 s, so `http_server.warm_up` does it after the start.

    await _require_key_change_allowed(db, scope, enrolment_code)
    challenge = await _use_challenge(db, scope, "registration", answer.challenge_id)
    if challenge is None:
        await _record_refusal(db, scope, "registration")
        return SecurityKeyRefused()
    try:
        verified = webauthn.verify_registration_response(
            credential=answer.credential,
            expected_challenge=challenge,
            expected_rp_id=party.id,
            expected_origin=party.origin,
        )
    except Exception:  # a hostile answer can make a parser raise any exception
        await _record_refusal(db, scope, "registration")
        return SecurityKeyRefused()
    values = {
        "user_id": scope.user_id,
        "name": name,
        "credential_id": verified.credential_id,
        "public_key": verified.credential_public_key,
        "sign_count": verified.sign_count,
        "transports": _list_transports(answer.credential),
    }
    with on_constraint(("security_keys_credential_id_key", SecurityKeyTaken)):
        row = (await db.execute(insert(SecurityKey).values(values).returning(*KEY_COLUMNS))).one()
    await add_account_message(db, scope.user_id, MessageKind.SECURITY_KEY_ADDED)
    await record(db, scope.actor, "security_key.registered", subject=("security_key", row.id), after={"name": name})
    return SecurityKeyOut.model_validate(row)


def _list_transports(credential: dict[str, Any]) -> list[str]:
    from webauthn.helpers.structs import AuthenticatorTransport  # already imported here

    known = {transport.value for transport in AuthenticatorTransport}
    return sorted(known & set(credential["response"].get("transports") or ()))


async def _require_key_change_allowed(db: AsyncConnection, scope: UserScope, enrolment_code: str | None = None) -> None:
    # The lock serializes changes: otherwise two concurrent registrations could each be the first key.
    await lock_account(db, scope)
    statement = select(
        exists().where(SecurityKey.user_id == scope.user_id).label("has_keys"),
        (Session.key_checked_at > func.now() - MAX_PROOF_AGE).label("key_is_fresh"),
        (Session.created_at > func.now() - MAX_PROOF_AGE).label("sign_in_is_fresh"),
        select(Operator.enrolment_hash)
        .where(Operator.user_id == scope.user_id, Operator.removed_at.is_(None))
        .where(Operator.enrolment_expires_at > func.now())
        .scalar_subquery()
        .label("enrolment_hash"),
        exists().where(Operator.user_id == scope.user_id, Operator.removed_at.is_(None)).label("is_operator"),
    ).where(Session.id == scope.session_id)
    row = (await db.execute(statement)).one()
    if row.has_keys:
        if not row.key_is_fresh:
            raise StepUpNeeded(MAX_PROOF_AGE)
        return
    if row.is_operator:
        if row.enrolment_hash is None or hash_secret(enrolment_code or "") != row.enrolment_hash:
            raise EnrolmentNeeded
        await db.execute(update(Operator).where(Operator.user_id == scope.user_id).values(enrolment_hash=None))
    if not row.sign_in_is_fresh:
        raise FreshSignInNeeded(MAX_PROOF_AGE)


async def check_key(
    db: AsyncConnection, scope: UserScope, party: RelyingParty, answer: KeyAnswer
) -> datetime | SecurityKeyRefused:
    """Prove one of the user's keys in this session. Return the time of the proof.

    SecurityKeyRefused is returned, not raised, so that the transaction commits.
    """
    import webauthn  # The import takes 0.15 s, so `http_server.warm_up` does it after the start.

    challenge = await _use_challenge(db, scope, "check", answer.challenge_id)
    key = await _find_key(db, scope, answer.credential)
    if challenge is None or key is None:
        await _record_refusal(db, scope, "check", key.id if key else None)
        return SecurityKeyRefused()
    try:
        verified = webauthn.verify_authentication_response(
            credential=answer.credential,
            expected_challenge=challenge,
            expected_rp_id=party.id,
            expected_origin=party.origin,
            credential_public_key=key.public_key,
            credential_current_sign_count=key.sign_count,
        )
    except Exception:  # a wrong origin or signature, a lower counter, or an invalid answer
        await _record_refusal(db, scope, "check", key.id)
        return SecurityKeyRefused()
    proved = update(SecurityKey).where(SecurityKey.id == key.id)
    await db.execute(proved.values(sign_count=verified.new_sign_count, used_at=func.now()))
    raised = (
        update(Session)
        .where(Session.id == scope.session_id)
        .values(key_checked_at=func.now(), checked_key_id=key.id, methods=sorted({*scope.methods, "hwk"}))
        .returning(func.now())
    )
    checked_at: datetime = (await db.execute(raised)).scalar_one()
    await record(db, scope.actor, "security_key.proved", subject=("security_key", key.id))
    return checked_at


async def _find_key(db: AsyncConnection, scope: UserScope, credential: dict[str, Any]) -> Row[UUID, bytes, int] | None:
    import webauthn

    try:
        credential_id = webauthn.base64url_to_bytes(credential["id"])
    except ValueError:
        return None
    # The lock prevents two concurrent answers from passing with the same counter.
    statement = select(SecurityKey.id, SecurityKey.public_key, SecurityKey.sign_count).with_for_update()
    own = statement.where(SecurityKey.user_id == scope.user_id, SecurityKey.credential_id == credential_id)
    return (await db.execute(own)).one_or_none()


async def _record_refusal(db: AsyncConnection, scope: UserScope, purpose: Purpose, key_id: UUID | None = None) -> None:
    await record(db, scope.actor, "security_key.refused", subject=("security_key", key_id), after={"purpose": purpose})


async def rename_key(db: AsyncConnection, scope: UserScope, key_id: UUID, name: str) -> SecurityKeyOut:
    """Rename one of the user's keys. Raises NotFound."""
    renamed = (
        update(SecurityKey)
        .where(SecurityKey.id == key_id, SecurityKey.user_id == scope.user_id)
        .values(name=name)
        .returning(*KEY_COLUMNS)
    )
    key = await one_or_404(db, renamed, SecurityKeyOut)
    await record(db, scope.actor, "security_key.renamed", subject=("security_key", key_id), after={"name": name})
    return key


_END_PROOFS = (
    update(Session)
    .where(Session.user_id == bindparam("of_user"), Session.key_checked_at.is_not(None))
    # A proof from before migration 0052 does not say of which key it is.
    .where(or_(Session.checked_key_id == bindparam("of_key"), Session.checked_key_id.is_(None)))
    .values(key_checked_at=None, checked_key_id=None, methods=func.array_remove(Session.methods, "hwk"))
)


async def remove_key(db: AsyncConnection, scope: UserScope, key_id: UUID) -> None:
    """Remove one of the user's keys, and end the proofs of this key in all sessions. The session needs a recent proof
    of any of the keys. Raises NotFound, StepUpNeeded.

    A proof at the same time locks the key: it is committed before the key is deleted and ends with it, or it does not
    find the key.
    """
    own = select(exists().where(SecurityKey.id == key_id, SecurityKey.user_id == scope.user_id))
    if not await db.scalar(own):
        raise NotFound
    await _require_key_change_allowed(db, scope)
    await db.execute(delete(SecurityKey).where(SecurityKey.id == key_id))
    await db.execute(_END_PROOFS, {"of_user": scope.user_id, "of_key": key_id})
    await record(db, scope.actor, "security_key.removed", subject=("security_key", key_id))


_KEYS_OF_USER = select(*KEY_COLUMNS).where(SecurityKey.user_id == bindparam("user_id"))
_KEYS = PagedStatement(_KEYS_OF_USER, SecurityKey.id, row=SecurityKeyOut)
_KEY = _KEYS_OF_USER.where(SecurityKey.id == bindparam("key_id"))


async def list_security_keys(db: Readable, scope: UserScope, paging: Paging) -> Page[SecurityKeyOut]:
    """Return a page of the user's keys, the oldest first."""
    return Page[SecurityKeyOut].from_slice(await _KEYS.fetch(db, paging, user_id=scope.user_id))


async def get_security_key(db: Readable, scope: UserScope, key_id: UUID) -> SecurityKeyOut:
    """Return one of the user's keys. Raises NotFound."""
    return await one_or_404(db, _KEY, SecurityKeyOut, {"user_id": scope.user_id, "key_id": key_id})
