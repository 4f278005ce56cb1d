"""What every feature stands on and what knows no feature: settings, the database connection, problems (RFC 9457),
pages, encryption, logs, text, phones, the calendar.

A module here imports libraries and other modules of this package, and nothing else of the service.
"""
