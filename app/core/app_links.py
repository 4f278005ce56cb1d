"""The addresses in links and QR codes that the app opens. A browser shows a page there (`app.console.app_links`)."""

SCAN_PATH = "/open/scan"
JOIN_PATH = "/open/join"
JOIN_ORG_PATH = "/open/join-org"


def build_scan_link(issuer: str, scan_code: str) -> str:
    """Return the address in the QR code of a sign-in."""
    return f"{issuer}{SCAN_PATH}?code={scan_code}"


def build_invitation_link(issuer: str, token: str) -> str:
    """Return the link of an invitation to be certified under an org."""
    return f"{issuer}{JOIN_PATH}?invitation={token}"


def build_join_link(issuer: str, token: str) -> str:
    """Return the link by which a person asks to join an org."""
    return f"{issuer}{JOIN_ORG_PATH}?link={token}"
