"""The delivery receipts that providers of SMS send. Table: `sms_receipt_counts` (`app.sms.receipts`)."""
