"""Reads of a user's messages."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, func, select

from app.database.db import Readable
from app.database.paging import PagedStatement, Paging, Slice
from app.database.rows import one_or_404
from app.messages.texts import write_reason, write_text
from app.schema.messages import Message
from app.schema.orgs import Org


class MessageRow(NamedTuple):
    """A message, with the present name of its org."""

    id: UUID
    kind: str
    org_id: UUID | None
    org_name: str | None
    subject_type: str | None
    subject_id: UUID | None
    parameters: Mapping[str, Any]
    created_at: datetime
    read_at: datetime | None

    @property
    def text(self) -> str:
        """Return the text of the message in the reader's language."""
        return write_text(self.kind, self.org_name, self.subject_type, self.parameters)

    @property
    def reason(self) -> str | None:
        """Return the reason of the decision in the reader's language."""
        return write_reason(self.parameters.get("reason"))


class _Unread(NamedTuple):
    unread: int


_MESSAGES = (
    select(
        Message.id,
        Message.kind,
        Message.org_id,
        Org.name.label("org_name"),
        Message.subject_type,
        Message.subject_id,
        Message.parameters,
        Message.created_at,
        Message.read_at,
    )
    .join(Org, Org.id == Message.org_id, isouter=True)
    .where(Message.user_id == bindparam("user_id"))
)
_ALL = PagedStatement(_MESSAGES, Message.id.desc(), row=MessageRow)
_UNREAD = PagedStatement(_MESSAGES.where(Message.read_at.is_(None)), Message.id.desc(), row=MessageRow)
_ONE = _MESSAGES.where(Message.id == bindparam("message_id"))
_COUNT_UNREAD = select(func.count().label("unread")).where(
    Message.user_id == bindparam("user_id"), Message.read_at.is_(None)
)


async def list_messages(db: Readable, user_id: UUID, paging: Paging, *, unread: bool = False) -> Slice[MessageRow]:
    """Return a page of the user's messages, the newest first; with `unread` only those that are not read."""
    return await (_UNREAD if unread else _ALL).fetch(db, paging, user_id=user_id)


async def get_message(db: Readable, user_id: UUID, message_id: UUID) -> MessageRow:
    """Return one message of the user. Raises NotFound."""
    return await one_or_404(db, _ONE, MessageRow, {"user_id": user_id, "message_id": message_id})


async def count_unread(db: Readable, user_id: UUID) -> int:
    """Return the number of the user's messages that are not read."""
    return (await one_or_404(db, _COUNT_UNREAD, _Unread, {"user_id": user_id})).unread
