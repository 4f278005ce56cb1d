"""When a security key is demanded besides the sign-in (S16, RFC 9470)."""

from datetime import timedelta

SECURITY_KEY_ACR = "urn:xuezu:acr:security-key"
KEY_LASTS = timedelta(hours=12)
"""How long a key proved in a session counts there: a working day."""
FRESH = timedelta(minutes=15)
"""How recent a proof must be for changing the keys themselves: a sign-in for the first one, a key for the others."""


def demands_key(region_code: str) -> bool:
    """Whether the admins of an org of this region need a key: a whole province, or the nation (GB/T 2260)."""
    return region_code.endswith("0000")
