"""When exported files expire."""

from datetime import timedelta

from sqlalchemy import func

from app.database.retention import CleanUp, delete_rows
from app.schema.exports import Export

EXPORT_LIFETIME = timedelta(days=1)

CLEAN_UPS = (
    CleanUp(
        name="exports",
        deletes="exported files and the requests for them",
        tables=("exports", "export_parts"),
        after=EXPORT_LIFETIME,
        since="the file was finished (or requested, until it is)",
        run=delete_rows(Export, Export.expires_at <= func.now()),
        batch=20,  # An export can have hundreds of parts, and they are deleted with it.
    ),
)
