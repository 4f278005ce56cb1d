"""The inbox: the requests that wait for a decision of one user. Router: `router`."""
