"""What every feature stands on: settings, encryption, logs, text, phones, the calendar, the services of the process.

A module here knows neither HTTP, the database nor a feature. It imports libraries and other modules of this package.
"""
