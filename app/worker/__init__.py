"""The worker process: it runs the jobs of all features and the hourly clean-up."""
