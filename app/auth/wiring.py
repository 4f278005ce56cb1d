"""What the app takes from here: the routers, and what lives as long as the process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import APIRouter, FastAPI
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from app.auth import (
    account_router,
    device_router,
    me_router,
    oauth_router,
    operator_router,
    phone_codes_router,
    scans_router,
    security_keys_router,
    simulator_router,
)
from app.auth.alipay import alipay_provider
from app.auth.signing_keys import key_ring
from app.auth.sms import sms_gateway
from app.auth.tokens import TokenIssuer, TokenVerifier
from app.auth.waiting import SignInWatch
from app.cipher import Cipher
from app.db import engine_url, plain_url
from app.settings import Provider, Settings


def routers(settings: Settings) -> list[APIRouter]:
    """The routes of signing in; a simulator's exist in development and while it is the provider, and only then."""
    found = [
        oauth_router.router,
        device_router.oauth_router,
        device_router.router,
        scans_router.router,
        phone_codes_router.router,
        me_router.router,
        account_router.router,
        security_keys_router.router,
        operator_router.router,
    ]
    if settings.development:
        found.append(simulator_router.clients_router)
    if settings.development and settings.sms_provider is Provider.SIMULATED:
        found.append(simulator_router.sms_router)
    if settings.development and settings.alipay_provider is Provider.SIMULATED:
        found.append(simulator_router.alipay_router)
    return found


@asynccontextmanager
async def signing_in(app: FastAPI) -> AsyncIterator[None]:
    """Set what signing in needs on `app.state`, over its engine, settings and cipher."""
    settings: Settings = app.state.settings
    cipher: Cipher = app.state.cipher
    assert settings.database_url is not None
    # Keys are loaded in the middle of requests that hold a connection of the pool: never from the pool.
    aside = create_async_engine(engine_url(settings.database_url.get_secret_value()), poolclass=NullPool)
    keys = key_ring(aside, cipher)
    app.state.signing_keys = keys
    app.state.tokens = TokenVerifier(keys, settings.issuer)
    app.state.token_issuer = TokenIssuer(keys, settings.issuer)
    app.state.sms = sms_gateway(settings, app.state.engine, cipher)
    app.state.alipay = alipay_provider(settings, cipher)
    database_url = settings.database_url.get_secret_value()
    app.state.sign_in_watch = SignInWatch(plain_url(database_url), keys.refresh)
    watching = asyncio.create_task(app.state.sign_in_watch.run())
    try:
        yield
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        await aside.dispose()
