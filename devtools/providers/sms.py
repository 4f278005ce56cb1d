"""The simulated SMS gateway. It stores messages in the database, and fails for a few numbers."""

from datetime import timedelta

from sqlalchemy import Uuid, func, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.blind_index.keys import lock_index_key
from app.core.cipher import Cipher
from app.core.settings import Settings
from app.schema.sign_in import SimulatedMessage
from app.sms.gateway import Cause, NotSent
from app.sms.messages import Message

LOST_NUMBER = "19900000001"
LATE_NUMBER = "19900000002"
REFUSED_NUMBER = "19900000003"
LATE_BY = timedelta(seconds=5)


class SimulatedGateway:
    """Stores messages in the database, where every process of the service and `GET /v1/simulator/sms` can read them."""

    def __init__(self, settings: Settings, engine: AsyncEngine, cipher: Cipher) -> None:
        self._engine = engine
        self._cipher = cipher

    async def send(self, phone: str, message: Message) -> None:
        if phone == REFUSED_NUMBER:
            raise NotSent(Cause.BLOCKED)
        if phone == LOST_NUMBER:
            return
        delay = LATE_BY if phone == LATE_NUMBER else timedelta()
        async with self._engine.begin() as db:
            indexer = await lock_index_key(db, self._cipher)
            message_id = (await db.execute(select(func.uuidv7(type_=Uuid())))).scalar_one()
            row = {
                "id": message_id,
                "phone_index": indexer.index_phone(phone),
                "text_cipher": self._cipher.encrypt(message.text, message_id),
                "arrives_at": func.now() + delay,
            }
            await db.execute(insert(SimulatedMessage).values(row))

    async def close(self) -> None:
        """The engine is the service's."""
