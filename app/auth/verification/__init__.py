"""Real-name verification by Alipay or by ID card, and the review of ID cards by operators. Table: `verifications`."""
