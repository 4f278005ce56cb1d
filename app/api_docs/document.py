"""The OpenAPI document as a manual: tags in the words of the mission, every error declared, one shape of problem.

This module adds the answers that follow from the kind of a route (signed in, with a body, a creating POST), so that no
route can omit them. A route declares its special errors with `errors.problems(…)`.
"""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts

from app.api_docs.example_writer import write_examples
from app.api_docs.introductions import INTRODUCTION, TAGS
from app.api_docs.pages import configure_pages
from app.api_docs.parameters import describe_parameters
from app.api_docs.problem_schemas import write_problem_schemas
from app.api_docs.recorded_answers import write_recorded_answers
from app.api_docs.response_headers import HEADERS, declare_headers
from app.api_docs.schema_names import collect_definitions, name_body_unions, remove_property_titles, rename_list_schemas
from app.api_docs.shared_parts import share_parts
from app.authz.access import find_access_rule
from app.authz.errors import OrgClosed, ScopeMissing, StepUpNeeded, UnreadablePersonAddress, UserNeeded
from app.authz.permissions import CLOSED_ORG_PERMISSIONS
from app.authz.person_address import HEADER as PERSON_ADDRESS
from app.authz.scopes import SERVICE_SCOPES, describe_scopes
from app.core.services import SETTINGS
from app.database.db import READS
from app.idempotency.replay import HEADER, AnswerNotStored, KeyInUse, KeyReused, stores_no_answer
from app.web import errors
from app.web.gzip_bodies import BrokenGzip, UnsupportedContentEncoding
from app.web.request_bodies import RepeatedKey


