"""The PostgreSQL that `make run` and the tests bring with them, and the programs that come with it."""
