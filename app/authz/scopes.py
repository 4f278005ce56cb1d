"""What a service client can be allowed to do."""

SCOPES = {
    "point-events:write": "Hand in point events.",
}
