"""Ids made in Python, for rows whose id is needed before the insert: encryption is bound to the id."""

import secrets
import time
from uuid import UUID


def make_id() -> UUID:
    """Return a UUIDv7 (RFC 9562 §5.7) like the database's `uuidv7()`: milliseconds, then their fraction in 12 bits.

    Ids of one process follow its clock. A list in the order of ids is in the order of creation as far as the clocks of
    the processes and the database agree.
    """
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    fraction = rest * 4096 // 1_000_000
    return UUID(int=milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | secrets.randbits(62))
