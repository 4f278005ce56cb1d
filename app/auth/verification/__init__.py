"""Real-name verification by Alipay or by ID card, and the review of the latter. Table: `verifications`."""
