"""The copy of a person's own data: everything that the service has stored about the user, as a file for the user alone.

A job writes the file, and it is deleted after a day (`app.exports` does the same for the files of orgs). Table:
`data_copies`. The entry point is `router`; `sections` says what is in the file.
"""
