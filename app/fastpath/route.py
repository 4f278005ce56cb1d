"""The route class of the fast path."""

from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import APIRouter

from app.database.db import Handler, TransactionalRoute
from app.fastpath.steps import build_handler, plan_route

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


class FastRoute(TransactionalRoute):
    """A reading route that planned steps can answer (`planned`).

    Without the middleware `Dispatch` it is an ordinary route: FastAPI answers it with `get_route_handler`.
    """

    planned: Handler

    def get_route_handler(self) -> Handler:
        """Return FastAPI's handler. Raises TypeError if the route writes or cannot be planned."""
        steps = None if self.body_field or not self.reads else plan_route(self.dependant)
        if steps is None:
            raise TypeError(f"{self.path} cannot take the fast path: it writes, has a body, yields, or is not async")
        self.planned = self.wrap_handler(build_handler(self, steps))
        return super().get_route_handler()


def fast_get(router: APIRouter, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
    """Return the decorator `@router.get(path, …)` for a FastRoute."""

    def add(endpoint: Endpoint) -> Endpoint:
        router.add_api_route(path, endpoint, methods=["GET"], route_class_override=FastRoute, **options)
        return endpoint

    return add
