"""The SMS gateway: the small interface that a provider implements.

A message is handed over after the request's transaction has committed (`BackgroundTask`): a gateway is slow, and no
transaction waits for it. A message that is lost is asked for again; nothing else depends on it.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.cipher import Cipher
from app.core.plugins import SMS_PROVIDERS, load
from app.core.services import Service
from app.core.settings import Provider, Settings

log = structlog.get_logger()

_PATIENCE = 10.0


class NotSent(Exception):  # noqa: N818 — a fact
    """The gateway did not take the message. The text never holds the number or the message."""


class SmsGateway(Protocol):
    async def send(self, phone: str, message: str) -> None:
        """Hand a message over; raises NotSent."""


SMS = Service[SmsGateway | None]("sms")
MakeGateway = Callable[[Settings, AsyncEngine, Cipher], SmsGateway]


def load_sms_provider(settings: Settings) -> MakeGateway | None:
    """The factory of the gateway that the settings name; None where there is none and phones cannot sign in.

    Raises CannotStart where the provider is not installed.
    """
    name = settings.sms_provider
    if name is None or name is Provider.NONE:
        return None
    made: MakeGateway = load(SMS_PROVIDERS, name, needed_for=f"XUEZU_SMS_PROVIDER={name}")
    return made


async def deliver(gateway: SmsGateway, phone: str, message: str) -> None:
    """Send, and keep whatever the gateway does from becoming anybody's error."""
    try:
        async with asyncio.timeout(_PATIENCE):
            await gateway.send(phone, message)
    except Exception as error:
        log.warning("sms_not_sent", error=type(error).__name__)
