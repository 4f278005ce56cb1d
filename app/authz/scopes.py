"""The OAuth scopes of service clients, each with its description."""

SCOPES = {
    "point-events:write": "Hand in point events.",
}
