"""Pages to request and download exports."""
