"""When messages expire."""

from datetime import timedelta

from sqlalchemy import func

from app.database.retention import CleanUp, delete_rows
from app.schema.messages import Message

MESSAGE_LIFETIME = timedelta(days=90)

CLEAN_UPS = (
    CleanUp(
        name="messages",
        deletes="messages to users, read or not",
        tables=("messages",),
        after=MESSAGE_LIFETIME,
        since="the message was written",
        run=delete_rows(Message, Message.created_at <= func.now() - MESSAGE_LIFETIME),
    ),
)
