"""What the checks of the stored data have found."""

from datetime import datetime

from sqlalchemy import BigInteger, DateTime, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from app.database.db import Table


class HealthCheck(Table):
    """The last run of a check that compares stored data."""

    __tablename__ = "health_checks"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    findings: Mapped[int] = mapped_column(BigInteger, comment="how many things are wrong; 0: all is right")
    checked_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
