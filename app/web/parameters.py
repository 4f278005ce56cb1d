"""The query parameters of a route: no other name is accepted, and each that has one value is given once."""

from collections.abc import Callable, Iterator
from types import UnionType
from typing import Any, Union, get_args, get_origin
from urllib.parse import parse_qsl

from fastapi.dependencies.models import Dependant
from pydantic import BaseModel
from starlette.types import Scope

from app.core.i18n import gettext
from app.web.errors import Invalid

_SEQUENCES = (list, set, frozenset, tuple)
_MAX_ERRORS = 20


def build_query_check(dependant: Dependant) -> Callable[[Scope], None]:
    """Return the function that checks the query of a request of this route. It raises Invalid.

    A misspelt parameter is an error like a misspelt field: without it, a call would do something else than its caller
    wants. Of two values for one parameter it is not known which the caller means.
    """
    repeatable = dict(_list_parameters(dependant))

    def check_query(scope: Scope) -> None:
        query: bytes = scope["query_string"]
        if not query:
            return
        seen: set[str] = set()
        wrong: dict[str, tuple[str, str]] = {}
        for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True, errors="replace"):
            if name not in repeatable:
                wrong[name] = ("extra_forbidden", gettext("不接受此项"))
            elif name in seen and not repeatable[name]:
                wrong[name] = ("repeated", gettext("此参数只能出现一次"))
            seen.add(name)
        if wrong:
            raise Invalid(
                errors=[
                    {"pointer": f"query/{_escape(name)}"[:200], "code": code, "detail": detail}
                    for name, (code, detail) in list(wrong.items())[:_MAX_ERRORS]
                ]
            )

    return check_query


def _list_parameters(dependant: Dependant) -> Iterator[tuple[str, bool]]:
    """Yield the names of the query parameters of a route and its dependencies, and whether each can be repeated."""
    for field in dependant.query_params:
        annotation = field.field_info.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            for name, member in annotation.model_fields.items():
                yield member.alias or name, _is_sequence(member.annotation)
        else:
            yield field.validation_alias or field.alias, _is_sequence(annotation)
    for dependency in dependant.dependencies:
        yield from _list_parameters(dependency)


def _is_sequence(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        return any(_is_sequence(part) for part in get_args(annotation))
    return annotation in _SEQUENCES or origin in _SEQUENCES


def _escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1").encode("utf-8", "replace").decode()
