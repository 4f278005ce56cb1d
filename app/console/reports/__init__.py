"""Overview and trend, level by level."""
