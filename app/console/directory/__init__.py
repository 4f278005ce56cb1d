"""Units and people: the directory and what is done in it."""
