"""Bodies of the calls about messages."""

from datetime import datetime
from typing import Self
from uuid import UUID

from pydantic import Field

from app.database.paging import Page
from app.messages.kinds import MessageKind
from app.messages.queries import MessageRow
from app.web.schemas import Body, Out


class MessageOut(Out):
    """A notice for the caller about something that has happened."""

    id: UUID
    kind: MessageKind = Field(description="What has happened; program against it.")
    text: str = Field(description="The whole sentence in the caller's language.")
    reason: str | None = Field(description="Why it was declined.")
    org_id: UUID | None = Field(description="The org that the text names.")
    org_name: str | None = Field(description="Its present name.")
    subject_type: str | None = Field(
        description="For a request: its kind, as in the inbox, for example `application`; for an import: `import`."
    )
    subject_id: UUID | None = Field(description="The id of the request or of the import.")
    created_at: datetime
    read_at: datetime | None = Field(description="Absent until the message is read.")

    @classmethod
    def from_row(cls, row: MessageRow) -> Self:
        return cls.model_validate(row)


class MessagesOut(Page[MessageOut]):
    """The caller's messages, newest first."""

    unread: int = Field(description="How many are not read, in all pages.")


class UnreadOut(Out):
    unread: int = Field(description="How many messages are not read.")


class ReadMarkPut(Body):
    """The messages to mark as read."""

    newest_id: UUID | None = Field(
        default=None,
        description="The newest message that was shown. Those that came after it stay unread. Absent: all are marked.",
    )
