"""Scheduled work on verifications at providers: asking for results, and erasing the numbers of unfinished ones."""

from datetime import timedelta

from sqlalchemy import Integer, cast, exists, extract, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.auth.verification.online import CHECK
from app.auth.verification.verifications import FORGOTTEN
from app.database.retention import CleanUp, Schedule, delete_rows
from app.queue.jobs import enqueue_once
from app.schema.auth import Verification, VerificationPicture

CHECKED_AFTER = (2, 5, 10, 15, 20, 25, 27, 28, 29)
"""The minutes after its beginning in which the worker asks for the result of an attempt. The last ones come when it is
about to end, since one of them may be missed."""

_MINUTES = cast(func.floor(extract("epoch", func.now() - Verification.created_at) / 60), Integer)
_DUE = (
    select(Verification.id)
    .where(
        Verification.state == "started",
        Verification.provider_token.is_not(None),
        Verification.expires_at > func.now(),
        _MINUTES.in_(CHECKED_AFTER),
    )
    .order_by(Verification.id)
)


_DECIDED = ~exists().where(
    Verification.id == VerificationPicture.verification_id, Verification.state.in_(("submitted", "under-review"))
)


async def enqueue_checks(db: AsyncConnection, limit: int) -> int:
    """Enqueue a job for each attempt that is to be asked for now, unless one is waiting or running. Return 0: the jobs
    change the attempts."""
    for verification_id in (await db.scalars(_DUE.limit(limit))).all():
        payload = {"verification_id": str(verification_id)}
        await enqueue_once(db, CHECK, payload, key=f"{CHECK}:{verification_id}")
    return 0


async def erase_unfinished(db: AsyncConnection, limit: int) -> int:
    """Erase the numbers of at most `limit` attempts whose time is over. Return how many."""
    overdue = (
        select(Verification.id)
        .where(
            Verification.state == "started",
            Verification.expires_at < func.now(),
            or_(*(getattr(Verification, name).is_not(None) for name in FORGOTTEN)),
        )
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    erased = await db.execute(update(Verification).where(Verification.id.in_(overdue)).values(FORGOTTEN))
    return erased.rowcount


CLEAN_UPS = (
    CleanUp(
        name="unfinished-verifications",
        deletes="the ID number of a verification at a provider that was not finished; the verification stays until the "
        "account is closed",
        tables=("verifications",),
        after=timedelta(0),
        since="its 30 minutes are over",
        run=erase_unfinished,
        schedule=Schedule.EVERY_TEN_MINUTES,
    ),
    CleanUp(
        name="card-pictures",
        deletes="pictures of ID cards that were decided (they go with the decision; this is for what was missed)",
        tables=("verification_pictures",),
        after=timedelta(0),
        since="the verification is decided",
        run=delete_rows(VerificationPicture, _DECIDED),
    ),
    CleanUp(
        name="verification-checks",
        deletes="nothing: it starts the jobs that ask providers for results that nobody has brought",
        tables=(),
        after=timedelta(0),
        since="a verification at a provider is 2, 5, 10 … minutes old",
        run=enqueue_checks,
        schedule=Schedule.EVERY_MINUTE,
    ),
)
