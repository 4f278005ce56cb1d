"""`Idempotency-Key`: a repeated POST gets the stored answer. Table: `idempotency_keys`."""
