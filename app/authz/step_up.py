"""When a call needs a proved security key besides the sign-in (S16, RFC 9470)."""

from datetime import timedelta

SECURITY_KEY_ACR = "urn:xuezu:acr:security-key"
KEY_PROOF_LIFETIME = timedelta(hours=12)
"""How long the proof of a key counts in its session: a working day."""
MAX_PROOF_AGE = timedelta(minutes=15)
"""The maximum age of the proof for a change of the keys: a sign-in for the first key, a key proof for the others."""
PHONE_CHANGE_AGE = timedelta(minutes=10)
"""The maximum age of the sign-in, or of the key proof, for a change of the phone."""


def is_key_required(region_code: str) -> bool:
    """Return whether admins of an org of this region need a security key. They do if the region is a whole province or
    the nation (GB/T 2260)."""
    return region_code.endswith("0000")
