"""Descriptions of parameters that many routes share. A description on a route has precedence."""

from collections.abc import Mapping
from typing import Any

PARAMETERS: Mapping[str, str] = {
    "org_id": "The organisation.",
    "unit_id": "A unit of the organisation.",
    "member_id": "A person's row in the organisation's directory.",
    "user_id": "The user: an account.",
    "session_id": "A session of the caller, from `GET /v1/me/sessions`.",
    "verification_id": "An attempt at real-name verification.",
    "import_id": "An import of this organisation.",
    "export_id": "An export that the caller has made in this organisation.",
    "copy_id": "The copy of the caller's data, from `POST /v1/me/data-copies`.",
    "invitation_id": "An invitation to be an admin, or to be certified as a subordinate.",
    "certification_id": "A certification of this organisation under a superior.",
    "application_id": "An application to be certified.",
    "subordinate_id": "An organisation certified directly under this one.",
    "transfer_id": "The transfer, of an organisation, of a person or of several people.",
    "merger_id": "The merger.",
    "promotion_id": "The offer that a unit become an organisation of its own.",
    "offer_id": "An offer to be the main admin of an organisation in which no admin is left.",
    "request_id": "The change request, link request, request to join or to be removed.",
    "link_id": "A link with which people ask to join.",
    "message_id": "A message to the caller.",
    "key_id": "A security key of the caller.",
    "scan_id": "The scan.",
    "limit": "Rows a page.",
    "cursor": "`next_cursor` of the page before.",
    "order": "`asc` or `desc`.",
}


def describe_parameters(operation: dict[str, Any]) -> None:
    """Add the shared description to each parameter of the operation that has no description."""
    for parameter in operation.get("parameters", ()):
        if not parameter.get("description") and parameter["name"] in PARAMETERS:
            parameter["description"] = PARAMETERS[parameter["name"]]
