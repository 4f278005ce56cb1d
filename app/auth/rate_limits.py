"""Rate limits in PostgreSQL: one row and one statement for each token bucket.

A token bucket needs only the time at which it is full again (the generic cell rate algorithm). Taking a token moves
this time by one interval, and is refused if the time would be further ahead than the capacity of the bucket. One upsert
does this exactly for all processes, without a counter to reset. The `limits` package would need a custom storage with
the same statement, and its windows cost two statements and allow twice the rate at their edges.

Taking a token is part of the request's transaction: a request that is rolled back for another reason takes no token.
The metric `rate_limited_total{limit}` counts the refusals of each limit.
"""

import math
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Interval, bindparam, extract, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import Actor
from app.core.metrics import Counter
from app.core.networks import get_network, get_wide_network
from app.schema.sign_in import RateLimit
from app.web.errors import TooManyRequests


@dataclass(frozen=True, slots=True)
class Limit:
    """A rate limit: `burst` calls at once, then one call in each interval `every`."""

    name: str
    burst: int
    every: timedelta

    @property
    def depth(self) -> timedelta:
        """The time in which an empty bucket becomes full."""
        return self.every * self.burst


@dataclass(frozen=True, slots=True)
class NetworkLimit:
    """The limits of a caller without an account: of an IPv4 address or the /64 of an IPv6 address, and of the /24 or
    the /48 around it. One caller can have many addresses of the wide network."""

    narrow: Limit
    wide: Limit


RATE_LIMITED = Counter("rate_limited_total", "Requests refused with 429 by a rate limit", "limit")

_PARAMETERS = (bindparam("every", type_=Interval()), bindparam("depth", type_=Interval()))
_TAKE_TOKEN = text("""
INSERT INTO rate_limits AS r (key, full_at) VALUES (:key, now() + :every)
ON CONFLICT (key) DO UPDATE SET full_at = greatest(r.full_at, now()) + :every
    WHERE greatest(r.full_at, now()) + :every <= now() + :depth
RETURNING 1
""").bindparams(*_PARAMETERS)
_CHARGE_TOKEN = text("""
INSERT INTO rate_limits AS r (key, full_at) VALUES (:key, now() + :every)
ON CONFLICT (key) DO UPDATE SET full_at = least(greatest(r.full_at, now()) + :every, now() + :depth)
RETURNING full_at + :every > now() + :depth
""").bindparams(*_PARAMETERS)
_SECONDS_UNTIL_FULL = select(extract("epoch", RateLimit.full_at - func.now())).where(RateLimit.key == bindparam("key"))


async def take_token(db: AsyncConnection, limit: Limit, subject: str) -> None:
    """Take one token of the subject's bucket. Raises TooManyRequests with the seconds to wait if it is empty."""
    if not await try_to_take_token(db, limit, subject):
        raise build_refusal(limit, await _read_seconds_until_full(db, limit, subject))


async def try_to_take_token(db: AsyncConnection, limit: Limit, subject: str) -> bool:
    """Take one token of the subject's bucket. Return False if it is empty."""
    values = {"key": f"{limit.name}:{subject}", "every": limit.every, "depth": limit.depth}
    return await db.scalar(_TAKE_TOKEN, values) is not None


async def charge_token(db: AsyncConnection, limit: Limit, subject: str) -> bool:
    """Take one token of the subject's bucket if there is one. Return whether the bucket is empty now."""
    values = {"key": f"{limit.name}:{subject}", "every": limit.every, "depth": limit.depth}
    return bool(await db.scalar(_CHARGE_TOKEN, values))


async def require_token(db: AsyncConnection, limit: Limit, subject: str) -> None:
    """Raise TooManyRequests if the subject's bucket is empty. Takes no token and no lock."""
    seconds = await _read_seconds_until_full(db, limit, subject)
    if seconds > (limit.depth - limit.every).total_seconds():
        raise build_refusal(limit, seconds)


async def read_usage(db: AsyncConnection, limit: Limit, subject: str) -> float:
    """Return the part of the subject's bucket that is used: 0 if it is full, 1 if it is empty."""
    return max(0.0, await _read_seconds_until_full(db, limit, subject) / limit.depth.total_seconds())


def find_limited_address(actor: Actor) -> str | None:
    """Return the address by whose networks the caller is limited.

    A trusted proxy that calls for itself has no limit, since it could name any address. The loopback address has one
    like any other address.
    """
    return None if actor.from_proxy else actor.address


async def take_token_by_network(db: AsyncConnection, limit: NetworkLimit, actor: Actor) -> None:
    """Take one token of each of the two networks of the caller. Raises TooManyRequests."""
    address = find_limited_address(actor)
    if address is not None:
        await take_token(db, limit.narrow, get_network(address))
        await take_token(db, limit.wide, get_wide_network(address))


def build_refusal(limit: Limit, seconds_until_full: float) -> TooManyRequests:
    """Count a refusal by an empty bucket. Return it, with the seconds until the bucket has a token."""
    RATE_LIMITED.add(limit.name)
    return TooManyRequests(math.ceil(seconds_until_full - (limit.depth - limit.every).total_seconds()))


async def _read_seconds_until_full(db: AsyncConnection, limit: Limit, subject: str) -> float:
    return float(await db.scalar(_SECONDS_UNTIL_FULL, {"key": f"{limit.name}:{subject}"}) or 0)
