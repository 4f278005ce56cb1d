"""The SMS gateway: the interface that a provider implements.

A message is sent after the request's transaction has committed (`BackgroundTask`), because a gateway is slow and no
transaction may wait for it. If a message is lost, the user requests a new one; nothing else depends on it.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog
from fastapi import BackgroundTasks, Request
from sqlalchemy.ext.asyncio import AsyncEngine

from app.auth.errors import PhoneCodesUnavailable
from app.core.cipher import Cipher
from app.core.plugins import SMS_PROVIDERS, load_plugin
from app.core.services import Service
from app.core.settings import Provider, Settings

log = structlog.get_logger()

_TIMEOUT_SECONDS = 10.0


class NotSent(Exception):
    """The gateway did not accept the message. The text never contains the number or the message."""


class SmsGateway(Protocol):
    async def send(self, phone: str, message: str) -> None:
        """Send a message. Raises NotSent."""


SMS = Service[SmsGateway | None]("sms")
MakeGateway = Callable[[Settings, AsyncEngine, Cipher], SmsGateway]


def load_sms_provider(settings: Settings) -> MakeGateway | None:
    """Return the factory of the gateway that the settings name. Return None if they name no gateway; then no user can
    sign in by phone.

    Raises CannotStart if the provider is not installed.
    """
    name = settings.sms_provider
    if name is None or name is Provider.NONE:
        return None
    factory: MakeGateway = load_plugin(SMS_PROVIDERS, name, needed_for=f"XUEZU_SMS_PROVIDER={name}")
    return factory


def get_gateway(request: Request) -> SmsGateway:
    """Return the SMS gateway of the process. Raises PhoneCodesUnavailable if the process has no gateway."""
    gateway = SMS.get(request)
    if gateway is None:
        raise PhoneCodesUnavailable
    return gateway


def send_notice(request: Request, tasks: BackgroundTasks, phone: str, message: str) -> None:
    """Send a message after the commit, if there is a gateway: what the message reports is done without it too."""
    gateway = SMS.get(request)
    if gateway is not None:
        tasks.add_task(deliver_message, gateway, phone, message)


async def deliver_message(gateway: SmsGateway, phone: str, message: str) -> None:
    """Send a message, and log a failure of the gateway instead of raising it."""
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            await gateway.send(phone, message)
    except Exception as error:
        log.warning("sms_not_sent", error=type(error).__name__)
