"""Attempts to prove a name at an outside provider: the person's way there, the result, and the worker's questions.

The provider is called outside of every transaction, since it is slow. The API answers with an address of the service;
when the person opens it, the service begins the attempt at the provider and sends them on. The result is asked of the
provider when the person comes back, when the provider notifies, and from time to time by the worker. Whoever asks
first applies it.
"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

import structlog
from sqlalchemy import Executable, bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit_log.entries import Actor
from app.auth.verification.verifications import complete_attempt
from app.core.app_links import build_verified_link
from app.core.cipher import Cipher
from app.core.settings import Settings
from app.database.rows import fetch_row
from app.identity.loading import open_identity_providers
from app.identity.provider import Attempt, IdentityFailed, IdentityProvider, IdentityProviders, Outcome
from app.queue.jobs import Job, Payload, Worker
from app.schema.auth import Verification

log = structlog.get_logger()

CHECK = "check-verification"
"""The job that asks the provider for the result."""


class AttemptState(StrEnum):
    APPROVED = "approved"
    REJECTED = "rejected"
    WAITING = "waiting"
    """The provider has no result yet."""
    ENDED = "ended"
    """The attempt is unknown, was decided before, or its time is over."""


class _Attempt(NamedTuple):
    """An attempt that is under way."""

    id: UUID
    method: str
    name: str | None
    id_number_cipher: bytes | None
    provider_token: str | None
    provider_url: str | None
    expires_at: datetime


_UNDER_WAY = (Verification.state == "started", Verification.expires_at > func.now())
_ATTEMPT = select(
    Verification.id,
    Verification.method,
    Verification.name,
    Verification.id_number_cipher,
    Verification.provider_token,
    Verification.provider_url,
    Verification.expires_at,
).where(*_UNDER_WAY)
_BY_REFERENCE = _ATTEMPT.where(Verification.reference == bindparam("of_reference"))
_BY_TOKEN = _ATTEMPT.where(
    Verification.provider_token == bindparam("of_token"), Verification.method == bindparam("of_method")
)
_BY_ID = _ATTEMPT.where(Verification.id == bindparam("of_id"))
_STORE = (
    update(Verification)
    .where(Verification.id == bindparam("of_id"), Verification.provider_token.is_(None), *_UNDER_WAY)
    .values(provider_token=bindparam("token"), provider_url=bindparam("url"))
    .returning(Verification.id)
)


async def open_attempt(
    engine: AsyncEngine, cipher: Cipher, providers: IdentityProviders, settings: Settings, reference: str
) -> str | None:
    """Begin the attempt at its provider, unless that was done before, and return the address there. None if the attempt
    is unknown or has ended.

    Holds no connection while the provider is called. Raises IdentityFailed.
    """
    found = await _find(engine, _BY_REFERENCE, {"of_reference": reference})
    provider = found and providers.get(found.method)
    if found is None or provider is None or found.name is None or found.id_number_cipher is None:
        return None
    if found.provider_url is not None:
        return found.provider_url
    id_number = cipher.decrypt_text(found.id_number_cipher, found.id)
    attempt = Attempt(found.id, found.name, id_number, build_verified_link(settings.issuer, reference))
    try:
        started = await provider.begin(attempt)
    except IdentityFailed as error:
        _log_failure(provider, error)
        raise
    async with engine.begin() as db:
        given = {"of_id": found.id, "token": started.token, "url": started.url}
        stored = await db.scalar(_STORE, given)
    if stored is not None:
        return started.url
    # Another request has begun it meanwhile, or it has ended.
    again = await _find(engine, _BY_REFERENCE, {"of_reference": reference})
    return again and again.provider_url


async def check_returned(
    engine: AsyncEngine, cipher: Cipher, providers: IdentityProviders, actor: Actor, reference: str
) -> AttemptState:
    """Ask the provider for the result of the person who has come back, and apply it. Raises IdentityFailed."""
    found = await _find(engine, _BY_REFERENCE, {"of_reference": reference})
    return await _check(engine, cipher, providers, actor, found, finished=False)


async def check_notified(
    engine: AsyncEngine,
    cipher: Cipher,
    providers: IdentityProviders,
    actor: Actor,
    method: str,
    headers: Mapping[str, str],
    body: bytes,
) -> None:
    """Ask the provider for the result that it has notified of, and apply it. A repeated, late or unknown notification
    changes nothing.

    Raises BadNotification, and IdentityFailed if the provider does not answer: it is to notify again then.
    """
    notification = providers[method].read_notification(headers, body)
    found = await _find(engine, _BY_TOKEN, {"of_token": notification.token, "of_method": method})
    await _check(engine, cipher, providers, actor, found, finished=notification.finished)


async def _find(engine: AsyncEngine, statement: Executable, given: Mapping[str, object]) -> _Attempt | None:
    async with engine.connect() as db:
        return await fetch_row(db, statement, _Attempt, given)


async def _check(
    engine: AsyncEngine,
    cipher: Cipher,
    providers: IdentityProviders,
    actor: Actor,
    found: _Attempt | None,
    *,
    finished: bool,
) -> AttemptState:
    provider = found and providers.get(found.method)
    if found is None or provider is None:
        return AttemptState.ENDED
    if found.provider_token is None:
        return AttemptState.WAITING
    try:
        result = await provider.fetch_result(found.provider_token)
    except IdentityFailed as error:
        _log_failure(provider, error)
        raise
    if result.outcome is Outcome.PENDING and not finished:
        return AttemptState.WAITING
    async with engine.begin() as db:
        state = await complete_attempt(db, cipher, actor, found.id, result)
    return AttemptState.ENDED if state is None else AttemptState(state)


def _log_failure(provider: IdentityProvider, error: IdentityFailed) -> None:
    log.warning("identity_failed", provider=provider.method, cause=error.cause, code=error.code)


async def _run_check(worker: Worker, payload: Payload) -> None:
    """Ask the provider for a result that nobody has brought. A provider that does not answer is asked again later
    (`retention.CHECKED_AFTER`)."""
    found = await _find(worker.engine, _BY_ID, {"of_id": UUID(payload["verification_id"])})
    async with open_identity_providers(worker.settings, worker.cipher) as providers:
        with suppress(IdentityFailed):
            await _check(worker.engine, worker.cipher, providers, Actor(), found, finished=False)


JOBS: Mapping[str, Job] = {CHECK: Job(_run_check, concurrency_limit=4)}
