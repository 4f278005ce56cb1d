"""Background jobs: enqueueing a job in the caller's transaction, and the types that all jobs share. The tables belong
to pgqueuer. The package `worker` runs the jobs."""
