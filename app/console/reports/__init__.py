"""Pages of the reports: figures and trend, level by level."""
