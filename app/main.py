"""`create_app()`: the lifespan, the routers and the handlers. It only wires parts together."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.types import ASGIApp

from app.admins.change_router import router as change_requests
from app.admins.recovery_router import offers_router as recovery_offers
from app.admins.recovery_router import router as recoveries
from app.admins.router import router as admins
from app.api_docs.document import describe_api
from app.api_docs.router import router as problem_catalogue
from app.audit.router import operator_router as audit_trail
from app.audit.router import router as audit
from app.audit_log.refusals import REFUSALS, RefusalMiddleware, Refusals
from app.auth.setup import provide_sign_in, require_providers
from app.auth.setup import routers as auth_routers
from app.certification.router import router as certification
from app.certification.transfer_router import router as transfers
from app.console.site import routers as console_routers
from app.core import logs
from app.core.cipher import CIPHER, Cipher
from app.core.plugins import load_development_routes
from app.core.services import SETTINGS
from app.core.settings import Settings
from app.database.connections import Database, Role
from app.database.db import DATABASE, ENGINE, POOL, create_pools
from app.database.replica import REPLICA, watch_replica
from app.database.watch import watch_database
from app.exports.router import router as exports
from app.fastpath.dispatch import Dispatch
from app.health.router import router as health
from app.idempotency import replay as idempotency
from app.inbox.router import router as inbox
from app.members.group_transfers.router import router as group_transfers
from app.members.imports.edits.router import router as import_edits
from app.members.imports.reversals.router import router as import_reversals
from app.members.imports.router import router as imports
from app.members.joins.link_router import router as join_links
from app.members.joins.router import router as joins
from app.members.links.router import router as links
from app.members.own.router import router as own_rows
from app.members.removals.router import router as removals
from app.members.router import router as members
from app.members.router import unit_router as unit_members
from app.members.transfers.router import router as person_transfers
from app.mergers.router import router as mergers
from app.messages.router import router as messages
from app.middleware.body_limit import BodyLimitErrors
from app.middleware.caller_address import CallerAddress
from app.middleware.consistency import Consistency
from app.middleware.delivery import Delivery
from app.middleware.http_metrics import HttpMetrics
from app.middleware.locale import RequestLocale
from app.middleware.request_head import RequestHead
from app.middleware.request_log import RequestLog
from app.middleware.tracing import Tracing
from app.org_lifecycle.router import router as org_lifecycle
from app.org_loads.router import router as org_loads
from app.orgs.router import router as orgs
from app.orgs.unit_router import router as units
from app.personal_data.router import router as personal_data
from app.points.router import router as points
from app.promotions.router import router as promotions
from app.reports.export_router import router as report_exports
from app.reports.router import router as reports
from app.tracing.spans import export_traces, require_tracing
from app.web import errors
from app.web.event_stream import STREAMS, OpenStreams
from app.web.routing import add_routes, index_routes

MAX_BODY = 2 * 1024 * 1024


def create_app(settings: Settings, *, fast_path: bool = True) -> FastAPI:
    """Create the service over the database `settings.database_url`. The settings must have their secrets.

    Without the fast path FastAPI answers every route, with the same answers. Raises CannotStart if the settings name a
    provider that is not installed.
    """
    require_providers(settings)
    require_tracing(settings)
    refusals = Refusals()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(export_traces(settings, "api"))
            database = Database.from_settings(settings)
            engine, pool = create_pools(database, settings.database_pool)
            DATABASE.provide(app, database)
            ENGINE.provide(app, engine)
            POOL.provide(app, pool)
            await stack.enter_async_context(watch_database(database, watches_pooler=True))
            stack.push_async_callback(engine.dispose)
            async with (
                pool,
                watch_replica(settings, CIPHER.get(app), database, Role.REQUEST) as replica,
                provide_sign_in(app),
                refusals.write_periodically(engine),
            ):
                REPLICA.provide(app, replica)
                yield

    app = FastAPIOffline(
        title="Xuezu",
        version="0.1.0",
        lifespan=lifespan,
        max_body_size=MAX_BODY,
        # FastAPI's telemetry misses fast reads, its logs quote exceptions, and its check costs 4 µs a request.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        openapi_url="/openapi.json",
        redirect_slashes=False,  # a redirect loses the body or the token in many clients, and behind a proxy the https
    )
    SETTINGS.provide(app, settings)
    REFUSALS.provide(app, refusals)
    CIPHER.provide(app, Cipher(settings))
    STREAMS.provide(app, OpenStreams())
    errors.install_error_handler(app)
    idempotency.install_replay_handler(app)
    feature_routers = (
        *(orgs, org_lifecycle, units, promotions, mergers, admins, change_requests, recoveries, recovery_offers),
        org_loads,
        *(members, unit_members, own_rows, links, joins, join_links, removals, person_transfers, group_transfers),
        *(imports, import_edits, import_reversals, exports),
        *(certification, transfers),
        *(points, reports, report_exports),
        *(inbox, messages, personal_data, audit, audit_trail, health),
    )
    add_routes(app, *auth_routers)
    if settings.development:
        load_development_routes()(app)
    add_routes(app, *feature_routers, problem_catalogue, *console_routers)
    describe_api(app)
    index_routes(app)
    logs.configure_if_unconfigured()
    # Every request passes these layers, outermost first.
    proxies, https = settings.parse_trusted_proxies(), settings.issuer.startswith("https:")
    layers: list[Callable[[ASGIApp], ASGIApp]] = [
        *([Tracing] if settings.otlp_url else []),
        *([HttpMetrics] if settings.metrics_port else []),
        *([partial(CallerAddress, proxies=proxies)] if proxies else []),
        RequestLocale,
        partial(RefusalMiddleware, refusals=refusals),
        RequestLog,
        *([partial(Consistency, service=app, https=https)] if settings.replica_url else []),
        partial(Delivery, https=https),
        RequestHead,
        *([partial(Dispatch, service=app)] if fast_path else []),  # fast reads do not reach the layers after this one
        BodyLimitErrors,
    ]
    stack = app.build_middleware_stack()  # FastAPI's own layers: error handlers, routing
    for layer in reversed(layers):
        stack = layer(stack)
    app.middleware_stack = stack  # `app.add_middleware` cannot be used after the stack is built
    return app