def describe_api(app: FastAPI) -> None:
    """Give the app its OpenAPI document, which is built when it is first requested, and the pages that show the
    document."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _build_document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # FastAPI documents this replacement
    development: bool = SETTINGS.get(app).development
    configure_pages(app, development=development)


def _build_document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=INTRODUCTION,
        routes=app.routes,
        servers=[{"url": "/", "description": "This service."}],
        license_info={"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        tags=[{"name": name, "description": description} for name, description in TAGS],
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    problem = errors.ProblemOut.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= problem.pop("$defs", {}) | {"ProblemOut": problem}
    document["components"]["securitySchemes"] |= _SECURITY_SCHEMES
    document["components"]["headers"] = HEADERS
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for path, route in list_api_routes(app):
        if route.include_in_schema:
            for method in route.methods or ():
                operation = document["paths"][path][method.lower()]
                _complete_operation(operation, path, route, method)
                declare_headers(operation, schemas, oauth=path.startswith("/oauth/"))
    write_problem_schemas(document)
    rename_list_schemas(document)
    name_body_unions(document)
    collect_definitions(document)
    remove_property_titles(document)
    write_recorded_answers(document)
    share_parts(document)
    return write_examples(document, {})


def list_api_routes(app: FastAPI) -> Iterator[tuple[str, RouteContext]]:
    """Yield the path and the route of every route of the API, with the settings of its routers."""
    for route in iter_route_contexts(app.routes):
        if isinstance(route.original_route, APIRoute) and route.path_format is not None:
            yield route.path_format, route


def _complete_operation(operation: dict[str, Any], path: str, route: RouteContext, method: str) -> None:
    """Add to an operation the errors and the idempotency header that follow from the kind of its route."""
    describe_parameters(operation)
    operation["operationId"] = route.name
    by_client = [{}, *operation["security"]] if path in _CALLS_OF_CLIENTS and "security" in operation else []
    operation["security"] = _list_security(route) or by_client
    # FastAPI's default summary is the function's name with a capital on each word.
    if operation["summary"] == str(route.name).replace("_", " ").title():
        operation["summary"] = operation["summary"].capitalize()
    responses = operation["responses"]
    for status, answer in responses.items():
        if answer.get("description") == _DEFAULT_DESCRIPTION:
            answer["description"] = SUCCESS_DESCRIPTIONS[status]
    for ending, media_type in PICTURES.items():
        if path.endswith(ending):
            responses["200"]["content"] = {media_type: {}}
    for media_type, content in responses.get("200", {}).get("content", {}).items():
        if media_type != "application/json":
            content.setdefault("schema", {"type": "string"})
    # FastAPI declares its own 422 body; this service answers a problem. OAuth endpoints declare all their answers.
    declared_invalid = responses.pop("422", None)
    rule = find_access_rule(route.dependant)
    names_person = (
        path in _CALLS_OF_CLIENTS or (rule is not None and rule.kind in ("user", "org", "operator"))
    ) and method not in READS
    if names_person:
        operation.setdefault("parameters", []).append(PERSON_ADDRESS_PARAMETER)
    if path.startswith(("/oauth/", "/.well-known/")):
        return
    kinds: list[type[errors.Problem]] = [errors.Unavailable, errors.RepeatedHeader, errors.Invalid]
    if names_person:
        kinds += [UnreadablePersonAddress]
    if rule is not None and rule.kind != "public":
        kinds += [errors.Unauthorized, errors.Forbidden]
        if rule.get_scope(method) is not None:
            kinds += [ScopeMissing]
    if rule is not None and rule.kind in ("user", "org"):
        kinds += [UserNeeded]
    if rule is not None and rule.kind == "org" and rule.needs not in CLOSED_ORG_PERMISSIONS:
        kinds += [OrgClosed]
    if route.dependant.path_params or "{org_id}" in path:
        kinds += [errors.NotFound]
    if rule is not None and rule.kind in ("org", "operator"):
        kinds += [StepUpNeeded]
    if rule is not None and rule.kind in ("user", "org", "operator") and method == "POST":
        kinds += [KeyInUse, KeyReused, *([AnswerNotStored] if stores_no_answer(route.endpoint) else [])]
        operation.setdefault("parameters", []).append(IDEMPOTENCY_PARAMETER)
    if route.body_field is not None:
        kinds += [errors.BadRequest, RepeatedKey, BrokenGzip]
        kinds += [errors.BodyTooLarge, errors.UnsupportedMediaType, UnsupportedContentEncoding]
        operation.setdefault("parameters", []).append(ENCODING_PARAMETER)
    if declared_invalid and errors.MEDIA_TYPE in declared_invalid.get("content", {}):
        responses["422"] = declared_invalid
        declared_invalid["content"].pop("application/json", None)
    for status, entry in errors.problems(*kinds).items():
        known = responses.setdefault(str(status), entry)
        if known is not entry:
            content = known["content"].setdefault(errors.MEDIA_TYPE, {"schema": errors.PROBLEM_SCHEMA})
            general = entry["content"][errors.MEDIA_TYPE]["examples"]
            content["examples"] = general | content.get("examples", {})
            known["description"] = errors.describe_problems(content["examples"])
    operation["responses"] = dict(sorted(responses.items()))


def _list_security(route: RouteContext) -> list[dict[str, list[str]]]:
    """Return the ways to authenticate for a route, as the OpenAPI document lists them; an empty list for a public
    route."""
    rule = find_access_rule(route.dependant)
    if rule is None or rule.kind == "public":
        return []
    if rule.kind == "service":
        return [{"oauth2": [str(rule.needs)]}]
    return [{"bearer": []}]


_SECURITY_SCHEMES = {
    "oauth2": {
        "type": "oauth2",
        "description": "For a service: client credentials (RFC 6749 §4.4).",
        "flows": {
            "clientCredentials": {
                "tokenUrl": "/oauth/token",
                "scopes": {scope: describe_scopes()[scope] for scope in SERVICE_SCOPES},
            }
        },
    }
}
_DEFAULT_DESCRIPTION = "Successful Response"
"""FastAPI's description of an answer without one."""
SUCCESS_DESCRIPTIONS = {
    "200": "Done, with the answer.",
    "201": "Created. The answer shows what was made, and `Location` its address.",
    "202": "Taken in. The work goes on after the answer.",
    "204": "Done. There is no body.",
}
PICTURES = {".svg": "image/svg+xml", ".png": "image/png"}
ENCODING_PARAMETER = {
    "name": "Content-Encoding",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "enum": ["gzip"]},
    "description": "`gzip` if the body is compressed. The limit of a plain body applies after decompression.",
}
_CALLS_OF_CLIENTS = {"/oauth/token", "/oauth/revoke", "/oauth/device_authorization", "/v1/phone-codes"}
"""The calls that a client makes with its secret, before a person has signed in or to sign out."""
PERSON_ADDRESS_PARAMETER = {
    "name": PERSON_ADDRESS,
    "in": "header",
    "required": False,
    "schema": {"type": "string", "maxLength": 64},
    "description": "From the back end of an app: the network address of the person, by which limits count and which "
    "the list of sessions shows. It is believed of a client of kind `app` with a secret, and ignored of all others.",
}
IDEMPOTENCY_PARAMETER = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 200},
    "description": "A key of your own for this request. The same key and body within a day get the stored answer.",
}
