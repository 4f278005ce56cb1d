"""The simulated SMS gateway: it stores messages in the database. A few numbers fail as any number sometimes does."""

from datetime import timedelta

from sqlalchemy import Uuid, func, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.auth.phone_codes.sms import NotSent
from app.blind_index.keys import lock_index_key
from app.core.cipher import Cipher
from app.core.settings import Settings
from app.schema.auth import SimulatedMessage

LOST_NUMBER = "19900000001"
LATE_NUMBER = "19900000002"
REFUSED_NUMBER = "19900000003"
LATE_BY = timedelta(seconds=5)


class SimulatedGateway:
    """Keeps messages in the database, for `GET /v1/simulator/sms` and for every process of the service."""

    def __init__(self, settings: Settings, engine: AsyncEngine, cipher: Cipher) -> None:
        self._engine = engine
        self._cipher = cipher

    async def send(self, phone: str, message: str) -> None:
        if phone == REFUSED_NUMBER:
            raise NotSent
        if phone == LOST_NUMBER:
            return
        delay = LATE_BY if phone == LATE_NUMBER else timedelta()
        async with self._engine.begin() as db:
            indexer = await lock_index_key(db, self._cipher)
            message_id = (await db.execute(select(func.uuidv7(type_=Uuid())))).scalar_one()
            row = {
                "id": message_id,
                "phone_index": indexer.index_phone(phone),
                "text_cipher": self._cipher.encrypt(message, message_id),
                "arrives_at": func.now() + delay,
            }
            await db.execute(insert(SimulatedMessage).values(row))
