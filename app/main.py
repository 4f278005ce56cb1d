"""create_app(): lifespan, routers, handlers — wiring only."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from app.admins.change_router import router as change_requests
from app.admins.recovery_router import router as recoveries
from app.admins.router import router as admins
from app.api_docs.document import describe
from app.audit.router import router as audit
from app.audit_log.refusals import Refusals
from app.auth.wiring import require_providers, signing_in
from app.auth.wiring import routers as auth_routers
from app.certification.router import router as certification
from app.certification.transfer_router import router as transfers
from app.console.site import routers as console_routers
from app.core import errors
from app.core.cipher import Cipher
from app.core.db import create_pools
from app.core.plugins import load_development_routes
from app.core.settings import Settings
from app.exports.router import router as exports
from app.health.router import router as health
from app.idempotency import replay as idempotency
from app.inbox.router import router as inbox
from app.members.imports.router import router as imports
from app.members.links.router import router as links
from app.members.router import router as members
from app.members.transfers.router import router as person_transfers
from app.middleware import request_log
from app.org_lifecycle.router import router as org_lifecycle
from app.orgs.regions import regions
from app.orgs.router import router as orgs
from app.orgs.unit_router import router as units
from app.points.router import router as points
from app.promotions.router import router as promotions
from app.reports.export_router import router as report_exports
from app.reports.router import router as reports

MAX_BODY = 2 * 1024 * 1024


def create_app(settings: Settings) -> FastAPI:
    """The service over the database that `settings.database_url` names, with its secrets present.

    Raises CannotStart where the settings name what is not installed.
    """
    require_providers(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        regions()  # read once, before anybody waits for it
        app.state.engine, app.state.drivers = create_pools(settings)
        try:
            async with signing_in(app), refusals.written(app.state.engine):
                yield
        finally:
            await app.state.drivers.close()
            await app.state.engine.dispose()

    app = FastAPIOffline(
        title="Xuezu 学组",
        version="0.1.0",
        lifespan=lifespan,
        max_body_size=MAX_BODY,
        openapi_url="/openapi.json",
    )
    app.state.settings = settings
    app.state.cipher = Cipher(settings)
    errors.install(app)
    idempotency.install(app)
    feature_routers = (
        *(orgs, org_lifecycle, units, promotions, admins, change_requests, recoveries),
        *(members, links, person_transfers, imports, exports),
        *(certification, transfers),
        *(points, reports, report_exports),
        *(inbox, audit, health),
    )
    for router in auth_routers:
        app.include_router(router)
    if settings.development:
        load_development_routes()(app)
    for router in (*feature_routers, *console_routers):
        app.include_router(router)
    describe(app)
    refusals = app.state.refusals = Refusals(request_log.install(app))
    app.middleware_stack = refusals
    return app
