"""What lives as long as the process: one typed key each, declared beside the class of the service.

    ENGINE = Service[AsyncEngine]("engine")      beside `create_engine`
    ENGINE.provide(app, create_engine(settings)) where the app is made
    ENGINE.of(request)                           wherever it is needed: an AsyncEngine for the type checker too

Nothing else reads `app.state`; a test keeps it so.
"""

from typing import Any, Generic, TypeVar

from fastapi import FastAPI, Request

from app.core.settings import Settings

T = TypeVar("T")


class Service(Generic[T]):
    """The key of one service of the app."""

    def __init__(self, name: str) -> None:
        self._name = name

    def provide(self, app: FastAPI, service: T) -> None:
        """Make this the service of the app, in place of the one before."""
        setattr(app.state, self._name, service)

    def of(self, source: FastAPI | Request) -> T:
        """The service of the app (of a request: of the app that answers it). Raises AttributeError without one."""
        app: FastAPI = source if isinstance(source, FastAPI) else source.app
        found: Any = getattr(app.state, self._name)
        typed: T = found
        return typed


SETTINGS = Service[Settings]("settings")
