"""What became of messages to phones, as counts."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, DateTime, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.database.db import Table


class SmsReceiptCount(Table):
    """The number of delivery receipts of one provider in one hour. No phone and no message is stored."""

    __tablename__ = "sms_receipt_counts"
    __table_args__ = (CheckConstraint("outcome IN ('delivered', 'failed')", name="outcome"),)

    hour: Mapped[datetime] = mapped_column(DateTime(timezone=True), primary_key=True)
    provider: Mapped[str] = mapped_column(Text, primary_key=True)
    template: Mapped[str] = mapped_column(Text, primary_key=True, comment="`unknown` where the provider does not say")
    outcome: Mapped[str] = mapped_column(Text, primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)
