"""The routers and the process-wide services of sign-in."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import APIRouter, FastAPI

from app.auth.accounts import me_router
from app.auth.accounts import router as account_router
from app.auth.device_flow import router as device_router
from app.auth.device_flow import scans_router
from app.auth.device_flow.watch import WATCH, SignInWatch
from app.auth.operators import router as operator_router
from app.auth.phone_codes import router as phone_codes_router
from app.auth.recoveries import router as recoveries_router
from app.auth.recoveries import sign_in_router
from app.auth.security_keys import router as security_keys_router
from app.auth.sms_receipts import router as sms_receipts_router
from app.auth.token_endpoint import router as oauth_router
from app.auth.verification import router as verification_router
from app.authz.signing_keys import create_key_ring
from app.authz.tokens import ISSUER, SIGNING_KEYS, VERIFIER, TokenIssuer, TokenVerifier
from app.core.cipher import CIPHER
from app.core.services import SETTINGS
from app.core.settings import Settings
from app.database.connections import Role
from app.database.db import DATABASE, ENGINE, create_engine_over
from app.identity.loading import load_identity_providers, open_identity_providers
from app.identity.provider import IDENTITY
from app.sms.gateway import SMS
from app.sms.loading import load_sms_provider, open_gateway

routers: tuple[APIRouter, ...] = (
    oauth_router.router,
    device_router.oauth_router,
    device_router.router,
    scans_router.router,
    phone_codes_router.router,
    sms_receipts_router.router,
    sign_in_router.router,
    me_router.router,
    verification_router.router,
    verification_router.notifications_router,
    account_router.router,
    recoveries_router.router,
    security_keys_router.router,
    operator_router.router,
)


def require_providers(settings: Settings) -> None:
    """Raise CannotStart if a provider that the settings name is not installed."""
    load_sms_provider(settings)
    load_identity_providers(settings)


@asynccontextmanager
async def provide_sign_in(app: FastAPI) -> AsyncIterator[None]:
    """Provide the services of sign-in, from the engine, settings and cipher of the app, until the app stops."""
    settings, cipher = SETTINGS.get(app), CIPHER.get(app)
    database = DATABASE.get(app)
    # A request that already has a pooled connection loads the keys, so the load must not wait for the pool, nor for a
    # pooler.
    unpooled = create_engine_over(database, Role.LISTEN, size=0)
    keys = create_key_ring(unpooled, cipher)
    SIGNING_KEYS.provide(app, keys)
    VERIFIER.provide(app, TokenVerifier(keys, settings.issuer))
    ISSUER.provide(app, TokenIssuer(keys, settings.issuer))
    watch = SignInWatch(database, keys.refresh)
    WATCH.provide(app, watch)
    watching = asyncio.create_task(watch.run())
    try:
        async with (
            open_gateway(settings, ENGINE.get(app), cipher) as gateway,
            open_identity_providers(settings, cipher) as providers,
        ):
            SMS.provide(app, gateway)
            IDENTITY.provide(app, providers)
            yield
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        await unpooled.dispose()
