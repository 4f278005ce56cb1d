"""The headers of answers that a client acts on, in the OpenAPI document: each follows from the kind of the answer."""

from typing import Any

from app.database.replica_reads import CONSISTENCY_HEADER
from app.web.locations import LOCATION

HEADERS: dict[str, dict[str, Any]] = {
    "ETag": {
        "description": "The state of what the answer shows. Send it as `If-Match` with an edit, or as `If-None-Match` "
        "with a read.",
        "required": True,
        "schema": {"type": "string"},
    },
    "Location": LOCATION,
    "Retry-After": {
        "description": "The seconds after which the call can be repeated.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    },
    "WWW-Authenticate": {
        "description": "What the call needs: a token or a scope (RFC 6750), or a stronger proof (RFC 9470). "
        "A 401 names the address of the API's metadata too (RFC 9728).",
        "required": True,
        "schema": {"type": "string"},
    },
    "X-Data-As-Of": {
        "description": "The answer contains all writes before this instant. Only where the service reads from a "
        "standby.",
        "required": False,
        "schema": {"type": "string", "format": "date-time"},
    },
    "Content-Disposition": {
        "description": "The name under which the file is saved.",
        "required": True,
        "schema": {"type": "string"},
    },
}
"""An answer has one of these headers only if the document declares it, and always if it is declared as required."""


def declare_headers(operation: dict[str, Any], schemas: dict[str, Any], *, oauth: bool) -> None:
    """Add the headers of each answer of an operation.

    `oauth` says that errors have the form of OAuth: a client that sends its secret in the body gets no challenge.
    """
    for status, answer in operation["responses"].items():
        contents = answer.get("content", {}).values()
        versioned = ["version" in schemas[name]["properties"] for content in contents for name in _list_kinds(content)]
        headers: dict[str, Any] = {}
        if status == "201":
            headers["Location"] = _build_reference("Location")
        if status == "304" or (status.startswith("2") and any(versioned)):
            headers["ETag"] = _build_reference("ETag") if all(versioned) else _make_optional("ETag")
        if status in ("429", "503"):
            headers["Retry-After"] = _build_reference("Retry-After")
        if any("idempotency-key-in-use" in content.get("examples", {}) for content in contents):
            headers["Retry-After"] = _make_optional("Retry-After")
        if status == "401":
            headers["WWW-Authenticate"] = (
                _make_optional("WWW-Authenticate") if oauth else _build_reference("WWW-Authenticate")
            )
        if status == "403" and any("insufficient-scope" in content.get("examples", {}) for content in contents):
            headers["WWW-Authenticate"] = _make_optional("WWW-Authenticate")
        if any(content.get("schema", {}).get("format") == "binary" for content in contents):
            headers["Content-Disposition"] = _build_reference("Content-Disposition")
        if status == "200" and _reads_replica(operation):
            headers["X-Data-As-Of"] = _build_reference("X-Data-As-Of")
        if headers:
            answer["headers"] = answer.get("headers", {}) | headers


def list_response_headers(answer: dict[str, Any]) -> dict[str, bool]:
    """Return the names of the headers that an answer declares, each with whether every such answer has it."""
    declared = answer.get("headers", {})
    return {
        name: bool(HEADERS[name]["required"] if "$ref" in shown else shown.get("required"))
        for name, shown in declared.items()
    }


def _reads_replica(operation: dict[str, Any]) -> bool:
    return any(parameter.get("name") == CONSISTENCY_HEADER for parameter in operation.get("parameters", ()))


def _list_kinds(content: dict[str, Any]) -> list[str]:
    """Return the names of the schemas of an answer: one, or those of a union."""
    schema = content.get("schema", {})
    refs = [kind.get("$ref", "") for kind in schema.get("anyOf", [schema])]
    return [ref.rpartition("/")[2] for ref in refs if ref]


def _build_reference(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/headers/{name}"}


def _make_optional(name: str) -> dict[str, Any]:
    return HEADERS[name] | {"required": False}
