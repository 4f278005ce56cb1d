"""What the migrations have said about the code that can run on their schemas."""

from datetime import datetime

from sqlalchemy import DateTime, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from app.database.db import Table


class SchemaCompatibility(Table):
    """The declaration of a migration that has run (app/database/schema_compatibility.py)."""

    __tablename__ = "schema_compatibility"

    revision: Mapped[str] = mapped_column(Text, primary_key=True)
    oldest_code: Mapped[str] = mapped_column(Text, comment="the oldest revision whose code can run on this schema")
    migrated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
