"""Limits on how often something may be done, kept in PostgreSQL: one row and one statement a bucket.

A token bucket needs only the time at which it will be full again (the generic cell rate algorithm): taking a token
moves that time by one interval, and is refused where it would lie further ahead than the bucket is deep. One upsert
does it exactly, for all processes at once and without a counter to reset. The `limits` package would need a storage
of ours with the same statement inside, and its windows cost two statements and let through twice the rate at their
edges.

The taking is part of the request's transaction: what is refused and rolled back for another reason takes nothing.
"""

import math
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address

from sqlalchemy import Interval, bindparam, extract, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.networks import network_of
from app.schema.auth import RateLimit
from app.web.errors import TooManyRequests


@dataclass(frozen=True, slots=True)
class Limit:
    """`burst` at once, and one more each `every`."""

    name: str
    burst: int
    every: timedelta


_TAKE = text("""
INSERT INTO rate_limits AS r (key, full_at) VALUES (:key, now() + :every)
ON CONFLICT (key) DO UPDATE SET full_at = greatest(r.full_at, now()) + :every
    WHERE greatest(r.full_at, now()) + :every <= now() + :deep
RETURNING 1
""").bindparams(bindparam("every", type_=Interval()), bindparam("deep", type_=Interval()))


_AHEAD = select(extract("epoch", RateLimit.full_at - func.now())).where(RateLimit.key == bindparam("key"))


async def take(db: AsyncConnection, limit: Limit, who: str) -> None:
    """Take one token of the bucket of `who`; raises TooManyRequests with the seconds to wait where it is empty."""
    key = f"{limit.name}:{who}"
    if await db.scalar(_TAKE, {"key": key, "every": limit.every, "deep": limit.every * limit.burst}) is None:
        seconds = float(await db.scalar(_AHEAD, {"key": key}) or 0) - (limit.every * (limit.burst - 1)).total_seconds()
        raise TooManyRequests(math.ceil(seconds))


async def take_by_address(db: AsyncConnection, limit: Limit, address: str | None) -> None:
    """`take` for the caller's network: an IPv4 address, or the /64 of an IPv6 one.

    The loopback is not limited: it is this machine, or a proxy in front that does not say for whom it asks, and then
    the limit would be one bucket for everybody.
    """
    if address is None:
        return
    if not ip_address(address).is_loopback:
        await take(db, limit, network_of(address))
