"""The addresses in links and QR codes that the app opens. A browser shows a page there (`app.console.app_links`)."""

SCAN_PATH = "/open/scan"
JOIN_PATH = "/open/join"
JOIN_ORG_PATH = "/open/join-org"
STOP_PATH = "/stop-recovery"
"""A browser opens this one and the next two, not the app: the person need not be signed in."""
VERIFY_PATH = "/verify"
VERIFIED_PATH = "/verified"


def build_scan_link(issuer: str, scan_code: str) -> str:
    """Return the address in the QR code of a sign-in."""
    return f"{issuer}{SCAN_PATH}?code={scan_code}"


def build_invitation_link(issuer: str, token: str) -> str:
    """Return the link of an invitation to be certified under an org."""
    return f"{issuer}{JOIN_PATH}?invitation={token}"


def build_join_link(issuer: str, token: str) -> str:
    """Return the link by which a person asks to join an org."""
    return f"{issuer}{JOIN_ORG_PATH}?link={token}"


def build_verify_link(issuer: str, reference: str) -> str:
    """Return the address at which a person begins to prove their real name at a provider."""
    return f"{issuer}{VERIFY_PATH}?code={reference}"


def build_verified_link(issuer: str, reference: str) -> str:
    """Return the address to which the provider sends the person's browser afterwards."""
    return f"{issuer}{VERIFIED_PATH}?code={reference}"


def build_stop_link(issuer: str, secret: str) -> str:
    """Return the link that stops the recovery of an account."""
    return f"{issuer}{STOP_PATH}?code={secret}"
