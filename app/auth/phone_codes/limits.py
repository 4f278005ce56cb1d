"""How many messages with codes are sent, and how many wrong codes are accepted.

- **By phone and caller**: a network, or a signed-in user, requests a few codes for one phone.
- **By phone**: the requests of all strangers together, in two buckets: the first two requests of a network in a day,
  and all others. So one stranger does not prevent the requests of other networks. A network from which the phone's
  account has been used, and a caller whose own phone it is, take from neither: strangers cannot shut the owner out.
- **By network**: a quarter of the overall bucket at once.
- **Overall**, because messages cost money. When half of this bucket is used, each network has a small share, so that
  many networks together do not shut out the others. When three quarters are used, only phones with an account are
  served. So a caller can find out which phones have an account while messages are scarce, but no faster than the share
  of the network allows: a refusal takes from the share as well.
- **Wrong codes** over all phones: by network, or by signed-in user.
"""

from datetime import timedelta

import structlog
from sqlalchemy import Interval, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import Actor
from app.auth.rate_limits import (
    RATE_LIMITED,
    Limit,
    NetworkLimit,
    charge_token,
    find_limited_address,
    read_usage,
    require_token,
    take_token,
    take_token_by_network,
    try_to_take_token,
)
from app.core.cipher import Cipher
from app.core.networks import get_network, get_wide_network
from app.web.errors import TooManyRequests

log = structlog.get_logger()

# With five tries per code, one address can try about 265 of a million codes of a phone in a day.
PHONE_CALLER_LIMIT = NetworkLimit(
    Limit("code-phone-address", burst=5, every=timedelta(minutes=30)),
    Limit("code-phone-network", burst=10, every=timedelta(minutes=15)),
)
PHONE_USER_LIMIT = Limit("code-phone-user", burst=5, every=timedelta(minutes=30))
# Strangers with many networks can try about 1,160 codes of a phone in a day, and send it 232 messages.
FIRST_REQUESTS = Limit("code-phone-first", burst=2, every=timedelta(hours=12))
PHONE_FIRST_LIMIT = Limit("code-phone-firsts", burst=30, every=timedelta(minutes=10))
PHONE_LIMIT = Limit("code-phone", burst=10, every=timedelta(minutes=30))
# An office behind one address may sign in on one morning, and so may the customers of a carrier behind one network.
NETWORK_LIMIT = NetworkLimit(
    Limit("code-address", burst=200, every=timedelta(seconds=6)),
    Limit("code-network", burst=300, every=timedelta(seconds=1)),
)
SHARE_LIMIT = Limit("code-share", burst=20, every=timedelta(seconds=3))
OVERALL_LIMIT = Limit("code-overall", burst=1200, every=timedelta(milliseconds=50))
LOW, SCARCE = 0.5, 0.75
"""The used parts of the overall bucket from which on each network has its share, and only accounts are served."""
KNOWN_FOR = timedelta(days=90)
"""How long after its last use by the account a network is known."""

# In an office some people mistype. Five wrong codes of one handle count five times.
GUESS_LIMIT = NetworkLimit(
    Limit("guess-address", burst=50, every=timedelta(minutes=1)),
    Limit("guess-network", burst=150, every=timedelta(seconds=20)),
)
GUESS_USER_LIMIT = Limit("guess-user", burst=20, every=timedelta(minutes=10))

_ALL = "all"
_UNKNOWN_ADDRESS = "::"
_IS_KNOWN_NETWORK = text("""
SELECT EXISTS (
    SELECT FROM sessions AS s JOIN users AS u ON u.id = s.user_id
    WHERE u.phone_index IN :phones AND s.refreshed_at > now() - :known_for
        AND s.address <<= CAST(CAST(:network AS text) AS cidr)
)
""").bindparams(bindparam("phones", expanding=True), bindparam("known_for", type_=Interval()))
_HAS_ACCOUNT = text("SELECT EXISTS (SELECT FROM users WHERE phone_index IN :phones AND status = 'active')").bindparams(
    bindparam("phones", expanding=True)
)


