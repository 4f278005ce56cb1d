"""Messages that the simulated SMS gateway has delivered."""

import re

from sqlalchemy import func, select

from app.core.cipher import Cipher
from app.database.db import Readable
from app.schema.sign_in import SimulatedMessage
from devtools.providers.schemas import SimulatedMessageOut


async def list_simulated_messages(db: Readable, cipher: Cipher, phone: str) -> list[SimulatedMessageOut]:
    """Return the messages to a phone, newest first."""
    statement = (
        select(SimulatedMessage.id, SimulatedMessage.text_cipher, SimulatedMessage.arrives_at)
        .where(SimulatedMessage.phone_index.in_(cipher.list_phone_indexes(phone)))
        .where(SimulatedMessage.arrives_at <= func.now())
        .order_by(SimulatedMessage.id.desc())
        .limit(10)
    )
    items = []
    for row in await db.execute(statement):
        text = cipher.decrypt_text(row.text_cipher, row.id)
        digits = re.search(r"\b\d{6}\b", text, re.ASCII)
        items.append(SimulatedMessageOut(text=text, code=digits[0] if digits else None, arrived_at=row.arrives_at))
    return items
