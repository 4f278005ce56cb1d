"""Uploading a sheet, its preview and its result."""
