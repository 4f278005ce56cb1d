"""`Idempotency-Key`: a POST that is sent again gets the stored answer. Table: `idempotency_keys`."""
