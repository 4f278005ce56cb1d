"""Ids made in Python, for rows whose id is needed before the insert: encryption is bound to the id."""

import secrets
import time
from uuid import UUID


def make_id() -> UUID:
    """Return a UUIDv7 (RFC 9562 §5.7) like the database's `uuidv7()`: milliseconds, then their fraction in 12 bits.

    Ids of one process follow its clock. A list in the order of ids is in the order of creation as far as the clocks of
    the processes and the database agree.
    """
    return make_ids(1)[0]


def make_ids(count: int) -> list[UUID]:
    """Return `count` ids like those of `make_id`, in ascending order: 1/4096 of a millisecond between two."""
    first = time.time_ns() * 4096 // 1_000_000
    chance = secrets.token_bytes(8 * count)
    return [
        UUID(
            int=(at >> 12) << 80
            | 0x7 << 76
            | (at & 0xFFF) << 64
            | 0b10 << 62
            | int.from_bytes(chance[8 * number : 8 * number + 8], "big") >> 2
        )
        for number, at in enumerate(range(first, first + count))
    ]
