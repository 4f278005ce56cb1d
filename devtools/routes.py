"""Routes of development: simulated providers, phone simulator, docs explorer with live examples."""

from fastapi import FastAPI

from app.core.services import SETTINGS
from app.core.settings import Provider
from app.web import routing
from devtools.explorer.page import serve_explorer
from devtools.live_examples.document import serve_live_examples
from devtools.phone import site
from devtools.providers.router import alipay_router, clients_router, sms_router


def add_routes(app: FastAPI) -> None:
    """Add the routes to the app. A simulated provider has routes only if the settings select it."""
    settings = SETTINGS.get(app)
    routing.add_routes(app, clients_router)
    if Provider.SIMULATED in settings.list_sms_providers():
        routing.add_routes(app, sms_router)
    if Provider.SIMULATED in settings.list_identity_providers():
        routing.add_routes(app, alipay_router)
    routing.add_routes(app, *site.routers)
    serve_live_examples(app)
    serve_explorer(app)
