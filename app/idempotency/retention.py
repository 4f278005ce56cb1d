"""When the stored answers expire."""

from datetime import timedelta

from sqlalchemy import func

from app.database.retention import CleanUp, delete_rows
from app.schema.idempotency import IdempotencyKey

KEPT = timedelta(days=1)

CLEAN_UPS = (
    CleanUp(
        name="idempotency-keys",
        deletes="answers stored for a repeated `Idempotency-Key`",
        tables=("idempotency_keys",),
        after=KEPT,
        since="the answer was given",
        run=delete_rows(IdempotencyKey, IdempotencyKey.created_at < func.now() - KEPT),
    ),
)
