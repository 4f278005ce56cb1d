"""The retention of delivery receipts."""

from datetime import timedelta

from sqlalchemy import func

from app.database.retention import CleanUp, Schedule, delete_rows
from app.schema.sms import SmsReceiptCount

RETENTION = timedelta(days=90)

CLEAN_UPS = (
    CleanUp(
        name="sms-receipts",
        deletes="counts of delivery receipts of messages to phones",
        tables=("sms_receipt_counts",),
        after=RETENTION,
        since="the hour began",
        run=delete_rows(SmsReceiptCount, SmsReceiptCount.hour < func.now() - RETENTION),
        schedule=Schedule.DAILY,
    ),
)
