"""Pages of the directory: units and people."""
