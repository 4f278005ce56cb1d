"""Ids that are made here, where a row's id must be known before the row is written: encryption is bound to it."""

import secrets
import time
from uuid import UUID


def make_id() -> UUID:
    """A UUIDv7 (RFC 9562 §5.7), as the database's `uuidv7()` makes them: milliseconds, then their fraction in 12 bits.

    Ids of one process follow its clock. A list in the order of ids is in the order of making as far as the clocks of
    processes and database agree.
    """
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    fraction = rest * 4096 // 1_000_000
    return UUID(int=milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | secrets.randbits(62))
