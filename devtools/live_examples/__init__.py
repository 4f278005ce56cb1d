"""The examples of the docs explorer, filled with what the newest demo has left in the database."""
