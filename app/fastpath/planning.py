"""A route's dependencies, put in order once.

FastAPI works out for every request anew what depends on what, and enters exit stacks and look-ups for kinds of
dependencies that a route may not have; that is most of what a small read costs. Here the same tree, as FastAPI read it
off the signatures, becomes a list of steps when the app is made. Each request runs down the list: what fails is
collected as FastAPI collects it, what depends on what failed is left out, and nothing else is different.

Routes that have more to them (a body, a dependency that yields, a plain `def` that FastAPI runs in a thread) cannot be
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
    """One call, and where its arguments come from: the values of steps before it, the request, the answer's headers."""

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
            (source, carried, fields, _without(fields))
            for source, carried, fields in (
                ("query_params", _carries_query, dependant.query_params),
                ("headers", _carries, dependant.header_params),
                ("cookies", _carries, dependant.cookie_params),
            )
            if fields
        )


def _without(fields: list[ModelField]) -> dict[str, Any] | None:
    """What these parameters are where none of them is sent; None where that cannot be said once for all requests."""
    values, wrong = request_params_to_args(fields, {})
    return None if wrong or not all(isinstance(value, _UNCHANGING) for value in values.values()) else values


_UNCHANGING = (type(None), bool, int, float, str, Enum)


def _carries(_: Request) -> bool:
    return True


def _carries_query(request: Request) -> bool:
    return bool(request.scope["query_string"])


def plan_of(dependant: Dependant) -> list[_Step] | None:
    """The steps of a route, its endpoint last; None where it has something that cannot be planned."""
    steps: list[_Step] = []
    places: dict[Any, int] = {}

    def add(found: Dependant) -> int | None:
        if found.use_cache and found.call in places:
            return places[found.call]
        needs = []
        for below in found.dependencies:
            position = add(below)
            if position is None:
                return None
            needs.append((below.name, position))
        if not _is_plain(found):
            return None
        steps.append(_Step(found, needs))
        places[found.call] = len(steps) - 1
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
    return inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(getattr(call, "__call__", None))  # noqa: B004


class _Said(Response):
    """The headers and the status that dependencies and the endpoint set beside the answer."""

    def __init__(self) -> None:
        self.status_code = None  # type: ignore[assignment]
        self.raw_headers = []


def handler_of(route: Any, steps: Sequence[_Step]) -> Handler:
    """What answers a request of this route by its steps."""
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
        said: _Said | None = None
        values: list[Any] = []
        answer: Any = None
        for step in steps:
            given: dict[str, Any] = {}
            for name, position in step.steps:
                given[name] = values[position]
            failed = bool(errors) and (step is endpoint or any(values[needed] is _FAILED for needed in step.needs))
            for parameter, alias in step.paths:
                value, wrong = parameter.validate(request.path_params[alias], given, loc=("path", alias))
                given[parameter.name] = value
                if wrong:
                    errors.extend(wrong)
                    failed = True
            for source, carried, fields, without in step.parameters:
                if without is not None and not carried(request):
                    given |= without
                    continue
                found, wrong = request_params_to_args(fields, getattr(request, source))
                given |= found
                if wrong:
                    errors.extend(wrong)
                    failed = True
            if failed:
                values.append(_FAILED)
                continue
            if step.request is not None:
                given[step.request] = request
            if step.headers is not None:
                said = said or _Said()
                given[step.headers] = said
            answer = await step.call(**given)
            values.append(answer)
        if errors:
            raise RequestValidationError(errors)
        if isinstance(answer, Response):
            return answer
        status = (said.status_code if said is not None else None) or status_code or 200
        content = await serialize_response(field=field, response_content=answer, dump_json=as_json, **shape)
        if as_json:
            response = Response(content, status, media_type="application/json")
        else:
            response = response_class(content, status)
        if status != 200 and not is_body_allowed_for_status_code(status):
            response.body = b""
        if said is not None:
            response.raw_headers.extend(said.raw_headers)
        return response

    return handler
