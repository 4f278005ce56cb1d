"""The org itself: its name, its admins, what was asked and decided."""
