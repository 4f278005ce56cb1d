"""The dependencies of a route, ordered once.

For every request FastAPI resolves the dependency tree again, and enters exit stacks and look-ups for kinds of
dependencies that a route may not have. That is most of the cost of a small read. Here the tree that FastAPI read from
the signatures becomes a list of steps when the app is created. Each request runs the list: errors are collected as
FastAPI collects them, steps that depend on a failed step are skipped, and nothing else differs.

Routes with other parts (a body, a dependency that yields, a plain `def` that FastAPI runs in a thread) cannot be
planned.
"""

import inspect
from collections.abc import Sequence
from enum import Enum
from typing import Any

from fastapi import Request, Response
from fastapi._compat import ModelField
from fastapi.datastructures import DefaultPlaceholder
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import request_params_to_args
from fastapi.exceptions import RequestValidationError
from fastapi.routing import serialize_response
from fastapi.utils import is_body_allowed_for_status_code

from app.database.db import Handler

_FAILED = object()


class _Step:
    """One call of a planned request, and the sources of its arguments: earlier steps, the request, the headers of the
    answer."""

    __slots__ = ("call", "headers", "needs", "parameters", "paths", "request", "steps")

    def __init__(self, dependant: Dependant, needs: Sequence[tuple[str | None, int]]) -> None:
        assert dependant.call is not None
        self.call = dependant.call
        self.needs = tuple(position for _, position in needs)
        self.steps = tuple((name, position) for name, position in needs if name is not None)
        self.request = dependant.request_param_name or dependant.http_connection_param_name
        self.headers = dependant.response_param_name
        self.paths = tuple((field, field.validation_alias or field.alias) for field in dependant.path_params)
        self.parameters = tuple(
            (source, is_sent, fields, _find_defaults(fields))
            for source, is_sent, fields in (
                ("query_params", _has_query, dependant.query_params),
                ("headers", _is_always_sent, dependant.header_params),
                ("cookies", _is_always_sent, dependant.cookie_params),
            )
            if fields
        )


def _find_defaults(fields: list[ModelField]) -> dict[str, Any] | None:
    """Return the values of these parameters if none is sent, or None if these are not the same for all requests."""
    values, wrong = request_params_to_args(fields, {})
    return None if wrong or not all(isinstance(value, _IMMUTABLE) for value in values.values()) else values


_IMMUTABLE = (type(None), bool, int, float, str, Enum)


def _is_always_sent(_: Request) -> bool:
    return True


def _has_query(request: Request) -> bool:
    return bool(request.scope["query_string"])


def plan_route(dependant: Dependant) -> list[_Step] | None:
    """Return the steps of a route, its endpoint last, or None if the route cannot be planned."""
    steps: list[_Step] = []
    positions: dict[Any, int] = {}

    def add(found: Dependant) -> int | None:
        if found.use_cache and found.call in positions:
            return positions[found.call]
        needs = []
        for dependency in found.dependencies:
            position = add(dependency)
            if position is None:
                return None
            needs.append((dependency.name, position))
        if not _is_plain(found):
            return None
        steps.append(_Step(found, needs))
        positions[found.call] = len(steps) - 1
        return len(steps) - 1

    return None if add(dependant) is None else steps


def _is_plain(dependant: Dependant) -> bool:
    call = dependant.call
    return not (
        dependant.body_params
        or dependant.background_tasks_param_name
        or dependant.security_scopes_param_name
        or dependant.own_oauth_scopes
        or dependant.concurrency
        or not _is_awaited(call)
    )


def _is_awaited(call: Any) -> bool:
    return inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(getattr(call, "__call__", None))  # noqa: B004 — `callable` does not say if it is a coroutine


class _AnswerHead(Response):
    """The headers and the status that dependencies and the endpoint set."""

    def __init__(self) -> None:
        self.status_code = None  # type: ignore[assignment]  # FastAPI does the same: None is "not set"
        self.raw_headers = []


def build_handler(route: Any, steps: Sequence[_Step]) -> Handler:
    """Return the handler that answers a request of this route with its steps."""
    endpoint = steps[-1]
    field: ModelField | None = route.response_field
    default_class = isinstance(route.response_class, DefaultPlaceholder)
    response_class: type[Response] = route.response_class.value if default_class else route.response_class
    shape = {
        "include": route.response_model_include,
        "exclude": route.response_model_exclude,
        "by_alias": route.response_model_by_alias,
        "exclude_unset": route.response_model_exclude_unset,
        "exclude_defaults": route.response_model_exclude_defaults,
        "exclude_none": route.response_model_exclude_none,
    }
    as_json = field is not None and default_class
    status_code: int | None = route.status_code

    async def handler(request: Request) -> Response:
        errors: list[Any] = []
        head: _AnswerHead | None = None
        values: list[Any] = []
        answer: Any = None
        for step in steps:
            arguments: dict[str, Any] = {}
            for name, position in step.steps:
                arguments[name] = values[position]
            failed = bool(errors) and (step is endpoint or any(values[needed] is _FAILED for needed in step.needs))
            for parameter, alias in step.paths:
                value, wrong = parameter.validate(request.path_params[alias], arguments, loc=("path", alias))
                arguments[parameter.name] = value
                if wrong:
                    errors.extend(wrong)
                    failed = True
            for source, is_sent, fields, defaults in step.parameters:
                if defaults is not None and not is_sent(request):
                    arguments |= defaults
                    continue
                found, wrong = request_params_to_args(fields, getattr(request, source))
                arguments |= found
                if wrong:
                    errors.extend(wrong)
                    failed = True
            if failed:
                values.append(_FAILED)
                continue
            if step.request is not None:
                arguments[step.request] = request
            if step.headers is not None:
                head = head or _AnswerHead()
                arguments[step.headers] = head
            answer = await step.call(**arguments)
            values.append(answer)
        if errors:
            raise RequestValidationError(errors)
        if isinstance(answer, Response):
            return answer
        status = (head.status_code if head is not None else None) or status_code or 200
        content = await serialize_response(field=field, response_content=answer, dump_json=as_json, **shape)
        if as_json:
            response = Response(content, status, media_type="application/json")
        else:
            response = response_class(content, status)
        if status != 200 and not is_body_allowed_for_status_code(status):
            response.body = b""
        if head is not None:
            response.raw_headers.extend(head.raw_headers)
        return response

    return handler
