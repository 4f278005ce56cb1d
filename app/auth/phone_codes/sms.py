"""The SMS gateway: the small interface that a real one fills, and the simulated one.

A message is handed over after the request's transaction has committed (`BackgroundTask`): a gateway is slow, and no
transaction waits for it. A message that is lost is asked for again; nothing else depends on it.
"""

import asyncio
from datetime import timedelta
from typing import Protocol

import structlog
from sqlalchemy import Uuid, func, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.blind_index.keys import lock_index_key
from app.core.cipher import Cipher
from app.core.settings import Provider, Settings
from app.schema.auth import SimulatedMessage

log = structlog.get_logger()

# Numbers that the simulated gateway treats as a real one sometimes treats any.
LOST_NUMBER = "19900000001"
LATE_NUMBER = "19900000002"
REFUSED_NUMBER = "19900000003"
LATE_BY = timedelta(seconds=5)
_PATIENCE = 10.0


class NotSent(Exception):  # noqa: N818 — a fact
    """The gateway did not take the message. The text never holds the number or the message."""


class SmsGateway(Protocol):
    async def send(self, phone: str, message: str) -> None:
        """Hand a message over; raises NotSent."""


class SimulatedGateway:
    """Keeps messages in the database, for `GET /v1/simulator/sms` and for every process of the service."""

    def __init__(self, engine: AsyncEngine, cipher: Cipher) -> None:
        self._engine = engine
        self._cipher = cipher

    async def send(self, phone: str, message: str) -> None:
        if phone == REFUSED_NUMBER:
            raise NotSent
        if phone == LOST_NUMBER:
            return
        delay = LATE_BY if phone == LATE_NUMBER else timedelta()
        async with self._engine.begin() as db:
            indexing = await lock_index_key(db, self._cipher)
            message_id = (await db.execute(select(func.uuidv7(type_=Uuid())))).scalar_one()
            row = {
                "id": message_id,
                "phone_index": indexing.phone(phone),
                "text_cipher": self._cipher.encrypt(message, message_id),
                "arrives_at": func.now() + delay,
            }
            await db.execute(insert(SimulatedMessage).values(row))


def sms_gateway(settings: Settings, engine: AsyncEngine, cipher: Cipher) -> SmsGateway | None:
    """The gateway that the settings name; None where there is none and phones cannot sign in."""
    return SimulatedGateway(engine, cipher) if settings.sms_provider is Provider.SIMULATED else None


async def deliver(gateway: SmsGateway, phone: str, message: str) -> None:
    """Send, and keep whatever the gateway does from becoming anybody's error."""
    try:
        async with asyncio.timeout(_PATIENCE):
            await gateway.send(phone, message)
    except Exception as error:
        log.warning("sms_not_sent", error=type(error).__name__)