async def take_message(db: AsyncConnection, cipher: Cipher, actor: Actor, phone: str, *, of_own_phone: bool) -> None:
    """Take what one message with a code takes from the limits. `of_own_phone`: the caller is authorized to get codes to
    this phone.

    Locks the buckets in the order phone, network, overall. Raises TooManyRequests.
    """
    index = cipher.index_phone(phone).hex()
    if actor.user_id is not None:
        await take_token(db, PHONE_USER_LIMIT, f"{index}:{actor.user_id}")
    else:
        address = actor.address or _UNKNOWN_ADDRESS
        await take_token(db, PHONE_CALLER_LIMIT.narrow, f"{index}:{get_network(address)}")
        await take_token(db, PHONE_CALLER_LIMIT.wide, f"{index}:{get_wide_network(address)}")
    if not of_own_phone and not await _is_known_network(db, cipher, actor, phone):
        caller = actor.user_id or get_wide_network(actor.address or _UNKNOWN_ADDRESS)
        is_first = await try_to_take_token(db, FIRST_REQUESTS, f"{index}:{caller}")
        await take_token(db, PHONE_FIRST_LIMIT if is_first else PHONE_LIMIT, index)
    await _take_of_network(db, actor)
    await take_token(db, OVERALL_LIMIT, _ALL)


async def find_refusal_of_new_phone(
    db: AsyncConnection, cipher: Cipher, actor: Actor, phone: str
) -> TooManyRequests | None:
    """Return the refusal of a phone without an account while messages are scarce.

    It is returned, not raised, so that the transaction commits and the request takes from the share of the network.
    Raises TooManyRequests if the network may send no message anyway.
    """
    usage = await read_usage(db, OVERALL_LIMIT, _ALL)
    if usage < SCARCE or await db.scalar(_HAS_ACCOUNT, {"phones": cipher.list_phone_indexes(phone)}):
        return None
    await _take_of_network(db, actor)
    RATE_LIMITED.add(OVERALL_LIMIT.name)
    return TooManyRequests(1 + int((usage - SCARCE) * OVERALL_LIMIT.depth.total_seconds()))


async def _is_known_network(db: AsyncConnection, cipher: Cipher, actor: Actor, phone: str) -> bool:
    """Return whether the account with this phone was used from the wide network of the caller."""
    if actor.user_id is not None or actor.address is None:
        return False
    values = {
        "phones": cipher.list_phone_indexes(phone),
        "network": get_wide_network(actor.address),
        "known_for": KNOWN_FOR,
    }
    return bool(await db.scalar(_IS_KNOWN_NETWORK, values))


async def _take_of_network(db: AsyncConnection, actor: Actor) -> None:
    await take_token_by_network(db, NETWORK_LIMIT, actor)
    address = find_limited_address(actor)
    if address is not None:
        take = charge_token if await read_usage(db, OVERALL_LIMIT, _ALL) < LOW else take_token
        await take(db, SHARE_LIMIT, get_wide_network(address))


def _list_guess_buckets(actor: Actor) -> list[tuple[Limit, str]]:
    if actor.user_id is not None:
        return [(GUESS_USER_LIMIT, str(actor.user_id))]
    address = find_limited_address(actor)
    if address is None:
        return []
    return [(GUESS_LIMIT.narrow, get_network(address)), (GUESS_LIMIT.wide, get_wide_network(address))]


async def require_guess(db: AsyncConnection, actor: Actor) -> None:
    """Raise TooManyRequests if the caller has given too many wrong codes, to whatever phones.

    Right codes lock no bucket, so that the sign-ins of a large network do not wait for each other. So calls at the same
    time can exceed the limit, each by one.
    """
    for limit, subject in _list_guess_buckets(actor):
        await require_token(db, limit, subject)


async def count_guess(db: AsyncConnection, actor: Actor) -> None:
    """Count a wrong code of the caller. The log names a caller that has none left, and no phone."""
    for limit, subject in _list_guess_buckets(actor):
        if await charge_token(db, limit, subject):
            log.warning("phone_codes_guessed", limit=limit.name, caller=subject)
