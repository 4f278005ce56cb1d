"""The interface that an SMS provider implements, and the delivery of a message."""

import asyncio
from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.cipher import Cipher
from app.core.metrics import Counter
from app.core.services import Service
from app.core.settings import Settings
from app.sms.messages import Message

log = structlog.get_logger()

MESSAGES = Counter("sms_total", "Messages to phones by template, and `sent` or why not", "template", "outcome")
TIMEOUT_SECONDS = 10.0
"""How long the delivery of one message may take, over all providers."""


class Cause(StrEnum):
    """Why a provider did not accept a message."""

    LIMITED = "limited"
    """The phone has received too many messages. Another provider would also trouble its owner."""
    BLOCKED = "blocked"
    """The phone is on a black list: its owner has refused messages."""
    INVALID_PHONE = "invalid-phone"
    """The provider cannot send to this number."""
    OVERLOADED = "overloaded"
    """The account sends too many messages in total."""
    MISCONFIGURED = "misconfigured"
    """The key, the sender, a template or the balance of the account is not in order: the operator has to act."""
    UNREACHABLE = "unreachable"
    """The provider has not answered, or not as its protocol says. The message may have been sent."""
    UNKNOWN = "unknown"
    """The provider has refused the message for another cause."""


NOT_FOR_ANOTHER_PROVIDER = frozenset({Cause.LIMITED, Cause.BLOCKED, Cause.INVALID_PHONE})


class NotSent(Exception):
    """The provider did not accept the message. `code` is the provider's own. Nothing here contains the number or the
    message."""

    def __init__(self, cause: Cause = Cause.UNKNOWN, code: str | None = None) -> None:
        super().__init__(cause, code)
        self.cause = cause
        self.code = code


class SmsGateway(Protocol):
    async def send(self, phone: str, message: Message) -> None:
        """Send a message. `phone` is eleven digits, or E.164 for a number from abroad. Raises NotSent."""

    async def close(self) -> None:
        """Close the connections of the gateway when the process stops."""


MakeGateway = Callable[[Settings, AsyncEngine, Cipher], SmsGateway]
SMS = Service[SmsGateway | None]("sms")


class Fallback:
    """A gateway of several providers: the next one is tried where the one before fails for a cause of its own."""

    def __init__(self, gateways: dict[str, SmsGateway]) -> None:
        self._gateways = gateways

    async def send(self, phone: str, message: Message) -> None:
        *others, last = self._gateways.items()
        for name, gateway in others:
            try:
                # Each provider has its part of the time, so that there is some left for the next one.
                async with asyncio.timeout(TIMEOUT_SECONDS / (len(self._gateways) + 1)):
                    await gateway.send(phone, message)
                return
            except TimeoutError:
                failed = NotSent(Cause.UNREACHABLE)
            except NotSent as error:
                failed = error
            if failed.cause in NOT_FOR_ANOTHER_PROVIDER:
                raise failed
            log.warning("sms_provider_failed", provider=name, cause=failed.cause, code=failed.code)
        await last[1].send(phone, message)

    async def close(self) -> None:
        for gateway in self._gateways.values():
            await gateway.close()


async def deliver_message(gateway: SmsGateway, phone: str, message: Message) -> None:
    """Send a message, and log a failure of the gateway instead of raising it."""
    template = message.template
    outcome = "sent"
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await gateway.send(phone, message)
    except NotSent as error:
        outcome = error.cause
        log.warning("sms_not_sent", template=template, cause=error.cause, code=error.code)
    except TimeoutError:
        outcome = Cause.UNREACHABLE
        log.warning("sms_not_sent", template=template, cause=outcome)
    except Exception as error:
        outcome = Cause.UNKNOWN
        log.warning("sms_not_sent", template=template, error=type(error).__name__)
    MESSAGES.add(template, outcome)
