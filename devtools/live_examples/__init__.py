"""Examples for the docs explorer with ids and values of the newest demo in the database."""
