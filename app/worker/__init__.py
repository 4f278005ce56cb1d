"""The worker process: it runs the jobs of all features, among them the scheduled clean-ups (`retention`)."""
