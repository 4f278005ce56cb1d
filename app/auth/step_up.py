"""When a security key is demanded besides the sign-in (S16, RFC 9470)."""

from datetime import timedelta

KEY_LASTS = timedelta(hours=12)
"""How long a key proved in a session counts there: a working day."""


def demands_key(region_code: str) -> bool:
    """Whether the admins of an org of this region need a key: a whole province, or the nation (GB/T 2260)."""
    return region_code.endswith("0000")
