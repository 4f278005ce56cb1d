"""`Location`: the address at which the caller can read what a call has made (RFC 9110 §10.2.2)."""

from typing import Any

from starlette.responses import Response

LOCATION: dict[str, Any] = {
    "description": "The address at which the caller reads what the call has made.",
    "required": True,
    "schema": {"type": "string", "format": "uri-reference"},
}
"""The header in the OpenAPI document, under `components`."""
LOCATION_REF = {"$ref": "#/components/headers/Location"}


def set_location(response: Response, path: str) -> None:
    """Set the `Location` header to the address of what the call has created. The caller can read that address with
    GET."""
    response.headers["Location"] = path


def describe_location(status: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses=` of a route that names an address in its answer with this status. The document declares
    the header for every 201 itself."""
    return {status: {"headers": {"Location": LOCATION_REF}}}
