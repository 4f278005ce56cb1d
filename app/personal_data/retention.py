"""When the copies of people's data expire."""

from datetime import timedelta

from sqlalchemy import func

from app.database.retention import CleanUp, delete_rows
from app.schema.personal_data import DataCopy

COPY_LIFETIME = timedelta(days=1)

CLEAN_UPS = (
    CleanUp(
        name="data-copies",
        deletes="copies of people's own data and the requests for them",
        tables=("data_copies",),
        after=COPY_LIFETIME,
        since="the copy was finished (or requested, until it is)",
        run=delete_rows(DataCopy, DataCopy.expires_at <= func.now()),
        batch=20,  # each row has a file
    ),
)
