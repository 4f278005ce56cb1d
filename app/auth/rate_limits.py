"""Rate limits in PostgreSQL: one row and one statement for each token bucket.

A token bucket needs only the time at which it is full again (the generic cell rate algorithm). Taking a token moves
this time by one interval, and is refused if the time would be further ahead than the capacity of the bucket. One upsert
does this exactly for all processes, without a counter to reset. The `limits` package would need a custom storage with
the same statement, and its windows cost two statements and allow twice the rate at their edges.

Taking a token is part of the request's transaction: a request that is rolled back for another reason takes no token.
"""

import math
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address

from sqlalchemy import Interval, bindparam, extract, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.networks import get_network
from app.schema.auth import RateLimit
from app.web.errors import TooManyRequests


@dataclass(frozen=True, slots=True)
class Limit:
    """A rate limit: `burst` calls at once, then one call in each interval `every`."""

    name: str
    burst: int
    every: timedelta


_TAKE_TOKEN = text("""
INSERT INTO rate_limits AS r (key, full_at) VALUES (:key, now() + :every)
ON CONFLICT (key) DO UPDATE SET full_at = greatest(r.full_at, now()) + :every
    WHERE greatest(r.full_at, now()) + :every <= now() + :deep
RETURNING 1
""").bindparams(bindparam("every", type_=Interval()), bindparam("deep", type_=Interval()))


_SECONDS_UNTIL_FULL = select(extract("epoch", RateLimit.full_at - func.now())).where(RateLimit.key == bindparam("key"))


async def take_token(db: AsyncConnection, limit: Limit, subject: str) -> None:
    """Take one token of the subject's bucket. Raises TooManyRequests with the seconds to wait if it is empty."""
    key = f"{limit.name}:{subject}"
    if await db.scalar(_TAKE_TOKEN, {"key": key, "every": limit.every, "deep": limit.every * limit.burst}) is None:
        seconds = (
            float(await db.scalar(_SECONDS_UNTIL_FULL, {"key": key}) or 0)
            - (limit.every * (limit.burst - 1)).total_seconds()
        )
        raise TooManyRequests(math.ceil(seconds))


async def take_token_by_address(db: AsyncConnection, limit: Limit, address: str | None) -> None:
    """Take one token of the network's bucket: an IPv4 address, or the /64 of an IPv6 address.

    The loopback address has no limit. It is this machine or a proxy that does not forward the caller's address, and
    all callers would share one bucket. Raises TooManyRequests.
    """
    if address is None:
        return
    if not ip_address(address).is_loopback:
        await take_token(db, limit, get_network(address))
