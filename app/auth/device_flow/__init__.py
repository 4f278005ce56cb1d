"""The QR scan, which is the OAuth device flow (RFC 8628):

1. A client requests a code (`router`). `authorizations` stores it, the client shows the QR code and the user code, and
   a ticket opens the event stream (`tickets`, `events`). The console's pages do the same inside the service.
2. The phone scans the code (`scans_router`, `scans`). To approve, it sends the end of the user code, or for the console
   the number that the console shows after the scan.
3. Each step notifies the waiting client (`watch`), which redeems its device code at the token endpoint.

Table: `device_authorizations`.
"""
