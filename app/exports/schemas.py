"""Bodies of the routes of exports."""

from datetime import datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID

from pydantic import Field

from app.web.schemas import Out


class ExportFormat(StrEnum):
    XLSX = "xlsx"
    CSV = "csv"


class ExportOut(Out):
    """An export. Get it repeatedly until `state` is `done`, then download the file at `content`."""

    id: UUID
    kind: str = Field(description="What is exported.", examples=["members"])
    format: ExportFormat
    state: Literal["waiting", "running", "done", "failed"]
    failure: Literal["failed", "too-many-rows"] | None = Field(
        description="`too-many-rows`: too many for an xlsx, so ask for csv. `failed`: ask for the export again."
    )
    rows_total: int | None = Field(description="How many rows it will have; unknown while it waits.")
    rows_done: int
    size: int | None = Field(description="Bytes, once it is done.")
    file_name: str = Field(examples=["members-20261126.xlsx"])
    content: str | None = Field(description="The address of the file, once it is done. Only the caller can read it.")
    created_at: datetime
    finished_at: datetime | None
    expires_at: datetime = Field(description="When it is deleted: a day after it is done, or at once by DELETE.")
