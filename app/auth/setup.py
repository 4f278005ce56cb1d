"""The routers and the process-wide services of sign-in."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import APIRouter, FastAPI
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from app.auth.accounts import me_router
from app.auth.accounts import router as account_router
from app.auth.device_flow import router as device_router
from app.auth.device_flow import scans_router
from app.auth.device_flow.watch import WATCH, SignInWatch
from app.auth.operators import router as operator_router
from app.auth.phone_codes import router as phone_codes_router
from app.auth.phone_codes.sms import SMS, load_sms_provider
from app.auth.security_keys import router as security_keys_router
from app.auth.token_endpoint import router as oauth_router
from app.auth.verification.alipay import ALIPAY, load_alipay_provider
from app.authz.signing_keys import create_key_ring
from app.authz.tokens import ISSUER, SIGNING_KEYS, VERIFIER, TokenIssuer, TokenVerifier
from app.core.cipher import CIPHER
from app.core.services import SETTINGS
from app.core.settings import Settings
from app.database.db import ENGINE, build_engine_url, build_plain_url

routers: tuple[APIRouter, ...] = (
    oauth_router.router,
    device_router.oauth_router,
    device_router.router,
    scans_router.router,
    phone_codes_router.router,
    me_router.router,
    account_router.router,
    security_keys_router.router,
    operator_router.router,
)


def require_providers(settings: Settings) -> None:
    """Raise CannotStart if a provider that the settings name is not installed."""
    load_sms_provider(settings)
    load_alipay_provider(settings)


@asynccontextmanager
async def provide_sign_in(app: FastAPI) -> AsyncIterator[None]:
    """Provide the services of sign-in, from the engine, settings and cipher of the app, until the app stops."""
    settings, cipher = SETTINGS.get(app), CIPHER.get(app)
    assert settings.database_url is not None
    database_url = settings.database_url.get_secret_value()
    # A request that already has a pooled connection loads the keys, so the load must not wait for the pool.
    unpooled = create_async_engine(build_engine_url(database_url), poolclass=NullPool)
    keys = create_key_ring(unpooled, cipher)
    SIGNING_KEYS.provide(app, keys)
    VERIFIER.provide(app, TokenVerifier(keys, settings.issuer))
    ISSUER.provide(app, TokenIssuer(keys, settings.issuer))
    make_gateway, make_alipay = load_sms_provider(settings), load_alipay_provider(settings)
    SMS.provide(app, make_gateway and make_gateway(settings, ENGINE.get(app), cipher))
    ALIPAY.provide(app, make_alipay and make_alipay(settings, cipher))
    watch = SignInWatch(build_plain_url(database_url), keys.refresh)
    WATCH.provide(app, watch)
    watching = asyncio.create_task(watch.run())
    try:
        yield
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        await unpooled.dispose()
