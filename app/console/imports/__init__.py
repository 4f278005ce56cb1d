"""Pages to upload a sheet and see its preview and result."""
