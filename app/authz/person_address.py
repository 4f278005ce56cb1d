"""The address of a person whose calls come through the back end of an app.

The back end is a confidential client: an app that an operator has registered, with a secret. It names the address of
the person in `Xuezu-Person-Address`, in calls with its secret and in those that write with a token of the person that
it got with the secret. Limits, the list of sessions and the audit then have this address in place of its own. The
header of any other caller is ignored, since a caller who could choose an address would have no limit. It is not
refused: a program that is no back end and sends it loses nothing.
"""

from starlette.requests import Request

from app.authz.errors import UnreadablePersonAddress
from app.core.networks import parse_address
from app.web.request_state import get_request_state

HEADER = "Xuezu-Person-Address"
BUILT_IN = frozenset({"xuezu-app", "xuezu-console"})
"""The clients that a migration creates: the app and the console of this service. They are public."""
_MAX_LENGTH = 64


def is_app_back_end(client_id: str, kind: str) -> bool:
    """Return whether a client is the back end of an app. The built-in app is public: it runs on the phone."""
    return kind == "app" and client_id not in BUILT_IN


def is_confidential(client_id: str, kind: str) -> bool:
    """Return whether a client has secrets and must authenticate with one."""
    return kind == "service" or is_app_back_end(client_id, kind)


def adopt_person_address(request: Request) -> None:
    """Make the address in the header that of the request. Without the header nothing changes.

    The caller of this function has authenticated the back end of an app. Raises UnreadablePersonAddress.
    """
    given = request.headers.get(HEADER)
    if given is None:
        return
    address = parse_address(given) if len(given) <= _MAX_LENGTH else None
    if address is None:
        raise UnreadablePersonAddress
    request.scope["client"] = (address, 0)
    get_request_state(request).from_proxy = False
