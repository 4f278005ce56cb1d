"""The audit log as a person reads it."""
