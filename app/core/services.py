"""Services that live as long as the process. Each has a typed key, declared next to the class of the service.

    ENGINE = Service[AsyncEngine]("engine")      next to `create_engine`
    ENGINE.provide(app, create_engine(settings)) where the app is created
    ENGINE.get(request)                           where it is needed; the type checker knows it as an AsyncEngine

Nothing else reads `app.state`; a test checks that.
"""

from typing import Any, Generic, TypeVar

from fastapi import FastAPI, Request

from app.core.settings import Settings

T = TypeVar("T")


class Service(Generic[T]):
    """The typed key of a service that an app has."""

    def __init__(self, name: str) -> None:
        self._name = name

    def provide(self, app: FastAPI, service: T) -> None:
        """Set the service of the app, in place of the previous one."""
        setattr(app.state, self._name, service)

    def get(self, source: FastAPI | Request) -> T:
        """Return the service of an app, or of the app that answers a request. Raises AttributeError if the app has no
        such service."""
        app: FastAPI = source if isinstance(source, FastAPI) else source.app
        found: Any = getattr(app.state, self._name)
        typed: T = found
        return typed


SETTINGS = Service[Settings]("settings")
