"""Bodies of the routes of data copies."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from app.web.schemas import Out


class DataCopyOut(Out):
    """The copy of the caller's data. Get it repeatedly until `state` is `done`, then download the file at `content`."""

    id: UUID
    state: Literal["waiting", "running", "done", "failed"]
    size: int | None = Field(description="Bytes, once it is done.")
    content: str | None = Field(description="The address of the file, once it is done. Only the caller can read it.")
    created_at: datetime
    finished_at: datetime | None
    expires_at: datetime = Field(description="When it is deleted: a day after it is done, or at once by DELETE.")
