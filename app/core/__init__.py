"""Parts that every feature uses: settings, encryption, logs, text, phones, the calendar, the services of the process.

A module of this package knows no HTTP, no database and no feature. It imports libraries and modules of this package.
"""
