"""How the routes of a feature come into the app."""

from fastapi import APIRouter, FastAPI


def add_routes(app: FastAPI, *routers: APIRouter) -> None:
    """Add the routes of the routers to the app, as they are.

    `app.include_router` would analyse every route a second time, for a prefix and dependencies that an app may add and
    this one does not: 0.25 s of each start. The limit of a body's size is the app's, in a layer around all routes.
    """
    for router in routers:
        app.router.routes.extend(router.routes)
