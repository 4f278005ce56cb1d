"""The cost of the service, as ratios to a limit or a peer measured in the same run."""
