"""The ways to prove a name that the service offers."""

from fastapi import Request

from app.auth.errors import MethodNotOffered
from app.auth.verification.schemas import ID_CARD, VerificationCreate, VerificationMethodOut
from app.core.app_links import build_verify_link
from app.core.services import SETTINGS
from app.identity.provider import IDENTITY


def list_methods(request: Request) -> list[VerificationMethodOut]:
    """Return the methods: the providers in the order of the settings, then the ID card."""
    online = [VerificationMethodOut(method=method, reviewed=False) for method in IDENTITY.get(request)]
    return [*online, VerificationMethodOut(method=ID_CARD, reviewed=True)]


def require_method(request: Request, given: VerificationCreate) -> None:
    """Raise MethodNotOffered if the service does not offer this method."""
    if not given.by_card and given.method not in IDENTITY.get(request):
        raise MethodNotOffered


def build_redirect_url(request: Request, reference: str | None) -> str | None:
    """Return the address at which the person begins the proof at a provider, None for an ID card."""
    return None if reference is None else build_verify_link(SETTINGS.get(request).issuer, reference)
