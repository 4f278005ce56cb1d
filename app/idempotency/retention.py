"""Retention of the stored answers."""

from datetime import timedelta

from sqlalchemy import func

from app.database.retention import CleanUp, delete_rows
from app.schema.idempotency import IdempotencyKey

RETENTION = timedelta(days=1)

CLEAN_UPS = (
    CleanUp(
        name="idempotency-keys",
        deletes="answers stored for a repeated `Idempotency-Key`",
        tables=("idempotency_keys",),
        after=RETENTION,
        since="the answer was given",
        run=delete_rows(IdempotencyKey, IdempotencyKey.created_at < func.now() - RETENTION),
    ),
)
